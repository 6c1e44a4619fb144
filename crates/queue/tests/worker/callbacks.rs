//! Callbacks: what they say, how they are repeated, and what signs them.

use std::fmt::Write as _;
use std::sync::Arc;

use faas_queue::{State, annotation};
use futures_util::future::pending;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Notify;

use crate::world::{SECRET, Server, World, annotated, answer, calling_back, job, until};

#[tokio::test]
async fn a_callback_has_the_functions_answer_and_what_the_platform_says_of_it() {
    let own = [("x-own", "1"), ("content-type", "text/csv"), ("x-duration-seconds", "9")];
    let gateway = Server::start(move |_, _| async move { answer(418, &own, "a,b") }).await;
    let target = Server::start(|_, _| async { answer(204, &[], "") }).await;
    let world = World::new(&gateway);
    let job = calling_back("f", "1", target.url("/hook?token=1"));
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    let [seen] = target.seen().try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("POST", "/hook?token=1"));
    assert_eq!((seen.body.as_ref(), seen.header("content-length")), (&b"a,b"[..], "3"));
    assert_eq!((seen.header("x-own"), seen.header("content-type")), ("1", "text/csv"));
    assert_eq!((seen.header("x-call-id"), seen.header("x-function-name")), ("1", "f"));
    assert_eq!((seen.header("x-function-status"), seen.header("x-retry")), ("418", "1"));
    assert_eq!((seen.header("x-retry-max"), seen.header("x-faas-signature")), ("10", ""));
    let (whole, fraction) = seen.header("x-duration-seconds").split_once('.').unwrap();
    assert_eq!((whole, fraction.len()), ("0", 6));
    assert_eq!(seen.header("user-agent"), concat!("queue-worker/", env!("CARGO_PKG_VERSION")));
    assert_eq!((found.state, found.record.callbacks.len()), (State::Done, 1));
    assert_eq!((found.record.callbacks[0].status, &found.record.callbacks[0].failure), (Some(204), &None));
}

#[tokio::test]
async fn an_unknown_function_is_called_back_as_404_after_one_try() {
    let fault = [("x-faas-fault", "client; no such function")];
    let gateway = Server::start(move |_, _| async move { answer(404, &fault, "") }).await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let world = World::new(&gateway);
    let job = annotated(calling_back("f", "1", target.url("/")), annotation::RETRY_CODES, "404");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, gateway.count()), (State::Done, 1));
    assert_eq!(target.seen()[0].header("x-function-status"), "404");
}

#[tokio::test]
async fn an_invocation_that_never_got_an_answer_is_called_back_as_503_with_nothing() {
    let gateway = Server::start(|_, _| async { panic!("the connection breaks") }).await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let world = World::new(&gateway);
    let job = annotated(calling_back("f", "1", target.url("/")), annotation::RETRY_ATTEMPTS, "2");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    let [seen] = target.seen().try_into().unwrap();
    assert_eq!((seen.header("x-function-status"), seen.body.len(), seen.header("x-retry")), ("503", 0, "2"));
    assert_eq!((found.state, found.record.attempts.len()), (State::Dead, 2));
}

#[tokio::test]
async fn a_callback_that_fails_is_repeated_with_the_whole_body_and_the_function_is_not() {
    let gateway = Server::start(|_, _| async { answer(200, &[], "answer") }).await;
    let target =
        Server::start(|before, _| async move { answer([500, 429, 408, 200][before], &[], "") }).await;
    let world = World::new(&gateway);
    let job = calling_back("f", "1", target.url("/"));
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, found.record.callbacks.len(), gateway.count()), (State::Done, 4, 1));
    assert!(target.seen().iter().all(|seen| seen.body == "answer"));
}

#[tokio::test]
async fn a_callback_that_fails_for_good_stands_in_the_record_of_a_job_that_is_done() {
    let gateway = Server::start(|_, _| async { answer(200, &[], "answer") }).await;
    let target = Server::start(|_, seen| async move {
        answer(if seen.uri.path() == "/gone" { 410 } else { 500 }, &[], "")
    })
    .await;
    let world = World::new(&gateway);
    let (gone, failing) =
        (calling_back("f", "1", target.url("/gone")), calling_back("f", "2", target.url("/")));
    world.append(&gone, "").await;
    world.append(&failing, "").await;
    let worker = world.worker();
    let (gone, failing) = (world.ended(&gone).await, world.ended(&failing).await);
    worker.stop().await;
    assert_eq!((gone.state, gone.record.callbacks.len()), (State::Done, 1));
    assert_eq!(gone.record.callbacks[0].failure.as_deref(), Some("answered 410"));
    assert_eq!((failing.state, failing.record.callbacks.len()), (State::Done, 10));
}

#[tokio::test]
async fn a_worker_that_dies_between_answer_and_callback_repeats_the_callback_alone() {
    let gateway = Server::start(|_, _| async { answer(200, &[], "answer") }).await;
    let target =
        Server::start(
            |before, _| async move { if before == 0 { pending().await } else { answer(200, &[], "") } },
        )
        .await;
    let mut world = World::new(&gateway);
    world.settings.lease = std::time::Duration::from_secs(3);
    let world = World::with(world.settings);
    let job = calling_back("f", "1", target.url("/"));
    world.append(&job, "").await;
    let worker = world.worker();
    until("the callback began", || target.count() == 1).await;
    worker.die().await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, gateway.count(), target.count()), (State::Done, 1, 2));
    assert_eq!(target.seen()[1].body, "answer");
}

