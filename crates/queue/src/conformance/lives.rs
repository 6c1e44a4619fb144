//! Cases: how jobs are accepted, found, counted and taken, and who hears of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::Harness;
use super::world::{World, eventually, function, hears, id, is_lost, job, read, record, settings};
use crate::{Body, Error, Event, Lease, Record, Settings, Shelf, State, Then};

/// Every field, the body, and nothing that was not.
pub async fn an_accepted_job_is_found_and_taken_as_it_was(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    let job = world.append("one", &echo).await;
    let found = world.found("one").await;
    assert_eq!((&found.id, &found.function, found.state), (&job.id, &echo, State::Queued));
    assert_eq!((found.accepted_at, found.record), (job.accepted_at, Record::default()));
    assert_eq!(found.job.as_ref(), Some(&job));
    let taken = world.take(&echo).await;
    assert_eq!((&taken.job, &taken.lease.id, &taken.lease.function), (&job, &job.id, &echo));
    assert_eq!(taken.record, Record::default());
    assert_eq!(read(taken.body).await, "body of one");
    assert_eq!(world.found("one").await.state, State::Running);
}

/// The longest due first.
pub async fn jobs_are_taken_in_their_order_and_no_more_than_asked(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    let names = ["a", "b", "c", "d", "e"];
    world.append_all(&names, &echo).await;
    let mut taken = Vec::new();
    eventually("five jobs", async || {
        let some = world.queue.take(&echo, 2).await.expect("jobs are taken");
        assert!(some.len() <= 2, "more were taken than asked");
        taken.extend(some.into_iter().map(|taken| taken.job.id.to_string()));
        (taken.len() >= names.len()).then_some(())
    })
    .await;
    assert_eq!(taken, names);
    world.nothing_to_take(&echo).await;
}

