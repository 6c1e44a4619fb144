//! Removing bodies of which the job is gone: what an append left that broke off, or a purge.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use faas_api::FunctionId;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::Engine;
use super::message::{Content, Stored};
use super::names::{Place, Stream};
use crate::{CallId, Error};

/// How often, and for how long nothing was added to a body before its job must be there. Callers may be slow.
const EVERY: Duration = Duration::from_mins(30);
const GRACE: Duration = Duration::from_hours(3);

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

    async fn is_old(&self, place: Place<'_>, part: &str, grace: Duration) -> Result<bool, Error> {
        let pieces = format!("{}.*", self.store.names.chunks(Stream::Bodies, place, part));
        let lying = self.store.last(Stream::Bodies, &pieces).await?;
        let age = |at: Timestamp| Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default();
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

fn body_of(subject: &str) -> Option<&str> {
    Some(subject.rsplit_once('.')?.0)
}

/// Function, job and body of a chunk's subject.
fn parse(subject: &str) -> Option<(FunctionId, CallId, String)> {
    let (job, part) = body_of(subject)?.rsplit_once('.')?;
    let (function, id) = super::names::parse_job(job)?;
    Some((function, id, part.to_owned()))
}
