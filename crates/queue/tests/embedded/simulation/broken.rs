//! Engines that do one thing wrong, as an engine might.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use faas_api::FunctionId;
use faas_queue::embedded::Embedded;
use faas_queue::{Body, CallId, Depth, Error, Event, Found, Job, Lease, Queue, Record, Shelf, Taken, Then};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::model::MOST_WAITING;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Whoever settles a job may, if only somebody has it.
    IgnoresTokens,
    /// A job that was taken and not settled is never handed out again.
    ForgetsLapsed,
    /// A job is accepted while it is still in memory.
    AnswersEarly,
    /// A job goes to two who ask one after the other.
    LeasesTwice,
    /// What becomes due is not told.
    TellsNobody,
}

/// A sound engine, spoilt.
pub(crate) struct Broken {
    sound: Arc<Embedded>,
    fault: Fault,
    /// The newest lease of each job.
    newest: Mutex<BTreeMap<CallId, Lease>>,
    /// Accepted, and not kept.
    memory: Mutex<Option<(Job, Body)>>,
}

impl Broken {
    pub(crate) fn new(sound: Arc<Embedded>, fault: Fault) -> Self {
        Self { sound, fault, newest: Mutex::default(), memory: Mutex::default() }
    }

    /// Keeps at last what was accepted.
    async fn flush(&self) {
        let held = self.memory.lock().unwrap().take();
        if let Some((job, body)) = held {
            let _ = self.sound.append(job, body).await;
        }
    }

    async fn answer_early(&self, job: Job, body: Body) -> Result<(), Error> {
        if self.sound.find(&job.id).await?.is_some() {
            return Err(Error::Exists(job.id));
        }
        let limit = MOST_WAITING as u64;
        let depths = self.sound.depths().await?;
        if depths.iter().any(|depth| depth.function == job.function && depth.waiting >= limit) {
            return Err(Error::Full { limit });
        }
        *self.memory.lock().unwrap() = Some((job, body));
        Ok(())
    }

    fn note(&self, lease: &Lease) -> Option<Lease> {
        self.newest.lock().unwrap().insert(lease.id.clone(), lease.clone())
    }
}

#[async_trait]
impl Queue for Broken {
    fn inline_limit(&self) -> usize {
        self.sound.inline_limit()
    }

    async fn append(&self, job: Job, body: Body) -> Result<(), Error> {
        self.flush().await;
        if self.fault == Fault::AnswersEarly {
            return self.answer_early(job, body).await;
        }
        self.sound.append(job, body).await
    }

    fn events(&self) -> BoxStream<'static, Event> {
        match self.fault {
            Fault::TellsNobody => stream::pending().boxed(),
            _ => self.sound.events(),
        }
    }

    async fn take(&self, function: &FunctionId, most: usize) -> Result<Vec<Taken>, Error> {
        self.flush().await;
        let mut kept = Vec::new();
        for taken in self.sound.take(function, most).await? {
            let before = self.note(&taken.lease);
            if self.fault == Fault::ForgetsLapsed && before.is_some() {
                self.sound.settle(&taken.lease, &taken.record, Then::Done).await?;
                continue;
            }
            if self.fault == Fault::LeasesTwice && before.is_none() {
                let now = jiff::Timestamp::UNIX_EPOCH;
                self.sound.settle(&taken.lease, &taken.record, Then::Later(now)).await?;
            }
            kept.push(taken);
        }
        Ok(kept)
    }

    async fn extend(&self, lease: &Lease) -> Result<(), Error> {
        self.sound.extend(lease).await
    }

    async fn keep_result(&self, lease: &Lease, body: Body) -> Result<(), Error> {
        self.sound.keep_result(lease, body).await
    }

    async fn settle(&self, lease: &Lease, record: &Record, then: Then) -> Result<(), Error> {
        let newest = self.newest.lock().unwrap().get(&lease.id).cloned();
        if then != Then::Hold {
            self.newest.lock().unwrap().remove(&lease.id);
        }
        match newest.filter(|_| self.fault == Fault::IgnoresTokens) {
            Some(newest) => self.sound.settle(&newest, record, then).await,
            None => self.sound.settle(lease, record, then).await,
        }
    }

    async fn find(&self, id: &CallId) -> Result<Option<Found>, Error> {
        self.flush().await;
        self.sound.find(id).await
    }

    async fn result(&self, id: &CallId) -> Result<Option<Body>, Error> {
        self.sound.result(id).await
    }

    async fn cancel(&self, id: &CallId) -> Result<bool, Error> {
        self.flush().await;
        self.sound.cancel(id).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, Error> {
        self.flush().await;
        self.sound.depths().await
    }

    async fn list(&self, function: &FunctionId, of: Shelf, most: usize) -> Result<Vec<Found>, Error> {
        self.flush().await;
        self.sound.list(function, of, most).await
    }

    async fn redrive(&self, function: &FunctionId, one: Option<&CallId>) -> Result<u64, Error> {
        self.flush().await;
        self.sound.redrive(function, one).await
    }

    async fn purge(&self, function: &FunctionId, of: Shelf) -> Result<u64, Error> {
        self.flush().await;
        self.sound.purge(function, of).await
    }
}
