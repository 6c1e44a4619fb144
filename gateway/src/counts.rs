//! What is counted of one function's invocations.

use std::time::Duration;

use axum::http::StatusCode;
use smallvec::SmallVec;

use crate::fault::Side;
use crate::metrics::Histogram;

/// The peers' buckets for an invocation's seconds, which are their library's.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counts of one worker, or of several together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) totals: Totals,
    /// Invocations that failed, by whose fault it was, in the order of [`Side::ALL`].
    pub(crate) failures: [u64; Side::ALL.len()],
    /// Invocations that ended. As many as there were codes: most have one.
    pub(crate) codes: SmallVec<[Code; 1]>,
}

/// What is asked for more often than by a scrape.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Invocations begun.
    pub(crate) started: u64,
    /// Invocations ended, whatever their status.
    pub(crate) ended: u64,
    /// Unix time in milliseconds at which an invocation last began or ended; 0 is never.
    pub(crate) last_used: u64,
}

/// Invocations that ended with one status.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) status: StatusCode,
    pub(crate) seconds: Histogram<{ BOUNDS.len() }>,
}

impl Totals {
    /// Invocations begun and not ended.
    pub(crate) fn in_flight(self) -> u64 {
        self.started.saturating_sub(self.ended)
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.started += other.started;
        self.ended += other.ended;
        self.last_used = self.last_used.max(other.last_used);
    }
}

impl Counts {
    /// An invocation begins, at a Unix time in milliseconds.
    pub(crate) fn begin(&mut self, now: u64) {
        self.totals.add(Totals { started: 1, ended: 0, last_used: now });
    }

    /// One of them ends.
    pub(crate) fn end(&mut self, now: u64, status: StatusCode, fault: Option<Side>, elapsed: Duration) {
        self.totals.add(Totals { started: 0, ended: 1, last_used: now });
        if let Some(position) = fault.and_then(|fault| Side::ALL.iter().position(|side| *side == fault)) {
            self.failures[position] += 1;
        }
        self.seconds(status).record(elapsed);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.totals.add(other.totals);
        for (own, other) in self.failures.iter_mut().zip(other.failures) {
            *own += other;
        }
        for code in &other.codes {
            self.seconds(code.status).add(&code.seconds);
        }
    }

    fn seconds(&mut self, status: StatusCode) -> &mut Histogram<{ BOUNDS.len() }> {
        let known = self.codes.iter().position(|code| code.status == status);
        let index = known.unwrap_or_else(|| {
            self.codes.reserve_exact(1);
            self.codes.push(Code { status, seconds: Histogram::new(&BOUNDS) });
            self.codes.len() - 1
        });
        &mut self.codes[index].seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_counts_are_added_up() {
        let (mut one, mut other) = (Counts::default(), Counts::default());
        one.begin(5);
        one.begin(6);
        one.end(8, StatusCode::OK, None, Duration::from_millis(7));
        other.begin(7);
        other.end(7, StatusCode::OK, None, Duration::from_millis(70));
        other.begin(7);
        other.end(7, StatusCode::BAD_GATEWAY, Some(Side::Platform), Duration::ZERO);
        let mut all = Counts::default();
        all.add(&one);
        all.add(&other);
        assert_eq!(all.totals, Totals { started: 4, ended: 3, last_used: 8 });
        assert_eq!(all.totals.in_flight(), 1);
        assert_eq!(all.failures, [0, 0, 0, 0, 0, 1]);
        let codes: Vec<_> =
            all.codes.iter().map(|code| (code.status.as_u16(), code.seconds.count())).collect();
        assert_eq!(codes, [(200, 2), (502, 1)]);
    }
}
