//! Durable appends per second through the engine, against bare acknowledged publications of equal messages on the same
//! server, in turns; 64 at a time, syncing always.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures, and prints what it saw"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use faas_queue::nats::{Credentials, Durability, Jetstream, Options};
use faas_queue::{Body, Job, Queue as _, Settings, Then};
use faas_testing::Nats;
use jiff::Timestamp;
use tokio::time::Instant;

const AT_ONCE: usize = 64;
const TURN: Duration = Duration::from_secs(4);
const TURNS: usize = 4;

#[tokio::main]
async fn main() {
    let Some(nats) = Nats::start_on_disk() else { return };
    let queue = open(&nats).await;
    let publisher = bare(&nats).await;
    let message = message_of(&nats, &queue).await;
    let (mut engine, mut direct) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let (publisher, message, queue) = (publisher.clone(), message.clone(), queue.clone());
        direct.push(rate(move |number| publish(publisher.clone(), message.clone(), turn, number)).await);
        engine.push(rate(move |number| append(queue.clone(), turn, number)).await);
    }
    let (engine, direct) = (median(engine), median(direct));
    println!("bare publications, {AT_ONCE} at a time: {direct:.0}/s of {} bytes", message.len());
    println!("appends, {AT_ONCE} at a time: {engine:.0}/s, {:.2} of that", engine / direct);
    println!(
        "bare atomic batches of {AT_ONCE}, two at a time: {:.0} messages/s",
        batches(&nats, &message).await
    );
    drain(&queue).await;
}

async fn open(nats: &Nats) -> Jetstream {
    let options = Options {
        servers: vec![nats.url.clone()],
        credentials: Credentials::None,
        queue: "faas-request".parse().unwrap(),
        replicas: 1,
        durability: Durability::Checked { monitors: vec![nats.monitor.clone()] },
        settings: Settings::default(),
    };
    Jetstream::open(options).await.unwrap()
}

async fn bare(nats: &Nats) -> jetstream::Context {
    let context = jetstream::new(async_nats::connect(&nats.url).await.unwrap());
    let config = stream::Config {
        name: "BARE".into(),
        subjects: vec!["bare.>".into()],
        retention: stream::RetentionPolicy::WorkQueue,
        ..stream::Config::default()
    };
    context.create_stream(config).await.unwrap();
    context
}

fn job(id: &str) -> Job {
    Job {
        id: id.parse().unwrap(),
        fresh: true,
        function: "echo.openfaas-fn".to_owned().try_into().unwrap(),
        method: "POST".into(),
        path: String::new(),
        query: String::new(),
        host: "127.0.0.1:8080".into(),
        headers: vec![("content-type".into(), "text/plain".into()), ("x-call-id".into(), id.into())],
        callback: None,
        annotations: BTreeMap::new(),
        accepted_at: Timestamp::now(),
    }
}

/// What the engine publishes.
async fn message_of(nats: &Nats, queue: &Jetstream) -> Bytes {
    queue.append(job("00000000-0000-0000-0000-000000000000"), Body::Whole("hello".into())).await.unwrap();
    let context = jetstream::new(async_nats::connect(&nats.url).await.unwrap());
    let stream = context.get_stream("OF_faas-request").await.unwrap();
    stream.direct_get_next_for_subject("faas-request.>", Some(1)).await.unwrap().payload
}

async fn append(queue: Jetstream, turn: usize, number: u64) {
    let id = format!("{turn:08}-0000-4000-8000-{number:012}");
    queue.append(job(&id), Body::Whole("hello".into())).await.unwrap();
}

async fn publish(context: jetstream::Context, message: Bytes, turn: usize, number: u64) {
    let subject = format!("bare.openfaas-fn.echo.{turn:08}-0000-4000-8000-{number:012}");
    let mut headers = HeaderMap::new();
    headers.insert("Of-Nonce", "00000000000000000000000000000000");
    context.publish_with_headers(subject, headers, message).await.unwrap().await.unwrap();
}

/// What a server that syncs once for a whole batch would allow.
async fn batches(nats: &Nats, message: &Bytes) -> f64 {
    let client = async_nats::connect(&nats.url).await.unwrap();
    let config = serde_json::json!({
        "name": "BATCHES", "subjects": ["batches.>"], "retention": "workqueue", "storage": "file",
        "num_replicas": 1, "allow_atomic": true,
    });
    let created = client.request("$JS.API.STREAM.CREATE.BATCHES", config.to_string().into()).await.unwrap();
    assert!(!String::from_utf8_lossy(&created.payload).contains("error"), "{created:?}");
    let (began, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..2)
        .map(|task| {
            let (client, message, count) = (client.clone(), message.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                for number in 0.. {
                    if began.elapsed() > TURN {
                        return;
                    }
                    batch(&client, &format!("{task}-{number}"), &message).await;
                    count.fetch_add(AT_ONCE as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    per_second(count.load(Ordering::Relaxed), began)
}

async fn batch(client: &async_nats::Client, name: &str, message: &Bytes) {
    for number in 1..=AT_ONCE {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", name);
        headers.insert("Nats-Batch-Sequence", number.to_string());
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        let subject = format!("batches.openfaas-fn.echo.{name}-{number}");
        if number < AT_ONCE {
            client.publish_with_headers(subject, headers, message.clone()).await.unwrap();
            continue;
        }
        headers.insert("Nats-Batch-Commit", "1");
        let answer = client.request_with_headers(subject, headers, message.clone()).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer.payload).contains("error"), "{answer:?}");
    }
}

/// How many of these end per second.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    work: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> f64 {
    let (began, count) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (work, count) = (work.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                while began.elapsed() < TURN {
                    work(count.fetch_add(1, Ordering::Relaxed)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    per_second(count.load(Ordering::Relaxed), began)
}

/// Takes and settles for a while what was appended.
async fn drain(queue: &Jetstream) {
    let function = job("x").function;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < TURN {
        let taken = queue.take(&function, 64).await.unwrap();
        count += taken.len();
        let done = taken.iter().map(|taken| queue.settle(&taken.lease, &taken.record, Then::Done));
        for settled in futures_util::future::join_all(done).await {
            settled.unwrap();
        }
    }
    println!("taken and done: {:.0}/s", per_second(count as u64, began));
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts that far")]
fn per_second(count: u64, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
