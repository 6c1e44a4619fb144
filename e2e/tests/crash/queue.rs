//! Jobs of the platform that is killed: every one that was answered 202 runs at least once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use faas_testing::{Http, Platform, wait_for};

use crate::recorder::Recorder;
use crate::rounds;

const CLIENTS: usize = 64;
/// Jobs that are accepted before a kill.
const EACH_ROUND: usize = 100;
/// As many may run when the platform is killed, and run again: what one function gets at a time.
const MOST_RUNNING: usize = 64;
/// Longer than a job waits for its next attempt after some have failed.
const PATIENCE: Duration = Duration::from_mins(3);

#[test]
fn every_accepted_job_runs() {
    let recorder = Recorder::of_lines();
    let mut platform = Platform::start();
    let faas = platform.login();
    faas.run(&["new", "--lang", "bash", "record"]).success();
    let port = recorder.address.port();
    platform.write(
        "record/handler.sh",
        &format!(
            "#!/bin/bash\nread -r id\nexec 3<>/dev/tcp/127.0.0.1/{port} || exit 1\n\
             echo \"$id\" >&3\nread -r seen <&3 && echo \"$seen\"\n"
        ),
    );
    faas.run(&["up", "-f", "record.yml"]).success();
    let (next, mut accepted) = (AtomicUsize::new(0), BTreeSet::new());
    for _ in 0..rounds() {
        accepted.extend(post_until_killed(&mut platform, &next));
        wait_for("every process of the platform to end", || platform.processes().is_empty().then_some(()));
        platform.restart();
    }
    wait_for_all(&recorder, &accepted);
    let runs = recorder.runs();
    let again: usize = runs.values().map(|times| times - 1).sum();
    let unanswered = runs.len() - accepted.len();
    println!(
        "{} kills, {} jobs accepted, all of them have run, {again} times one ran again; {unanswered} ran whose \
         answer was lost",
        rounds(),
        accepted.len()
    );
    assert!(accepted.len() >= rounds() * EACH_ROUND, "only {} jobs were accepted", accepted.len());
    assert!(again <= rounds() * MOST_RUNNING, "{again} times a job ran again after {} kills", rounds());
}

/// Waits as long as jobs go on running: how fast they do is the disk's affair.
fn wait_for_all(recorder: &Recorder, accepted: &BTreeSet<usize>) {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        let missing: Vec<_> = {
            let runs = recorder.runs();
            if runs.len() > seen {
                (seen, since) = (runs.len(), Instant::now());
            }
            accepted.iter().filter(|id| !runs.contains_key(id)).copied().collect()
        };
        if missing.is_empty() {
            return;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "of {} accepted jobs these never ran: {missing:?}",
            accepted.len()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Kills the platform while clients post jobs; the ids of those that were answered 202.
fn post_until_killed(platform: &mut Platform, next: &AtomicUsize) -> Vec<usize> {
    let (killed, accepted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let http = platform.http();
    std::thread::scope(|scope| {
        let post = || post(&http, next, &killed, &accepted);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(post)).collect();
        wait_for("some jobs", || (accepted.load(Ordering::Relaxed) >= EACH_ROUND).then_some(()));
        platform.kill();
        killed.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn post(http: &Http, next: &AtomicUsize, killed: &AtomicBool, accepted: &AtomicUsize) -> Vec<usize> {
    let mut ids = Vec::new();
    while !killed.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let body = format!("{id}\n");
        if let Ok(answer) = http.try_send("POST", "/async-function/record", &[], body.as_bytes()) {
            assert_eq!(answer.status, 202, "{}", answer.text());
            ids.push(id);
            accepted.fetch_add(1, Ordering::Relaxed);
        }
    }
    ids
}
