//! Dead letters that are redriven while their workers are not done with them.

use std::time::Duration;

use faas_queue::nats::Jetstream;
use faas_queue::{Attempt, Body, Error, Queue as _, Record, Shelf, State, Then};
use faas_testing::Nats;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{LONG, context, function, id, job, open, read, take_one, text};

const LEASE: Duration = Duration::from_secs(30);

fn failed() -> Record {
    let attempt =
        Attempt { at: Timestamp::now(), seconds: 0.1, status: Some(500), failure: Some("no".into()) };
    Record { attempts: vec![attempt], ..Record::default() }
}

async fn die(queue: &Jetstream, name: &str) {
    let taken = take_one(queue, name).await;
    queue.settle(&taken.lease, &failed(), Then::Dead).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redriving_all_ends_though_they_die_again() {
    const JOBS: u64 = 40;
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    for number in 0..JOBS {
        queue.append(job("f", &format!("j{number}")), text("x")).await.unwrap();
        die(&queue, "f").await;
    }
    let (worker, stop) = (queue.clone(), CancellationToken::new());
    let stopped = stop.clone();
    let dying = tokio::spawn(async move {
        while !stopped.is_cancelled() {
            for taken in worker.take(&function("f"), 1).await.unwrap() {
                worker.settle(&taken.lease, &failed(), Then::Dead).await.unwrap();
            }
        }
    });
    let redriven = timeout(LONG, queue.redrive(&function("f"), None)).await;
    assert_eq!(redriven.unwrap().unwrap(), JOBS);
    stop.cancel();
    dying.await.unwrap();
    for number in 0..JOBS {
        let found = queue.find(&id(&format!("j{number}"))).await.unwrap();
        assert!(found.is_some_and(|found| found.job.is_some()), "of j{number} there is only its record");
    }
}

/// Between the two steps of a redrive: it is a job again, and its old letter not removed yet.
#[tokio::test]
async fn a_job_that_dies_while_it_is_redriven_has_a_new_letter() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    die(&queue, "f").await;
    let letters = context(&nats).await.get_stream("OF_faas-request_DEAD").await.unwrap();
    let letter = "_of.dead.faas-request.openfaas-fn.f.one";
    let old = letters.get_last_raw_message_by_subject(letter).await.unwrap();
    queue.redrive(&function("f"), None).await.unwrap();
    let context = context(&nats).await;
    context.publish(letter, old.payload.clone()).await.unwrap().await.unwrap();
    let before = letters.get_last_raw_message_by_subject(letter).await.unwrap().sequence;
    die(&queue, "f").await;
    assert!(letters.get_last_raw_message_by_subject(letter).await.unwrap().sequence > before);
}

/// Its consumer was made anew, so the server knows of none that was taken, and records of attempts stay behind.
#[tokio::test]
async fn what_is_left_of_a_purged_job_keeps_none_of_its_name_out() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("first")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    let later = Timestamp::now() + Duration::from_hours(1);
    queue.settle(&taken.lease, &failed(), Then::Later(later)).await.unwrap();
    context(&nats).await.delete_consumer_from_stream("openfaas-fn_f", "OF_faas-request").await.unwrap();
    assert_eq!(queue.purge(&function("f"), Shelf::Live).await.unwrap(), 1);
    queue.append(job("f", "one"), text("second")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    assert_eq!((taken.record, read(taken.body).await), (Record::default(), b"second".to_vec()));
}

/// Somebody emptied the stream by hand, and the consumer is gone, so that the worker removes what it was done with.
#[tokio::test]
async fn a_worker_is_done_with_a_job_that_lies_there_no_more() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("x")).await.unwrap();
    let taken = take_one(&queue, "f").await;
    let context = context(&nats).await;
    context.delete_consumer_from_stream("openfaas-fn_f", "OF_faas-request").await.unwrap();
    context.get_stream("OF_faas-request").await.unwrap().purge().await.unwrap();
    queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
    let found = queue.find(&id("one")).await.unwrap().unwrap();
    assert_eq!(found.state, State::Done);
}

/// A keyed invocation that was repeated while its first job was among the dead and their records had gone.
#[tokio::test]
async fn redriving_takes_no_other_job_of_the_name_away() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("first")).await.unwrap();
    die(&queue, "f").await;
    let records = context(&nats).await.get_stream("OF_faas-request_RECORDS").await.unwrap();
    records.purge().await.unwrap();
    queue.append(job("f", "one"), text("second")).await.unwrap();
    assert_eq!(queue.redrive(&function("f"), None).await.unwrap(), 0);
    let taken = take_one(&queue, "f").await;
    assert_eq!(read(taken.body).await, b"second");
    assert_eq!(queue.depths().await.unwrap()[0].dead, 1);
}

