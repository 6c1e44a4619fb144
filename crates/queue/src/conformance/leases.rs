//! Cases: leases, and what a job is told by them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Harness;
use super::world::{World, eventually, function, hears, id, is_lost, record};
use crate::{Body, Event, State, Then};

/// As after a worker's death: the record stays, and the time when it was first taken.
pub async fn a_lease_that_ends_makes_the_job_due_again(harness: &dyn Harness) {
    let (world, echo) = (World::with_short_leases(harness).await, function("echo"));
    world.append("one", &echo).await;
    let first = world.take(&echo).await;
    let mut events = world.queue.events();
    world.settle(&first.lease, &record(&[500]), Then::Hold).await;
    hears(&mut events, vec![Event::Due(echo.clone())]).await;
    let second = world.take(&echo).await;
    assert_eq!((&second.job, &second.record), (&first.job, &record(&[500])));
    assert_ne!(second.lease.token, first.lease.token);
    assert_eq!(second.first_taken_at, first.first_taken_at);
}

/// For several times its length, while nobody else gets the job.
pub async fn an_extended_lease_goes_on(harness: &dyn Harness) {
    let (world, echo) = (World::with_short_leases(harness).await, function("echo"));
    world.append("one", &echo).await;
    let taken = world.take(&echo).await;
    let until = tokio::time::Instant::now() + harness.lease() * 3;
    while tokio::time::Instant::now() < until {
        world.queue.extend(&taken.lease).await.expect("the lease holds");
        let others = world.queue.take(&echo, 1).await.expect("jobs are taken");
        assert!(others.is_empty(), "a leased job was taken");
        tokio::time::sleep(harness.lease() / 8).await;
    }
    assert_eq!(world.found("one").await.state, State::Running);
    world.settle(&taken.lease, &record(&[200]), Then::Done).await;
}

/// Neither while another has the job nor after; the other can.
pub async fn a_lost_lease_can_do_nothing(harness: &dyn Harness) {
    let (world, echo) = (World::with_short_leases(harness).await, function("echo"));
    world.append("one", &echo).await;
    let old = world.take(&echo).await.lease;
    let new = world.take(&echo).await.lease;
    for then in [Then::Hold, Then::Later(Timestamp::now()), Then::Done, Then::Dead] {
        assert!(is_lost(&world.queue.settle(&old, &record(&[418]), then).await), "{then:?}");
    }
    assert!(is_lost(&world.queue.extend(&old).await));
    assert!(is_lost(&world.queue.keep_result(&old, Body::Whole("old".into())).await));
    world.queue.extend(&new).await.expect("the lease holds");
    world.queue.keep_result(&new, Body::Whole("new".into())).await.expect("the lease holds");
    world.settle(&new, &record(&[200]), Then::Done).await;
    for lease in [&old, &new] {
        assert!(is_lost(&world.queue.settle(lease, &record(&[418]), Then::Dead).await));
        assert!(is_lost(&world.queue.extend(lease).await));
    }
    assert_eq!(world.found("one").await.record, record(&[200]));
    assert_eq!(world.result("one").await.as_deref(), Some(&b"new"[..]));
}

/// And the lease goes on after it was written.
pub async fn a_held_record_is_there_for_the_next_one(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    world.append("one", &echo).await;
    let first = world.take(&echo).await;
    world.settle(&first.lease, &record(&[500]), Then::Hold).await;
    world.settle(&first.lease, &record(&[500, 503]), Then::Hold).await;
    let found = world.found("one").await;
    assert_eq!((found.state, found.record), (State::Running, record(&[500, 503])));
    world.queue.extend(&first.lease).await.expect("the lease holds");
    world.settle(&first.lease, &record(&[500, 503, 429]), Then::Later(Timestamp::now())).await;
    assert_eq!(world.take(&echo).await.record, record(&[500, 503, 429]));
}

/// Not before its time, and its listener hears when that has come.
pub async fn a_job_for_later_comes_later(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    world.append("one", &echo).await;
    let first = world.take(&echo).await;
    let due = Timestamp::now() + SignedDuration::from_secs(2);
    world.settle(&first.lease, &record(&[503]), Then::Later(due)).await;
    let (found, mut events) = (world.found("one").await, world.queue.events());
    assert_eq!((found.state, &found.record), (State::Queued, &record(&[503])));
    let told = found.due_at.expect("it is due").duration_since(due);
    assert!(told.abs() < SignedDuration::from_secs(1), "it is due {told} late");
    let second = eventually("the job", async || {
        world.queue.take(&echo, 1).await.expect("jobs are taken").into_iter().next()
    })
    .await;
    // The engine's clock may be another machine's.
    let early = due.duration_since(Timestamp::now());
    assert!(early < SignedDuration::from_millis(500), "it came {early} too early");
    assert_eq!((second.record, second.first_taken_at), (record(&[503]), first.first_taken_at));
    hears(&mut events, vec![Event::Due(echo)]).await;
}

/// As far in the past as may be.
pub async fn a_job_for_a_time_that_has_passed_comes_at_once(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    world.append("one", &echo).await;
    for then in [Timestamp::now() - SignedDuration::from_hours(1), Timestamp::UNIX_EPOCH, Timestamp::MIN] {
        let lease = world.take_it("one", &echo).await;
        let mut events = world.queue.events();
        world.settle(&lease, &record(&[503]), Then::Later(then)).await;
        hears(&mut events, vec![Event::Due(echo.clone())]).await;
    }
    assert_eq!(world.take(&echo).await.lease.id, id("one"));
    tokio::time::sleep(Duration::from_millis(1)).await;
}
