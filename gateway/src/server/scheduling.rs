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

use rustix::process::{getpid, getpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thread_priority::{
    NormalThreadSchedulePolicy as Policy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};

use crate::random::random;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

/// One worker's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scheduling {
    /// The number of its core, where it has one of its own.
    core: Option<usize>,
    /// Whether it may have a policy of its own: who started the process with another than the usual one keeps that.
    usual: bool,
}

/// For each of so many workers, as the calling thread is scheduled.
pub(super) fn of_workers(workers: NonZeroUsize) -> Vec<Scheduling> {
    let usual =
        thread_schedule_policy().is_ok_and(|policy| policy == ThreadSchedulePolicy::Normal(Policy::Other));
    // It fails where there are more cores than a set has room for.
    let mut cores = share(&sched_getaffinity(None).unwrap_or_default(), workers);
    // The first worker has the first connection. Where there are several gateways, not all of those are on one core.
    let first = random(cores.len());
    cores.rotate_left(first);
    cores.into_iter().map(|core| Scheduling { core, usual }).collect()
}

fn share(all: &CpuSet, workers: NonZeroUsize) -> Vec<Option<usize>> {
    if usize::try_from(all.count()) != Ok(workers.get()) {
        return vec![None; workers.get()];
    }
    (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).map(Some).collect()
}

impl Scheduling {
    /// For the calling thread, and all that it starts. What is refused stays as it is.
    pub(super) fn enter(&self) {
        let results = [self.set_policy(Policy::Batch), self.core.map_or(Ok(()), keep_to)];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::warn!(error, "cannot choose how a worker's thread is scheduled");
        }
    }

    /// For the calling thread, which was started by one that entered: as the process's first thread.
    pub(super) fn leave(&self) {
        let results = [self.set_policy(Policy::Other), self.core.map_or(Ok(()), |_| keep_to_usual())];
        for error in results.into_iter().filter_map(Result::err) {
            // Such threads come and go.
            tracing::debug!(error, "cannot schedule a thread as others are");
        }
    }

    fn set_policy(self, policy: Policy) -> Result {
        if !self.usual {
            return Ok(());
        }
        let policy = ThreadSchedulePolicy::Normal(policy);
        let priority = priority(getpriority_process(None)?, policy).ok_or("no such niceness")?;
        Ok(set_thread_priority_and_policy(thread_native_id(), priority, policy)?)
    }
}

fn keep_to(core: usize) -> Result {
    let mut own = CpuSet::new();
    own.set(core);
    Ok(sched_setaffinity(None, &own)?)
}

/// The cores of the process's first thread, which nobody has changed but who may.
fn keep_to_usual() -> Result {
    Ok(sched_setaffinity(None, &sched_getaffinity(Some(getpid()))?)?)
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
        share(&all, NonZeroUsize::new(workers).unwrap())
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

    /// The policy of a thread that begins with one, once it has entered, and once it has left.
    fn policies(first: Policy) -> [ThreadSchedulePolicy; 2] {
        let follow = move || {
            Scheduling { core: None, usual: true }.set_policy(first).unwrap();
            let scheduling = of_workers(NonZeroUsize::MIN)[0];
            [Scheduling::enter, Scheduling::leave].map(|step| {
                step(&scheduling);
                thread_schedule_policy().unwrap()
            })
        };
        std::thread::spawn(follow).join().unwrap()
    }

    #[test]
    fn a_policy_that_somebody_chose_is_kept() {
        assert_eq!(policies(Policy::Other), [Policy::Batch, Policy::Other].map(ThreadSchedulePolicy::Normal));
        assert_eq!(policies(Policy::Batch), [Policy::Batch; 2].map(ThreadSchedulePolicy::Normal));
        assert_eq!(policies(Policy::Idle), [Policy::Idle; 2].map(ThreadSchedulePolicy::Normal));
    }

    #[test]
    fn a_thread_stays_as_nice_as_it_is() {
        let policy = ThreadSchedulePolicy::Normal(Policy::Batch);
        for nice in -20..=19 {
            assert!(priority(nice, policy).is_some(), "{nice}");
        }
    }
}