/// 200 jobs, eight that take.
pub async fn a_job_is_taken_once_however_many_ask(harness: &dyn Harness) {
    let (world, echo) = (Arc::new(World::new(harness).await), function("echo"));
    let appending = (0..200).map(|number| {
        let (queue, job) = (Arc::clone(&world.queue), job(&format!("job-{number}"), &echo));
        async move { queue.append(job, Body::Whole(Bytes::new())).await.expect("the job is accepted") }
    });
    futures_util::future::join_all(appending).await;
    let (seen, twice) = (std::sync::Mutex::new(BTreeSet::new()), std::sync::atomic::AtomicUsize::new(0));
    let taking = (0..8).map(|_| {
        eventually("all jobs", async || {
            for taken in world.queue.take(&echo, 7).await.expect("jobs are taken") {
                if !seen.lock().expect("no test panicked").insert(taken.job.id) {
                    twice.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }
            (seen.lock().expect("no test panicked").len() == 200).then_some(())
        })
    });
    futures_util::future::join_all(taking).await;
    assert_eq!(twice.into_inner(), 0, "of 200 jobs, so many were taken twice");
}

/// Not even when one's name begins like the other's.
pub async fn two_functions_do_not_see_each_others_jobs(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let functions = ["echo", "echo-2", "echo.dev"].map(function);
    for (number, function) in functions.iter().enumerate() {
        world.append(&format!("job-{number}"), function).await;
    }
    for (number, function) in functions.iter().enumerate() {
        assert_eq!(world.take(function).await.job.id, id(&format!("job-{number}")));
        world.nothing_to_take(function).await;
        assert_eq!(world.queue.list(function, Shelf::Live, 10).await.expect("jobs are listed").len(), 1);
    }
}

/// While it waits, while it runs, and after it ended.
pub async fn a_job_is_accepted_once(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    let first = world.append("one", &echo).await;
    let again = async || {
        let mut other = job("one", &echo);
        other.path = "/other".into();
        world.queue.append(other, Body::Whole("other".into())).await
    };
    assert!(matches!(again().await, Err(Error::Exists(exists)) if exists == id("one")));
    let taken = world.take(&echo).await;
    assert_eq!((taken.job, read(taken.body).await), (first, "body of one".into()));
    assert!(matches!(again().await, Err(Error::Exists(_))));
    world.settle(&taken.lease, &record(&[200]), Then::Done).await;
    assert!(matches!(again().await, Err(Error::Exists(_))));
    world.nothing_to_take(&echo).await;
}

/// As when a job's callback is another's invocation, and carries the first one's id: whatever has become of that.
pub async fn an_id_is_one_functions_alone(harness: &dyn Harness) {
    let (world, first, second) = (World::new(harness).await, function("first"), function("second"));
    let belongs_to_first = async |state| {
        let again = world.queue.append(job("one", &second), Body::Whole("other".into())).await;
        assert!(matches!(again, Err(Error::Exists(exists)) if exists == id("one")), "{state:?}");
        let found = world.found("one").await;
        assert_eq!((found.function, found.state), (first.clone(), state));
        world.nothing_to_take(&second).await;
    };
    world.append("one", &first).await;
    belongs_to_first(State::Queued).await;
    let taken = world.take(&first).await;
    assert_eq!(read(taken.body).await, "body of one");
    belongs_to_first(State::Running).await;
    world.settle(&taken.lease, &record(&[500]), Then::Dead).await;
    belongs_to_first(State::Dead).await;
    assert_eq!(world.queue.redrive(&second, Some(&id("one"))).await.expect("nothing is redriven"), 0);
    assert_eq!(world.queue.redrive(&first, Some(&id("one"))).await.expect("it is redriven"), 1);
    let lease = world.take_it("one", &first).await;
    world.queue.keep_result(&lease, Body::Whole("answer".into())).await.expect("the lease holds");
    world.settle(&lease, &record(&[200]), Then::Done).await;
    belongs_to_first(State::Done).await;
    assert_eq!(world.result("one").await.as_deref(), Some(&b"answer"[..]));
}

/// Others are not, and it is not any more once a job was taken.
pub async fn a_function_with_too_many_waiting_jobs_is_full(harness: &dyn Harness) {
    let world = World::with(harness, Settings { most_waiting: 3, ..settings() }).await;
    let (echo, other) = (function("echo"), function("other"));
    world.append_all(&["a", "b", "c"], &echo).await;
    let full = eventually("the limit", async || {
        world.queue.append(job("d", &echo), Body::Whole(Bytes::new())).await.err()
    });
    assert!(matches!(full.await, Error::Full { limit: 3 }));
    world.is_unknown("d").await;
    world.append("e", &other).await;
    let lease = world.take(&echo).await.lease;
    world.settle(&lease, &record(&[200]), Then::Done).await;
    eventually("room", async || world.queue.append(job("f", &echo), Body::Whole(Bytes::new())).await.ok())
        .await;
}

/// Sorted by name, and without functions that have nothing.
pub async fn depths_count_what_waits_runs_and_is_dead(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let (first, second) = (function("a-first"), function("b-second"));
    assert!(world.queue.depths().await.expect("jobs are counted").is_empty());
    let oldest = world.append("dead", &second).await.accepted_at;
    let lease = world.take_it("dead", &second).await;
    world.settle(&lease, &record(&[500]), Then::Dead).await;
    let running = world.append("running", &second).await.accepted_at;
    world.take_it("running", &second).await;
    world.append_all(&["w1", "w2"], &second).await;
    world.append("alone", &first).await;
    let depths = eventually("the counts", async || {
        let depths = world.queue.depths().await.expect("jobs are counted");
        let second = depths.get(1).filter(|depth| (depth.waiting, depth.running, depth.dead) == (2, 1, 1));
        second.is_some().then_some(depths)
    })
    .await;
    assert_eq!(depths.iter().map(|depth| &depth.function).collect::<Vec<_>>(), [&first, &second]);
    assert_eq!((depths[0].waiting, depths[0].running, depths[0].dead), (1, 0, 0));
    assert!(depths[0].oldest.is_some() && oldest <= running);
    let told = depths[1].oldest.expect("there are jobs");
    assert!((told.as_microsecond() - running.as_microsecond()).abs() < 1_000_000, "{told} is not {running}");
}

/// Oldest first, as many as asked for.
pub async fn lists_are_ordered_and_limited(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    world.append_all(&["a", "b", "c"], &echo).await;
    world.take_it("a", &echo).await;
    let list = async |most| {
        let found = world.queue.list(&echo, Shelf::Live, most).await.expect("jobs are listed");
        found.into_iter().map(|found| (found.id.to_string(), found.state)).collect::<Vec<_>>()
    };
    let all = [("a", State::Running), ("b", State::Queued), ("c", State::Queued)];
    let all = all.map(|(name, state)| (name.to_owned(), state));
    eventually("the list", async || (list(10).await == all).then_some(())).await;
    assert_eq!(list(2).await, all[..2]);
    assert!(world.queue.list(&echo, Shelf::Dead, 10).await.expect("jobs are listed").is_empty());
}

/// Nothing is an error that is not one.
pub async fn unknown_ids_are_not_found(harness: &dyn Harness) {
    let (world, echo) = (World::new(harness).await, function("echo"));
    let queue = &world.queue;
    world.is_unknown("nobody").await;
    assert!(world.result("nobody").await.is_none());
    assert!(matches!(queue.cancel(&id("nobody")).await, Err(Error::NotFound(_))));
    world.nothing_to_take(&echo).await;
    for shelf in [Shelf::Live, Shelf::Dead] {
        assert!(queue.list(&echo, shelf, 10).await.expect("jobs are listed").is_empty());
        assert_eq!(queue.purge(&echo, shelf).await.expect("nothing is purged"), 0);
    }
    assert_eq!(queue.redrive(&echo, None).await.expect("nothing is redriven"), 0);
    assert_eq!(queue.redrive(&echo, Some(&id("nobody"))).await.expect("nothing is redriven"), 0);
    let lease = Lease { id: id("nobody"), function: echo, token: "made up".into() };
    assert!(is_lost(&queue.extend(&lease).await));
    assert!(is_lost(&queue.keep_result(&lease, Body::Whole("x".into())).await));
    assert!(is_lost(&queue.settle(&lease, &Record::default(), Then::Done).await));
}

/// Whoever listens before.
pub async fn a_listener_hears_of_new_jobs(harness: &dyn Harness) {
    let (world, echo, other) = (World::new(harness).await, function("echo"), function("other"));
    let (mut events, mut too) = (world.queue.events(), world.queue.events());
    world.append("one", &echo).await;
    hears(&mut events, vec![Event::Due(echo.clone())]).await;
    world.take_it("one", &echo).await;
    world.append("two", &other).await;
    hears(&mut events, vec![Event::Due(other.clone())]).await;
    hears(&mut too, vec![Event::Due(echo), Event::Due(other)]).await;
}

/// Whoever listens after.
pub async fn a_listener_hears_first_of_all_that_stands(harness: &dyn Harness) {
    let world = World::new(harness).await;
    let functions = ["a", "b", "c"].map(function);
    for function in &functions {
        world.append(&format!("job-{}", function.name), function).await;
    }
    hears(&mut world.queue.events(), functions.map(Event::Due).into()).await;
}
