//! From a record and what happened to the new record, and what is next.

use std::time::Duration;

use faas_api::headers;
use jiff::Timestamp;

use super::wait::{header, later, retry_after};
use super::{Policy, end_of, no_answer};
use crate::{Answer, Attempt, Record, Then};

/// How long a failure's text may be: it stands in the record once for each attempt.
const LONGEST_FAILURE: usize = 200;

/// What an invocation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The function answered, or the platform in its place.
    Answered(Answer),
    /// It may have run, but there is no whole answer.
    Broken(String),
    /// Nobody was asked.
    Unreached(String),
}

/// What a callback came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Its server answered.
    Answered {
        /// With this status.
        status: u16,
        /// What it wants for the next try.
        retry_after: Option<String>,
    },
    /// There was no answer. Another time there may be.
    Failed(String),
    /// It is not to be called, now or later.
    Refused(String),
}

/// One invocation that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Invoked {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// What it came to.
    pub end: End,
}

/// When a decision is made, and what else it depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// When the job was first taken.
    pub first_taken_at: Timestamp,
    /// From 0 to 1, any.
    pub chance: f64,
}

/// What an end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The job's answer.
    Answer,
    /// No room, or no gateway.
    Busy,
    /// An attempt that failed.
    Failure,
}

impl Policy {
    /// Whether an answer with this head would be the job's last: then its body is worth keeping.
    pub fn is_last(
        &self,
        record: &Record,
        status: u16,
        headers: &[(String, String)],
        moment: Moment,
    ) -> bool {
        match self.meaning(status, headers) {
            Meaning::Answer => true,
            meaning => self.due(record, meaning, asked(status, headers, moment.now), moment).is_none(),
        }
    }

    /// After an invocation: `Then::Later`, or else the record has the job's answer and this is how the job ends, once
    /// its callback is made.
    pub fn after_invocation(&self, record: &Record, invoked: Invoked, moment: Moment) -> (Record, Then) {
        let (meaning, wait) = match &invoked.end {
            End::Answered(answer) => (
                self.meaning(answer.status, &answer.headers),
                asked(answer.status, &answer.headers, moment.now),
            ),
            End::Broken(_) => (Meaning::Failure, None),
            End::Unreached(_) => (Meaning::Busy, None),
        };
        let due = if meaning == Meaning::Answer { None } else { self.due(record, meaning, wait, moment) };
        let mut record = record.clone();
        note(&mut record, &invoked, meaning);
        if let Some(due) = due {
            return (record, Then::Later(due));
        }
        record.answer = Some(match invoked.end {
            End::Answered(answer) => answer,
            End::Broken(_) | End::Unreached(_) => no_answer(),
        });
        let then = end_of(&record);
        (record, then)
    }

    /// How a job ends that is too old for another attempt. One that was never tried is tried, however old it is.
    pub fn expire(&self, record: &Record, moment: Moment) -> Option<(Record, Then)> {
        let tried = record.busy > 0 || !record.attempts.is_empty();
        if !tried || self.within_age(moment.now, moment.first_taken_at).is_some() {
            return None;
        }
        let status = record.attempts.last().and_then(|attempt| attempt.status);
        let answer = Answer { status: status.unwrap_or_else(|| no_answer().status), ..no_answer() };
        let record = Record { answer: Some(answer), ..record.clone() };
        let then = end_of(&record);
        Some((record, then))
    }

    /// After a callback: `Then::Later`, or how the job ends.
    pub fn after_callback(
        &self,
        record: &Record,
        at: Timestamp,
        seconds: f64,
        delivery: &Delivery,
        moment: Moment,
    ) -> (Record, Then) {
        let mut record = record.clone();
        let first = record.callbacks.first().map_or(at, |attempt| attempt.at);
        let (status, failure, again) = delivered(delivery);
        record.callbacks.push(Attempt { at, seconds, status, failure: failure.map(|text| shorten(&text)) });
        let due = self.due_callback(record.callbacks.len(), delivery, first, moment).filter(|_| again);
        let then = due.map_or_else(|| end_of(&record), Then::Later);
        (record, then)
    }

