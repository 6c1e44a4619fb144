//! What has become of a job.

use faas_api::FunctionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CallId, Job};

/// What was done for a job so far. Written by whoever holds its lease.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Invocations of the function that came to an end, in their order.
    pub attempts: Vec<Attempt>,
    /// How often the function had no room, or could not be reached, since the last of them: those are no attempts.
    #[serde(default)]
    pub busy: u32,
    /// The function's last word: there will be no further attempt, only the callback is left.
    pub answer: Option<Answer>,
    /// Deliveries of the answer to the callback, in their order.
    pub callbacks: Vec<Attempt>,
}

/// One try, of the function or of the callback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// What was answered; `None` if nothing was.
    pub status: Option<u16>,
    /// Why it counts as failed; `None` if it does not.
    pub failure: Option<String>,
}

/// What the function answered last, all but the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// 503 if nothing could be reached.
    pub status: u16,
    /// End to end ones, in their order, as a job's.
    pub headers: Vec<(String, String)>,
    /// The body's length in bytes, whether it was kept or not.
    pub size: u64,
    /// Whether the body was kept.
    pub kept: bool,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its first attempt, or for the next.
    Queued,
    /// Somebody works on it.
    Running,
    /// It ended with an answer.
    Done,
    /// It was tried as often or as long as allowed.
    Dead,
    /// Somebody ended it.
    Cancelled,
}

/// A job that was looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its name.
    pub id: CallId,
    /// Whose it is.
    pub function: FunctionId,
    /// Where it stands.
    pub state: State,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it is due; in the past if it only waits for its turn. Of queued ones.
    pub due_at: Option<Timestamp>,
    /// As last settled.
    pub record: Record,
    /// As accepted, unless it ended.
    pub job: Option<Job>,
}
