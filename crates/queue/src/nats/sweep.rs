//! Removing what nobody needs: bodies of which the job is gone (what an append left that broke off, or a purge), and what
//! is known of functions that have had no job for long.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use faas_api::FunctionId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::Engine;
use super::lying::Lying;
use super::message::{Content, Stored};
use super::names::{Place, Stream, parse_tail};
use super::store::PATIENCE;
use crate::{CallId, Error};

/// How often, and for how long nothing was added to a body before its job must be there. Callers may be slow.
const EVERY: Duration = Duration::from_mins(30);
const GRACE: Duration = Duration::from_hours(3);

/// Functions that are asked about at once, and that go by one request.
const AT_ONCE: usize = 16;
const TOGETHER: usize = 512;

/// Sweeps from now on until the engine goes.
pub(super) fn start(engine: &Arc<Engine>) {
    let task = tokio::spawn(run(Arc::downgrade(engine)));
    *engine.sweeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
}

async fn run(engine: Weak<Engine>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(engine) = engine.upgrade() else { return };
        match engine.sweep(GRACE).await {
            Ok(0) => {}
            Ok(bodies) => info!(bodies, "removed bodies that no job has"),
            Err(error) => warn!(%error, "failed to look for bodies that no job has"),
        }
        if let Err(error) = engine.forget_idle(GRACE).await {
            warn!(%error, "failed to look for functions that have no job");
        }
    }
}

impl Engine {
    /// Removes bodies that no job names and of which the newest piece is older than `grace`. Says how many.
    pub(super) async fn sweep(&self, grace: Duration) -> Result<u64, Error> {
        let mut removed = 0;
        let all = self.store.names.all(Stream::Bodies);
        let mut subjects = self.store.subjects(Stream::Bodies, &all).await?;
        // One of each body.
        subjects.sort_unstable();
        subjects.dedup_by(|later, first| body_of(later) == body_of(first));
        for subject in subjects {
            if let Some((function, id, part)) = parse(&subject)
                && self.is_old((&function, &id), &part, grace).await?
                && !self.is_named((&function, &id), &part).await?
            {
                self.store.remove_body(Stream::Bodies, (&function, &id), &part).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Forgets functions that were registered longer than `grace` ago and have neither jobs nor a consumer: anybody may
    /// queue for any name, so they would come to be without number. Says how many.
    pub(super) async fn forget_idle(&self, grace: Duration) -> Result<u64, Error> {
        // First what is registered: of one that is registered anew meanwhile there is another message.
        let registered = self.registered().await?;
        let consumers = self.all_consumers().await?;
        self.counts().retain(|function, _| consumers.contains_key(function));
        self.consumers().retain(|function| consumers.contains_key(function));
        let idle = registered.into_iter().filter_map(|lying| {
            let function = parse_tail(&lying.subject).filter(|function| !consumers.contains_key(function))?;
            (age(lying.time) >= grace).then_some((function, lying.sequence))
        });
        let forgotten = stream::iter(idle).map(|(function, sequence)| self.forget_one(function, sequence));
        let forgotten: Vec<_> = forgotten.buffer_unordered(AT_ONCE).try_collect().await?;
        let forgotten: Vec<_> = forgotten.into_iter().flatten().collect();
        if forgotten.is_empty() {
            return Ok(0);
        }
        // Somebody may have seen a consumer before it went, and have queued a job since.
        sleep(PATIENCE * 3).await;
        let count = forgotten.len() as u64;
        let revived = stream::iter(forgotten).map(|function| self.revive(function)).buffer_unordered(AT_ONCE);
        revived.try_for_each(|_| std::future::ready(Ok(()))).await?;
        Ok(count)
    }

    async fn registered(&self) -> Result<Vec<Lying>, Error> {
        let all = self.store.names.all(Stream::Functions);
        let subjects = self.store.subjects(Stream::Functions, &all).await?;
        let mut registered = Vec::with_capacity(subjects.len());
        for subjects in subjects.chunks(TOGETHER) {
            let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
            registered.extend(self.store.last_of(Stream::Functions, &subjects).await?.into_values());
        }
        Ok(registered)
    }

    async fn forget_one(&self, function: FunctionId, sequence: u64) -> Result<Option<FunctionId>, Error> {
        let jobs = self.store.names.jobs(Stream::Jobs, &function);
        let has_jobs = self.store.next(Stream::Jobs, &jobs, 1).await?.is_some();
        let forgotten = !has_jobs && self.store.delete(Stream::Functions, sequence).await?;
        Ok(forgotten.then_some(function))
    }

    async fn is_old(&self, place: Place<'_>, part: &str, grace: Duration) -> Result<bool, Error> {
        let pieces = format!("{}.*", self.store.names.chunks(Stream::Bodies, place, part));
        let lying = self.store.last(Stream::Bodies, &pieces).await?;
        Ok(lying.is_some_and(|lying| age(lying.time) >= grace))
    }

    async fn is_named(&self, place: Place<'_>, part: &str) -> Result<bool, Error> {
        // Once more among the jobs, since it may be redriven between two looks.
        for stream in [Stream::Jobs, Stream::Dead, Stream::Jobs] {
            let lying = self.store.find_last(stream, &self.store.names.job(stream, place)).await?;
            let content = lying.and_then(|lying| {
                Content::decode(&lying.payload, (place.0.clone(), place.1.clone()), lying.time).ok()
            });
            if let Some(Content { body: Stored::Apart(object), .. }) = content
                && object.part == part
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn age(at: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default()
}

fn body_of(subject: &str) -> Option<&str> {
    Some(subject.rsplit_once('.')?.0)
}

/// Function, job and body of a chunk's subject.
fn parse(subject: &str) -> Option<(FunctionId, CallId, String)> {
    let (job, part) = body_of(subject)?.rsplit_once('.')?;
    let (function, id) = super::names::parse_job(job)?;
    Some((function, id, part.to_owned()))
}
