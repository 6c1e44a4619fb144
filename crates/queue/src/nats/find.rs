//! Looking: one job, and the jobs of a function.

use faas_api::FunctionId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Engine;
use super::lying::{Ask, Lying};
use super::message::Content;
use super::names::{Place, Stream, parse_job};
use super::records::Entry;
use crate::{CallId, Error, Found, Job, Shelf, State};

/// Jobs of one list, and requests under way for it.
const MOST: usize = 1000;
const AT_ONCE: usize = 16;

impl Engine {
    /// A job's function and, once it was taken, its record.
    pub(super) async fn known(
        &self,
        id: &CallId,
        whom: Ask,
    ) -> Result<Option<(FunctionId, Option<Entry>)>, Error> {
        let record = self.store.names.anyones(Stream::Records, id);
        if let Some(lying) = self.store.ask(whom, Stream::Records, &record).await?
            && let Some((function, _)) = parse_job(&lying.subject)
        {
            return Ok(Some((function, serde_json::from_slice(&lying.payload).ok())));
        }
        let job = self.store.names.anyones(Stream::Jobs, id);
        let lying = self.store.ask(whom, Stream::Jobs, &job).await?;
        Ok(lying.and_then(|lying| Some((parse_job(&lying.subject)?.0, None))))
    }

    pub(super) async fn find(&self, id: &CallId) -> Result<Option<Found>, Error> {
        for whom in Ask::BOTH {
            if let Some((function, entry)) = self.known(id, whom).await?
                && let Some(found) = self.found((&function, id), entry, whom).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn found(&self, place: Place<'_>, entry: Option<Entry>, whom: Ask) -> Result<Option<Found>, Error> {
        if let Some(entry) = entry.as_ref().filter(|entry| entry.ended() && entry.state != State::Dead) {
            return Ok(Some(ended(place, entry, None)));
        }
        let dead = entry.as_ref().is_some_and(|entry| entry.state == State::Dead);
        let job = if dead { None } else { self.lying(whom, Stream::Jobs, place).await? };
        if let Some(lying) = job {
            return self.live(place, &lying, entry).await.map(Some);
        }
        // One that is being redriven lies among the dead until it is among the living.
        let lying = self.lying(whom, Stream::Dead, place).await?;
        let entry = match (&lying, entry) {
            // One that dies has its record before it is moved.
            (lying, Some(entry)) if dead || lying.is_some() => entry,
            (Some(lying), None) => Entry::dead(place.0, lying.time),
            _ => return Ok(None),
        };
        Ok(Some(ended(place, &entry, lying.as_ref().and_then(job_of))))
    }

    async fn lying(&self, whom: Ask, stream: Stream, place: Place<'_>) -> Result<Option<Lying>, Error> {
        self.store.ask(whom, stream, &self.store.names.job(stream, place)).await
    }

    async fn live(&self, place: Place<'_>, lying: &Lying, entry: Option<Entry>) -> Result<Found, Error> {
        let (function, id) = place;
        let running = match entry.as_ref().map(|entry| entry.state) {
            Some(State::Running) => self.leased_until(function, id).await?.is_some(),
            _ => false,
        };
        let job = job_of(lying);
        let accepted_at = job.as_ref().map_or(lying.time, |job| job.accepted_at);
        let due_at = entry.as_ref().and_then(|entry| entry.due_at).unwrap_or(accepted_at);
        Ok(Found {
            id: id.clone(),
            function: function.clone(),
            state: if running { State::Running } else { State::Queued },
            accepted_at,
            due_at: (!running).then_some(due_at),
            record: entry.map(|entry| entry.record).unwrap_or_default(),
            job,
        })
    }

    pub(super) async fn list(
        &self,
        function: &FunctionId,
        of: Shelf,
        most: usize,
    ) -> Result<Vec<Found>, Error> {
        let stream = match of {
            Shelf::Live => Stream::Jobs,
            Shelf::Dead => Stream::Dead,
        };
        let subject = self.store.names.jobs(stream, function);
        // Of all these only few have their bodies in memory at a time.
        let found = self
            .lying_on(stream, &subject, 1)
            .map(|lying| async move { self.listed(of, &lying?).await })
            .buffered(AT_ONCE)
            .try_filter_map(|found| async move { Ok(found) })
            .take(most.min(MOST));
        found.try_collect().await
    }

    async fn listed(&self, of: Shelf, lying: &Lying) -> Result<Option<Found>, Error> {
        let Some((function, id)) = parse_job(&lying.subject) else { return Ok(None) };
        let place = (&function, &id);
        let entry = self.store.entry(place).await?.entry;
        match (of, entry) {
            // Ended, and about to leave.
            (Shelf::Live, Some(entry)) if entry.ended() => Ok(None),
            (Shelf::Live, entry) => self.live(place, lying, entry).await.map(Some),
            (Shelf::Dead, entry) => {
                let entry = entry.filter(|entry| entry.state == State::Dead);
                let entry = entry.unwrap_or_else(|| Entry::dead(&function, lying.time));
                Ok(Some(ended(place, &entry, job_of(lying))))
            }
        }
    }

    /// The first messages on a subject with wildcards from this sequence on.
    pub(super) async fn first(
        &self,
        stream: Stream,
        subject: &str,
        from: u64,
        most: usize,
    ) -> Result<Vec<Lying>, Error> {
        self.lying_on(stream, subject, from).take(most).try_collect().await
    }

    /// All messages on a subject with wildcards from this sequence on, one after the other.
    fn lying_on<'a>(
        &'a self,
        stream: Stream,
        subject: &'a str,
        from: u64,
    ) -> impl futures_util::Stream<Item = Result<Lying, Error>> + 'a {
        stream::try_unfold(from, move |from| async move {
            let lying = self.store.next(stream, subject, from).await?;
            Ok(lying.map(|lying| {
                let next = lying.sequence + 1;
                (lying, next)
            }))
        })
    }
}

fn ended((function, id): Place<'_>, entry: &Entry, job: Option<Job>) -> Found {
    Found {
        id: id.clone(),
        function: function.clone(),
        state: if entry.ended() { entry.state } else { State::Dead },
        accepted_at: entry.accepted_at,
        due_at: None,
        record: entry.record.clone(),
        job,
    }
}

pub(super) fn job_of(lying: &Lying) -> Option<Job> {
    let place = parse_job(&lying.subject)?;
    Content::decode(&lying.payload, place, lying.time).ok().map(|content| content.job)
}
