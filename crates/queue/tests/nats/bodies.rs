use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use faas_queue::nats::{Jetstream, Options};
use faas_queue::{Body, Error, Queue as _, Record, Settings, Shelf, State, Then};
use faas_testing::Nats;
use futures_util::stream;

use crate::support::{context, function, id, job, open, options, read, take_one, take_some, text};

const LEASE: Duration = Duration::from_secs(30);

fn large(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

fn pieces(bytes: &[u8], size: usize) -> Body {
    let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Body::Stream(Box::pin(stream::iter(pieces)))
}

async fn lying(nats: &Nats, stream: &str) -> u64 {
    let context = async_nats::jetstream::new(async_nats::connect(&nats.url).await.unwrap());
    context.get_stream(stream).await.unwrap().cached_info().state.messages
}

#[tokio::test]
async fn bodies_of_every_size_come_back() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    let limit = queue.inline_limit();
    assert!(limit > 650 << 10, "{limit}");
    for (number, size) in [0, 1, limit, limit + 1, 256 << 10, 5_000_000].into_iter().enumerate() {
        let bytes = large(size);
        for (kind, body) in
            [("s", pieces(&bytes, 100_000)), ("w", Body::Whole(Bytes::copy_from_slice(&bytes)))]
        {
            queue.append(job("f", &format!("{kind}{number}")), body).await.unwrap();
            let taken = take_one(&queue, "f").await;
            assert!(read(taken.body).await == bytes, "{kind} {size}");
            queue.keep_result(&taken.lease, pieces(&bytes, 70_000)).await.unwrap();
            queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
            let result = queue.result(&taken.lease.id).await.unwrap().unwrap();
            assert!(read(result).await == bytes, "result of {kind} {size}");
        }
    }
    assert_eq!(lying(&nats, "OF_faas-request_BODIES").await, 0, "bodies of jobs that ended");
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_too_large_leaves_nothing() {
    let Some(nats) = Nats::start() else { return };
    let settings = Settings { most_body: 3_000_000, ..Settings::default() };
    let queue = Jetstream::open(Options { settings, ..options(&nats, LEASE) }).await.unwrap();
    let broken = stream::iter([Ok(Bytes::from(large(2_000_000))), Err(io::ErrorKind::BrokenPipe.into())]);
    let appended = queue.append(job("f", "one"), Body::Stream(Box::pin(broken))).await;
    assert!(matches!(appended, Err(Error::Body(_))), "{appended:?}");
    let appended = queue.append(job("f", "two"), pieces(&large(3_000_001), 100_000)).await;
    assert!(matches!(appended, Err(Error::TooLarge { limit_bytes: 3_000_000 })), "{appended:?}");
    let appended = queue.append(job("f", "two"), Body::Whole(large(3_000_001).into())).await;
    assert!(matches!(appended, Err(Error::TooLarge { .. })), "{appended:?}");
    assert_eq!(lying(&nats, "OF_faas-request_BODIES").await, 0);
    assert_eq!(queue.find(&id("one")).await.unwrap(), None);
}

#[tokio::test]
async fn a_body_that_finds_no_room_is_not_read_to_its_end() {
    const PIECES: usize = 400;
    let small = "jetstream { sync_interval: always, store_dir: jetstream, max_file_store: 20MB }";
    let Some(nats) = Nats::start_configured(small) else { return };
    let queue = open(&nats, LEASE).await;
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    let pieces = (0..PIECES).map(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from(vec![0; 256 << 10]))
    });
    let appended = queue.append(job("f", "one"), Body::Stream(Box::pin(stream::iter(pieces)))).await;
    assert!(matches!(appended, Err(Error::Unavailable { .. })), "{appended:?}");
    // A quarter of 20 MB fits, and some more are on their way.
    assert!((15..60).contains(&read.load(Ordering::Relaxed)), "{read:?} of {PIECES}");
    assert_eq!(lying(&nats, "OF_faas-request_BODIES").await, 0);
}

