//! Jobs that come at the same time go in one batch; what becomes of the batch is no job's loss.

use std::collections::BTreeSet;
use std::time::Duration;

use faas_queue::nats::Jetstream;
use faas_queue::{Body, Error, Job, Queue as _, Record, Then};
use faas_testing::Nats;
use futures_util::future::join_all;

use crate::support::{context, function, job, open, take_some};

const LEASE: Duration = Duration::from_secs(30);
const JOBS: usize = 500;

/// Under a name that nobody had before.
fn fresh(number: usize) -> Job {
    Job { fresh: true, ..job("f", &format!("j{number}")) }
}

/// Appends all of them at once.
async fn append_all(queue: &Jetstream, bytes: usize) -> Vec<Result<(), Error>> {
    let body = || Body::Whole(vec![b'x'; bytes].into());
    join_all((0..JOBS).map(|number| queue.append(fresh(number), body()))).await
}

/// Works off so many jobs, each of which must come once, and then no more. Their names.
async fn work_off(queue: &Jetstream, count: usize) -> BTreeSet<String> {
    let mut ran = BTreeSet::new();
    while ran.len() < count {
        for taken in take_some(queue, "f", 64).await {
            assert!(ran.insert(taken.lease.id.to_string()), "{} came twice", taken.lease.id);
            queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
        }
    }
    assert!(queue.take(&function("f"), 1).await.unwrap().is_empty());
    ran
}

/// How many of the jobs that lie in the stream came in a batch.
async fn in_batches(nats: &Nats) -> usize {
    let stream = context(nats).await.get_stream("OF_faas-request").await.unwrap();
    let mut count = 0;
    for sequence in 1..=JOBS as u64 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        count += usize::from(message.headers.get("Nats-Batch-Id").is_some());
    }
    count
}

#[tokio::test]
async fn jobs_that_come_together_go_together() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    for accepted in append_all(&queue, 100).await {
        accepted.unwrap();
    }
    let together = in_batches(&nats).await;
    assert!(together > JOBS / 2, "{together} of {JOBS} came in a batch");
    assert_eq!(work_off(&queue, JOBS).await.len(), JOBS);
}

#[tokio::test]
async fn a_batch_that_is_refused_is_published_job_by_job() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    let context = context(&nats).await;
    let mut stream = context.get_stream("OF_faas-request").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.allow_atomic_publish = false;
    context.update_stream(config).await.unwrap();
    for accepted in append_all(&queue, 100).await {
        accepted.unwrap();
    }
    assert_eq!(in_batches(&nats).await, 0);
    assert_eq!(work_off(&queue, JOBS).await.len(), JOBS);
}

#[tokio::test]
async fn what_a_full_server_takes_no_more_is_refused_and_the_rest_runs() {
    const SMALL: &str = "jetstream { sync_interval: always, store_dir: jetstream, max_file_store: 10MB }";
    let Some(nats) = Nats::start_configured(SMALL) else { return };
    let queue = open(&nats, LEASE).await;
    let told = append_all(&queue, 10_000).await;
    let accepted: BTreeSet<_> = (0..JOBS).filter(|&number| told[number].is_ok()).collect();
    for refused in told.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    }
    assert!(!accepted.is_empty() && accepted.len() < JOBS, "{} of {JOBS}", accepted.len());
    let accepted: BTreeSet<_> = accepted.iter().map(|number| format!("j{number}")).collect();
    assert_eq!(work_off(&queue, accepted.len()).await, accepted);
}
