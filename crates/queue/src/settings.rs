//! What every engine is told, whatever the jobs lie in.

use std::time::Duration;

/// Limits of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a lease lasts unless it is extended: after so long a dead worker's jobs are due again.
    pub lease: Duration,
    /// How long the record of an ended job is kept, and its result. Dead letters stay until they are purged.
    pub keep_ended: Duration,
    /// Jobs that may wait for one function.
    pub most_waiting: u64,
    /// Bytes of a job's body.
    pub most_body: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            keep_ended: Duration::from_hours(24),
            most_waiting: 1_000_000,
            most_body: 256 << 20,
        }
    }
}