#[tokio::test]
async fn a_signature_is_of_time_and_body() {
    let gateway = Server::start(|_, _| async { answer(200, &[], "answer") }).await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let world = World::new(&gateway);
    let job = annotated(calling_back("f", "1", target.url("/")), annotation::CALLBACK_SECRET, "hook");
    world.append(&job, "").await;
    let worker = world.worker();
    world.ended(&job).await;
    worker.stop().await;
    let [seen] = target.seen().try_into().unwrap();
    let (time, signature) = seen.header("x-faas-signature").split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("{time}.answer").as_bytes());
    let mut expected = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(expected, "{byte:02x}").unwrap();
    }
    assert_eq!(signature, expected);
    assert!((jiff::Timestamp::now().as_second() - time.parse::<i64>().unwrap()).abs() < 600);
}

#[tokio::test]
async fn nothing_goes_out_unsigned_that_is_to_be_signed() {
    let gateway = Server::start(|_, _| async { answer(200, &[], "answer") }).await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let world = World::new(&gateway);
    let job = annotated(calling_back("f", "1", target.url("/")), annotation::CALLBACK_SECRET, "no-such");
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((target.count(), found.record.callbacks.len()), (0, 10), "0 of 10 tries went out");
    assert!(found.record.callbacks[0].failure.as_ref().unwrap().contains("no-such"));
}

#[tokio::test]
async fn redirects_keep_method_and_body_and_leave_credentials_behind() {
    let other = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let to = other.url("/end");
    let target = Server::start(move |_, seen| {
        let to = to.clone();
        async move {
            let location = if seen.uri.path() == "/a" { "/b" } else { &to };
            answer(307, &[("location", location)], "")
        }
    })
    .await;
    let gateway = Server::start(|_, _| async { answer(200, &[], "answer") }).await;
    let world = World::new(&gateway);
    let job = calling_back("f", "1", format!("http://us%65r:pa%3Ass@{}/a", target.address));
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.state, found.record.callbacks[0].status), (State::Done, Some(200)));
    let [first, second] = target.seen().try_into().unwrap();
    // "user:pa:ss"
    assert_eq!(
        (first.header("authorization"), second.header("authorization")),
        ("Basic dXNlcjpwYTpzcw==", "Basic dXNlcjpwYTpzcw==")
    );
    let [end] = other.seen().try_into().unwrap();
    assert_eq!(
        (end.method.as_str(), end.body.as_ref(), end.header("authorization")),
        ("POST", &b"answer"[..], "")
    );
}

#[tokio::test]
async fn redirects_have_an_end() {
    let target = Server::start(|_, _| async { answer(302, &[("location", "/again")], "") }).await;
    let gateway = Server::start(|_, _| async { answer(200, &[], "answer") }).await;
    let world = World::new(&gateway);
    let job = calling_back("f", "1", target.url("/"));
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((target.count(), found.record.callbacks.len()), (4, 1));
    assert!(found.record.callbacks[0].failure.as_ref().unwrap().contains("redirected"));
}

#[tokio::test]
async fn a_long_answer_is_kept_whole_until_it_is_called_back_and_no_longer() {
    let gateway = Server::start(|_, _| async { answer(200, &[], vec![b'a'; 3 << 20]) }).await;
    let (seen, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at_target, let_go) = (Arc::clone(&seen), Arc::clone(&go));
    let target = Server::start(move |_, _| {
        let (seen, go) = (Arc::clone(&at_target), Arc::clone(&let_go));
        async move {
            seen.notify_one();
            go.notified().await;
            answer(200, &[], "")
        }
    })
    .await;
    let world = World::new(&gateway);
    let job = calling_back("f", "1", target.url("/"));
    world.append(&job, "").await;
    let worker = world.worker();
    seen.notified().await;
    assert_eq!(world.result(&job).await.map(|body| body.len()), Some(3 << 20));
    go.notify_one();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!(target.seen()[0].body.len(), 3 << 20);
    let kept = found.record.answer.unwrap();
    assert_eq!((kept.size, kept.kept), (3 << 20, false));
    assert_eq!(world.result(&job).await.unwrap_or_default().len(), 0);
}

#[tokio::test]
async fn receivers_that_never_answer_hold_up_no_invocation() {
    let gateway = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let target = Server::start(|_, _| pending()).await;
    let mut world = World::new(&gateway);
    (world.settings.most_per_function, world.settings.most_running) = (4, 16);
    world.settings.grace = std::time::Duration::ZERO;
    for id in 0..4 {
        world.append(&calling_back("f", &id.to_string(), target.url("/")), "").await;
    }
    let worker = world.worker();
    until("all callbacks are under way", || target.count() == 4).await;
    // As many as may be made of one function beside its invocations; none of its places is held.
    for id in 4..40 {
        let job = job("f", &id.to_string());
        world.append(&job, "").await;
        assert_eq!(world.ended(&job).await.state, State::Done);
    }
    // From here on they hold places, so that their number has a bound.
    for id in 40..60 {
        world.append(&calling_back("f", &id.to_string(), target.url("/")), "").await;
    }
    let other = job("other", "60");
    world.append(&other, "").await;
    assert_eq!(world.ended(&other).await.state, State::Done);
    until("the places are held too", || target.count() == 8).await;
    worker.stop().await;
    assert_eq!((gateway.count(), target.count()), (4 + 36 + 4 + 1, 8));
}
