//! Asynchronous invocations as the gateway tells of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for its first attempt, or for the next.
    Queued,
    /// Somebody works on it.
    Running,
    /// It ended with an answer.
    Done,
    /// It was tried as often or as long as allowed, and waits for somebody to decide.
    Dead,
    /// Somebody ended it.
    Cancelled,
}

impl JobState {
    /// Whether nothing more happens to it by itself.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }

    /// As it is on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One asynchronous invocation: the answer of `GET /async-function/{call-id}`, and an item of
/// `GET /system/queue/jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// What its 202 said in `X-Call-Id`.
    pub call_id: String,
    /// Who is invoked.
    pub function_name: String,
    /// Where that is.
    pub namespace: String,
    /// Where it stands.
    pub state: JobState,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Of a queued one: when it is due. In the past if it only waits for its turn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_try_at: Option<Timestamp>,
    /// Invocations of the function that came to an end, in their order.
    #[serde(default)]
    pub attempts: Vec<JobAttempt>,
    /// How often the function had no room or could not be reached since then, which is no attempt.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub busy: u32,
    /// Where the answer goes, if somewhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callback: Option<JobCallback>,
    /// What the function answered last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub result: Option<JobResult>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One try, of the function or of the callback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobAttempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// What was answered, if anything was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// Why it counts as failed, if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
}

/// The delivery of a job's answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCallback {
    /// Where to, without credentials and query; not known any more once the job has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// Deliveries, in their order.
    #[serde(default)]
    pub attempts: Vec<JobAttempt>,
}

/// What a function answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobResult {
    /// 503 if nothing could be reached.
    pub status: u16,
    /// By their names, in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body's length in bytes, whether it is here or not.
    pub size: u64,
    /// The body as base64, if it was kept. Never in lists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
}

/// What one function has in the queue: an item of `GET /system/queue`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueDepth {
    /// Which one.
    pub function_name: String,
    /// Where it is.
    pub namespace: String,
    /// Jobs that wait, due or not.
    pub waiting: u64,
    /// Jobs that somebody works on.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// When the oldest of the waiting and running was accepted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest: Option<Timestamp>,
    /// Jobs that this gateway accepted for it in a second, over the last minute.
    pub rate: f64,
}

/// Which of a function's jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobShelf {
    /// Those that still have something to come.
    Live,
    /// Dead letters.
    Dead,
}

impl JobShelf {
    /// As it is on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Dead => "dead",
        }
    }
}

/// Body of `POST /system/queue/redrive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedriveRequest {
    /// Which function.
    pub function_name: String,
    /// Empty means the default namespace.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub namespace: String,
    /// This job alone; all dead ones without it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub call_id: String,
}

/// Body of `POST /system/queue/purge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeRequest {
    /// Which function.
    pub function_name: String,
    /// Empty means the default namespace.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub namespace: String,
    /// Which of its jobs.
    pub state: JobShelf,
    /// Only say how many.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub dry_run: bool,
}

/// How many jobs a redrive or a purge was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCount {
    /// So many.
    pub jobs: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_is_known_and_no_more() {
        let status = JobStatus {
            call_id: "a".into(),
            function_name: "f".into(),
            namespace: "n".into(),
            state: JobState::Running,
            accepted_at: Timestamp::UNIX_EPOCH,
            next_try_at: None,
            attempts: vec![JobAttempt {
                at: Timestamp::UNIX_EPOCH,
                seconds: 0.5,
                status: Some(429),
                failure: None,
            }],
            busy: 0,
            callback: None,
            result: None,
        };
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(
            text,
            r#"{"callId":"a","functionName":"f","namespace":"n","state":"running","acceptedAt":"1970-01-01T00:00:00Z","attempts":[{"at":"1970-01-01T00:00:00Z","seconds":0.5,"status":429}]}"#
        );
        assert_eq!(serde_json::from_str::<JobStatus>(&text).unwrap(), status);
    }
}
