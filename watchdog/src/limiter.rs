//! How many invocations run, and how many may.
//!
//! An invocation counts from its admission until the last byte of its answer is handed to the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts invocations. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Limiter {
    running: Arc<AtomicUsize>,
    /// Zero: any number.
    limit: usize,
}

/// One counted invocation; it ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    _counted: Arc<Counted>,
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Limiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self { running: Arc::default(), limit }
    }

    /// Counts one more, unless as many as may run do.
    pub(crate) fn admit(&self) -> Option<Admission> {
        let below = |running| (self.limit == 0 || running < self.limit).then_some(running + 1);
        self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Admission { _counted: Arc::new(Counted(Arc::clone(&self.running))) })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.limit != 0 && self.running() >= self.limit
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_are_admitted_and_places_come_back() {
        let limiter = Limiter::new(2);
        let (first, second) = (limiter.admit(), limiter.admit());
        assert!(first.is_some() && second.is_some() && limiter.is_full());
        assert!(limiter.admit().is_none());
        let copy = first.clone();
        drop(first);
        assert!(limiter.is_full(), "a clone holds the place");
        drop(copy);
        assert!(limiter.admit().is_some());
        assert_eq!(limiter.running(), 1, "the one just admitted was dropped");
    }

    #[test]
    fn zero_is_no_limit() {
        let limiter = Limiter::new(0);
        let held: Vec<_> = (0..1000).map(|_| limiter.admit()).collect();
        assert!(held.iter().all(Option::is_some) && !limiter.is_full());
    }
}
