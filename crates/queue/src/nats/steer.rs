//! Steering: cancelling, redriving dead letters, purging.

use std::collections::HashSet;

use faas_api::FunctionId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Engine;
use super::find::job_of;
use super::lying::{Ask, Lying};
use super::message::{Content, Stored};
use super::names::{Place, Stream, parse_job};
use super::records::{Entry, Versioned};
use super::store::{Fault, Publish};
use crate::{CallId, Error, Record, Shelf, State};

const AT_ONCE: usize = 64;

/// Records that are asked for at once.
const TOGETHER: usize = 512;

/// Dead letters that are read at once.
const PAGE: usize = 16;

/// So often a record is written when others write it as well.
const TRIES: usize = 8;

impl Engine {
    pub(super) async fn cancel(&self, id: &CallId) -> Result<bool, Error> {
        let not_found = || Error::NotFound(id.clone());
        let (function, _) = self.known(id, Ask::Leader).await?.ok_or_else(not_found)?;
        let place = (&function, id);
        let subject = self.store.names.job(Stream::Jobs, place);
        for _ in 0..TRIES {
            let known = self.store.entry_now(place).await?;
            if known.entry.as_ref().is_some_and(Entry::ended) {
                return Ok(false);
            }
            let Some(lying) = self.store.latest(Stream::Jobs, &subject).await? else {
                // It may have ended just now.
                let ended = self.store.entry_now(place).await?.entry.is_some_and(|entry| entry.ended());
                return if ended { Ok(false) } else { Err(not_found()) };
            };
            match self.write_cancelled(place, known, &lying).await {
                Ok(()) => {
                    self.remove_cancelled(place, &lying).await?;
                    return Ok(true);
                }
                Err(Fault::Conflict) => {}
                Err(Fault::Away(error)) => return Err(error),
            }
        }
        Err(Fault::Conflict.into())
    }

    async fn write_cancelled(&self, place: Place<'_>, known: Versioned, lying: &Lying) -> Result<(), Fault> {
        let accepted_at = job_of(lying).map_or(lying.time, |job| job.accepted_at);
        let entry = known.entry.unwrap_or_else(|| Entry::dead(place.0, accepted_at));
        let entry = Entry { state: State::Cancelled, due_at: None, token: String::new(), ..entry };
        let keep_ended = self.settings.keep_ended;
        self.store.write_entry(place, &entry, known.version, keep_ended).await.map(drop)
    }

    async fn remove_cancelled(&self, place: Place<'_>, lying: &Lying) -> Result<(), Error> {
        self.store.delete(Stream::Jobs, lying.sequence).await?;
        let leased = self.leased_until(place.0, place.1).await?.is_some();
        self.hide_lease(place).await?;
        if leased {
            let what = "tell workers of a cancelled job";
            let subject = self.store.names.cancelled(place.1.as_str());
            let told = self.store.client.publish(subject, "".into()).await;
            told.map_err(Error::unavailable(what))?;
            self.store.client.flush().await.map_err(Error::unavailable(what))?;
        }
        self.remove_body_of(place, lying).await;
        Ok(())
    }

    async fn remove_body_of(&self, place: Place<'_>, lying: &Lying) {
        let content = Content::decode(&lying.payload, (place.0.clone(), place.1.clone()), lying.time);
        if let Ok(Content { body: Stored::Apart(object), .. }) = content {
            self.remove_apart(place, &object.part).await;
        }
    }

    pub(super) async fn redrive(&self, function: &FunctionId, one: Option<&CallId>) -> Result<u64, Error> {
        let subject = match one {
            Some(id) => self.store.names.job(Stream::Dead, (function, id)),
            None => self.store.names.jobs(Stream::Dead, function),
        };
        // What dies again meanwhile lies behind it.
        let end = self.store.state(Stream::Dead).await?.last;
        let (mut count, mut from) = (0, 1);
        loop {
            let mut page = self.first(Stream::Dead, &subject, from, PAGE).await?;
            page.retain(|lying| lying.sequence <= end);
            let Some(last) = page.last() else { return Ok(count) };
            from = last.sequence + 1;
            for lying in &page {
                count += u64::from(self.redrive_one(lying).await?);
            }
        }
    }

    /// First the record, then the job, then it leaves the dead: whoever repeats this finishes it.
    async fn redrive_one(&self, lying: &Lying) -> Result<bool, Error> {
        let Some((function, id)) = parse_job(&lying.subject) else {
            return self.store.delete(Stream::Dead, lying.sequence).await.map(|_| false);
        };
        let place = (&function, &id);
        let known = self.store.entry_now(place).await?;
        let dead = self.is_dead(place, known.entry.as_ref()).await?;
        if dead {
            let earlier = known.entry.clone();
            self.write_anew(place, known, lying).await?;
            self.purge_results(place, earlier.as_ref()).await?;
            self.admit_registered(&function).await?;
            if !self.publish_anew(place, lying).await? {
                return Ok(false);
            }
        }
        self.store.delete(Stream::Dead, lying.sequence).await?;
        Ok(dead)
    }

