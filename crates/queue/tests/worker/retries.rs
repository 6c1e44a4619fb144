//! Invocations: what is sent, and when again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use faas_queue::{Job, State, annotation};
use futures_util::future::pending;
use http_body_util::{BodyExt, StreamBody};

use crate::world::{Server, World, annotated, answer, job};

const INTERNAL: (&str, &str) = ("x-openfaas-internal", "proxy");

#[tokio::test]
async fn a_job_is_invoked_as_it_was_accepted_and_its_answer_kept() {
    let gateway = Server::start(|_, _| async { answer(201, &[("x-own", "1")], "answer") }).await;
    let world = World::new(&gateway);
    let headers = [("authorization", "Bearer a"), ("x-two", "1"), ("x-two", "2"), ("connection", "close")];
    let job = Job {
        method: "PUT".into(),
        path: "/a/b%20c".into(),
        query: "d=e&f".into(),
        headers: headers.map(|(name, value)| (name.into(), value.into())).into(),
        ..job("f", "1")
    };
    world.append(&job, "body").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    let [seen] = gateway.seen().try_into().unwrap();
    assert_eq!(
        (seen.method.as_str(), seen.uri.to_string().as_str()),
        ("POST", "/function/f.openfaas-fn/a/b%20c?d=e&f")
    );
    assert_eq!((seen.body.as_ref(), seen.header("authorization")), (&b"body"[..], "Bearer a"));
    assert_eq!(seen.headers.get_all("x-two").iter().count(), 2);
    assert_eq!((seen.header("x-call-id"), seen.header("x-faas-queue")), ("1", "1"));
    assert_eq!((seen.header("x-forwarded-host"), seen.header("content-length")), ("example.com", "4"));
    assert!(seen.header("user-agent").starts_with("queue-worker/"));
    assert_eq!(found.state, State::Done);
    let kept = found.record.answer.unwrap();
    assert_eq!((kept.status, kept.size, kept.kept), (201, 6, true));
    assert!(kept.headers.contains(&("x-own".into(), "1".into())));
    assert_eq!(world.result(&job).await.unwrap(), "answer");
}

#[tokio::test]
async fn the_callers_method_is_used_where_the_function_wants_it() {
    let gateway = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let world = World::new(&gateway);
    let job = annotated(Job { method: "DELETE".into(), ..job("f", "1") }, annotation::METHOD, "original");
    world.append(&job, "").await;
    let worker = world.worker();
    world.ended(&job).await;
    worker.stop().await;
    assert_eq!(gateway.seen()[0].method, "DELETE");
}

#[tokio::test]
async fn a_function_that_fails_is_tried_ten_times_and_its_job_becomes_a_dead_letter_with_the_last_answer() {
    let gateway = Server::start(|before, _| async move { answer(500, &[], before.to_string()) }).await;
    let world = World::new(&gateway);
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, gateway.count(), found.record.attempts.len()), (State::Dead, 10, 10));
    assert!(found.record.attempts.iter().all(|attempt| attempt.failure.as_deref() == Some("answered 500")));
    assert_eq!(world.result(&job).await.unwrap(), "9");
}

#[tokio::test]
async fn a_function_that_recovers_ends_its_job_well() {
    let statuses = [503, 200, 502, 204];
    let gateway = Server::start(move |before, _| async move {
        // The second one is the platform's, whatever its code.
        answer(statuses[before], if before == 1 { &[INTERNAL] } else { &[] }, "")
    })
    .await;
    let world = World::new(&gateway);
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    let seen: Vec<_> = found.record.attempts.iter().map(|attempt| attempt.status.unwrap()).collect();
    assert_eq!((found.state, seen.as_slice()), (State::Done, &statuses[..]));
}

#[tokio::test]
async fn what_a_function_asks_to_wait_is_waited() {
    let gateway = Server::start(|before, _| async move {
        if before == 0 { answer(503, &[("retry-after", "1")], "") } else { answer(200, &[], "") }
    })
    .await;
    let world = World::new(&gateway);
    let job = job("f", "1");
    world.append(&job, "").await;
    let (worker, began) = (world.worker(), Instant::now());
    world.ended(&job).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(gateway.count(), 2);
    worker.stop().await;
}

#[tokio::test]
async fn annotations_say_how_often_and_malformed_ones_leave_the_default() {
    let gateway = Server::start(|_, _| async { answer(500, &[], "") }).await;
    let world = World::new(&gateway);
    let few = annotated(job("f", "1"), annotation::RETRY_ATTEMPTS, "3");
    let odd = annotated(job("g", "2"), annotation::RETRY_ATTEMPTS, "three");
    world.append(&few, "").await;
    world.append(&odd, "").await;
    let worker = world.worker();
    let (few, odd) = (world.ended(&few).await, world.ended(&odd).await);
    worker.stop().await;
    assert_eq!((few.record.attempts.len(), odd.record.attempts.len()), (3, 10));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failed_attempt() {
    let gateway = Server::start(|before, _| async move {
        if before > 0 {
            return answer(200, &[], "whole");
        }
        let parts =
            [Ok(http_body::Frame::data(Bytes::from_static(b"half"))), Err(std::io::Error::other("gone"))];
        let body = StreamBody::new(futures_util::stream::iter(parts));
        http::Response::new(body.boxed_unsync())
    })
    .await;
    let world = World::new(&gateway);
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, found.record.attempts.len()), (State::Done, 2));
    assert!(found.record.attempts[0].failure.is_some());
    assert_eq!(world.result(&job).await.unwrap(), "whole");
}

#[tokio::test]
async fn a_gateway_that_is_away_costs_no_attempt() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let elsewhere = Server::start(|_, _| pending()).await;
    let mut world = World::new(&elsewhere);
    world.settings.gateway_url = format!("http://{address}");
    drop(listener);
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    loop {
        if world.find(&job).await.record.busy >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let gateway = Server::start_on(address, |_, _| async { answer(200, &[], "") }).await;
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, found.record.attempts.len(), gateway.count()), (State::Done, 1, 1));
}

#[tokio::test]
async fn an_answer_longer_than_what_is_kept_is_counted_and_not_kept() {
    let gateway = Server::start(|_, _| async { answer(200, &[], vec![b'a'; 300_000]) }).await;
    let mut world = World::new(&gateway);
    world.settings.most_kept = 200_000;
    let job = job("f", "1");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    let kept = found.record.answer.unwrap();
    assert_eq!((found.state, kept.size, kept.kept), (State::Done, 300_000, false));
    assert_eq!(world.result(&job).await, None);
}

#[tokio::test]
async fn a_function_without_room_has_no_dead_letters() {
    const JOBS: usize = 60;
    let running = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let gateway = Server::start(move |_, _| {
        let running = std::sync::Arc::clone(&running);
        async move {
            use std::sync::atomic::Ordering::SeqCst;
            let before = running.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            running.fetch_sub(1, SeqCst);
            if before > 0 { answer(429, &[INTERNAL], "") } else { answer(200, &[], "") }
        }
    })
    .await;
    let mut world = World::new(&gateway);
    world.settings.policy.attempts = 2;
    let jobs: Vec<_> = (0..JOBS).map(|id| job("f", &id.to_string())).collect();
    for job in &jobs {
        world.append(job, "").await;
    }
    let worker = world.worker();
    for job in &jobs {
        let found = world.ended(job).await;
        assert_eq!((found.state, found.record.attempts.len()), (State::Done, 1));
    }
    worker.stop().await;
    assert!(gateway.count() > JOBS, "some of {JOBS} found no room");
}
