//! Which core each worker runs on.
//!
//! Left to the system, two workers are on one core now and then while another is free, and requests wait for each other's
//! turn. (Measured, two cores, 32 connections: p99 0.7 ms in place of 3.8, ADR 16.) So where there are as many workers as
//! cores that this process may run on when it starts, each keeps to one of them. Where there are fewer, as a quota of
//! processor time or `gateway_workers` has it, or more, the system chooses.

use std::num::NonZeroUsize;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A worker's core, and all that it could run on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Core {
    number: usize,
    all: CpuSet,
}

/// A core for each of so many workers; empty where the system is to choose.
pub(super) fn one_each(workers: NonZeroUsize) -> Vec<Core> {
    // It fails where there are more cores than a set has room for.
    sched_getaffinity(None).map(|all| share(all, workers)).unwrap_or_default()
}

fn share(all: CpuSet, workers: NonZeroUsize) -> Vec<Core> {
    if usize::try_from(all.count()) != Ok(workers.get()) {
        return Vec::new();
    }
    let numbers = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
    numbers.map(|number| Core { number, all }).collect()
}

impl Core {
    /// Keeps the calling thread on it, and all that it starts. Where that is refused the system goes on choosing.
    pub(super) fn keep(&self) {
        let mut own = CpuSet::new();
        own.set(self.number);
        if let Err(error) = sched_setaffinity(None, &own) {
            tracing::warn!(core = self.number, %error, "cannot keep a worker on a core of its own");
        }
    }

    /// Lets the calling thread, which a worker started, run on all of them again.
    pub(super) fn leave(&self) {
        if let Err(error) = sched_setaffinity(None, &self.all) {
            tracing::warn!(core = self.number, %error, "cannot take a thread off a worker's core");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(cores: &[usize], workers: usize) -> Vec<usize> {
        let mut all = CpuSet::new();
        for core in cores {
            all.set(*core);
        }
        share(all, NonZeroUsize::new(workers).unwrap()).iter().map(|core| core.number).collect()
    }

    #[test]
    fn each_worker_has_a_core_where_there_are_as_many() {
        assert_eq!(shared(&[0, 1, 2], 3), [0, 1, 2]);
        assert_eq!(shared(&[3, 40, 1023], 3), [3, 40, 1023], "a part of a machine");
    }

    #[test]
    fn the_system_chooses_where_there_are_fewer_or_more() {
        assert_eq!(shared(&[0, 1, 2, 3], 3), [0; 0]);
        assert_eq!(shared(&[0, 1], 3), [0; 0]);
    }
}
