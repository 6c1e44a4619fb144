//! Workers that stop in the middle of a call, or go on when their lease has ended.

use std::time::Duration;

use bytes::Bytes;
use faas_queue::{Attempt, Body, Error, Queue as _, Record, State, Then};
use faas_testing::Nats;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{change_record, function, id, job, open, read, take_one, text};

fn record() -> Record {
    let attempt = Attempt { at: Timestamp::now(), seconds: 0.1 + 0.2, status: Some(200), failure: None };
    Record { attempts: vec![attempt], ..Record::default() }
}

/// Settling was dropped after it had written the record; then its worker gives back what it believes to have.
#[tokio::test]
async fn a_job_that_ended_is_not_given_back() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, Duration::from_secs(30)).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    change_record(&nats, "one", |entry| {
        entry["state"] = "done".into();
        entry["record"] = serde_json::to_value(record()).unwrap();
    })
    .await;
    let given_back = queue.settle(&taken.lease, &record(), Then::Later(Timestamp::now())).await;
    assert!(matches!(given_back, Err(Error::LeaseLost(_))), "{given_back:?}");
    let found = queue.find(&id("one")).await.unwrap().unwrap();
    assert_eq!((found.state, found.record.attempts.len()), (State::Done, 1));
}

/// The same, by one who does it again.
#[tokio::test]
async fn settling_again_finishes_what_was_begun() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, Duration::from_secs(30)).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let (taken, record) = (take_one(&queue, "f").await, record());
    change_record(&nats, "one", |entry| {
        entry["state"] = "done".into();
        entry["record"] = serde_json::to_value(&record).unwrap();
    })
    .await;
    queue.settle(&taken.lease, &record, Then::Done).await.unwrap();
    assert_eq!(queue.find(&id("one")).await.unwrap().unwrap().state, State::Done);
    assert!(queue.depths().await.unwrap().is_empty());
}

/// Dropped at any moment, as a process does that shuts down.
#[tokio::test]
async fn a_job_given_back_while_it_is_settled_is_done_or_comes_again() {
    const JOBS: u64 = 150;
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, Duration::from_secs(5)).await;
    let mut given_back = 0;
    for number in 0..JOBS {
        let call = format!("j{number}");
        queue.append(job("f", &call), text("hello")).await.unwrap();
        let (taken, record) = (take_one(&queue, "f").await, record());
        let settling = queue.settle(&taken.lease, &record, Then::Done);
        let pause = Duration::from_micros(number * 40);
        let settled = tokio::time::timeout(pause, settling).await.is_ok();
        let done = queue.find(&taken.lease.id).await.unwrap().unwrap().state == State::Done;
        let given = queue.settle(&taken.lease, &record, Then::Later(Timestamp::now())).await;
        assert!(!(settled && given.is_ok()), "{call} was settled and given back");
        let now = queue.find(&taken.lease.id).await.unwrap().unwrap().state;
        assert!(!done || now == State::Done, "{call} was done, and is {now:?}");
        given_back += u64::from(given.is_ok());
    }
    let deadline = tokio::time::Instant::now() + crate::support::LONG;
    while !queue.depths().await.unwrap().is_empty() {
        for taken in queue.take(&function("f"), 9).await.unwrap() {
            queue.settle(&taken.lease, &taken.record, Then::Done).await.unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline, "jobs are left");
    }
    for number in 0..JOBS {
        let found = queue.find(&id(&format!("j{number}"))).await.unwrap().unwrap();
        assert_eq!((found.state, found.record.attempts.len()), (State::Done, 1), "j{number}");
    }
    crate::support::report(&format!("{JOBS} settled, {given_back} of them given back, none lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_worker_still_writes_is_nobodys_answer() {
    const PIECE: usize = 300_000;
    let Some(nats) = Nats::start() else { return };
    let lease = Duration::from_secs(3);
    let (late, queue) = (open(&nats, lease).await, open(&nats, lease).await);
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let lost = take_one(&late, "f").await.lease;
    let (pieces, receiver) = mpsc::channel(1);
    let writing = tokio::spawn(async move {
        let body = Body::Stream(ReceiverStream::new(receiver).boxed());
        late.keep_result(&lost, body).await
    });
    pieces.send(Ok(Bytes::from(vec![b'a'; PIECE]))).await.unwrap();
    pieces.send(Ok(Bytes::from(vec![b'a'; PIECE]))).await.unwrap();
    let taken = take_one(&queue, "f").await;
    let answer = vec![b'b'; PIECE * 4];
    queue.keep_result(&taken.lease, Body::Whole(answer.clone().into())).await.unwrap();
    queue.settle(&taken.lease, &record(), Then::Done).await.unwrap();
    for _ in 0..2 {
        pieces.send(Ok(Bytes::from(vec![b'a'; PIECE]))).await.unwrap();
    }
    drop(pieces);
    let written = writing.await.unwrap();
    assert!(matches!(written, Err(Error::LeaseLost(_))), "{written:?}");
    assert!(read(queue.result(&id("one")).await.unwrap().unwrap()).await == answer);
}