#[tokio::test]
async fn what_is_no_job_becomes_a_dead_letter_and_holds_up_nobody() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    let client = async_nats::connect(&nats.url).await.unwrap();
    let context = async_nats::jetstream::new(client);
    for (call, payload) in [
        ("bad", &b"\x00\xffno json"[..]),
        ("empty", b""),
        ("other", br#"{"Method":"POST","Function":"other.dev","CallbackUrl":null}"#),
        ("lost", br#"{"Method":"POST","Function":"f","CallbackUrl":null,"Object":{"part":"x","chunks":3}}"#),
        ("no$id", b"{}"),
    ] {
        let subject = format!("faas-request.openfaas-fn.f.{call}");
        context.publish(subject, payload.into()).await.unwrap().await.unwrap();
    }
    let foreign =
        br#"{"Header":{"A":["b"]},"Body":"aGk=","Method":"POST","Function":"f","CallbackUrl":null}"#;
    context.publish("faas-request.openfaas-fn.f.foreign", foreign[..].into()).await.unwrap().await.unwrap();
    queue.append(job("f", "good"), text("hello")).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 2 {
        taken.extend(take_some(&queue, "f", 9).await);
    }
    assert_eq!(taken[0].lease.id, id("foreign"));
    assert_eq!(taken[0].job.headers, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(taken[1].lease.id, id("good"));
    for taken in &taken {
        queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
    }
    assert!(queue.take(&function("f"), 9).await.unwrap().is_empty());
    let dead = queue.list(&function("f"), Shelf::Dead, 9).await.unwrap();
    assert_eq!(dead.len(), 5);
    assert!(dead.iter().all(|dead| dead.state == State::Dead && dead.record.attempts.is_empty()));
    assert_eq!(queue.purge(&function("f"), Shelf::Dead).await.unwrap(), 5);
    assert!(queue.depths().await.unwrap().is_empty());
}

#[tokio::test]
async fn bodies_that_no_job_has_are_swept_and_no_others() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    for call in ["gone", "waits", "dead"] {
        let name = if call == "gone" { "g" } else { "f" };
        queue.append(job(name, call), pieces(&large(1_000_000), 100_000)).await.unwrap();
    }
    let context = async_nats::jetstream::new(async_nats::connect(&nats.url).await.unwrap());
    let broken = "_of.body.faas-request.openfaas-fn.f.broken.abc.7";
    context.publish(broken, "x".into()).await.unwrap().await.unwrap();
    let waits = take_one(&queue, "f").await;
    let dead = take_one(&queue, "f").await;
    queue.settle(&dead.lease, &Record::default(), Then::Dead).await.unwrap();
    assert_eq!(queue.purge(&function("g"), Shelf::Live).await.unwrap(), 1);
    assert_eq!(queue.sweep(Duration::from_hours(1)).await.unwrap(), 0);
    assert_eq!(queue.sweep(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(queue.sweep(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(read(waits.body).await, large(1_000_000));
    assert_eq!(queue.redrive(&function("f"), None).await.unwrap(), 1);
    assert_eq!(read(take_one(&queue, "f").await.body).await, large(1_000_000));
}

#[tokio::test]
async fn a_body_that_still_comes_is_not_swept() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    let context = context(&nats).await;
    let piece = async |number: u64| {
        let subject = format!("_of.body.faas-request.openfaas-fn.f.slow.abc.{number}");
        context.publish(subject, "x".into()).await.unwrap().await.unwrap();
    };
    let grace = Duration::from_secs(4);
    piece(1).await;
    tokio::time::sleep(grace + Duration::from_secs(1)).await;
    piece(2).await;
    assert_eq!(queue.sweep(grace).await.unwrap(), 0);
    assert_eq!(queue.sweep(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(lying(&nats, "OF_faas-request_BODIES").await, 0);
}