    /// Whether a letter among the dead is all that is left of its job. One that went on from an earlier redrive, which
    /// broke off, is not done again.
    async fn is_dead(&self, place: Place<'_>, entry: Option<&Entry>) -> Result<bool, Error> {
        match entry {
            Some(entry) if entry.ended() => Ok(entry.state == State::Dead),
            Some(entry) if !is_anew(entry) => {
                let subject = self.store.names.job(Stream::Jobs, place);
                Ok(self.store.latest(Stream::Jobs, &subject).await?.is_none())
            }
            _ => Ok(true),
        }
    }

    /// In place of the same one if that lies there still: its worker has yet to acknowledge that it died, and would
    /// remove it. False if another job has its name by now; the letter stays.
    async fn publish_anew(&self, place: Place<'_>, lying: &Lying) -> Result<bool, Error> {
        let subject = self.store.names.job(Stream::Jobs, place);
        for _ in 0..TRIES {
            let publish = Publish { payload: lying.payload.clone(), after: Some(0), ..Publish::default() };
            match self.store.publish(subject.clone(), publish).await {
                Ok(_) => return Ok(true),
                Err(Fault::Away(error)) => return Err(error),
                Err(Fault::Conflict) => {}
            }
            if let Some(earlier) = self.store.latest(Stream::Jobs, &subject).await? {
                if earlier.payload != lying.payload {
                    return Ok(false);
                }
                self.store.delete(Stream::Jobs, earlier.sequence).await?;
            }
        }
        Err(Fault::Conflict.into())
    }

    async fn write_anew(&self, place: Place<'_>, known: Versioned, lying: &Lying) -> Result<(), Error> {
        let job = job_of(lying);
        let accepted_at = job.map_or(lying.time, |job| job.accepted_at);
        let entry = known.entry.unwrap_or_else(|| Entry::dead(place.0, accepted_at));
        let entry = Entry {
            state: State::Queued,
            first_taken_at: None,
            due_at: None,
            record: Record::default(),
            token: String::new(),
            result: None,
            ..entry
        };
        let keep_ended = self.settings.keep_ended;
        let written = self.store.write_entry(place, &entry, known.version, keep_ended).await;
        written.map(drop).map_err(Fault::into)
    }

    pub(super) async fn purge(&self, function: &FunctionId, of: Shelf) -> Result<u64, Error> {
        match of {
            Shelf::Live => self.purge_live(function).await,
            Shelf::Dead => {
                let subjects = self.store.names.jobs(Stream::Dead, function);
                let all = self.store.subjects(Stream::Dead, &subjects).await?;
                self.forget(Stream::Dead, all).await
            }
        }
    }

    async fn purge_live(&self, function: &FunctionId) -> Result<u64, Error> {
        let jobs = self.store.names.jobs(Stream::Jobs, function);
        // Nobody has any of them. Records that are left, of attempts before the consumer was made anew, go by themselves.
        if self.pending(function).await?.delivered == 0 {
            return self.store.purge(Stream::Jobs, &jobs).await;
        }
        let leases = self.store.names.jobs(Stream::Leases, function);
        let leases = self.store.subjects(Stream::Leases, &leases).await?;
        let running: HashSet<CallId> =
            leases.iter().filter_map(|subject| Some(parse_job(subject)?.1)).collect();
        let mut waiting = self.store.subjects(Stream::Jobs, &jobs).await?;
        waiting.retain(|subject| parse_job(subject).is_none_or(|(_, id)| !running.contains(&id)));
        self.forget(Stream::Jobs, waiting).await
    }

    /// Removes jobs, and what is known of them. Bodies that lie apart are left to the sweeper.
    async fn forget(&self, stream: Stream, subjects: Vec<String>) -> Result<u64, Error> {
        let mut count = 0;
        for subjects in subjects.chunks(TOGETHER) {
            let records: Vec<String> =
                subjects.iter().filter_map(|subject| self.record_of(subject)).collect();
            let known: Vec<&str> = records.iter().map(String::as_str).collect();
            let known = self.store.last_of(Stream::Records, &known).await?;
            let known = &known;
            let forget = |subject: &'_ String| {
                let subject = subject.clone();
                async move {
                    // Most were never taken: there is nothing else.
                    if let Some(lying) = self.record_of(&subject).and_then(|record| known.get(&record)) {
                        self.forget_known(lying).await?;
                    }
                    self.store.purge(stream, &subject).await
                }
            };
            let forgotten = stream::iter(subjects).map(forget).buffer_unordered(AT_ONCE);
            count += forgotten.try_fold(0, |count, more| async move { Ok(count + more) }).await?;
        }
        Ok(count)
    }

    fn record_of(&self, subject: &str) -> Option<String> {
        let (function, id) = parse_job(subject)?;
        Some(self.store.names.job(Stream::Records, (&function, &id)))
    }

    async fn forget_known(&self, record: &Lying) -> Result<(), Error> {
        let Some((function, id)) = parse_job(&record.subject) else { return Ok(()) };
        let entry = Versioned::of(Some(record.clone())).entry;
        self.store.forget_entry((&function, &id)).await?;
        self.purge_results((&function, &id), entry.as_ref()).await
    }

    /// What is redriven is let in past the limit, and its function known to workers.
    async fn admit_registered(&self, function: &FunctionId) -> Result<(), Error> {
        match self.admit(function).await {
            Ok(()) | Err(Error::Full { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// As redriving leaves it.
fn is_anew(entry: &Entry) -> bool {
    entry.state == State::Queued && entry.first_taken_at.is_none()
}
