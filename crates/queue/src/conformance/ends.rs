//! Cases: how jobs end, and what people do to them.

use std::time::Duration;

use bytes::Bytes;

use super::Harness;
use super::world::{World, eventually, function, hears, id, is_lost, read, record, settings};
use crate::{Body, Event, Record, Settings, Shelf, State, Then};

/// And is not taken again.
pub async fn a_done_job_keeps_its_record_and_result(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    let accepted_at = world.append("one", &echo).await.accepted_at;
    let lease = world.take_it("one", &echo).await;
    assert!(world.result("one").await.is_none());
    world.queue.keep_result(&lease, Body::Whole("answer".into())).await.expect("the lease holds");
    world.settle(&lease, &record(&[500, 200]), Then::Done).await;
    let found = world.found("one").await;
    assert_eq!((found.state, found.record, found.job), (State::Done, record(&[500, 200]), None));
    assert_eq!((found.function, found.due_at), (echo.clone(), None));
    let apart = found.accepted_at.duration_since(accepted_at).abs();
    assert!(apart < jiff::SignedDuration::from_secs(1), "it was accepted {apart} off");
    assert_eq!(world.result("one").await.as_deref(), Some(&b"answer"[..]));
    assert!(!world.queue.cancel(&id("one")).await.expect("it is known"));
    world.nothing_to_take(&echo).await;
    eventually("no depth", async || world.queue.depths().await.ok()?.is_empty().then_some(())).await;
}

/// Dead letters are not.
pub async fn ended_jobs_are_forgotten_after_a_while(harness: &dyn Harness) {
    let (keep_ended, echo) = (Duration::from_secs(2), function("echo"));
    let world = World::with(harness, Settings { keep_ended, ..settings() }).await;
    world.append_all(&["done", "dead", "cancelled"], &echo).await;
    for (name, then) in [("done", Then::Done), ("dead", Then::Dead)] {
        let lease = world.take_it(name, &echo).await;
        world.queue.keep_result(&lease, Body::Whole("answer".into())).await.expect("the lease holds");
        world.settle(&lease, &record(&[200]), then).await;
    }
    world.queue.cancel(&id("cancelled")).await.expect("it is known");
    for name in ["done", "cancelled"] {
        eventually("oblivion", async || {
            world.queue.find(&id(name)).await.expect("jobs are looked for").is_none().then_some(())
        })
        .await;
        assert!(world.result(name).await.is_none());
    }
    assert_eq!(world.found("dead").await.state, State::Dead);
    world.append("done", &echo).await;
}

/// With its body; as if new.
pub async fn a_dead_job_stays_and_can_be_redriven(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    let job = world.append("one", &echo).await;
    let lease = world.take_it("one", &echo).await;
    world.settle(&lease, &record(&[500, 500]), Then::Dead).await;
    let found = world.found("one").await;
    assert_eq!((found.state, found.record), (State::Dead, record(&[500, 500])));
    world.nothing_to_take(&echo).await;
    assert!(!world.queue.cancel(&id("one")).await.expect("it is known"));
    let mut events = world.queue.events();
    assert_eq!(world.queue.redrive(&echo, None).await.expect("it is redriven"), 1);
    hears(&mut events, vec![Event::Due(echo.clone())]).await;
    let taken = world.take(&echo).await;
    assert_eq!((taken.job, taken.record), (job, Record::default()));
    assert_eq!(read(taken.body).await, "body of one");
    assert!(is_lost(&world.queue.settle(&lease, &record(&[500]), Then::Dead).await));
    world.settle(&taken.lease, &record(&[200]), Then::Done).await;
    assert_eq!(world.queue.redrive(&echo, None).await.expect("nothing is redriven"), 0);
}

