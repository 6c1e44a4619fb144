//! Servers and workers that die.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faas_queue::nats::Jetstream;
use faas_queue::{Attempt, CallId, Error, Queue as _, Record, State, Then};
use faas_testing::Nats;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use crate::support::{LONG, function, id, job, open, report, take_one, take_some, text};

/// So many tasks append while the server is killed so often.
const TASKS: usize = 16;
const KILLS: usize = 10;
/// What is accepted between two kills.
const BETWEEN: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_taken_though_the_server_was_killed_ten_times() {
    let Some(mut nats) = Nats::start() else { return };
    let queue = open(&nats, Duration::from_secs(5)).await;
    let accepted = Arc::new(Mutex::new(HashSet::new()));
    let enough = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            tokio::spawn(append_until(queue.clone(), task, Arc::clone(&accepted), Arc::clone(&enough)))
        })
        .collect();
    for round in 1..=KILLS {
        wait_until(|| accepted.lock().unwrap().len() >= round * BETWEEN).await;
        nats.kill();
        nats.restart();
    }
    wait_until(|| accepted.lock().unwrap().len() >= (KILLS + 1) * BETWEEN).await;
    enough.store(true, Ordering::Relaxed);
    let mut refused = 0;
    for task in tasks {
        refused += task.await.unwrap();
    }
    let accepted = std::mem::take(&mut *accepted.lock().unwrap());
    let taken = take_all(&queue, &accepted).await;
    let lost = accepted.difference(&taken).count();
    assert_eq!(lost, 0, "of {} accepted, {} taken", accepted.len(), taken.len());
    report(&format!("{} accepted, {refused} refused, {} taken, none lost", accepted.len(), taken.len()));
}

/// How many were refused. They may have been accepted all the same.
async fn append_until(
    queue: Jetstream,
    task: usize,
    accepted: Arc<Mutex<HashSet<CallId>>>,
    enough: Arc<AtomicBool>,
) -> usize {
    let mut refused = 0;
    for number in 0.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let call = format!("t{task}-{number}");
        let began = Instant::now();
        match queue.append(job("f", &call), text("hello")).await {
            Ok(()) => drop(accepted.lock().unwrap().insert(id(&call))),
            Err(Error::Unavailable { .. }) => refused += 1,
            Err(error) => unreachable!("{call}: {error}"),
        }
        assert!(began.elapsed() < Duration::from_secs(30), "an append took {:?}", began.elapsed());
    }
    refused
}

/// Takes and settles until everything that was accepted was seen.
async fn take_all(queue: &Jetstream, accepted: &HashSet<CallId>) -> HashSet<CallId> {
    let (mut seen, deadline) = (HashSet::new(), Instant::now() + LONG);
    while !accepted.is_subset(&seen) && Instant::now() < deadline {
        for taken in queue.take(&function("f"), 64).await.unwrap_or_default() {
            seen.insert(taken.lease.id.clone());
            queue.settle(&taken.lease, &taken.record, Then::Done).await.unwrap();
        }
    }
    seen
}

async fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "waited a minute");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_leased_twice_at_a_time() {
    const JOBS: usize = 300;
    let Some(nats) = Nats::start() else { return };
    let first = open(&nats, Duration::from_secs(30)).await;
    let second = open(&nats, Duration::from_secs(30)).await;
    for number in 0..JOBS {
        first.append(job("f", &format!("j{number}")), text("x")).await.unwrap();
    }
    let leased = Arc::new(Mutex::new(HashSet::new()));
    let done = Arc::new(AtomicUsize::new(0));
    let work = |queue: Jetstream| {
        let (leased, done) = (Arc::clone(&leased), Arc::clone(&done));
        tokio::spawn(async move {
            while done.load(Ordering::Relaxed) < JOBS {
                for taken in queue.take(&function("f"), 7).await.unwrap() {
                    let fresh = leased.lock().unwrap().insert(taken.lease.id.clone());
                    assert!(fresh, "{} is leased twice", taken.lease.id);
                    sleep(Duration::from_millis(1)).await;
                    leased.lock().unwrap().remove(&taken.lease.id);
                    queue.settle(&taken.lease, &taken.record, Then::Done).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    for worker in [work(first.clone()), work(second.clone()), work(first), work(second)] {
        worker.await.unwrap();
    }
    assert_eq!(done.load(Ordering::Relaxed), JOBS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_workers_job_comes_again_and_is_only_the_new_workers() {
    let Some(nats) = Nats::start() else { return };
    let lease = Duration::from_secs(3);
    let (dead, queue) = (open(&nats, lease).await, open(&nats, lease).await);
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let began = Instant::now();
    let lost = take_one(&dead, "f").await;
    let again = take_one(&queue, "f").await;
    assert!(began.elapsed() >= lease, "it came again within {:?}", began.elapsed());
    assert_eq!(again.first_taken_at, lost.first_taken_at);
    let late = dead.settle(&lost.lease, &Record::default(), Then::Done).await;
    assert!(matches!(late, Err(Error::LeaseLost(_))));
    queue.settle(&again.lease, &Record::default(), Then::Done).await.unwrap();
    assert_eq!(queue.find(&id("one")).await.unwrap().unwrap().state, State::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extended_lease_outlives_the_first() {
    let Some(nats) = Nats::start() else { return };
    let lease = Duration::from_secs(4);
    let (queue, other) = (open(&nats, lease).await, open(&nats, lease).await);
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    let until = Instant::now() + lease * 2;
    while Instant::now() < until {
        queue.extend(&taken.lease).await.unwrap();
        assert!(other.take(&function("f"), 1).await.unwrap().is_empty());
        sleep(lease / 8).await;
    }
    queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_set_aside_is_not_taken_too_early_though_the_server_restarted() {
    let Some(mut nats) = Nats::start() else { return };
    let queue = open(&nats, Duration::from_secs(1)).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    let due = Timestamp::now() + SignedDuration::from_secs(6);
    let attempt =
        Attempt { at: Timestamp::now(), seconds: 0.1, status: Some(500), failure: Some("no".into()) };
    let record = Record { attempts: vec![attempt], ..Record::default() };
    queue.settle(&taken.lease, &record, Then::Later(due)).await.unwrap();
    nats.kill();
    nats.restart();
    // A new process, and a consumer that knows nothing of it.
    forget_consumer(&nats).await;
    let queue = open(&nats, Duration::from_secs(1)).await;
    let again = take_one(&queue, "f").await;
    assert!(Timestamp::now() >= due, "taken before it was due");
    assert_eq!(again.record, record);
}

async fn forget_consumer(nats: &Nats) {
    let context = async_nats::jetstream::new(async_nats::connect(&nats.url).await.unwrap());
    context.delete_consumer_from_stream("openfaas-fn_f", "OF_faas-request").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_everything_is_refused_and_then_works_again() {
    let Some(mut nats) = Nats::start() else { return };
    let queue = open(&nats, Duration::from_secs(5)).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    nats.kill();
    let began = Instant::now();
    assert_unavailable(&queue.extend(&taken.lease).await);
    assert_unavailable(&queue.append(job("f", "two"), text("hello")).await);
    assert_unavailable(&queue.take(&function("f"), 1).await.map(drop));
    assert_unavailable(&queue.find(&id("one")).await.map(drop));
    assert_unavailable(&queue.cancel(&id("one")).await.map(drop));
    assert_unavailable(&queue.depths().await.map(drop));
    assert!(began.elapsed() < LONG, "refusing took {:?}", began.elapsed());
    nats.restart();
    let again = take_some(&queue, "f", 1).await;
    assert_eq!(again[0].lease.id, id("one"));
    queue.append(job("f", "three"), text("hello")).await.unwrap();
}

fn assert_unavailable(result: &Result<(), Error>) {
    assert!(matches!(result, Err(Error::Unavailable { .. })), "{result:?}");
}
