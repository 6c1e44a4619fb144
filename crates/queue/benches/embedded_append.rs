//! How many jobs per second the engine on SQLite accepts from 64 tasks, and how many it takes and settles.
#![expect(clippy::print_stdout, reason = "it is its purpose")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use faas_api::{FunctionId, Namespace};
use faas_queue::embedded::Embedded;
use faas_queue::{Body, Job, Queue, Record, Settings, Then};

const TASKS: usize = 64;
const JOBS: usize = 200_000;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let folder = tempfile::TempDir::new_in(".")?;
    let queue = Arc::new(Embedded::open(folder.path(), Settings::default())?);
    let function = FunctionId::parse("echo", &Namespace::default())?;
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|task| tokio::spawn(append(Arc::clone(&queue), function.clone(), task)));
    for task in futures_util::future::join_all(tasks).await {
        task??;
    }
    report("accepted", begun.elapsed());
    let begun = Instant::now();
    let tasks = (0..TASKS).map(|_| tokio::spawn(drain(Arc::clone(&queue), function.clone())));
    for task in futures_util::future::join_all(tasks).await {
        task??;
    }
    report("taken and settled", begun.elapsed());
    Ok(())
}

fn report(what: &str, took: Duration) {
    let rate = JOBS as u128 * 1_000 / took.as_millis().max(1);
    println!("{JOBS} jobs {what} by {TASKS} tasks in {:.2} s: {rate}/s", took.as_secs_f64());
}

async fn append(queue: Arc<Embedded>, function: FunctionId, task: usize) -> Result<(), faas_queue::Error> {
    for number in 0..JOBS / TASKS {
        // Spread as random ids are.
        let spread = ((task * JOBS + number) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let id = format!("{spread:016x}-7b8e-4b8e-{task:04x}-{number:012x}");
        let id = id.parse().map_err(faas_queue::Error::unavailable("name a job"))?;
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let job = Job {
            id,
            fresh: true,
            function: function.clone(),
            method: "POST".into(),
            path: String::new(),
            query: String::new(),
            host: "127.0.0.1:8080".into(),
            headers: vec![header("Content-Type", "application/json"), header("User-Agent", "load")],
            callback: None,
            annotations: BTreeMap::new(),
            accepted_at: jiff::Timestamp::now(),
        };
        queue.append(job, Body::Whole(Bytes::from_static(&[b'x'; 256]))).await?;
    }
    Ok(())
}

async fn drain(queue: Arc<Embedded>, function: FunctionId) -> Result<(), faas_queue::Error> {
    loop {
        let taken = queue.take(&function, 16).await?;
        if taken.is_empty() {
            return Ok(());
        }
        for taken in taken {
            queue.settle(&taken.lease, &Record::default(), Then::Done).await?;
        }
    }
}
