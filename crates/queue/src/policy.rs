//! Whether a job is tried again, and when: pure, the clock and the dice are passed in.
//!
//! - A job is tried `attempts` times in all; what ends it is its first answer whose status is not among `codes`, unless
//!   the platform made that answer.
//! - An unknown function is not tried again: its jobs end with that 404.
//! - A 429 that the platform made means that the function has no room, and a gateway that takes no connection that
//!   nobody was asked: the function has not run. Neither is an attempt, else an hour of load or an update of the gateway
//!   would make dead letters of jobs that never ran. They are waited out, for as long as the job's age lets them. A 429
//!   of the function's own is an attempt.
//! - No attempt but the first begins when the job is older than `max_age`, counted from when it was first taken.
//! - A callback is tried `callback_attempts` times with the same waits, its age counted from its own first try. One that fails for
//!   good ends the job as its invocation did: the function has run, and running it again would not deliver the answer
//!   any better. What went wrong stands in the record.

mod after;
mod annotated;
mod wait;

use std::time::Duration;

use crate::{Answer, Record, Then};

pub use after::{Delivery, End, Invoked, Moment};
pub use annotated::Malformed;
pub use wait::Backoff;

/// The most attempts that an annotation may ask for, since a record holds them all.
pub const MOST_ATTEMPTS: u32 = 1000;

/// How jobs are retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all. At least one is made.
    pub attempts: u32,
    /// The same of a callback; a function that must not run twice may still be called back until that succeeds.
    pub callback_attempts: u32,
    /// Statuses after which a job is tried again.
    pub codes: Vec<u16>,
    /// The wait after the first attempt; it doubles from there.
    pub min_wait: Duration,
    /// Where it stops doubling.
    pub max_wait: Duration,
    /// Its jitter.
    pub backoff: Backoff,
    /// The first wait for a function without room; it doubles as well.
    pub busy_wait: Duration,
    /// From when a job was first taken.
    pub max_age: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 10,
            callback_attempts: 10,
            codes: vec![408, 429, 500, 502, 503, 504],
            min_wait: Duration::from_secs(10),
            max_wait: Duration::from_mins(2),
            backoff: Backoff::Exponential,
            busy_wait: Duration::from_secs(1),
            max_age: Duration::from_hours(6),
        }
    }
}

/// How a job ends that has been answered for the last time and needs no further callback.
pub fn end_of(record: &Record) -> Then {
    let failed = record.busy > 0 || record.attempts.last().is_some_and(|attempt| attempt.failure.is_some());
    if failed { Then::Dead } else { Then::Done }
}

/// What stands for the answer of a function that gave none.
pub(crate) fn no_answer() -> Answer {
    Answer { status: 503, headers: Vec::new(), size: 0, kept: false }
}

#[cfg(test)]
mod tests;
