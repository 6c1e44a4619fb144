//! What has become of jobs that were taken: one entry each, replaced as a whole, and only by who read the last one.
//!
//! An entry names the lease that wrote it. That is what fences workers: whoever finds another's name there has lost.

use std::time::Duration;

use bytes::Bytes;
use faas_api::FunctionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::lying::Lying;
use super::names::{Place, Stream};
use super::store::{Fault, Publish, Store};
use crate::{CallId, Error, Lease, Record, State};

/// The entry of a job that was purged in the moment when it was taken goes after so long.
const ABANDONED: Duration = Duration::from_hours(7 * 24);

/// What stands in the stream of records, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) function: FunctionId,
    pub(super) accepted_at: Timestamp,
    pub(super) first_taken_at: Option<Timestamp>,
    pub(super) state: State,
    pub(super) due_at: Option<Timestamp>,
    pub(super) record: Record,
    /// Whose lease wrote it; empty if none did.
    pub(super) token: String,
    /// Of the message.
    pub(super) nonce: String,
    /// What the answer's body is called, if one is kept.
    #[serde(default)]
    pub(super) result: Option<String>,
}

/// An entry and its version; zero if there is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Versioned {
    pub(super) entry: Option<Entry>,
    pub(super) version: u64,
}

impl Entry {
    /// Of what is no job, or not one that can be made.
    pub(super) fn dead(function: &FunctionId, accepted_at: Timestamp) -> Self {
        Self {
            function: function.clone(),
            accepted_at,
            first_taken_at: None,
            state: State::Dead,
            due_at: None,
            record: Record::default(),
            token: String::new(),
            nonce: String::new(),
            result: None,
        }
    }

    /// How long it is kept; for good if it is a dead letter's.
    fn keep(&self, keep_ended: Duration) -> Option<Duration> {
        match self.state {
            State::Dead => None,
            State::Done | State::Cancelled => Some(keep_ended),
            State::Queued | State::Running => {
                let due_at = self.due_at.unwrap_or_else(Timestamp::now);
                let wait = Duration::try_from(due_at.duration_since(Timestamp::now())).unwrap_or_default();
                Some(wait.saturating_add(ABANDONED))
            }
        }
    }

    /// Whether it is what one reads who reads this one. (A number may change a little on its way through JSON.)
    pub(super) fn is_read_as(&self, read: &Self) -> bool {
        let again = serde_json::to_vec(self).and_then(|json| serde_json::from_slice::<Self>(&json));
        again.is_ok_and(|again| again == *read)
    }

    /// Whether it is of another job, which had the name before and was purged. (What was redriven without a record has
    /// no nonce.)
    pub(super) fn is_left_behind(&self, nonce: &str) -> bool {
        !self.ended() && !self.nonce.is_empty() && self.nonce != nonce
    }

    /// Whether nobody has ended that lease.
    pub(super) fn is_held_by(&self, lease: &Lease) -> bool {
        self.state == State::Running && self.token == lease.token
    }

    pub(super) fn ended(&self) -> bool {
        matches!(self.state, State::Done | State::Dead | State::Cancelled)
    }
}

impl Store {
    /// What is known, perhaps a moment ago.
    pub(super) async fn entry(&self, place: Place<'_>) -> Result<Versioned, Error> {
        Ok(Versioned::of(self.last(Stream::Records, &self.names.job(Stream::Records, place)).await?))
    }

    /// What is known for certain: for who was told that somebody was faster.
    pub(super) async fn entry_now(&self, place: Place<'_>) -> Result<Versioned, Error> {
        Ok(Versioned::of(self.latest(Stream::Records, &self.names.job(Stream::Records, place)).await?))
    }

    /// The same, of the job of that name, whatever its function.
    pub(super) async fn anyones_entry_now(&self, id: &CallId) -> Result<Versioned, Error> {
        Ok(Versioned::of(self.latest(Stream::Records, &self.names.anyones(Stream::Records, id)).await?))
    }

    /// Replaces the entry of that version, for as long as ended ones are kept. The new version.
    pub(super) async fn write_entry(
        &self,
        place: Place<'_>,
        entry: &Entry,
        version: u64,
        keep_ended: Duration,
    ) -> Result<u64, Fault> {
        let keep = entry.keep(keep_ended);
        let payload = serde_json::to_vec(entry);
        let payload = payload.map_err(|error| Fault::Away(Error::unavailable("write a record")(error)))?;
        let publish =
            Publish { payload: Bytes::from(payload), after: Some(version), keep, ..Publish::default() };
        self.publish(self.names.job(Stream::Records, place), publish).await
    }

    pub(super) async fn forget_entry(&self, place: Place<'_>) -> Result<(), Error> {
        self.purge(Stream::Records, &self.names.job(Stream::Records, place)).await.map(drop)
    }
}

impl Versioned {
    pub(super) fn of(lying: Option<Lying>) -> Self {
        let Some(lying) = lying else { return Self::default() };
        let entry = serde_json::from_slice(&lying.payload)
            .inspect_err(|error| {
                warn!(subject = lying.subject, %error, "a record cannot be read; as if there were none");
            })
            .ok();
        Self { entry, version: lying.sequence }
    }
}
