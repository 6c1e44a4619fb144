use std::time::Duration;

use faas_queue::nats::{Durability, Jetstream, Options};
use faas_queue::{Event, Queue as _, Shelf, State};
use faas_testing::Nats;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, timeout};

use crate::support::{LONG, function, id, options, report};

const JOBS: usize = 100_000;

/// Wide: alone on two cores it takes less than a second.
const SOON: Duration = Duration::from_secs(20);

/// Synced now and then, since this is not about the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_jobs_survive_a_restart_and_hold_up_nothing() {
    let Some(mut nats) = Nats::start_with("sync_interval: 10s") else { return };
    let options = Options { durability: Durability::Unchecked, ..options(&nats, Duration::from_secs(30)) };
    let queue = Jetstream::open(options.clone()).await.unwrap();
    queue.append(crate::support::job("f", "first"), crate::support::text("x")).await.unwrap();
    publish_many(&nats).await;
    drop(queue);
    nats.kill();
    nats.restart();

    let began = Instant::now();
    let queue = Jetstream::open(options).await.unwrap();
    let heard = timeout(LONG, queue.events().next()).await.unwrap();
    assert_eq!(heard, Some(Event::Due(function("f"))));
    let taken = queue.take(&function("f"), 1).await.unwrap();
    let serving = began.elapsed();
    assert_eq!(taken[0].lease.id, id("first"));

    let began = Instant::now();
    assert_eq!(queue.find(&id("j77777")).await.unwrap().unwrap().state, State::Queued);
    let found = began.elapsed();
    let began = Instant::now();
    let depths = queue.depths().await.unwrap();
    let counted = began.elapsed();
    assert_eq!((depths[0].waiting, depths[0].running), (JOBS as u64, 1));
    assert_eq!(queue.list(&function("f"), Shelf::Live, 3).await.unwrap().len(), 3);
    report(&format!(
        "{JOBS} jobs: serving after {serving:?}, found one in {found:?}, counted in {counted:?}"
    ));
    assert!(serving < SOON && found < SOON && counted < SOON);
    let began = Instant::now();
    assert_eq!(queue.purge(&function("f"), Shelf::Live).await.unwrap(), JOBS as u64);
    report(&format!("purged in {:?}", began.elapsed()));
    assert_eq!(queue.depths().await.unwrap()[0].running, 1);
}

async fn publish_many(nats: &Nats) {
    let context = async_nats::jetstream::new(async_nats::connect(&nats.url).await.unwrap());
    stream::iter(0..JOBS)
        .map(|number| {
            let context = context.clone();
            async move {
                let subject = format!("faas-request.openfaas-fn.f.j{number}");
                let message = br#"{"Method":"POST","Function":"f","CallbackUrl":null}"#;
                context.publish(subject, message[..].into()).await.unwrap().await
            }
        })
        .buffer_unordered(256)
        .try_for_each(|_| async { Ok(()) })
        .await
        .unwrap();
}
