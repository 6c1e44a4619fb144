//! A server that is full: what comes is refused, what lies there is worked off.

use std::time::Duration;

use faas_queue::{Body, Error, Queue as _, Record, Shelf, State, Then};
use faas_testing::Nats;
use tokio::time::Instant;

use crate::support::{LONG, context, function, id, job, open, take_one, take_some, text};

const LEASE: Duration = Duration::from_secs(30);
const SMALL: &str = "jetstream { sync_interval: always, store_dir: jetstream, max_file_store: 20MB }";

fn large(bytes: usize) -> Body {
    Body::Whole(vec![b'x'; bytes].into())
}

#[tokio::test]
async fn a_full_store_refuses_jobs_and_recovers_by_working_them_off() {
    let Some(nats) = Nats::start_configured(SMALL) else { return };
    let queue = open(&nats, LEASE).await;
    let mut accepted = 0;
    for size in [600_000, 2_000_000] {
        let refused = loop {
            match queue.append(job("f", &format!("j{accepted}")), large(size)).await {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::Unavailable { .. }), "{accepted}: {refused:?}");
    }
    assert!(accepted > 5, "{accepted}");
    let (mut settled, deadline) = (0, Instant::now() + LONG);
    while settled < accepted && Instant::now() < deadline {
        for taken in take_some(&queue, "f", 3).await {
            // Some die, with their answers.
            // What has no room is not kept.
            let _ = queue.keep_result(&taken.lease, large(800_000)).await;
            let then = if settled % 4 == 0 { Then::Dead } else { Then::Done };
            queue.settle(&taken.lease, &Record::default(), then).await.unwrap();
            settled += 1;
        }
    }
    assert_eq!(settled, accepted);
    queue.append(job("f", "again"), large(600_000)).await.unwrap();
    assert_eq!(take_one(&queue, "f").await.lease.id, id("again"));
    queue.purge(&function("f"), Shelf::Dead).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_finds_no_room_is_not_kept_and_its_job_is_done() {
    const JOBS: usize = 8;
    let Some(nats) = Nats::start_configured(SMALL) else { return };
    let queue = open(&nats, LEASE).await;
    let mut kept = 0;
    for number in 0..JOBS {
        let call = format!("j{number}");
        queue.append(job("f", &call), text("hello")).await.unwrap();
        let lease = take_one(&queue, "f").await.lease;
        let told = queue.keep_result(&lease, large(900_000)).await;
        queue.settle(&lease, &Record::default(), Then::Done).await.unwrap();
        assert_eq!(queue.find(&id(&call)).await.unwrap().unwrap().state, State::Done);
        let here = queue.result(&id(&call)).await.unwrap().is_some();
        assert_eq!(told.is_ok(), here, "what is not kept is said: {told:?}");
        kept += usize::from(here);
    }
    assert!(kept > 0 && kept < JOBS, "{kept} of {JOBS} answers are kept");
}

/// Somebody else was promised the server's room.
#[tokio::test]
async fn where_no_share_can_be_set_aside_the_queue_opens_all_the_same() {
    let Some(nats) = Nats::start_configured(SMALL) else { return };
    let other = async_nats::jetstream::stream::Config {
        name: "OTHER".into(),
        subjects: vec!["other".into()],
        max_bytes: 18_000_000,
        ..Default::default()
    };
    context(&nats).await.create_stream(other).await.unwrap();
    let queue = open(&nats, LEASE).await;
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    assert_eq!(take_one(&queue, "f").await.lease.id, id("one"));
}
