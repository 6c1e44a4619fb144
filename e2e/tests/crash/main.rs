//! `kill -9` of `faas serve` under load, again and again: nothing outlives it, everything that was accepted comes back.
//!
//! `FAAS_SOAK_ROUNDS` sets the number of rounds.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a claim of zero says how much was tried; helpers"
)]

mod nats;
mod queue;
mod recorder;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use faas_testing::{Http, Platform, wait_for};
use serde_json::{Value, json};

const ROUNDS: usize = 50;
/// The promise is a second; this is the guard of a test on a loaded machine. `make bench` checks the promise.
const RESTART_GUARD_SECONDS: f64 = 20.0;

#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn rounds() -> usize {
    std::env::var("FAAS_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

#[test]
fn nothing_outlives_a_killed_platform_and_everything_comes_back() {
    let mut platform = prepare();
    let (mut answered, mut accepted, mut slowest) = (0, 0, 0.0_f64);
    for round in 0..rounds() {
        let before = kill_under_load(&mut platform);
        answered += before.answered;
        accepted += before.deployed.len();
        wait_for("every process of the platform to end", || platform.processes().is_empty().then_some(()));
        let started = Instant::now();
        platform.restart();
        let http = platform.http();
        for name in ["forking", "serving"] {
            assert_eq!(http.post(&format!("/function/{name}"), b"back").text(), "back", "round {round}");
        }
        assert_eq!(http.post("/function/idle", b"woken").text(), "woken", "round {round}");
        slowest = slowest.max(started.elapsed().as_secs_f64());
        check_deployed(&platform, &before.deployed);
    }
    assert!(slowest < RESTART_GUARD_SECONDS, "a restart took {slowest} s");
    assert!(answered > rounds(), "only {answered} requests were answered before the kills");
    assert!(accepted > rounds(), "only {accepted} deployments were accepted before the kills");
    println!(
        "{} kills; before them {answered} requests answered and {accepted} deployments accepted, none lost; \
         slowest restart {slowest:.3} s",
        rounds()
    );
}

/// What was accepted must be there, and may have been joined by one whose answer was lost; then all of it is removed.
fn check_deployed(platform: &Platform, deployed: &[String]) {
    let admin = platform.admin();
    let listed: Vec<Value> = serde_json::from_slice(&admin.get("/system/functions").body).unwrap();
    let names: Vec<&str> = listed.iter().filter_map(|function| function["name"].as_str()).collect();
    let lost: Vec<_> = deployed.iter().filter(|name| !names.contains(&name.as_str())).collect();
    assert!(lost.is_empty(), "accepted and lost: {lost:?} of {}", deployed.len());
    for name in names.iter().filter(|name| name.starts_with("new-")) {
        assert_eq!(admin.json("DELETE", "/system/functions", &json!({ "functionName": name })).status, 202);
    }
}

fn prepare() -> Platform {
    let platform = Platform::start();
    let faas = platform.login();
    for (name, language, file, code) in [
        ("forking", "bash", "handler.sh", "#!/bin/bash\nsetsid sleep 300 >/dev/null 2>&1 &\ncat\n"),
        ("serving", "python3-http", "handler.py", "def handle(event, context):\n    return event.body\n"),
        ("idle", "bash", "handler.sh", "#!/bin/bash\ncat\n"),
    ] {
        faas.run(&["new", "--lang", language, name]).success();
        platform.write(&format!("{name}/{file}"), code);
        faas.run(&["up", "-f", &format!("{name}.yml")]).success();
    }
    let scale = json!({"replicas": 0});
    assert_eq!(platform.admin().json("POST", "/system/scale-function/idle", &scale).status, 202);
    platform
}

/// What was promised before a kill.
struct Before {
    answered: usize,
    deployed: Vec<String>,
}

fn kill_under_load(platform: &mut Platform) -> Before {
    let (killed, answered, accepted) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (http, admin) = (platform.http(), platform.admin());
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (http, killed, answered) = (&http, &killed, &answered);
            scope.spawn(move || load(http, ["forking", "serving"][number % 2], killed, answered));
        }
        let deploying = scope.spawn(|| deploy(&admin, &killed, &accepted));
        wait_for("some load", || {
            (answered.load(Ordering::Relaxed) >= 8 && accepted.load(Ordering::Relaxed) >= 3).then_some(())
        });
        platform.kill();
        killed.store(true, Ordering::Relaxed);
        Before { answered: answered.load(Ordering::Relaxed), deployed: deploying.join().unwrap() }
    })
}

/// Deploys one function after the other; the names of those that were accepted.
fn deploy(admin: &Http, killed: &AtomicBool, accepted: &AtomicUsize) -> Vec<String> {
    let mut deployed = Vec::new();
    while !killed.load(Ordering::Relaxed) {
        let name = format!("new-{}", deployed.len());
        let function = json!({"service": name, "image": "idle"}).to_string();
        let json = [("content-type", "application/json")];
        if let Ok(answer) = admin.try_send("POST", "/system/functions", &json, function.as_bytes()) {
            assert_eq!(answer.status, 202, "{}", answer.text());
            deployed.push(name);
            accepted.fetch_add(1, Ordering::Relaxed);
        }
    }
    deployed
}

fn load(http: &Http, name: &str, killed: &AtomicBool, answered: &AtomicUsize) {
    while !killed.load(Ordering::Relaxed) {
        if let Ok(answer) = http.try_send("POST", &format!("/function/{name}"), &[], b"x") {
            assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}
