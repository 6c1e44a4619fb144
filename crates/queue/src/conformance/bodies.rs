//! Cases: bodies and results that are not held in memory, and what a restart leaves of all.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use super::Harness;
use super::world::{World, eventually, function, hears, id, job, read, record, settings};
use crate::{Body, Error, Event, Settings, State, Then};

/// Bytes that differ from place to place, `most` of them, as a stream of uneven pieces.
fn pattern(most: usize) -> (Bytes, Body) {
    let bytes: Vec<u8> = (0..most).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect();
    let bytes = Bytes::from(bytes);
    let whole = bytes.clone();
    let pieces = (0..most).step_by(77_777).map(move |at| Ok(whole.slice(at..most.min(at + 77_777))));
    (bytes, Body::Stream(stream::iter(pieces).boxed()))
}

/// Around the inline limit and far beyond it, as a stream and not.
pub async fn large_bodies_go_in_and_come_out_whole(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    let limit = world.queue.inline_limit();
    for (number, size) in [0, 1, limit - 1, limit, limit + 1, limit * 3, 5 << 20].into_iter().enumerate() {
        let (bytes, body) = pattern(size);
        for (kind, body) in [("stream", body), ("whole", Body::Whole(bytes.clone()))] {
            let name = format!("{kind}-{number}");
            world.queue.append(job(&name, &echo), body).await.expect("the job is accepted");
            let taken = world.take(&echo).await;
            assert_eq!(taken.job.id, id(&name));
            assert!(read(taken.body).await == bytes, "{name} of {size} bytes differs");
            world.settle(&taken.lease, &record(&[200]), Then::Done).await;
        }
    }
}

/// In place of an earlier one, longer or shorter.
pub async fn large_results_come_out_whole_and_the_last_one_counts(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    world.append("one", &echo).await;
    let lease = world.take_it("one", &echo).await;
    let limit = world.queue.inline_limit();
    for size in [5 << 20, limit + 1, 10, 3 << 20] {
        let (bytes, body) = pattern(size);
        world.queue.keep_result(&lease, body).await.expect("the lease holds");
        let kept = world.result("one").await.expect("it is kept");
        assert!(kept == bytes, "a result of {size} bytes differs");
    }
    world.settle(&lease, &record(&[200]), Then::Done).await;
    assert_eq!(world.result("one").await.expect("it is kept").len(), 3 << 20);
}

/// And leaves nothing.
pub async fn a_body_past_the_limit_is_refused(harness: &dyn Harness) {
    let most = 2 << 20;
    let world = World::with(harness, Settings { most_body: most, ..settings() }).await;
    let echo = function("echo");
    let most = usize::try_from(most).expect("it is small");
    for (name, body) in [("stream", pattern(most + 1).1), ("whole", Body::Whole(pattern(most + 1).0))] {
        let refused = world.queue.append(job(name, &echo), body).await;
        assert!(matches!(refused, Err(Error::TooLarge { limit_bytes }) if limit_bytes == most as u64));
        world.is_unknown(name).await;
    }
    world.queue.append(job("stream", &echo), pattern(most).1).await.expect("the job is accepted");
    assert_eq!(read(world.take(&echo).await.body).await.len(), most);
}

/// Its id can be used, for the body as it should have been.
pub async fn a_body_that_breaks_off_leaves_nothing(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    for size in [10, 3 << 20] {
        let start = Bytes::from(vec![b'x'; size]);
        let broken = [Ok(start), Err(io::Error::from(io::ErrorKind::UnexpectedEof))];
        let appended =
            world.queue.append(job("one", &echo), Body::Stream(stream::iter(broken).boxed())).await;
        assert!(matches!(appended, Err(Error::Body(_))));
        world.is_unknown("one").await;
        world.nothing_to_take(&echo).await;
    }
    world.append("one", &echo).await;
    assert_eq!(read(world.take(&echo).await.body).await, "body of one");
}

/// Whatever state its jobs were in.
pub async fn a_restart_loses_nothing(harness: &dyn Harness) {
    let (world, echo, ends) = (World::with_short_leases(harness).await, function("echo"), function("ends"));
    let kept = full(&world, &echo, &ends).await;
    let world = world.restart(harness).await;
    for (name, state) in [("done", State::Done), ("dead", State::Dead), ("cancelled", State::Cancelled)] {
        assert_eq!(world.found(name).await.state, state, "{name}");
    }
    assert_eq!((world.found("done").await.record, world.result("done").await), (record(&[200]), Some(kept)));
    assert_eq!(world.found("dead").await.record, record(&[500]));
    let later = world.found("later").await;
    assert_eq!((later.state, later.record), (State::Queued, record(&[503])));
    assert!(later.due_at.is_some_and(|due| due > Timestamp::now() + SignedDuration::from_mins(50)));
    let mut seen = std::collections::BTreeMap::new();
    eventually("all jobs", async || {
        for taken in world.queue.take(&echo, 4).await.expect("jobs are taken") {
            let size = read(taken.body).await.len();
            world.settle(&taken.lease, &taken.record, Then::Done).await;
            seen.insert(taken.job.id, (size, taken.record));
        }
        (seen.len() == 22).then_some(())
    })
    .await;
    assert_eq!(seen[&id("running")], ("body of running".len(), record(&[500])));
    assert_eq!(seen[&id("large")].0, 3 << 20);
    assert_eq!(world.queue.redrive(&ends, None).await.expect("it is redriven"), 1);
    world.take_it("dead", &ends).await;
}

/// Twenty that wait, one that is large, one that runs; and of another function one in each other state.
async fn full(world: &World, echo: &faas_api::FunctionId, ends: &faas_api::FunctionId) -> Bytes {
    world.append("running", echo).await;
    let running = world.take_it("running", echo).await;
    world.settle(&running, &record(&[500]), Then::Hold).await;
    for number in 0..20 {
        world.append(&format!("job-{number}"), echo).await;
    }
    world.queue.append(job("large", echo), pattern(3 << 20).1).await.expect("the job is accepted");
    let (kept, result) = pattern(2 << 20);
    world.append("done", ends).await;
    let lease = world.take_it("done", ends).await;
    world.queue.keep_result(&lease, result).await.expect("the lease holds");
    world.settle(&lease, &record(&[200]), Then::Done).await;
    let far = Then::Later(Timestamp::now() + SignedDuration::from_hours(1));
    for (name, status, then) in [("dead", 500, Then::Dead), ("later", 503, far)] {
        world.append(name, ends).await;
        let lease = world.take_it(name, ends).await;
        world.settle(&lease, &record(&[status]), then).await;
    }
    world.append("cancelled", ends).await;
    assert!(world.queue.cancel(&id("cancelled")).await.expect("it is known"));
    kept
}

/// What was running included, once its lease is over.
pub async fn after_a_restart_a_listener_hears_of_all_that_stands(harness: &dyn Harness) {
    let world = World::with_short_leases(harness).await;
    let (waiting, running, dead) = (function("waiting"), function("running"), function("dead"));
    world.append("a", &waiting).await;
    world.append("b", &running).await;
    world.take_it("b", &running).await;
    world.append("c", &dead).await;
    let lease = world.take_it("c", &dead).await;
    world.settle(&lease, &record(&[500]), Then::Dead).await;
    let world = world.restart(harness).await;
    hears(&mut world.queue.events(), vec![Event::Due(waiting.clone()), Event::Due(running.clone())]).await;
    world.take_it("a", &waiting).await;
    world.take_it("b", &running).await;
    world.nothing_to_take(&dead).await;
}
