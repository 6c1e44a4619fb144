//! What happens to a job under its lease: extending, keeping its answer, and what is next.
//!
//! A record is written before the delivery is acknowledged. Who dies between the two leaves a job that comes again and
//! whose record says what is missing.

use std::time::Duration;

use faas_api::FunctionId;
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::names::{Place, Stream};
use super::pull::Delivered;
use super::records::{Entry, Versioned};
use super::store::{Fault, Publish};
use super::{Engine, Held};
use crate::{Error, Lease, Record, State, Then};

/// How a delivery is given back.
#[derive(Debug, Clone, Copy)]
pub(super) enum Nak {
    Now,
    After(Duration),
}

/// So often a record is written when others write it as well.
const TRIES: usize = 3;

impl Engine {
    pub(super) async fn extend(&self, lease: &Lease) -> Result<(), Error> {
        let began = Instant::now();
        let held = self.check(lease).await?;
        let (told, shown) = tokio::join!(
            self.store.confirm(&held.reply, "+WPI".to_owned()),
            self.show_lease(&held.function, &held.id)
        );
        // Without its consumer the job is handed out anew, but not while the lease is shown.
        told?;
        shown?;
        let ends = began + self.settings.lease;
        if let Some(held) = self.held().get_mut(&lease.token) {
            held.ends = ends;
        }
        self.due_later(&held.function, ends);
        Ok(())
    }

    pub(super) async fn settle(&self, lease: &Lease, record: &Record, then: Then) -> Result<(), Error> {
        let held = self.lease_of(lease)?;
        let (state, due_at) = match then {
            Then::Hold => (State::Running, None),
            Then::Later(at) => (State::Queued, Some(at)),
            Then::Done => (State::Done, None),
            Then::Dead => (State::Dead, None),
        };
        let entry = Entry { state, due_at, record: record.clone(), ..held.entry.clone() };
        self.write_held(lease, &held, &entry).await?;
        match then {
            Then::Hold => return Ok(()),
            Then::Later(at) => self.give_back(&held, at).await?,
            Then::Done | Then::Dead => self.end(&held, &entry).await?,
        }
        self.held().remove(&lease.token);
        Ok(())
    }

    /// The lease, if it has not ended here.
    pub(super) fn lease_of(&self, lease: &Lease) -> Result<Held, Error> {
        let held = self.held().get(&lease.token).filter(|held| held.ends > Instant::now()).cloned();
        held.ok_or_else(|| Error::LeaseLost(lease.id.clone()))
    }

    /// The lease, if nobody has ended it.
    async fn check(&self, lease: &Lease) -> Result<Held, Error> {
        let held = self.lease_of(lease)?;
        let place = (&held.function, &held.id);
        let holds = |known: Versioned| known.entry.is_some_and(|known| known.is_held_by(lease));
        // A replica may not have heard yet what this process wrote.
        if holds(self.store.entry(place).await?) || holds(self.store.entry_now(place).await?) {
            return Ok(held);
        }
        self.lose(lease)
    }

    /// Replaces the record, as long as this lease holds. What stands there already is written.
    pub(super) async fn write_held(&self, lease: &Lease, held: &Held, entry: &Entry) -> Result<(), Error> {
        let place = (&held.function, &held.id);
        let mut version = held.version;
        if held.entry.state != State::Running {
            // Settled, if perhaps without all that follows.
            return if *entry == held.entry { Ok(()) } else { self.lose(lease) };
        }
        for _ in 0..TRIES {
            match self.store.write_entry(place, entry, version, self.settings.keep_ended).await {
                Ok(version) => {
                    self.remember(lease, entry, version);
                    return Ok(());
                }
                Err(Fault::Away(error)) => return Err(error),
                Err(Fault::Conflict) => {}
            }
            // Perhaps our own, of which the answer was lost, or nobody waited for it.
            let known = self.store.entry_now(place).await?;
            version = known.version;
            match known.entry {
                Some(known) if entry.is_read_as(&known) => {
                    self.remember(lease, entry, version);
                    return Ok(());
                }
                Some(known) if known.is_held_by(lease) => {}
                _ => break,
            }
        }
        self.lose(lease)
    }

    fn lose<T>(&self, lease: &Lease) -> Result<T, Error> {
        self.held().remove(&lease.token);
        Err(Error::LeaseLost(lease.id.clone()))
    }

    fn remember(&self, lease: &Lease, entry: &Entry, version: u64) {
        if let Some(held) = self.held().get_mut(&lease.token) {
            (held.version, held.entry) = (version, entry.clone());
        }
    }

    async fn give_back(&self, held: &Held, at: Timestamp) -> Result<(), Error> {
        let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        let nak = if wait.is_zero() { Nak::Now } else { Nak::After(wait) };
        self.hide_lease((&held.function, &held.id)).await?;
        self.nak(&held.function, &held.reply, nak).await
    }