/// Its worker wrote that it died, copied it to the dead letters, and was slow to acknowledge.
#[tokio::test]
async fn a_job_that_is_redriven_while_it_dies_is_not_lost() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let context = context(&nats).await;
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        context.get_consumer_from_stream("openfaas-fn_f", "OF_faas-request").await.unwrap();
    let mut deliveries = consumer.fetch().max_messages(1).messages().await.unwrap();
    let delivery = deliveries.next().await.unwrap().unwrap();
    let entry = serde_json::json!({
        "function": function("f"), "accepted_at": Timestamp::now(), "first_taken_at": Timestamp::now(),
        "state": "dead", "due_at": null, "record": failed(), "token": "its", "nonce": "",
    });
    for (subject, payload) in [
        ("_of.record.faas-request.openfaas-fn.f.one", entry.to_string().into()),
        ("_of.dead.faas-request.openfaas-fn.f.one", delivery.payload.clone()),
    ] {
        context.publish(subject, payload).await.unwrap().await.unwrap();
    }
    assert_eq!(queue.redrive(&function("f"), None).await.unwrap(), 1);
    delivery.double_ack().await.unwrap();
    let taken = take_one(&queue, "f").await;
    assert_eq!((taken.record, read(taken.body).await), (Record::default(), b"hello".to_vec()));
}

#[tokio::test]
async fn a_job_whose_body_is_lost_after_an_attempt_is_a_dead_letter_like_others() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), Body::Whole(vec![0; 2 << 20].into())).await.unwrap();
    let taken = take_one(&queue, "f").await;
    queue.settle(&taken.lease, &failed(), Then::Later(Timestamp::now())).await.unwrap();
    let bodies = context(&nats).await.get_stream("OF_faas-request_BODIES").await.unwrap();
    bodies.purge().await.unwrap();
    for round in 0..2 {
        assert!(queue.take(&function("f"), 9).await.unwrap().is_empty());
        let dead = queue.list(&function("f"), Shelf::Dead, 9).await.unwrap();
        assert_eq!((dead.len(), dead[0].state), (1, State::Dead));
        let found = queue.find(&id("one")).await.unwrap().unwrap();
        assert_eq!((found.state, found.record.attempts.len()), (State::Dead, 1 - round));
        assert!(!queue.cancel(&id("one")).await.unwrap());
        assert_eq!(queue.redrive(&function("f"), None).await.unwrap(), 1);
    }
}

/// The record may say that it goes on; the letter is all there is.
#[tokio::test]
async fn a_dead_letter_that_is_all_that_is_left_is_redriven() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    die(&queue, "f").await;
    crate::support::change_record(&nats, "one", |entry| entry["state"] = "running".into()).await;
    assert_eq!(queue.redrive(&function("f"), Some(&id("one"))).await.unwrap(), 1);
    assert_eq!(take_one(&queue, "f").await.lease.id, id("one"));
}

#[tokio::test]
async fn more_than_a_few_dead_letters_are_counted() {
    const LETTERS: u64 = 1500;
    let Some(nats) = Nats::start_with("sync_interval: 10s") else { return };
    let durability = faas_queue::nats::Durability::Unchecked;
    let options = faas_queue::nats::Options { durability, ..crate::support::options(&nats, LEASE) };
    let queue = Jetstream::open(options).await.unwrap();
    let context = context(&nats).await;
    for number in 0..LETTERS {
        let subject = format!("_of.dead.faas-request.openfaas-fn.f.j{number}");
        context.publish(subject, "{}".into()).await.unwrap().await.unwrap();
    }
    assert_eq!(queue.depths().await.unwrap()[0].dead, LETTERS);
    context.publish("_of.dead.faas-request.openfaas-fn.f.last", "{}".into()).await.unwrap().await.unwrap();
    let counted = async {
        while queue.depths().await.unwrap()[0].dead != LETTERS + 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, counted).await.unwrap();
    assert_eq!(queue.purge(&function("f"), Shelf::Dead).await.unwrap(), LETTERS + 1);
    assert!(queue.depths().await.unwrap().is_empty());
    assert!(matches!(queue.cancel(&id("last")).await, Err(Error::NotFound(_))));
}
