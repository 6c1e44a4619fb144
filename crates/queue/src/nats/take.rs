//! Taking jobs: what the function's consumer hands out, each put under a lease.
//!
//! Whatever a job was left in is finished here: one that ended is acknowledged, one on its way to the dead letters is
//! moved, one that is not due yet is set aside again (a server that restarts forgets for how long it was), and what is
//! no job at all becomes a dead letter.

use std::time::Duration;

use async_nats::Message;
use faas_api::FunctionId;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, warn};
use uuid::Uuid;

use super::message::{Content, Stored};
use super::names::{Place, Stream};
use super::pull::Delivered;
use super::records::{Entry, Versioned};
use super::settle::Nak;
use super::store::{Fault, Publish};
use super::{Engine, Held};
use crate::{Body, CallId, Error, Lease, Record, State, Taken};

/// Jobs that are taken at once, and worked on at once while they are.
const MOST: usize = 256;
const AT_ONCE: usize = 64;

/// So often it is pulled again when nothing of what came was due.
const ROUNDS: usize = 8;

impl Engine {
    pub(super) async fn take(&self, function: &FunctionId, most: usize) -> Result<Vec<Taken>, Error> {
        let most = most.min(MOST);
        self.drop_ended();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let deliveries = self.pull(function, most).await?;
            let nothing = deliveries.is_empty();
            let taken = stream::iter(deliveries)
                .map(|delivery| self.lease(function, delivery, began))
                .buffered(AT_ONCE)
                .collect::<Vec<_>>()
                .await;
            let taken = first_error_if_nothing(taken)?;
            if nothing || !taken.is_empty() {
                return Ok(taken);
            }
        }
        Ok(Vec::new())
    }

    /// Puts a delivery under a lease; `None` if there is nothing to do for it now.
    async fn lease(
        &self,
        function: &FunctionId,
        message: Message,
        began: Instant,
    ) -> Result<Option<Taken>, Error> {
        let Some(delivery) = self.read_delivery(message) else { return Ok(None) };
        let content = match delivery.content(function) {
            Ok(content) => content,
            Err(error) => {
                warn!(subject = %delivery.message.subject, %error, "what is no job becomes a dead letter");
                return self.set_aside(function, &delivery).await.map(|()| None);
            }
        };
        if let Stored::Apart(object) = &content.body
            && self.store.find_body(Stream::Bodies, (function, &delivery.id), &object.part).await?.is_none()
        {
            warn!(call_id = %delivery.id, "a job whose body is lost becomes a dead letter");
            return self.set_aside(function, &delivery).await.map(|()| None);
        }
        let known = if delivery.again {
            self.known_of((function, &delivery.id)).await?
        } else {
            Versioned::default()
        };
        if let Some(taken) = self.lease_known(&content, &delivery, known, began).await? {
            return Ok(taken);
        }
        // Somebody wrote a record meanwhile, or there was one all along.
        let known = self.store.entry_now((function, &delivery.id)).await?;
        let taken = self.lease_known(&content, &delivery, known, began).await?;
        Ok(taken.flatten())
    }

    /// That a job ended is believed to no replica that lags: it may have been redriven since.
    async fn known_of(&self, place: Place<'_>) -> Result<Versioned, Error> {
        let known = self.store.entry(place).await?;
        if known.entry.as_ref().is_some_and(Entry::ended) {
            return self.store.entry_now(place).await;
        }
        Ok(known)
    }

    /// The outer `None` if what was known is not so any more.
    async fn lease_known(
        &self,
        content: &Content,
        delivery: &Delivered,
        known: Versioned,
        began: Instant,
    ) -> Result<Option<Option<Taken>>, Error> {
        let (function, id) = (&content.job.function, &content.job.id);
        let of_this = known.entry.filter(|entry| !entry.is_left_behind(&content.nonce));
        let known = Versioned { entry: of_this, ..known };
        if let Some(entry) = &known.entry {
            if entry.ended() {
                return self.finish(function, delivery, entry).await.map(|()| Some(None));
            }
            if let Some(wait) = self.too_early(function, id, entry).await? {
                debug!(call_id = %id, ?wait, "delivered too early");
                self.nak(function, &delivery.reply, Nak::After(wait)).await?;
                return Ok(Some(None));
            }
        }
        let token = Uuid::new_v4().simple().to_string();
        let now = Timestamp::now();
        let entry = Entry {
            function: function.clone(),
            accepted_at: content.job.accepted_at,
            first_taken_at: known.entry.as_ref().and_then(|entry| entry.first_taken_at).or(Some(now)),
            state: State::Running,
            due_at: None,
            result: known.entry.as_ref().and_then(|entry| entry.result.clone()),
            record: known.entry.map_or_else(Record::default, |entry| entry.record),
            token: token.clone(),
            nonce: content.nonce.clone(),
        };
        let (written, shown) = tokio::join!(
            self.store.write_entry((function, id), &entry, known.version, self.settings.keep_ended),
            self.show_lease(function, id)
        );
        let version = match written {
            Ok(version) => version,
            Err(Fault::Conflict) => return Ok(None),
            Err(Fault::Away(error)) => return Err(error),
        };
        shown?;
        Ok(Some(Some(self.hold(content, delivery, began, entry, version))))
    }

    fn hold(
        &self,
        content: &Content,
        delivery: &Delivered,
        began: Instant,
        entry: Entry,
        version: u64,
    ) -> Taken {
        let (function, id) = (content.job.function.clone(), content.job.id.clone());
        let (body, part) = match &content.body {
            Stored::Inline(bytes) => (Body::Whole(bytes.clone()), None),
            Stored::Apart(object) => {
                let body = self.store.body(Stream::Bodies, (&function, &id), object);
                (body, Some(object.part.clone()))
            }
        };
        let taken = Taken {
            lease: Lease { id: id.clone(), function: function.clone(), token: entry.token.clone() },
            job: content.job.clone(),
            body,
            record: entry.record.clone(),
            first_taken_at: entry.first_taken_at.unwrap_or(entry.accepted_at),
        };
        // From before it was asked for, so that it ends here before it ends on the server.
        let ends = began + self.settings.lease;
        self.due_later(&function, ends);
        let (reply, sequence) = (delivery.reply.clone(), delivery.sequence);
        let held = Held { id, function, reply, sequence, ends, entry, version, part };
        self.held().insert(taken.lease.token.clone(), held);
        taken
    }

    /// For how long it should not have been delivered: it is not due, or another's lease holds.
    pub(super) async fn too_early(
        &self,
        function: &FunctionId,
        id: &CallId,
        entry: &Entry,
    ) -> Result<Option<Duration>, Error> {
        let now = Timestamp::now();
        let until = match (entry.state, entry.due_at) {
            (State::Queued, Some(due_at)) => due_at,
            (State::Running, _) => match self.leased_until(function, id).await? {
                Some(until) => until,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        Ok((!wait.is_zero()).then_some(wait))
    }

    /// Until when a worker has it, if one has.
    pub(super) async fn leased_until(
        &self,
        function: &FunctionId,
        id: &CallId,
    ) -> Result<Option<Timestamp>, Error> {
        let subject = self.store.names.job(Stream::Leases, (function, id));
        let lease = self.store.find_last(Stream::Leases, &subject).await?;
        let until = lease.and_then(|lying| lying.time.checked_add(self.settings.lease).ok());
        Ok(until.filter(|until| *until > Timestamp::now()))
    }

    /// Shows everybody that the job is leased, from now on, for as long as a lease lasts.
    pub(super) async fn show_lease(&self, function: &FunctionId, id: &CallId) -> Result<(), Error> {
        let subject = self.store.names.job(Stream::Leases, (function, id));
        let publish = Publish { keep: Some(self.settings.lease), ..Publish::default() };
        self.store.publish(subject, publish).await.map(drop).map_err(Fault::into)
    }

    /// Forgets leases that ended and that nobody asked about any more.
    fn drop_ended(&self) {
        let now = Instant::now();
        self.held().retain(|_, held| held.ends > now);
    }
}

/// What was taken must be worked on, even if taking others failed: those come again.
fn first_error_if_nothing(results: Vec<Result<Option<Taken>, Error>>) -> Result<Vec<Taken>, Error> {
    let mut taken = Vec::new();
    let mut failed = None;
    for result in results {
        match result {
            Ok(one) => taken.extend(one),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) if taken.is_empty() => Err(error),
        Some(error) => {
            warn!(%error, "some jobs were not taken; they come again");
            Ok(taken)
        }
        None => Ok(taken),
    }
}
