use std::time::Duration;

use faas_queue::{Answer, Attempt, Error, Event, Queue as _, Record, Shelf, State, Then};
use faas_testing::Nats;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::support::{LONG, function, id, job, open, read, take_one, text};

const LEASE: Duration = Duration::from_secs(30);

fn record(status: u16) -> Record {
    let attempt = Attempt { at: Timestamp::now(), seconds: 0.5, status: Some(status), failure: None };
    let answer = Answer { status, headers: vec![("a".into(), "b".into())], size: 3, kept: true };
    Record { attempts: vec![attempt], answer: Some(answer), ..Record::default() }
}

#[tokio::test]
async fn a_job_is_accepted_taken_and_done() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    let accepted = job("f", "one");
    queue.append(accepted.clone(), text("hello")).await.unwrap();
    let found = queue.find(&id("one")).await.unwrap().unwrap();
    assert_eq!((found.state, found.job), (State::Queued, Some(accepted.clone())));

    let taken = take_one(&queue, "f").await;
    assert_eq!(taken.job, accepted);
    assert_eq!(read(taken.body).await, b"hello");
    assert_eq!(queue.find(&id("one")).await.unwrap().unwrap().state, State::Running);
    assert!(queue.take(&function("f"), 9).await.unwrap().is_empty());

    queue.extend(&taken.lease).await.unwrap();
    queue.keep_result(&taken.lease, text("bye")).await.unwrap();
    let last = record(200);
    queue.settle(&taken.lease, &last, Then::Done).await.unwrap();
    let found = queue.find(&id("one")).await.unwrap().unwrap();
    assert_eq!((found.state, found.record), (State::Done, last));
    assert_eq!(read(queue.result(&id("one")).await.unwrap().unwrap()).await, b"bye");
    assert!(matches!(queue.extend(&taken.lease).await, Err(Error::LeaseLost(_))));
    assert!(queue.depths().await.unwrap().is_empty());
    assert!(matches!(queue.append(job("f", "one"), text("")).await, Err(Error::Exists(_))));
}

#[tokio::test]
async fn dead_letters_are_kept_and_redriven() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    queue.settle(&taken.lease, &record(500), Then::Dead).await.unwrap();
    let dead = queue.list(&function("f"), Shelf::Dead, 9).await.unwrap();
    assert_eq!((dead.len(), dead[0].state), (1, State::Dead));
    let depths = queue.depths().await.unwrap();
    assert_eq!((depths[0].waiting, depths[0].running, depths[0].dead), (0, 0, 1));

    assert_eq!(queue.redrive(&function("f"), None).await.unwrap(), 1);
    let taken = take_one(&queue, "f").await;
    assert_eq!((taken.record, read(taken.body).await), (Record::default(), b"hello".to_vec()));
    queue.settle(&taken.lease, &record(500), Then::Dead).await.unwrap();
    assert_eq!(queue.purge(&function("f"), Shelf::Dead).await.unwrap(), 1);
    assert_eq!(queue.find(&id("one")).await.unwrap(), None);
}

#[tokio::test]
async fn a_cancelled_job_cannot_be_settled() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    let mut events = queue.events();
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let due = timeout(LONG, events.next()).await.unwrap();
    assert_eq!(due, Some(Event::Due(function("f"))));
    let taken = take_one(&queue, "f").await;
    assert!(queue.cancel(&id("one")).await.unwrap());
    assert!(!queue.cancel(&id("one")).await.unwrap());
    let settled = queue.settle(&taken.lease, &record(200), Then::Done).await;
    assert!(matches!(settled, Err(Error::LeaseLost(_))));
    assert_eq!(queue.find(&id("one")).await.unwrap().unwrap().state, State::Cancelled);
    let told = async {
        while let Some(event) = events.next().await {
            if event == Event::Cancelled(id("one")) {
                return;
            }
        }
    };
    timeout(LONG, told).await.unwrap();
    assert!(matches!(queue.cancel(&id("two")).await, Err(Error::NotFound(_))));
}
