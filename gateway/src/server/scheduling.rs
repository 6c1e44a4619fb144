//! How the system schedules a worker's thread: on a core of its own, and without interrupting others when it wakes.
//!
//! Left to the system, two workers are on one core now and then while another is free, and requests wait for each other's
//! turn. (Measured, two cores, 32 connections: p99 0.7 ms in place of 3.8, ADR 16.) So where there are as many workers as
//! cores that this process may run on when it starts, each keeps to one of them. Where there are fewer, as a quota of
//! processor time or `gateway_workers` has it, or more, the system chooses.
//!
//! A worker that wakes waits for the end of the turn of who runs, which may be who sent the first of several requests: it
//! finds them all then, where it would have run once for each. (Measured, `faas serve` before a function, behind nginx: a
//! quarter less processor time.)

use std::num::NonZeroUsize;

use rustix::process::getpriority_process;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thread_priority::{
    NormalThreadSchedulePolicy as Policy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// One worker's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scheduling {
    /// The number of its core, and all cores, where it has one of its own.
    core: Option<(usize, CpuSet)>,
}

/// For each of so many workers.
pub(super) fn of_workers(workers: NonZeroUsize) -> Vec<Scheduling> {
    // It fails where there are more cores than a set has room for.
    share(sched_getaffinity(None).unwrap_or_default(), workers)
}

fn share(all: CpuSet, workers: NonZeroUsize) -> Vec<Scheduling> {
    if usize::try_from(all.count()) != Ok(workers.get()) {
        return vec![Scheduling { core: None }; workers.get()];
    }
    let cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
    cores.map(|core| Scheduling { core: Some((core, all)) }).collect()
}

impl Scheduling {
    /// For the calling thread, and all that it starts. What is refused stays as it is.
    pub(super) fn enter(&self) {
        set_policy(Policy::Batch);
        if let Some((core, _)) = self.core {
            let mut own = CpuSet::new();
            own.set(core);
            set_cores(&own);
        }
    }

    /// For the calling thread, which was started by one that entered: as everybody else's.
    pub(super) fn leave(&self) {
        set_policy(Policy::Other);
        if let Some((_, all)) = self.core {
            set_cores(&all);
        }
    }
}

fn set_cores(cores: &CpuSet) {
    if let Err(error) = sched_setaffinity(None, cores) {
        tracing::warn!(?cores, %error, "cannot choose the cores of a thread");
    }
}

fn set_policy(policy: Policy) {
    let policy = ThreadSchedulePolicy::Normal(policy);
    let nice = getpriority_process(None).unwrap_or_default();
    let set = priority(nice, policy)
        .is_some_and(|priority| set_thread_priority_and_policy(thread_native_id(), priority, policy).is_ok());
    if !set {
        tracing::warn!(?policy, nice, "cannot choose the scheduling policy of a thread");
    }
}

/// What the library calls a niceness: it sets both at once, and the thread is to stay as nice as it is.
fn priority(nice: i32, policy: ThreadSchedulePolicy) -> Option<ThreadPriority> {
    let mut all = (0..=u8::MAX).map_while(|value| value.try_into().ok().map(ThreadPriority::Crossplatform));
    all.find(|priority| priority.to_posix(policy).is_ok_and(|known| known == nice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(cores: &[usize], workers: usize) -> Vec<Option<usize>> {
        let mut all = CpuSet::new();
        for core in cores {
            all.set(*core);
        }
        let each = share(all, NonZeroUsize::new(workers).unwrap());
        each.iter().map(|scheduling| scheduling.core.map(|(number, _)| number)).collect()
    }

    #[test]
    fn each_worker_has_a_core_where_there_are_as_many() {
        assert_eq!(shared(&[0, 1, 2], 3), [Some(0), Some(1), Some(2)]);
        assert_eq!(shared(&[3, 40, 1023], 3), [Some(3), Some(40), Some(1023)], "a part of a machine");
    }

    #[test]
    fn the_system_chooses_where_there_are_fewer_or_more() {
        assert_eq!(shared(&[0, 1, 2, 3], 3), [None; 3]);
        assert_eq!(shared(&[0, 1], 3), [None; 3]);
    }

    #[test]
    fn a_thread_stays_as_nice_as_it_is() {
        let policy = ThreadSchedulePolicy::Normal(Policy::Batch);
        for nice in -20..=19 {
            assert!(priority(nice, policy).is_some(), "{nice}");
        }
    }
}
