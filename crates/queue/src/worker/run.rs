//! The life of one job under its lease: the invocation, what follows from it, the callback.
//!
//! The lease is extended at a third of its length. When it is lost, or the job cancelled, what is under way is dropped,
//! and so is the request: the gateway sees its caller leave. What the queue cannot write down now is tried again until
//! the lease has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use faas_api::headers::CAPACITY;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::answer::{self, Failure, Kept};
use super::invoke;
use super::lane::Verdict;
use crate::policy::{End, Invoked, Moment, Policy, end_of};
use crate::{Answer, Body, Error, Job, Lease, Record, Taken, Then};

/// Before the queue is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// One job in hand.
struct Run {
    shared: Arc<Shared>,
    lease: Lease,
    job: Job,
    policy: Policy,
    first_taken_at: Timestamp,
    step: Mutex<Step>,
}

/// What is to be written down of it.
#[derive(Clone)]
struct Step {
    record: Record,
    then: Then,
}

/// What came of asking the function.
struct Asked {
    end: End,
    /// What its replicas take.
    capacity: Option<usize>,
    /// When its answer began: what decided whether the body is kept decides the rest.
    moment: Moment,
}

/// The job is another's now.
struct Lost;

/// Works on a job until it is settled, given back, or somebody else's. `answered` hears of an invocation that is over
/// when there is still a callback to make.
pub(super) async fn run(
    shared: Arc<Shared>,
    taken: Taken,
    cancelled: CancellationToken,
    answered: impl FnOnce(Verdict),
) -> Verdict {
    let Taken { lease, job, body, record, first_taken_at } = taken;
    // Until something came of it, it is due as it was.
    let step = Mutex::new(Step { record, then: Then::Hold });
    let policy = shared.policy(&job);
    let run = Run { shared, lease, job, policy, first_taken_at, step };
    tokio::select! {
        biased;
        () = cancelled.cancelled() => run.stopped("cancelled"),
        () = run.keep_lease() => run.stopped("its lease is lost"),
        () = run.shared.closing.cancelled() => {
            let Step { record, then } = run.step();
            give_back(&run.shared, &run.lease, &record, then).await;
            Verdict::Silent
        }
        verdict = Box::pin(run.work(body, answered)) => {
            verdict.unwrap_or_else(|Lost| run.stopped("its lease is lost"))
        }
    }
}

/// Lets another worker have the job: at once, or as `then` says what is known already.
pub(super) async fn give_back(shared: &Shared, lease: &Lease, record: &Record, then: Then) {
    let then = if then == Then::Hold { Then::Later(Timestamp::now()) } else { then };
    if let Err(error) = shared.queue.settle(lease, record, then).await {
        tracing::warn!(call_id = %lease.id, %error, "failed to give a job back: its lease will end");
    }
}

impl Run {
    async fn work(&self, body: Body, answered: impl FnOnce(Verdict)) -> Result<Verdict, Lost> {
        let (mut verdict, record) = (Verdict::Silent, self.step().record);
        if record.answer.is_some() {
            // The callback is left, or it was given back in the moment of its end.
            self.set(record.clone(), end_of(&record));
        } else if let Some((record, then)) = self.policy.expire(&record, self.moment()) {
            self.set(record, then);
        } else {
            verdict = self.invoke(body).await?;
        }
        let Step { record, then } = self.step();
        if self.job.callback.is_some() && !matches!(then, Then::Later(_)) {
            self.set(record, Then::Hold);
            self.settle().await?;
            answered(verdict);
            self.call_back().await?;
        }
        self.settle().await?;
        Ok(verdict)
    }

    /// One attempt. What came of it is not on disk yet.
    async fn invoke(&self, body: Body) -> Result<Verdict, Lost> {
        let (at, began) = (Timestamp::now(), Instant::now());
        let limit = self.shared.settings.longest_invocation;
        let asked = timeout(limit, self.ask(body)).await;
        let Asked { end, capacity, moment } =
            asked.unwrap_or_else(|_| Ok(self.failed(End::Broken("no answer in time".to_owned()))))?;
        let reached = match &end {
            End::Unreached(why) => {
                self.shared.warn_unreached(why);
                false
            }
            _ => true,
        };
        let invoked = Invoked { at, seconds: began.elapsed().as_secs_f64(), end };
        let before = self.step().record;
        let (record, then) = self.policy.after_invocation(&before, invoked, moment);
        let verdict = match (reached, record.busy > before.busy) {
            (false, _) => Verdict::Unreached,
            (true, true) => Verdict::Busy(capacity),
            (true, false) => Verdict::Answered(capacity),
        };
        let failed = record.attempts.last().is_some_and(|attempt| attempt.failure.is_some());
        self.shared.metrics.record_attempt(verdict, failed);
        self.set(record, then);
        Ok(verdict)
    }

