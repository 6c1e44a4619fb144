//! One function does not hold up another.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use faas_queue::{Queue, State};
use tokio::sync::Semaphore;

use crate::world::{Server, World, answer, job, until};

#[tokio::test]
async fn a_slow_function_with_thousands_of_jobs_does_not_hold_up_another() {
    const SLOW: usize = 3_000;
    // It answers some at once, so that the worker believes in it.
    const QUICK: usize = 200;
    let gate = Arc::new(Semaphore::new(QUICK));
    let closed = Arc::clone(&gate);
    let gateway = Server::start(move |_, seen| {
        let gate = Arc::clone(&closed);
        async move {
            if seen.uri.path().contains("slow") {
                gate.acquire().await.unwrap().forget();
            }
            answer(200, &[("x-faas-capacity", "1000")], "")
        }
    })
    .await;
    let world = World::new(&gateway);
    let append = (0..SLOW)
        .map(|id| world.queue.append(job("slow", &id.to_string()), faas_queue::Body::Whole("".into())));
    futures_util::future::try_join_all(append).await.unwrap();
    let worker = world.worker();
    until("as many slow ones run as may", || gateway.count() >= QUICK + world.settings.most_per_function)
        .await;
    for id in 0..20 {
        let fast = job("fast", &format!("fast-{id}"));
        world.append(&fast, "").await;
        assert_eq!(world.ended(&fast).await.state, State::Done);
    }
    let depths = world.queue.depths().await.unwrap();
    let slow = depths.iter().find(|depth| depth.function.name.as_str() == "slow").unwrap();
    assert_eq!(slow.waiting + slow.running, (SLOW - QUICK) as u64, "all 20 ended before any of those");
    gate.add_permits(SLOW);
    for id in 0..SLOW {
        assert_eq!(world.ended(&job("slow", &id.to_string())).await.state, State::Done);
    }
    worker.stop().await;
    assert_eq!(gateway.count(), SLOW + 20);
}

#[tokio::test]
async fn many_stuck_functions_leave_room_for_one_more() {
    const STUCK: usize = 60;
    let gateway = Server::start(|_, seen| async move {
        if seen.uri.path().contains("stuck") {
            std::future::pending::<()>().await;
        }
        answer(200, &[], "")
    })
    .await;
    let mut world = World::new(&gateway);
    (world.settings.most_running, world.settings.grace) = (128, Duration::ZERO);
    for id in 0..STUCK * 5 {
        world.append(&job(&format!("stuck{}", id % STUCK), &id.to_string()), "").await;
    }
    let worker = world.worker();
    let functions = || {
        let paths = gateway.seen().into_iter().map(|seen| seen.uri.path().to_owned());
        paths.collect::<HashSet<_>>().len()
    };
    until("each of them runs", || functions() == STUCK).await;
    let fast = job("fast", "fast");
    world.append(&fast, "").await;
    assert_eq!(world.ended(&fast).await.state, State::Done);
    worker.stop().await;
}

#[tokio::test]
async fn more_functions_than_places_take_turns() {
    const PLACES: usize = 4;
    const EACH: usize = 300;
    let gateway = Server::start(|_, _| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        answer(200, &[], "")
    })
    .await;
    let mut world = World::new(&gateway);
    world.settings.most_running = PLACES;
    for id in 0..PLACES * EACH {
        world.append(&job(&format!("busy{}", id % PLACES), &id.to_string()), "").await;
    }
    let worker = world.worker();
    until("every place is taken", || gateway.count() >= PLACES * 2).await;
    let late = job("late", "late");
    world.append(&late, "").await;
    assert_eq!(world.ended(&late).await.state, State::Done);
    let left = world.queue.depths().await.unwrap();
    assert_eq!(
        left.iter().filter(|depth| depth.waiting > 0).count(),
        PLACES,
        "no backlog was worked off first"
    );
    worker.stop().await;
}

#[tokio::test]
async fn no_more_run_than_the_replicas_take() {
    const JOBS: usize = 200;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, highest) = (Arc::clone(&now), Arc::clone(&most));
    let gateway = Server::start(move |_, _| {
        let (running, highest) = (Arc::clone(&running), Arc::clone(&highest));
        async move {
            highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            answer(200, &[("x-faas-capacity", "3")], "")
        }
    })
    .await;
    let world = World::new(&gateway);
    let jobs: Vec<_> = (0..JOBS).map(|id| job("f", &id.to_string())).collect();
    for job in &jobs {
        world.append(job, "").await;
    }
    let worker = world.worker();
    for job in &jobs {
        assert_eq!(world.ended(job).await.state, State::Done);
    }
    worker.stop().await;
    assert_eq!((most.load(Ordering::SeqCst), now.load(Ordering::SeqCst)), (3, 0));
}
