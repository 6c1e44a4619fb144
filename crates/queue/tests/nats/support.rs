//! What the tests share: a server with a queue in it, and jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::Context;
use bytes::Bytes;
use faas_api::FunctionId;
use faas_queue::nats::{Credentials, Durability, Jetstream, Options};
use faas_queue::{Body, CallId, Job, Queue as _, Settings, Taken};
use faas_testing::Nats;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Past it a test has failed.
pub(crate) const LONG: Duration = Duration::from_mins(1);

pub(crate) fn options(nats: &Nats, lease: Duration) -> Options {
    Options {
        servers: vec![nats.url.clone()],
        credentials: Credentials::None,
        queue: "faas-request".parse().unwrap(),
        replicas: 1,
        durability: Durability::Checked { monitors: vec![nats.monitor.clone()] },
        settings: Settings { lease, ..Settings::default() },
    }
}

pub(crate) async fn open(nats: &Nats, lease: Duration) -> Jetstream {
    Jetstream::open(options(nats, lease)).await.unwrap()
}

/// A client of its own, that does what others do.
pub(crate) async fn context(nats: &Nats) -> Context {
    async_nats::jetstream::new(async_nats::connect(&nats.url).await.unwrap())
}

/// Writes a job's record anew, as whoever holds its lease might.
pub(crate) async fn change_record(nats: &Nats, call: &str, change: impl FnOnce(&mut Value)) {
    let (context, subject) = (context(nats).await, format!("_of.record.faas-request.openfaas-fn.f.{call}"));
    let records = context.get_stream("OF_faas-request_RECORDS").await.unwrap();
    let lying = records.get_last_raw_message_by_subject(&subject).await.unwrap();
    let mut entry = serde_json::from_slice(&lying.payload).unwrap();
    change(&mut entry);
    context.publish(subject, entry.to_string().into()).await.unwrap().await.unwrap();
}

pub(crate) fn function(name: &str) -> FunctionId {
    FunctionId::new(name.parse().unwrap(), "openfaas-fn".parse().unwrap())
}

pub(crate) fn id(text: &str) -> CallId {
    text.parse().unwrap()
}

pub(crate) fn job(name: &str, call: &str) -> Job {
    Job {
        id: id(call),
        fresh: false,
        function: function(name),
        method: "POST".into(),
        path: "/a".into(),
        query: "b=c".into(),
        host: "gateway".into(),
        headers: vec![("content-type".into(), "text/plain".into()), ("x-call-id".into(), call.into())],
        callback: None,
        annotations: BTreeMap::new(),
        accepted_at: Timestamp::now(),
    }
}

pub(crate) fn text(text: &'static str) -> Body {
    Body::Whole(Bytes::from_static(text.as_bytes()))
}

pub(crate) async fn read(body: Body) -> Vec<u8> {
    match body {
        Body::Whole(bytes) => bytes.to_vec(),
        Body::Stream(pieces) => pieces
            .try_fold(Vec::new(), |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            })
            .await
            .unwrap(),
    }
}

/// Takes until something comes.
pub(crate) async fn take_some(queue: &Jetstream, name: &str, most: usize) -> Vec<Taken> {
    let deadline = Instant::now() + LONG;
    loop {
        if let Ok(taken) = queue.take(&function(name), most).await
            && !taken.is_empty()
        {
            return taken;
        }
        assert!(Instant::now() < deadline, "waited a minute for a job of {name}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn take_one(queue: &Jetstream, name: &str) -> Taken {
    take_some(queue, name, 1).await.pop().unwrap()
}

#[expect(clippy::print_stderr, reason = "a test that claims that nothing was lost says of how many")]
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
}