/// The other stays dead; one of another function is not touched.
pub async fn one_dead_job_can_be_redriven_alone(harness: &dyn Harness) {
    let (world, echo, other) = (World::new(harness).await, function("echo"), function("other"));
    world.append_all(&["a", "b"], &echo).await;
    for name in ["a", "b"] {
        let lease = world.take_it(name, &echo).await;
        world.settle(&lease, &record(&[500]), Then::Dead).await;
    }
    let redrive = async |function, name| world.queue.redrive(function, Some(&id(name))).await;
    assert_eq!(redrive(&other, "b").await.expect("nothing is redriven"), 0);
    assert_eq!(redrive(&echo, "b").await.expect("it is redriven"), 1);
    assert_eq!(redrive(&echo, "b").await.expect("nothing is redriven"), 0);
    world.take_it("b", &echo).await;
    world.nothing_to_take(&echo).await;
    assert_eq!(world.found("a").await.state, State::Dead);
    let dead = world.queue.list(&echo, Shelf::Dead, 10).await.expect("jobs are listed");
    assert_eq!(dead.len(), 1);
}

/// And what it leaves can still end.
pub async fn purging_one_shelf_leaves_the_other_and_what_runs(harness: &dyn Harness) {
    let (world, echo, other) = (World::new(harness).await, function("echo"), function("other"));
    world.append_all(&["dead", "running", "waiting"], &echo).await;
    world.append("other", &other).await;
    let lease = world.take_it("dead", &echo).await;
    world.settle(&lease, &record(&[500]), Then::Dead).await;
    let running = world.take_it("running", &echo).await;
    assert_eq!(world.queue.purge(&echo, Shelf::Live).await.expect("it is purged"), 1);
    world.is_unknown("waiting").await;
    assert_eq!(world.found("dead").await.state, State::Dead);
    assert_eq!(world.found("running").await.state, State::Running);
    assert_eq!(world.queue.purge(&echo, Shelf::Dead).await.expect("it is purged"), 1);
    world.is_unknown("dead").await;
    world.nothing_to_take(&echo).await;
    world.settle(&running, &record(&[200]), Then::Done).await;
    assert_eq!(world.found("running").await.state, State::Done);
    assert_eq!(world.found("other").await.state, State::Queued);
    world.take_it("other", &other).await;
}

/// Before it was taken, and while it waits for its next attempt.
pub async fn a_queued_job_can_be_cancelled(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    world.append_all(&["later", "new"], &echo).await;
    let lease = world.take_it("later", &echo).await;
    let far = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    world.settle(&lease, &record(&[503]), Then::Later(far)).await;
    for name in ["new", "later"] {
        assert!(world.queue.cancel(&id(name)).await.expect("it is known"));
        assert!(!world.queue.cancel(&id(name)).await.expect("it is known"));
        let found = world.found(name).await;
        assert_eq!((found.state, found.job), (State::Cancelled, None));
    }
    assert_eq!(world.found("later").await.record, record(&[503]));
    world.nothing_to_take(&echo).await;
    eventually("no depth", async || world.queue.depths().await.ok()?.is_empty().then_some(())).await;
}

/// Whoever works on it hears of it, and can write nothing more.
pub async fn a_running_job_can_be_cancelled(harness: &dyn Harness) {
    let (world, echo) = (World::with_short_leases(harness).await, function("echo"));
    let mut events = world.queue.events();
    world.append("one", &echo).await;
    let lease = world.take_it("one", &echo).await;
    assert!(world.queue.cancel(&id("one")).await.expect("it is known"));
    hears(&mut events, vec![Event::Cancelled(id("one"))]).await;
    assert!(is_lost(&world.queue.extend(&lease).await));
    assert!(is_lost(&world.queue.keep_result(&lease, Body::Whole(Bytes::new())).await));
    assert!(is_lost(&world.queue.settle(&lease, &record(&[200]), Then::Done).await));
    let found = world.found("one").await;
    assert_eq!((found.state, found.record), (State::Cancelled, Record::default()));
    tokio::time::sleep(harness.lease() + Duration::from_millis(500)).await;
    world.nothing_to_take(&echo).await;
}
