//! A function's own policy: the worker's, and what the function's annotations say otherwise. What cannot be read
//! leaves the worker's value as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use faas_api::parse_duration;

use super::{Backoff, MOST_ATTEMPTS, Policy};
use crate::annotation::{RETRY_ATTEMPTS, RETRY_BACKOFF, RETRY_CODES, RETRY_MAX_WAIT, RETRY_MIN_WAIT};

/// An annotation that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("annotation {annotation} is {value:?}: expected {expected}; the default is used")]
pub struct Malformed {
    /// Its name.
    pub annotation: &'static str,
    /// What it says, as far as it is printed.
    pub value: String,
    /// What it should look like.
    pub expected: &'static str,
}

/// Enough of a value to find it.
const PRINTED: usize = 80;

impl Policy {
    /// The policy of a function, and the annotations that say nothing readable.
    pub fn of(&self, annotations: &BTreeMap<String, String>) -> (Self, Vec<Malformed>) {
        let mut read = Reader { annotations, malformed: Vec::new() };
        let policy = self.read(&mut read);
        (policy, read.malformed)
    }

    fn read(&self, read: &mut Reader<'_>) -> Self {
        const WAIT: &str = "a duration such as \"30s\"";
        let mut policy = self.clone();
        read.into(RETRY_ATTEMPTS, "a number from 0 to 1000", parse_attempts, &mut policy.attempts);
        read.into(RETRY_CODES, "statuses such as \"429,503\"", parse_codes, &mut policy.codes);
        read.into(RETRY_MIN_WAIT, WAIT, parse_wait, &mut policy.min_wait);
        read.into(RETRY_MAX_WAIT, WAIT, parse_wait, &mut policy.max_wait);
        read.into(
            RETRY_BACKOFF,
            "\"exponential\", \"full\" or \"equal\"",
            Backoff::parse,
            &mut policy.backoff,
        );
        policy
    }
}

struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    malformed: Vec<Malformed>,
}

impl Reader<'_> {
    fn into<T>(
        &mut self,
        annotation: &'static str,
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
        into: &mut T,
    ) {
        let Some(text) = self.annotations.get(annotation) else { return };
        match parse(text.trim()) {
            Some(value) => *into = value,
            None => self.malformed.push(Malformed {
                annotation,
                value: text.chars().take(PRINTED).collect(),
                expected,
            }),
        }
    }
}

impl Backoff {
    /// As settings and annotations write it.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "exponential" => Some(Self::Exponential),
            "full" => Some(Self::Full),
            "equal" => Some(Self::Equal),
            _ => None,
        }
    }
}

fn parse_attempts(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&attempts| attempts <= MOST_ATTEMPTS)
}

/// `429,503`. An empty list is one: no status is retried then.
pub(super) fn parse_codes(text: &str) -> Option<Vec<u16>> {
    let code = |code: &str| code.trim().parse().ok().filter(|code| (100..1000).contains(code));
    if text.is_empty() { Some(Vec::new()) } else { text.split(',').map(code).collect() }
}

fn parse_wait(text: &str) -> Option<Duration> {
    parse_duration(text).ok()
}
