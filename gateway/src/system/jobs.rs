//! `GET` and `DELETE /async-function/{call-id}`: what has become of a job, and its end.
//!
//! Bounded: of a job's answer, so much is read into memory.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use faas_api::{JobAttempt, JobCallback, JobResult, JobState, JobStatus};
use faas_queue::{Answer, Attempt, Body, CallId, CallbackUrl, Found, State as Standing};
use futures_util::TryStreamExt as _;

use super::Refusal;
use crate::Gateway;

/// A longer answer is told of without its body.
const MOST_RESULT: u64 = 16 << 20;

/// `GET`.
pub(crate) async fn find(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<JobStatus>, Refusal> {
    let (queue, id) = (gateway.queue()?, parse(&id)?);
    let found = queue.find(&id).await?.ok_or_else(|| unknown(&id))?;
    let short = |answer: &Answer| answer.kept && answer.size <= MOST_RESULT;
    let shown = found.record.answer.as_ref().is_some_and(short);
    let mut status = to_status(found);
    if let Some(result) = status.result.as_mut().filter(|_| shown)
        && let Some(body) = queue.result(&id).await?
    {
        result.body = Some(STANDARD.encode(read(body).await?));
    }
    Ok(Json(status))
}

/// `DELETE`: queued or running, it ends.
pub(crate) async fn cancel(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let id = parse(&id)?;
    if gateway.queue()?.cancel(&id).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    Err(Refusal(StatusCode::CONFLICT, format!("job {id} has ended already")))
}

/// What cannot name a job names none.
fn parse(id: &str) -> Result<CallId, Refusal> {
    id.parse().map_err(|error: faas_queue::InvalidCallId| Refusal(StatusCode::NOT_FOUND, error.to_string()))
}

fn unknown(id: &CallId) -> Refusal {
    faas_queue::Error::NotFound(id.clone()).into()
}

async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut stream = match body {
        Body::Whole(bytes) => return Ok(bytes.into()),
        Body::Stream(stream) => stream,
    };
    let mut whole = Vec::new();
    while let Some(piece) = stream.try_next().await.map_err(faas_queue::Error::Body)? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// All that is known of a job but its answer's body.
pub(super) fn to_status(found: Found) -> JobStatus {
    let url = found.job.as_ref().and_then(|job| job.callback.as_deref());
    // It prints without password and query.
    let url = url.map(|url| CallbackUrl::parse(url).map(|url| url.to_string()).unwrap_or_default());
    let attempts = to_attempts(found.record.callbacks);
    let called_back = url.is_some() || !attempts.is_empty();
    JobStatus {
        call_id: found.id.into(),
        function_name: found.function.name.into(),
        namespace: found.function.namespace.into(),
        state: to_state(found.state),
        accepted_at: found.accepted_at,
        next_try_at: found.due_at,
        attempts: to_attempts(found.record.attempts),
        busy: found.record.busy,
        callback: called_back.then_some(JobCallback { url, attempts }),
        result: found.record.answer.map(to_result),
    }
}

fn to_state(state: Standing) -> JobState {
    match state {
        Standing::Queued => JobState::Queued,
        Standing::Running => JobState::Running,
        Standing::Done => JobState::Done,
        Standing::Dead => JobState::Dead,
        Standing::Cancelled => JobState::Cancelled,
    }
}

fn to_attempts(attempts: Vec<Attempt>) -> Vec<JobAttempt> {
    let attempt = |Attempt { at, seconds, status, failure }| JobAttempt { at, seconds, status, failure };
    attempts.into_iter().map(attempt).collect()
}

fn to_result(answer: Answer) -> JobResult {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in answer.headers {
        headers.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    JobResult { status: answer.status, headers, size: answer.size, body: None }
}
