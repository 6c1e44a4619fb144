//! The engine on SQLite with 100,000 jobs, and with bodies that do not fit in memory: one process, one test, since it
//! looks at its own memory. Times are printed, not asserted.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

#[path = "embedded/fixture.rs"]
#[expect(dead_code, reason = "others use the rest")]
mod fixture;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use faas_queue::embedded::{Clock, Embedded, Options};
use faas_queue::{Body, Event, Queue, Record, Settings, Shelf, Then};
use futures_util::{StreamExt as _, stream};
use tempfile::TempDir;

use fixture::{function, id, job};

const JOBS: usize = 100_000;
const TASKS: usize = 64;

fn open(folder: &Path) -> Arc<Embedded> {
    let options = Options { clock: Clock::default(), sync: false };
    Arc::new(Embedded::open_with(folder, Settings::default(), options).unwrap())
}

/// What this process has in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn fill(queue: &Arc<Embedded>) {
    let tasks = (0..TASKS).map(|task| {
        let queue = Arc::clone(queue);
        tokio::spawn(async move {
            for number in (task..JOBS).step_by(TASKS) {
                let body = Body::Whole(Bytes::from(vec![b'x'; 300]));
                queue.append(job(&format!("job-{number}"), &function("busy")), body).await.unwrap();
            }
        })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_jobs_and_large_bodies_cost_no_memory_and_no_start() {
    let folder = TempDir::new().unwrap();
    let queue = open(folder.path());
    queue.append(job("first", &function("busy")), Body::Whole(Bytes::new())).await.unwrap();
    fill(&queue).await;
    drop(queue);
    let (before, begun) = (resident(), Instant::now());
    let queue = open(folder.path());
    let opened = begun.elapsed();
    let event = queue.events().next().await;
    println!("{JOBS} jobs: open took {opened:?}, memory grew by {} KiB", resident().saturating_sub(before));
    assert!(opened < Duration::from_secs(20), "{opened:?}");
    assert_eq!(event, Some(Event::Due(function("busy"))));
    every_question_is_cheap(&queue).await;
    one_job_beside_them(&queue).await;
    let grown = resident().saturating_sub(before);
    println!("memory grew by {grown} KiB in all");
    assert!(grown < 64 << 10, "it grew by {grown} KiB");
    steering_many(&queue).await;
    large_bodies_pass_through(&queue).await;
}

async fn every_question_is_cheap(queue: &Embedded) {
    let begun = Instant::now();
    for _ in 0..100 {
        let depths = queue.depths().await.unwrap();
        assert_eq!((depths.len(), depths[0].waiting), (1, JOBS as u64 + 1));
    }
    println!("depths: {:?} each", begun.elapsed() / 100);
    let begun = Instant::now();
    assert_eq!(queue.list(&function("busy"), Shelf::Live, 20).await.unwrap().len(), 20);
    assert!(queue.find(&id("job-77777")).await.unwrap().is_some());
    println!("list and find: {:?}", begun.elapsed());
}

async fn one_job_beside_them(queue: &Embedded) {
    let begun = Instant::now();
    queue.append(job("alone", &function("other")), Body::Whole(Bytes::new())).await.unwrap();
    let taken = queue.take(&function("other"), 10).await.unwrap().pop().unwrap();
    queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
    println!("another function's job accepted, taken and settled: {:?}", begun.elapsed());
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(queue.take(&function("busy"), 16).await.unwrap().len(), 16);
    }
    println!("ten times 16 jobs taken: {:?}", begun.elapsed());
}

/// Purged in portions: others have their turn meanwhile.
async fn steering_many(queue: &Arc<Embedded>) {
    let (begun, purger) = (Instant::now(), Arc::clone(queue));
    let purging = tokio::spawn(async move { purger.purge(&function("busy"), Shelf::Live).await });
    let mut longest = Duration::ZERO;
    for number in 0.. {
        let asked = Instant::now();
        let body = Body::Whole(Bytes::new());
        queue.append(job(&format!("beside-{number}"), &function("beside")), body).await.unwrap();
        longest = longest.max(asked.elapsed());
        if purging.is_finished() {
            break;
        }
    }
    assert_eq!(purging.await.unwrap().unwrap(), JOBS as u64 + 1 - 160);
    println!("purged in {:?}; an append beside it took {longest:?} at most", begun.elapsed());
}

/// 192 MiB in and out.
async fn large_bodies_pass_through(queue: &Embedded) {
    const PIECES: usize = 3 * 1024;
    let (echo, piece) = (function("large"), Bytes::from(vec![b'x'; 64 << 10]));
    let before = resident();
    let body = stream::iter(vec![piece; PIECES]).map(Ok).boxed();
    queue.append(job("large", &echo), Body::Stream(body)).await.unwrap();
    let taken = queue.take(&echo, 1).await.unwrap().pop().unwrap();
    queue.keep_result(&taken.lease, taken.body).await.unwrap();
    let Some(Body::Stream(mut result)) = queue.result(&id("large")).await.unwrap() else {
        unreachable!("it does not fit in memory")
    };
    let mut size = 0;
    while let Some(bytes) = result.next().await {
        size += bytes.unwrap().len();
    }
    assert_eq!(size, PIECES << 16);
    let grown = resident().saturating_sub(before);
    println!("{} MiB in, kept as result and out: memory grew by {grown} KiB", size >> 20);
    assert!(grown < 32 << 10, "it grew by {grown} KiB");
}
