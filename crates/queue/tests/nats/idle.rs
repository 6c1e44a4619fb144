//! Names for which nothing lies there any more: anybody may queue for any.

use std::collections::HashSet;
use std::time::Duration;

use faas_queue::{Event, Queue as _, Record, Then};
use faas_testing::Nats;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::support::{LONG, context, function, job, open, take_one, text};

const LEASE: Duration = Duration::from_secs(30);
const NAMES: usize = 60;
/// Every so many has a job that waits.
const WAITING: usize = 3;

fn name(number: usize) -> String {
    format!("f{number}")
}

/// As the server does after an hour in which nobody took anything.
async fn forget_consumers(nats: &Nats) {
    let context = context(nats).await;
    for number in 0..NAMES {
        let consumer = format!("openfaas-fn_{}", name(number));
        context.delete_consumer_from_stream(&consumer, "OF_faas-request").await.unwrap();
    }
}

async fn registered(nats: &Nats) -> u64 {
    context(nats).await.get_stream("OF_faas-request_FUNCTIONS").await.unwrap().cached_info().state.messages
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_jobs_are_forgotten_and_no_others() {
    let Some(nats) = Nats::start() else { return };
    let queue = open(&nats, LEASE).await;
    for number in 0..NAMES {
        queue.append(job(&name(number), &format!("j{number}")), text("hello")).await.unwrap();
        if number % WAITING != 0 {
            let taken = take_one(&queue, &name(number)).await;
            queue.settle(&taken.lease, &Record::default(), Then::Done).await.unwrap();
        }
    }
    assert_eq!(registered(&nats).await, NAMES as u64);
    assert_eq!(queue.forget_idle(Duration::ZERO).await.unwrap(), 0, "they have consumers");
    forget_consumers(&nats).await;
    assert_eq!(queue.forget_idle(Duration::from_hours(1)).await.unwrap(), 0, "they are new");
    let waiting = NAMES / WAITING;
    assert_eq!(queue.forget_idle(Duration::ZERO).await.unwrap(), (NAMES - waiting) as u64);
    assert_eq!(registered(&nats).await, waiting as u64);

    // A name that was forgotten is one like any other, and jobs that wait are found.
    queue.append(job(&name(1), "again"), text("hello")).await.unwrap();
    assert_eq!(registered(&nats).await, waiting as u64 + 1);
    let worker = open(&nats, LEASE).await;
    let mut due: HashSet<_> = (0..NAMES)
        .filter(|number| number % WAITING == 0)
        .chain([1])
        .map(|number| function(&name(number)))
        .collect();
    let mut events = worker.events();
    while !due.is_empty() {
        let Some(Event::Due(function)) = timeout(LONG, events.next()).await.unwrap() else { continue };
        due.remove(&function);
    }
    assert_eq!(take_one(&worker, &name(1)).await.job.id.as_str(), "again");
}