    /// Hands a delivery back, and remembers when it is due.
    pub(super) async fn nak(&self, function: &FunctionId, reply: &str, nak: Nak) -> Result<(), Error> {
        let (payload, wait) = match nak {
            Nak::Now => ("-NAK".to_owned(), Duration::ZERO),
            Nak::After(wait) => {
                let nanoseconds = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX / 2);
                (format!("-NAK {}", json!({ "delay": nanoseconds })), wait)
            }
        };
        // Without its consumer it is handed out anew, and set aside again if that is too early.
        self.store.confirm(reply, payload).await?;
        self.due_later(function, Instant::now() + wait);
        Ok(())
    }

    /// What follows the record of a job that ended.
    async fn end(&self, held: &Held, entry: &Entry) -> Result<(), Error> {
        let place = (&held.function, &held.id);
        if entry.state == State::Dead {
            self.bury(place, entry, held.sequence).await?;
        }
        let (acknowledged, hidden) =
            tokio::join!(self.acknowledge(&held.reply, held.sequence), self.hide_lease(place));
        acknowledged?;
        hidden?;
        if entry.state != State::Dead
            && let Some(part) = &held.part
        {
            self.remove_apart(place, part).await;
        }
        Ok(())
    }

    /// Does what is missing for a job that came again though it ended.
    pub(super) async fn finish(
        &self,
        function: &FunctionId,
        delivery: &Delivered,
        entry: &Entry,
    ) -> Result<(), Error> {
        let place = (function, &delivery.id);
        if entry.state == State::Dead {
            self.bury(place, entry, delivery.sequence).await?;
        }
        self.acknowledge(&delivery.reply, delivery.sequence).await
    }

    /// This message leaves the stream, no later one. The server has heard it when this returns.
    async fn acknowledge(&self, reply: &str, sequence: u64) -> Result<(), Error> {
        if self.store.confirm(reply, "+ACK".to_owned()).await? {
            return Ok(());
        }
        // Its consumer is gone.
        self.store.delete(Stream::Jobs, sequence).await.map(drop)
    }

    /// Copies what lies there to the dead letters, unless it was redriven meanwhile.
    async fn bury(&self, place: Place<'_>, entry: &Entry, sequence: u64) -> Result<(), Error> {
        let subject = self.store.names.job(Stream::Jobs, place);
        let mut lying = self.store.last(Stream::Jobs, &subject).await?;
        if lying.as_ref().is_none_or(|lying| lying.sequence != sequence) {
            // A replica may not have heard of it yet.
            lying = self.store.latest(Stream::Jobs, &subject).await?;
        }
        let Some(lying) = lying.filter(|lying| lying.sequence == sequence) else { return Ok(()) };
        self.keep_result_for_good(place, entry).await?;
        self.publish_dead(place, lying.payload).await
    }

    /// In place of an earlier one, which whoever redrives it is about to remove.
    async fn publish_dead(&self, place: Place<'_>, payload: bytes::Bytes) -> Result<(), Error> {
        let subject = self.store.names.job(Stream::Dead, place);
        let publish = Publish { payload, ..Publish::default() };
        self.store.publish(subject, publish).await.map(drop).map_err(Fault::into)
    }

    /// What cannot be a job becomes a dead letter, so that somebody may look at it.
    pub(super) async fn set_aside(&self, function: &FunctionId, delivery: &Delivered) -> Result<(), Error> {
        let place = (function, &delivery.id);
        let known = self.store.entry_now(place).await?;
        if let Some(entry) = &known.entry {
            // It is somebody's, who may have removed what it lacks.
            if let Some(wait) = self.too_early(function, &delivery.id, entry).await? {
                return self.nak(function, &delivery.reply, Nak::After(wait)).await;
            }
            if entry.ended() && entry.state != State::Dead {
                return self.acknowledge(&delivery.reply, delivery.sequence).await;
            }
        }
        let entry = known.entry.unwrap_or_else(|| Entry::dead(function, delivery.time()));
        let entry = Entry { state: State::Dead, due_at: None, token: String::new(), ..entry };
        let written = self.store.write_entry(place, &entry, known.version, self.settings.keep_ended).await;
        written.map_err(Error::from)?;
        self.keep_result_for_good(place, &entry).await?;
        self.publish_dead(place, delivery.message.payload.clone()).await?;
        self.acknowledge(&delivery.reply, delivery.sequence).await
    }

    /// Nobody has the job any more.
    pub(super) async fn hide_lease(&self, place: Place<'_>) -> Result<(), Error> {
        let subject = self.store.names.job(Stream::Leases, place);
        self.store.purge(Stream::Leases, &subject).await.map(drop)
    }
}
