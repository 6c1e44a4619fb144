//! Which replicas a function should have, from what it has: no IO, no clock of its own.
//!
//! New revisions start beside the old replicas, which answer until as many new ones are ready. A replica that fails is
//! started again after a pause that doubles; while no start succeeds, the reason stands in the route and conditions.

use std::sync::Arc;
use std::time::Duration;

use faas_api::{Condition, FunctionStatus, Scaling, Terms, labels};
use faas_provider::{Failure, Replica, Route};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::Record;

/// Before the second start in a row; doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two starts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A replica that was ready this long has recovered: the next failure counts as the first.
const RECOVERED: Duration = Duration::from_secs(10);
/// Failures in a row after which invocations are refused rather than held.
const HOPELESS: u32 = 3;

/// A function and its replicas.
pub(crate) struct Function {
    pub(crate) record: Arc<Record>,
    /// Replicas wanted now: the record's, or the least number once woken.
    pub(crate) wanted: u32,
    slots: Vec<Slot>,
    failures: u32,
    failure: Option<Failure>,
    /// What the replica that failed wrote last.
    last_words: String,
    /// Nothing is started before.
    resume_at: Option<Instant>,
    changed_at: Timestamp,
}

/// One replica that is starting or ready.
struct Slot {
    instance: String,
    revision: u64,
    ready: Option<(Arc<Replica>, Instant)>,
    stop: CancellationToken,
}

/// What a replica's task reports when it is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) instance: String,
    pub(crate) failure: Failure,
    /// The end of its log.
    pub(crate) last_words: String,
}

impl Function {
    pub(crate) fn new(record: Arc<Record>) -> Self {
        let wanted = record.replicas;
        Self {
            record,
            wanted,
            slots: Vec::new(),
            failures: 0,
            failure: None,
            last_words: String::new(),
            resume_at: None,
            changed_at: Timestamp::now(),
        }
    }

    /// Takes a newer revision. Earlier failures say nothing about it.
    pub(crate) fn replace(&mut self, record: Arc<Record>) {
        self.wanted = record.replicas;
        self.record = record;
        self.forgive();
    }

    /// Sets how many replicas are wanted; a person's or a caller's wish to try again at once.
    pub(crate) fn scale(&mut self, replicas: u32) {
        self.wanted = replicas;
        self.forgive();
    }

    fn forgive(&mut self) {
        (self.failures, self.failure, self.resume_at) = (0, None, None);
    }

    /// At least one, or the label's value: what a new or woken function gets.
    pub(crate) fn least(record: &Record) -> u32 {
        labelled_least(record).unwrap_or(1)
    }

    pub(crate) fn has(&self, instance: &str) -> bool {
        self.slots.iter().any(|slot| slot.instance == instance)
    }

    /// How many more replicas of the present revision to start.
    pub(crate) fn missing(&self) -> u32 {
        if self.resume_at.is_some() { 0 } else { self.wanted.saturating_sub(self.current()) }
    }

    /// Notes a replica that is being started.
    pub(crate) fn start(&mut self, instance: String, stop: CancellationToken) {
        self.slots.push(Slot { instance, revision: self.record.revision, ready: None, stop });
    }

    /// Takes out what should not run any more: what is beyond the wanted number, and old revisions once as many new ones
    /// are ready. The caller publishes the route first and cancels the tokens then.
    pub(crate) fn surplus(&mut self) -> Vec<CancellationToken> {
        let revision = self.record.revision;
        let mut beyond = self.current().saturating_sub(self.wanted);
        let replaced = self.available(revision) >= self.wanted;
        let mut stopped = Vec::new();
        // The youngest go first: they are the least likely to be ready.
        self.slots.reverse();
        self.slots.retain(|slot| {
            let stop = if slot.revision == revision { beyond > 0 } else { replaced };
            if stop {
                beyond -= u32::from(slot.revision == revision);
                stopped.push(slot.stop.clone());
            }
            !stop
        });
        self.slots.reverse();
        stopped
    }

    /// Takes out every replica, for removal.
    pub(crate) fn stop_all(&mut self) -> Vec<CancellationToken> {
        self.slots.drain(..).map(|slot| slot.stop).collect()
    }

