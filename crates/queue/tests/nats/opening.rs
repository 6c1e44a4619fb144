use std::time::Duration;

use async_nats::jetstream::stream::{Config, StorageType};
use faas_queue::nats::{Credentials, Durability, Jetstream, OpenError, Options};
use faas_queue::{Error, Event, Queue as _};
use faas_testing::Nats;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::support::{LONG, context, function, job, options, take_one, text};

const LEASE: Duration = Duration::from_secs(30);

async fn refusal(options: Options) -> String {
    match Jetstream::open(options).await {
        Ok(_) => unreachable!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_server_that_does_not_sync_always_is_refused() {
    let Some(nats) = Nats::start_with("sync_interval: 1s") else { return };
    let said = refusal(options(&nats, LEASE)).await;
    assert!(said.contains("sync_interval: always"), "{said}");
    let unchecked = Options { durability: Durability::Unchecked, ..options(&nats, LEASE) };
    Jetstream::open(unchecked).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_refused() {
    let Some(nats) = Nats::start() else { return };
    for monitors in [vec![], vec!["127.0.0.1:1".to_owned()]] {
        let durability = Durability::Checked { monitors };
        let said = refusal(Options { durability, ..options(&nats, LEASE) }).await;
        assert!(said.contains("monitoring address"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_comes_back_without_syncing_accepts_nothing() {
    let Some(mut nats) = Nats::start() else { return };
    let queue = Jetstream::open(options(&nats, LEASE)).await.unwrap();
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    nats.kill();
    nats.restart_with("sync_interval: 1s");
    for number in 0..3 {
        let refused = queue.append(job("f", &format!("r{number}")), text("hello")).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    }
    // What was accepted is worked off.
    assert_eq!(take_one(&queue, "f").await.job.id.as_str(), "one");
    nats.kill();
    nats.restart_with("sync_interval: always");
    timeout(LONG, async {
        while queue.append(job("f", "two"), text("hello")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    // One that was refused may have been written before that was known.
    while take_one(&queue, "f").await.job.id.as_str() != "two" {}
}

/// The account may ask the servers itself.
const ACCOUNTS: &str = r#"
jetstream { SYNC, store_dir: jetstream, max_memory_store: 256MB, max_file_store: 1GB }
accounts {
  SYS: { exports: [ { service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream } ] }
  FAAS: {
    jetstream: enabled
    users: [ { user: faas, password: secret } ]
    imports: [ { service: { account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" } } ]
  }
}
system_account: SYS
"#;

#[tokio::test]
async fn an_account_that_may_ask_needs_no_monitoring() {
    for (sync, opens) in [("sync_interval: always", true), ("sync_interval: 1s", false)] {
        let Some(nats) = Nats::start_configured(&ACCOUNTS.replace("SYNC", sync)) else { return };
        let credentials = Credentials::User { name: "faas".into(), password: "secret".into() };
        let durability = Durability::Checked { monitors: Vec::new() };
        let opened = Jetstream::open(Options { credentials, durability, ..options(&nats, LEASE) }).await;
        assert_eq!(opened.is_ok(), opens, "{sync}: {:?}", opened.err().map(|error| error.to_string()));
    }
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let Some(mut nats) = Nats::start_configured("") else { return };
    assert!(matches!(Jetstream::open(options(&nats, LEASE)).await, Err(OpenError::NoJetStream)));
    nats.kill();
    assert!(matches!(Jetstream::open(options(&nats, LEASE)).await, Err(OpenError::Connect { .. })));
}

#[tokio::test]
async fn opening_again_changes_streams_and_keeps_jobs() {
    let Some(nats) = Nats::start() else { return };
    let queue = Jetstream::open(options(&nats, LEASE)).await.unwrap();
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    let context = async_nats::jetstream::new(async_nats::connect(&nats.url).await.unwrap());
    let mut old = context.get_stream("OF_faas-request").await.unwrap().cached_info().config.clone();
    old.republish = None;
    old.allow_direct = false;
    context.update_stream(old).await.unwrap();
    let queue = Jetstream::open(options(&nats, LEASE)).await.unwrap();
    let config = context.get_stream("OF_faas-request").await.unwrap().cached_info().config.clone();
    assert!(config.allow_direct && config.republish.is_some());
    assert_eq!(take_one(&queue, "f").await.job.id.as_str(), "one");
}

#[tokio::test]
async fn a_queue_may_be_there_before_its_server() {
    let Some(mut nats) = Nats::start() else { return };
    nats.kill();
    let queue = Jetstream::start(options(&nats, LEASE));
    let mut events = queue.events();
    let refused = queue.append(job("f", "early"), text("hello")).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    nats.restart();
    timeout(LONG, queue.opened()).await.unwrap();
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    assert_eq!(timeout(LONG, events.next()).await.unwrap(), Some(Event::Due(function("f"))));
    assert_eq!(take_one(&queue, "f").await.job.id.as_str(), "one");
    assert_eq!(queue.reconnects(), 0);
    nats.kill();
    nats.restart();
    timeout(LONG, async {
        while queue.reconnects() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

/// Where the stream of leases lies cannot be changed, so it is made anew; whatever else is wrong with it is not mended.
#[tokio::test]
async fn the_stream_of_leases_is_removed_only_if_it_lies_elsewhere() {
    let Some(nats) = Nats::start() else { return };
    let name = "OF_faas-request_LEASES";
    let queue = Jetstream::open(options(&nats, LEASE)).await.unwrap();
    queue.append(job("f", "one"), text("hello")).await.unwrap();
    take_one(&queue, "f").await;
    let context = context(&nats).await;
    let config = context.get_stream(name).await.unwrap().cached_info().config.clone();
    let sealed = Config { sealed: true, ..config.clone() };
    context.update_stream(sealed).await.unwrap();
    assert!(matches!(Jetstream::open(options(&nats, LEASE)).await, Err(OpenError::Streams { .. })));
    assert_eq!(context.get_stream(name).await.unwrap().cached_info().state.messages, 1);

    context.delete_stream(name).await.unwrap();
    let other = Config { storage: StorageType::Memory, persist_mode: None, ..config.clone() };
    context.create_stream(other).await.unwrap();
    Jetstream::open(options(&nats, LEASE)).await.unwrap();
    assert_eq!(context.get_stream(name).await.unwrap().cached_info().config.storage, StorageType::File);

    context.delete_stream(name).await.unwrap();
    context.create_stream(Config { persist_mode: None, ..config }).await.unwrap();
    Jetstream::open(options(&nats, LEASE)).await.unwrap();
}
