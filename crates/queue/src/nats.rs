//! The engine for many processes: NATS JetStream, 2.15 or newer.
//!
//! Accepting a job is one publication, acknowledged when it is on the server's disk; those that come at the same time go
//! in one batch. Each function has a consumer that all workers pull from; a lease is an unacknowledged delivery, and a
//! record that names the lease: the record is replaced only by who knows its version, so a worker that was slow or cut
//! off cannot settle what is another's now. Every step that takes two writes does the record first, and whoever meets
//! the job next does what is missing.
//!
//! It owns its connection, its streams and what is in them. It may be made before its server is there. It refuses a
//! server that answers before a write is on disk. It does not become: a client for other streams.
//!
//! Bounded: requests end within seconds, a taker gets at most 256 jobs at once, bodies pass in chunks. Limits of jobs
//! that wait are kept approximately: each process asks for the count about once a second and adds what it appended.

mod append;
mod batches;
mod bodies;
mod connect;
mod count;
mod depths;
mod events;
mod find;
mod lookups;
mod lying;
mod message;
mod names;
mod opening;
mod pull;
mod records;
mod results;
mod settle;
mod steer;
mod store;
mod streams;
mod sweep;
mod sync;
mod take;
mod url;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use faas_api::FunctionId;
use futures_util::stream::BoxStream;
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use connect::{Credentials, OpenError, Options};
pub use sync::Durability;

use crate::{
    Body, CallId, Depth, Error, Event, Found, Job, Lease, Queue, Record, Settings, Shelf, Taken, Then,
};
use batches::Batches;
use lookups::Lookups;
use records::Entry;
use store::Store;

/// A queue in NATS JetStream. Clones are the same one; the last to go ends its background work.
#[derive(Debug, Clone)]
pub struct Jetstream(watch::Receiver<opening::Opened>);

/// What the parts of the engine share.
#[derive(Debug)]
struct Engine {
    store: Store,
    settings: Settings,
    lookups: Lookups,
    batches: Batches,
    synced: sync::Synced,
    /// What this process leased, by token. Bounded by what its callers work on.
    held: Mutex<HashMap<String, Held>>,
    /// Functions that this process knows to be registered, and how many jobs wait for them.
    counts: Mutex<HashMap<FunctionId, count::Count>>,
    /// Functions whose consumer this process has made or brought up to date.
    consumers: Mutex<HashSet<FunctionId>>,
    /// When jobs are due again that this process set aside.
    due: broadcast::Sender<(FunctionId, Instant)>,
    looked: Mutex<depths::Looked>,
    sweeper: Mutex<Option<AbortHandle>>,
}

/// A lease of this process.
#[derive(Debug, Clone)]
struct Held {
    id: CallId,
    function: FunctionId,
    /// Where the delivery is acknowledged, and which message it is of.
    reply: String,
    sequence: u64,
    ends: Instant,
    entry: Entry,
    version: u64,
    /// The name of a body that lies apart.
    part: Option<String>,
}

impl Engine {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        // Nothing panics while it is locked; if it did, every entry would still be whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<FunctionId, count::Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consumers(&self) -> MutexGuard<'_, HashSet<FunctionId>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looked(&self) -> MutexGuard<'_, depths::Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of the function will be due then. Nobody may listen.
    fn due_later(&self, function: &FunctionId, at: Instant) {
        let _ = self.due.send((function.clone(), at));
    }
}

impl Jetstream {
    /// Removes bodies older than `grace` of which the job is gone, as the queue does by itself now and then. Says how
    /// many.
    #[doc(hidden)]
    pub async fn sweep(&self, grace: Duration) -> Result<u64, Error> {
        self.engine()?.sweep(grace).await
    }

    /// Forgets functions without jobs and consumer that were registered longer than `grace` ago, as the queue does by
    /// itself now and then. Says how many.
    #[doc(hidden)]
    pub async fn forget_idle(&self, grace: Duration) -> Result<u64, Error> {
        self.engine()?.forget_idle(grace).await
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let sweeper = self.sweeper.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(sweeper) = sweeper {
            sweeper.abort();
        }
    }
}

#[async_trait]
impl Queue for Jetstream {
    fn inline_limit(&self) -> usize {
        // Nothing is gathered for who is not there.
        self.engine().map_or(0, |engine| engine.inline_limit())
    }

    async fn append(&self, job: Job, body: Body) -> Result<(), Error> {
        self.engine()?.append(job, body).await
    }

    fn events(&self) -> BoxStream<'static, Event> {
        self.events_once_opened()
    }

    async fn take(&self, function: &FunctionId, most: usize) -> Result<Vec<Taken>, Error> {
        self.engine()?.take(function, most).await
    }

    async fn extend(&self, lease: &Lease) -> Result<(), Error> {
        self.engine()?.extend(lease).await
    }

    async fn keep_result(&self, lease: &Lease, body: Body) -> Result<(), Error> {
        self.engine()?.keep_result(lease, body).await
    }

    async fn settle(&self, lease: &Lease, record: &Record, then: Then) -> Result<(), Error> {
        self.engine()?.settle(lease, record, then).await
    }

    async fn find(&self, id: &CallId) -> Result<Option<Found>, Error> {
        self.engine()?.find(id).await
    }

    async fn result(&self, id: &CallId) -> Result<Option<Body>, Error> {
        self.engine()?.result(id).await
    }

    async fn cancel(&self, id: &CallId) -> Result<bool, Error> {
        self.engine()?.cancel(id).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, Error> {
        self.engine()?.depths().await
    }

    async fn list(&self, function: &FunctionId, of: Shelf, most: usize) -> Result<Vec<Found>, Error> {
        self.engine()?.list(function, of, most).await
    }

    async fn redrive(&self, function: &FunctionId, one: Option<&CallId>) -> Result<u64, Error> {
        self.engine()?.redrive(function, one).await
    }

    async fn purge(&self, function: &FunctionId, of: Shelf) -> Result<u64, Error> {
        self.engine()?.purge(function, of).await
    }
}