    pub(crate) fn ready(&mut self, instance: &str, replica: Arc<Replica>, now: Instant) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.instance == instance) {
            slot.ready = Some((replica, now));
            if slot.revision == self.record.revision {
                self.failure = None;
            }
            self.changed_at = Timestamp::now();
        }
    }

    /// A replica ended by itself. The pause before its successor starts, or `None` if it had been told to stop or belonged
    /// to an old revision.
    pub(crate) fn ended(&mut self, ended: &Ended, now: Instant) -> Option<Duration> {
        let index = self.slots.iter().position(|slot| slot.instance == ended.instance)?;
        let slot = self.slots.remove(index);
        self.changed_at = Timestamp::now();
        if slot.revision != self.record.revision {
            return None;
        }
        let was_ready = slot.ready.as_ref().map(|(_, since)| now.duration_since(*since));
        // Replicas that fail together fail once.
        self.failures = match was_ready {
            Some(time) if time >= RECOVERED => 1,
            _ if self.resume_at.is_some() => self.failures,
            _ => self.failures + 1,
        };
        if was_ready.is_none() || self.failures >= HOPELESS {
            self.failure = Some(ended.failure.clone());
            self.last_words.clone_from(&ended.last_words);
        }
        let pause = self.pause(was_ready.is_some());
        self.resume_at = Some(now + pause).filter(|_| !pause.is_zero());
        Some(pause)
    }

    /// A replica that had been ready and fails for the first time is replaced at once.
    fn pause(&self, was_ready: bool) -> Duration {
        let doublings = self.failures.saturating_sub(1 + u32::from(was_ready));
        if was_ready && self.failures <= 1 {
            return Duration::ZERO;
        }
        FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE)
    }

    /// Ends the pause, unless a later one has begun.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.resume_at = self.resume_at.filter(|&at| at > now);
    }

    fn current(&self) -> u32 {
        count(self.slots.iter().filter(|slot| slot.revision == self.record.revision))
    }

    fn available(&self, revision: u64) -> u32 {
        count(self.slots.iter().filter(|slot| slot.revision == revision && slot.ready.is_some()))
    }

    pub(crate) fn route(&self, terms: Terms) -> Route {
        Route {
            replicas: self.replicas().cloned().collect(),
            wanted: self.wanted,
            terms,
            scaling: Scaling::of(&self.record.deployment.labels),
            failure: self.failure.clone(),
        }
    }

    fn replicas(&self) -> impl Iterator<Item = &Arc<Replica>> {
        self.slots.iter().filter_map(|slot| slot.ready.as_ref().map(|(replica, _)| replica))
    }

    pub(crate) fn status(&self) -> FunctionStatus {
        let Record { function, deployment, package, created_at, .. } = &*self.record;
        let sent = deployment.clone();
        let mut labels = sent.labels;
        labels.insert(labels::FUNCTION.into(), function.name.to_string());
        FunctionStatus {
            name: function.name.to_string(),
            image: sent.image,
            namespace: function.namespace.to_string(),
            env_process: sent.env_process,
            env_vars: sent.env_vars,
            constraints: sent.constraints,
            secrets: sent.secrets,
            labels,
            annotations: sent.annotations,
            limits: sent.limits.filter(|limits| !limits.is_empty()),
            requests: sent.requests.filter(|requests| !requests.is_empty()),
            read_only_root_filesystem: sent.read_only_root_filesystem,
            package: Some(package.clone()),
            runtime: sent.runtime,
            timeout: sent.timeout,
            replicas: self.wanted,
            available_replicas: count(self.replicas()),
            created_at: *created_at,
            conditions: self.conditions(),
            ..FunctionStatus::default()
        }
    }

    fn conditions(&self) -> Vec<Condition> {
        let condition = |kind: &str, status: bool, reason: &str, message: String| Condition {
            kind: kind.into(),
            status: if status { "True" } else { "False" }.into(),
            reason: reason.into(),
            message,
            last_transition_time: self.changed_at,
        };
        let available = count(self.replicas());
        let healthy = match (&self.failure, available, self.wanted) {
            (_, 1.., _) => condition(
                "Healthy",
                true,
                "Available",
                format!("{available} of {} replicas answer", self.wanted),
            ),
            (Some(failure), ..) => {
                let message = format!("{}\n{}", failure.reason, self.last_words);
                condition("Healthy", false, "StartFailed", message.trim_end().to_owned())
            }
            (None, _, 0) => {
                condition("Healthy", false, "ScaledToZero", "starts with the next invocation".into())
            }
            (None, ..) => condition("Healthy", false, "Starting", "no replica is ready yet".into()),
        };
        let mut conditions =
            vec![condition("Ready", true, "Accepted", "the function is recorded".into()), healthy];
        if let Some(failure) = &self.failure {
            conditions.push(condition("Stalled", true, "StartFailed", failure.reason.to_string()));
        }
        conditions
    }
}

/// The label's number, if it is one above zero.
pub(crate) fn labelled_least(record: &Record) -> Option<u32> {
    record.deployment.labels.get(labels::SCALE_MIN)?.parse().ok().filter(|&least| least > 0)
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
