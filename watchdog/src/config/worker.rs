//! The variables of `worker` mode.

use super::{Fork, Logs, Reader};

/// More processes than any machine here has cores for.
const MOST_WORKERS: usize = 64;

/// Processes that speak the worker protocol.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) isolation: Isolation,
    /// Processes at a time; none: as many as it takes, within bounds.
    pub(crate) count: Option<usize>,
    /// For runtimes whose calls are processes.
    pub(crate) stdio: Fork,
    pub(crate) logs: Logs,
}

/// What calls have to themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Nothing: processes take call after call.
    Worker,
    /// A process that is forked, or was started in advance.
    Fork,
    /// A process that is started for the call.
    Exec,
}

impl Reader<'_> {
    pub(super) fn worker(&mut self) -> Option<Worker> {
        let isolation = match self.text("worker_isolation").as_deref() {
            None | Some("worker") => Isolation::Worker,
            Some("fork") => Isolation::Fork,
            Some("exec") => Isolation::Exec,
            Some(other) => {
                self.problems.push(format!("worker_isolation: {other:?}: expected worker, fork or exec"));
                return None;
            }
        };
        let count = self.text("worker_count").map(|text| {
            let count = text.parse().ok().filter(|count| (1..=MOST_WORKERS).contains(count));
            count.unwrap_or_else(|| {
                self.problems.push(format!("worker_count: {text:?}: expected 1 to {MOST_WORKERS}"));
                1
            })
        });
        let stdio = self.fork();
        Some(Worker { isolation, count, logs: stdio.logs, stdio })
    }
}
