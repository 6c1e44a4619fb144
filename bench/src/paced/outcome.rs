//! What came back, counted.

use std::time::Duration;

use super::answer::Answer;
use crate::load::Load;
use crate::samples::Samples;

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Of every request, from when it was due.
    latencies: Vec<Duration>,
    /// Answers with 200.
    pub(crate) good: u32,
    /// Answers with 429 that say when to come back.
    pub(crate) refused: u32,
    /// All others, and requests without an answer.
    pub(crate) bad: u32,
    /// One of those.
    example: Option<String>,
}

impl Outcome {
    pub(super) fn add(&mut self, answer: Answer, latency: Duration) {
        self.latencies.push(latency);
        match answer.status {
            200 => self.good += 1,
            429 if answer.says_when => self.refused += 1,
            status => self.is_bad(|| status.to_string()),
        }
    }

    /// For a connection that ended instead.
    pub(super) fn lose(&mut self, latency: Duration) {
        self.latencies.push(latency);
        self.is_bad(|| "a connection that ended".to_owned());
    }

    fn is_bad(&mut self, example: impl FnOnce() -> String) {
        self.bad += 1;
        self.example.get_or_insert_with(example);
    }

    pub(crate) fn all(&self) -> u32 {
        self.good + self.refused + self.bad
    }

    /// One that was neither good nor refused.
    pub(crate) fn example(&self) -> &str {
        self.example.as_deref().unwrap_or("none")
    }

    /// Of all requests, which were sent in so long a time.
    pub(crate) fn load(self, duration: Duration) -> Load {
        let (requests, times) = (self.all(), Samples::from_iter(self.latencies));
        let per_second = f64::from(requests) / duration.as_secs_f64();
        Load { requests, per_second, p50: times.p50(), p99: times.p99() }
    }
}
