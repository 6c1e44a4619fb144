//! What a case works with: a queue, jobs that differ in every field, and waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use faas_api::{FunctionId, Namespace};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::Harness;
use crate::{
    Answer, Attempt, Body, CallId, Error, Event, Found, Job, Lease, Queue, Record, Settings, Taken, Then,
};

/// Long enough for any machine; a case that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct World {
    pub(super) queue: Arc<dyn Queue>,
}

impl World {
    /// With leases that no case outlives.
    pub(super) async fn new(harness: &dyn Harness) -> Self {
        Self::with(harness, settings()).await
    }

    /// With leases that end while the case waits.
    pub(super) async fn with_short_leases(harness: &dyn Harness) -> Self {
        Self::with(harness, Settings { lease: harness.lease(), ..settings() }).await
    }

    pub(super) async fn with(harness: &dyn Harness, settings: Settings) -> Self {
        Self { queue: harness.start(settings).await }
    }

    pub(super) async fn restart(self, harness: &dyn Harness) -> Self {
        drop(self.queue);
        Self { queue: harness.restart().await }
    }

    /// Appends a job with a short body.
    pub(super) async fn append(&self, name: &str, function: &FunctionId) -> Job {
        let job = job(name, function);
        let body = Body::Whole(Bytes::from(format!("body of {name}")));
        self.queue.append(job.clone(), body).await.expect("the job is accepted");
        job
    }

    pub(super) async fn append_all(&self, names: &[&str], function: &FunctionId) {
        for name in names {
            self.append(name, function).await;
        }
    }

    /// Takes one job as soon as there is one.
    pub(super) async fn take(&self, function: &FunctionId) -> Taken {
        eventually("a job to take", async || {
            let taken = self.queue.take(function, 1).await.expect("jobs are taken");
            assert!(taken.len() <= 1, "more were taken than asked");
            taken.into_iter().next()
        })
        .await
    }

    /// Takes this one job, which is the only one to take.
    pub(super) async fn take_it(&self, name: &str, function: &FunctionId) -> Lease {
        let taken = self.take(function).await;
        assert_eq!(taken.job.id, id(name));
        taken.lease
    }

    /// That there is nothing to take; asked a few times, since an engine may take its time.
    pub(super) async fn nothing_to_take(&self, function: &FunctionId) {
        for _ in 0..3 {
            let taken = self.queue.take(function, 10).await.expect("jobs are taken");
            let ids: Vec<_> = taken.iter().map(|taken| taken.job.id.as_str()).collect();
            assert!(ids.is_empty(), "{ids:?} were taken");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn settle(&self, lease: &Lease, record: &Record, then: Then) {
        self.queue.settle(lease, record, then).await.expect("the lease holds");
    }

    pub(super) async fn found(&self, name: &str) -> Found {
        let found = self.queue.find(&id(name)).await.expect("jobs are found");
        found.unwrap_or_else(|| panic!("{name} is not found"))
    }

    pub(super) async fn is_unknown(&self, name: &str) {
        let found = self.queue.find(&id(name)).await.expect("jobs are looked for");
        assert!(found.is_none(), "{name} is found: {found:?}");
    }

    pub(super) async fn result(&self, name: &str) -> Option<Bytes> {
        let body = self.queue.result(&id(name)).await.expect("results are read")?;
        Some(read(body).await)
    }
}

pub(super) fn settings() -> Settings {
    Settings { lease: Duration::from_mins(5), most_body: 8 << 20, ..Settings::default() }
}

pub(super) fn function(name: &str) -> FunctionId {
    FunctionId::parse(name, &Namespace::default()).expect("the name is valid")
}

pub(super) fn id(name: &str) -> CallId {
    name.parse().expect("the id is valid")
}

/// A job with something in every field, and in each the name.
pub(super) fn job(name: &str, function: &FunctionId) -> Job {
    let pairs = [("X-Name", name), ("x-name", "twice"), ("X-Latin", "caf\u{e9}"), ("X-Empty", "")];
    Job {
        id: id(name),
        fresh: false,
        function: function.clone(),
        method: "PUT".into(),
        path: format!("/a%20b//{name}"),
        query: format!("name={name}&empty"),
        host: "gateway:8080".into(),
        headers: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        callback: Some(format!("http://example.com/{name}")),
        annotations: BTreeMap::from([("com.openfaas.retry.attempts".into(), "3".into())]),
        accepted_at: Timestamp::now(),
    }
}

/// What a worker writes down after some attempts.
pub(super) fn record(statuses: &[u16]) -> Record {
    let attempt = |status: &u16| Attempt {
        at: Timestamp::UNIX_EPOCH,
        seconds: 0.25,
        status: Some(*status),
        failure: (*status != 200).then(|| "a status that is tried again".to_owned()),
    };
    let answer = statuses.last().filter(|status| **status == 200).map(|status| Answer {
        status: *status,
        headers: vec![("Content-Type".into(), "text/plain".into())],
        size: 5,
        kept: true,
    });
    Record { attempts: statuses.iter().map(attempt).collect(), answer, ..Record::default() }
}

pub(super) async fn read(body: Body) -> Bytes {
    match body {
        Body::Whole(bytes) => bytes,
        Body::Stream(stream) => {
            let pieces: Vec<_> = stream.try_collect().await.expect("the body is whole");
            pieces.concat().into()
        }
    }
}

/// Looks until there is something, or panics.
pub(super) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Listens until all of these were heard, in any order, among others.
pub(super) async fn hears(events: &mut BoxStream<'static, Event>, mut wanted: Vec<Event>) {
    let hearing = async {
        while !wanted.is_empty() {
            let event = events.next().await.expect("events go on");
            wanted.retain(|wanted| *wanted != event);
        }
    };
    let heard = tokio::time::timeout(PATIENCE, hearing).await;
    assert!(heard.is_ok(), "waited in vain for {wanted:?}");
}

pub(super) fn is_lost<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::LeaseLost(_)))
}