    fn meaning(&self, status: u16, headers: &[(String, String)]) -> Meaning {
        if header(headers, headers::INTERNAL).is_some() {
            return if status == 429 { Meaning::Busy } else { Meaning::Failure };
        }
        if is_unknown_function(status, headers) || !self.codes.contains(&status) {
            return Meaning::Answer;
        }
        Meaning::Failure
    }

    /// When a job is tried again after what it met now, if it is.
    fn due(
        &self,
        record: &Record,
        meaning: Meaning,
        asked: Option<Duration>,
        moment: Moment,
    ) -> Option<Timestamp> {
        let failures = record.attempts.len() + 1;
        let wait = if meaning == Meaning::Busy {
            let wait = self.wait_busy(record.busy.saturating_add(1), moment.chance);
            asked.map_or(wait, |asked| asked.max(wait))
        } else if failures < limit(self.attempts) {
            asked.map_or_else(|| self.wait(failures, moment.chance), |asked| asked.max(self.min_wait))
        } else {
            return None;
        };
        self.within_age(later(moment.now, wait), moment.first_taken_at)
    }

    fn due_callback(
        &self,
        made: usize,
        delivery: &Delivery,
        first: Timestamp,
        moment: Moment,
    ) -> Option<Timestamp> {
        let asked = match delivery {
            Delivery::Answered { status, retry_after: Some(value) } => {
                asked(*status, &[("retry-after".to_owned(), value.clone())], moment.now)
            }
            _ => None,
        };
        let wait = asked.map_or_else(|| self.wait(made, moment.chance), |asked| asked.max(self.min_wait));
        let due = self.within_age(later(moment.now, wait), first);
        due.filter(|_| made < limit(self.callback_attempts))
    }

    fn within_age(&self, due: Timestamp, from: Timestamp) -> Option<Timestamp> {
        (due <= later(from, self.max_age)).then_some(due)
    }
}

fn note(record: &mut Record, invoked: &Invoked, meaning: Meaning) {
    if meaning == Meaning::Busy {
        record.busy = record.busy.saturating_add(1);
        return;
    }
    let (status, text) = match &invoked.end {
        End::Answered(answer) => (Some(answer.status), failure_of(answer)),
        End::Broken(text) | End::Unreached(text) => (None, text.clone()),
    };
    let failure = (meaning == Meaning::Failure).then(|| shorten(&text));
    record.busy = 0;
    record.attempts.push(Attempt { at: invoked.at, seconds: invoked.seconds, status, failure });
}

/// What the other side asks to wait, where it is asked to.
fn asked(status: u16, headers: &[(String, String)], now: Timestamp) -> Option<Duration> {
    if matches!(status, 429 | 503) { retry_after(headers, now) } else { None }
}

/// The gateway's own 404, of a name that it does not know.
fn is_unknown_function(status: u16, headers: &[(String, String)]) -> bool {
    status == 404 && header(headers, headers::FAULT).is_some_and(|fault| fault.starts_with("client"))
}

fn failure_of(answer: &Answer) -> String {
    let fault = header(&answer.headers, headers::FAULT);
    fault.map_or_else(|| format!("answered {}", answer.status), str::to_owned)
}

fn shorten(text: &str) -> String {
    text.chars().take(LONGEST_FAILURE).collect()
}

/// Status, failure, and whether another try may do better. A 303 says that the answer was taken.
fn delivered(delivery: &Delivery) -> (Option<u16>, Option<String>, bool) {
    match delivery {
        Delivery::Answered { status: status @ (200..300 | 303), .. } => (Some(*status), None, false),
        Delivery::Answered { status, .. } => {
            let again = matches!(status, 408 | 429 | 500..);
            (Some(*status), Some(format!("answered {status}")), again)
        }
        Delivery::Failed(text) => (None, Some(text.clone()), true),
        Delivery::Refused(text) => (None, Some(text.clone()), false),
    }
}

fn limit(attempts: u32) -> usize {
    usize::try_from(attempts).unwrap_or(usize::MAX).max(1)
}
