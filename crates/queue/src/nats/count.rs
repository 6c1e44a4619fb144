//! How many jobs wait for a function: asked of its consumer, about once a second.

use std::time::Duration;

use faas_api::FunctionId;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::names::{Names, Stream};
use super::store::{Fault, Publish};
use super::{Engine, streams};
use crate::Error;

/// How long a count is believed, and how long one that says "full".
const FRESH: Duration = Duration::from_secs(1);
const FRESH_FULL: Duration = Duration::from_millis(20);

/// A count, and when it was asked for. What was appended since is added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    waiting: u64,
    at: Instant,
}

/// What a consumer says of its function's jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// Never delivered.
    pub(super) new: u64,
    /// Leased, or waiting for another attempt.
    pub(super) delivered: u64,
}

impl Engine {
    /// Whether the function may have another job.
    pub(super) async fn admit(&self, function: &FunctionId) -> Result<(), Error> {
        let limit = self.settings.most_waiting;
        let known = self.counts().get(function).copied();
        let fresh = if known.is_none_or(|count| count.waiting < limit) { FRESH } else { FRESH_FULL };
        let waiting = match known.filter(|count| count.at.elapsed() < fresh) {
            Some(count) => count.waiting,
            None => self.recount(function).await?,
        };
        if waiting < limit { Ok(()) } else { Err(Error::Full { limit }) }
    }

    /// Another one waits.
    pub(super) fn count_one(&self, function: &FunctionId) {
        if let Some(count) = self.counts().get_mut(function) {
            count.waiting += 1;
        }
    }

    async fn recount(&self, function: &FunctionId) -> Result<u64, Error> {
        let at = Instant::now();
        // The others believe the old count meanwhile.
        if let Some(count) = self.counts().get_mut(function) {
            count.at = at;
        }
        let pending = self.pending(function).await?;
        // Whether they run matters only near the limit.
        let running = match pending.delivered {
            0 => 0,
            _ if pending.all() < self.settings.most_waiting => 0,
            _ => self.running(function).await?,
        };
        let waiting = pending.all().saturating_sub(running);
        self.counts().insert(function.clone(), Count { waiting, at });
        Ok(waiting)
    }

    /// Leases of the function's jobs, all workers'.
    pub(super) async fn running(&self, function: &FunctionId) -> Result<u64, Error> {
        let leases = self.store.names.jobs(Stream::Leases, function);
        Ok(self.store.subjects(Stream::Leases, &leases).await?.len() as u64)
    }

    /// The function's consumer says; it is made if it is not there.
    pub(super) async fn pending(&self, function: &FunctionId) -> Result<Pending, Error> {
        let api =
            format!("CONSUMER.INFO.{}.{}", self.store.names.stream(Stream::Jobs), Names::consumer(function));
        let info = self.store.api_or_404("count jobs in NATS", api, &json!({})).await?;
        match info {
            Some(info) => Ok(Pending::of(&info)),
            None => self.make_consumer(function).await,
        }
    }

    /// Makes the function's consumer, or brings it up to date. Registers the function before: consumers go, and that is
    /// how workers find jobs that have none.
    pub(super) async fn make_consumer(&self, function: &FunctionId) -> Result<Pending, Error> {
        let what = "make a consumer in NATS";
        self.register(function).await?;
        self.store.connected(what).await?;
        let config = streams::consumer(&self.store.names, function, &self.settings);
        let stream = self.store.names.stream(Stream::Jobs);
        let consumer = self.store.context.create_consumer_on_stream(config, stream).await;
        let consumer = consumer.map_err(Error::unavailable(what))?;
        self.consumers().insert(function.clone());
        let info = consumer.cached_info();
        Ok(Pending { new: info.num_pending, delivered: info.num_ack_pending as u64 })
    }

    /// Writes down that there is such a function, anew, so that nobody removes it who looked before.
    async fn register(&self, function: &FunctionId) -> Result<(), Error> {
        let subject = self.store.names.function(Stream::Functions, function);
        self.store.publish(subject, Publish::default()).await.map(drop).map_err(Fault::into)
    }
}

impl Pending {
    pub(super) fn of(info: &Value) -> Self {
        let number = |name: &str| info.get(name).and_then(Value::as_u64).unwrap_or_default();
        Self { new: number("num_pending"), delivered: number("num_ack_pending") }
    }

    pub(super) fn all(self) -> u64 {
        self.new + self.delivered
    }
}
