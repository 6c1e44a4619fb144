//! Leases, cancelling, the end of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use faas_queue::{Queue, State};
use futures_util::future::pending;

use crate::full::Full;
use crate::world::{Server, World, answer, calling_back, job, until};

/// Counts what was dropped before it was answered.
struct Left(Arc<AtomicUsize>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A gateway whose first `hanging` invocations never end, and how many of those were left by their caller.
async fn hanging_gateway(hanging: usize) -> (Server, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&left);
    let gateway = Server::start(move |before, _| {
        let left = Left(Arc::clone(&counted));
        async move {
            if before < hanging {
                let _left = left;
                return pending().await;
            }
            std::mem::forget(left);
            answer(200, &[], "answer")
        }
    })
    .await;
    (gateway, left)
}

#[tokio::test]
async fn cancelling_a_running_job_aborts_its_invocation_and_calls_nobody_back() {
    let (gateway, left) = hanging_gateway(1).await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let world = World::new(&gateway);
    let job = calling_back("f", "1", target.url("/"));
    world.append(&job, "").await;
    let worker = world.worker();
    until("it runs", || gateway.count() == 1).await;
    assert!(world.queue.cancel(&job.id).await.unwrap());
    until("its caller has left", || left.load(Ordering::SeqCst) == 1).await;
    worker.stop().await;
    assert_eq!((world.ended(&job).await.state, target.count()), (State::Cancelled, 0));
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_its_job_runs() {
    let gateway = Server::start(|_, _| async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        answer(200, &[], "")
    })
    .await;
    let settings = World::new(&gateway).settings;
    let lease = Duration::from_secs(3);
    let world = World::with(faas_queue::worker::Settings { lease, ..settings });
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    assert_eq!(world.ended(&job).await.state, State::Done);
    worker.stop().await;
    assert_eq!(gateway.count(), 1);
}

#[tokio::test]
async fn a_lost_lease_aborts_the_invocation_and_leaves_no_trace() {
    let (gateway, left) = hanging_gateway(1).await;
    let settings = World::new(&gateway).settings;
    let mut world = World::with(faas_queue::worker::Settings { lease: Duration::from_secs(3), ..settings });
    // A worker that extends too late.
    world.settings.lease = Duration::from_secs(30);
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    until("the first caller has left", || left.load(Ordering::SeqCst) == 1).await;
    worker.stop().await;
    assert_eq!((found.state, found.record.attempts.len(), gateway.count()), (State::Done, 1, 2));
}

#[tokio::test]
async fn a_worker_that_dies_loses_nothing() {
    const JOBS: usize = 40;
    let (gateway, _) = hanging_gateway(7).await;
    let settings = World::new(&gateway).settings;
    let world = World::with(faas_queue::worker::Settings { lease: Duration::from_millis(600), ..settings });
    let jobs: Vec<_> = (0..JOBS).map(|id| job(&format!("f{}", id % 8), &id.to_string())).collect();
    for job in &jobs {
        world.append(job, "").await;
    }
    let worker = world.worker();
    until("some hang", || gateway.count() >= 7).await;
    worker.die().await;
    let worker = world.worker();
    let mut done = 0;
    for job in &jobs {
        done += usize::from(world.ended(job).await.state == State::Done);
    }
    worker.stop().await;
    assert_eq!(done, JOBS, "all of {JOBS} were answered");
}

#[tokio::test]
async fn a_worker_that_is_stopped_lets_jobs_end_within_the_grace() {
    let gateway = Server::start(|_, _| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        answer(200, &[], "")
    })
    .await;
    let world = World::new(&gateway);
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    until("it runs", || gateway.count() == 1).await;
    worker.stop().await;
    assert_eq!(world.find(&job).await.state, State::Done);
}

#[tokio::test]
async fn a_worker_that_is_stopped_gives_back_what_does_not_end_and_takes_nothing_more() {
    let (gateway, left) = hanging_gateway(1).await;
    let mut world = World::new(&gateway);
    world.settings.grace = Duration::from_millis(50);
    let (first, second) = (job("f", "1"), job("f", "2"));
    world.append(&first, "").await;
    let worker = world.worker();
    until("it runs", || gateway.count() == 1).await;
    world.append(&second, "").await;
    worker.stop().await;
    // The lease of 30 s has not ended: it was given back.
    let found = world.find(&first).await;
    assert_eq!((found.state, found.record.attempts.len()), (State::Queued, 0));
    assert_eq!((world.find(&second).await.state, gateway.count()), (State::Queued, 1));
    until("its caller has left", || left.load(Ordering::SeqCst) == 1).await;
    let worker = world.worker();
    assert_eq!(world.ended(&first).await.state, State::Done);
    assert_eq!(world.ended(&second).await.state, State::Done);
    worker.stop().await;
}

#[tokio::test]
async fn what_came_of_a_job_is_not_lost_when_it_is_given_back() {
    let gateway = Server::start(|_, seen| async move {
        let status = if seen.uri.path().contains("failing") { 500 } else { 200 };
        answer(status, &[], "answer")
    })
    .await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let mut world = World::new(&gateway);
    (world.settings.grace, world.settings.policy.min_wait) = (Duration::ZERO, Duration::from_mins(1));
    world.settings.policy.max_wait = Duration::from_mins(1);
    let (called_back, failing) = (calling_back("f", "1", target.url("/")), job("failing", "2"));
    world.append(&called_back, "").await;
    world.append(&failing, "").await;
    let full = Full::new(Arc::clone(&world.queue) as Arc<dyn Queue>);
    let worker = world.worker_on(Arc::clone(&full) as Arc<dyn Queue>);
    until("both ends were refused", || full.refused.load(Ordering::SeqCst) >= 2 && target.count() == 1).await;
    full.refusing.store(false, Ordering::SeqCst);
    worker.stop().await;
    let found = world.find(&called_back).await;
    assert_eq!((found.state, found.record.callbacks.len()), (State::Done, 1));
    let found = world.find(&failing).await;
    assert_eq!((found.state, found.record.attempts.len()), (State::Queued, 1));
    let waits = found.due_at.unwrap().duration_since(jiff::Timestamp::now());
    assert!(waits.as_secs() > 10, "its minute is not over: {waits:?}");
}

#[tokio::test]
async fn a_job_that_grew_too_old_while_nobody_worked_is_not_tried_again() {
    let gateway = Server::start(|_, _| async { answer(500, &[], "answer") }).await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let mut world = World::new(&gateway);
    let policy = &mut world.settings.policy;
    (policy.min_wait, policy.max_wait) = (Duration::from_secs(2), Duration::from_secs(2));
    policy.max_age = Duration::from_secs(3);
    let (job, began) = (calling_back("f", "1", target.url("/")), std::time::Instant::now());
    world.append(&job, "").await;
    let worker = world.worker();
    let mut tried = 0;
    while tried == 0 {
        tried = world.find(&job).await.record.attempts.len();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.stop().await;
    tokio::time::sleep(Duration::from_millis(3100).saturating_sub(began.elapsed())).await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, found.record.attempts.len(), gateway.count()), (State::Dead, 1, 1));
    assert_eq!(target.seen()[0].header("x-function-status"), "500");
}