    async fn ask(&self, body: Body) -> Result<Asked, Lost> {
        let response = match self.shared.invoker.invoke(&self.job, body).await {
            Ok(response) => response,
            Err(end) => return Ok(self.failed(end)),
        };
        let moment = self.moment();
        let (status, headers) = (response.status().as_u16(), invoke::read(response.headers()));
        let capacity = response.headers().get(CAPACITY).and_then(|value| value.to_str().ok()?.parse().ok());
        let last = self.policy.is_last(&self.step().record, status, &headers, moment);
        let end = match self.read(response.into_body(), last).await {
            Ok(Kept { size, kept }) => End::Answered(Answer { status, headers, size, kept }),
            Err(Failure::Broken(text)) => End::Broken(format!("the answer broke off: {text}")),
            Err(Failure::Queue(Error::LeaseLost(_) | Error::NotFound(_))) => return Err(Lost),
            Err(Failure::Queue(error)) => End::Broken(format!("failed to keep the answer: {error}")),
        };
        Ok(Asked { end, capacity, moment })
    }

    fn failed(&self, end: End) -> Asked {
        Asked { end, capacity: None, moment: self.moment() }
    }

    async fn read(&self, body: hyper::body::Incoming, last: bool) -> Result<Kept, Failure> {
        if !last {
            answer::discard(body).await?;
            return Ok(Kept { size: 0, kept: false });
        }
        answer::keep(self.shared.queue.as_ref(), &self.lease, body, self.most_kept()).await
    }

    fn most_kept(&self) -> u64 {
        let settings = &self.shared.settings;
        if self.job.callback.is_some() { settings.most_called_back } else { settings.most_kept }
    }

    async fn call_back(&self) -> Result<(), Lost> {
        let (at, began) = (Timestamp::now(), Instant::now());
        let before = self.step().record;
        let delivery = self.shared.caller.deliver(&self.job, &before, &self.policy).await;
        let seconds = began.elapsed().as_secs_f64();
        let (mut record, then) = self.policy.after_callback(&before, at, seconds, &delivery, self.moment());
        // Known from here on, whatever else has to wait.
        self.set(record.clone(), then);
        if !matches!(then, Then::Later(_)) {
            self.forget_long_answer(&mut record).await?;
        }
        let failure = record.callbacks.last().and_then(|attempt| attempt.failure.clone());
        self.shared.metrics.record_callback(failure.is_none());
        if let Some(failure) = failure {
            tracing::warn!(function = %self.job.function, call_id = %self.job.id, failure, "a callback failed");
        }
        self.set(record, then);
        Ok(())
    }

    /// What was kept only to be called back.
    async fn forget_long_answer(&self, record: &mut Record) -> Result<(), Lost> {
        let most = self.shared.settings.most_kept;
        let Some(answer) = record.answer.as_mut().filter(|answer| answer.kept && answer.size > most) else {
            return Ok(());
        };
        match self.shared.queue.keep_result(&self.lease, Body::Whole(bytes::Bytes::new())).await {
            Ok(()) => answer.kept = false,
            Err(Error::LeaseLost(_) | Error::NotFound(_)) => return Err(Lost),
            Err(error) => tracing::warn!(call_id = %self.job.id, %error, "a long answer is kept on"),
        }
        Ok(())
    }

    /// Writes down what is known; when it returns, it is on disk.
    async fn settle(&self) -> Result<(), Lost> {
        let (mut pause, Step { record, then }) = (PAUSES.0, self.step());
        loop {
            match self.shared.queue.settle(&self.lease, &record, then).await {
                Ok(()) => {
                    self.say(&record, then);
                    return Ok(());
                }
                Err(Error::LeaseLost(_) | Error::NotFound(_)) => return Err(Lost),
                Err(error) => {
                    tracing::warn!(call_id = %self.job.id, %error, "failed to settle a job: tried again");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Returns when the lease is lost.
    async fn keep_lease(&self) {
        let length = self.shared.settings.lease;
        let mut until = Instant::now() + length;
        let mut pause = length / 3;
        loop {
            sleep(pause).await;
            let asked = Instant::now();
            match timeout(length / 3, self.shared.queue.extend(&self.lease)).await {
                Ok(Ok(())) => (until, pause) = (asked + length, length / 3),
                Ok(Err(Error::LeaseLost(_) | Error::NotFound(_))) => return,
                _ if Instant::now() >= until => return,
                _ => pause = (length / 10).min(PAUSES.1),
            }
        }
    }

    fn moment(&self) -> Moment {
        #[expect(clippy::cast_precision_loss, reason = "the upper 32 bits fit")]
        let chance = getrandom::u64().map_or(0.5, |random| (random >> 32) as f64 / f64::from(u32::MAX));
        Moment { now: Timestamp::now(), first_taken_at: self.first_taken_at, chance }
    }

    fn step(&self) -> Step {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, record: Record, then: Then) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Step { record, then };
    }

    fn say(&self, record: &Record, then: Then) {
        let (function, call_id) = (&self.job.function, &self.job.id);
        let attempt = record.attempts.last();
        let (status, failure) =
            (attempt.and_then(|it| it.status), attempt.and_then(|it| it.failure.as_deref()));
        self.shared.metrics.record_end(then);
        match then {
            Then::Dead => tracing::warn!(%function, %call_id, status, failure, "a job became a dead letter"),
            Then::Later(due) => {
                tracing::debug!(%function, %call_id, status, failure, %due, "a job is tried again");
            }
            Then::Done | Then::Hold => tracing::debug!(%function, %call_id, status, "a job was answered"),
        }
    }

    fn stopped(&self, why: &str) -> Verdict {
        tracing::info!(function = %self.job.function, call_id = %self.job.id, why, "a job is left");
        Verdict::Silent
    }
}
