//! `/system/queue`: what waits, what is dead, and what to do about it. Without a queue none of it is there.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use faas_api::{FunctionId, JobCount, JobShelf, JobStatus, PurgeRequest, QueueDepth, RedriveRequest};
use faas_queue::{CallId, Depth, Error, Shelf};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::jobs::to_status;
use super::{Refusal, Scope};
use crate::Gateway;

/// Jobs of one list, unless asked for otherwise.
const LISTED: usize = 100;
/// Jobs of one list at most.
const MOST_LISTED: usize = 1_000;

/// The one place where the queue's error becomes a status of the API.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::Exists(_) | Error::LeaseLost(_) => StatusCode::CONFLICT,
            Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::HeadTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Error::Full { .. } | Error::Body(_) | Error::Unavailable { .. } => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the queue is unavailable");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self(status, error.to_string())
    }
}

/// `GET /system/queue`: every function with jobs, of all namespaces unless one is named.
pub(crate) async fn depths(
    State(gateway): State<Gateway>,
    Query(scope): Query<Scope>,
) -> Result<Json<Vec<QueueDepth>>, Refusal> {
    let only = match scope.namespace.as_str() {
        "" => None,
        _ => Some(scope.namespace(&gateway, "")?),
    };
    let depths = gateway.queue()?.depths().await?;
    let wanted = |depth: &Depth| only.as_ref().is_none_or(|only| depth.function.namespace == *only);
    let depths = depths.into_iter().filter(wanted);
    Ok(Json(depths.map(|depth| to_wire(&gateway, depth)).collect()))
}

fn to_wire(gateway: &Gateway, depth: Depth) -> QueueDepth {
    let entry = gateway.0.table.get(&depth.function);
    let rate = entry.as_ref().and_then(|entry| Some(entry.shared.accepted.get()?.per_second()));
    QueueDepth {
        function_name: depth.function.name.into(),
        namespace: depth.function.namespace.into(),
        waiting: depth.waiting,
        running: depth.running,
        dead: depth.dead,
        oldest: depth.oldest,
        rate: rate.unwrap_or_default(),
    }
}

/// What to list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JobsQuery {
    function: String,
    namespace: String,
    state: String,
    limit: String,
}

/// `GET /system/queue/jobs`: a function's jobs, the oldest first, without what they answered.
pub(crate) async fn jobs(
    State(gateway): State<Gateway>,
    Query(query): Query<JobsQuery>,
) -> Result<Json<Vec<JobStatus>>, Refusal> {
    let shelf = match query.state.as_str() {
        "" | "live" => Shelf::Live,
        "dead" => Shelf::Dead,
        other => return Err(Refusal::bad_request(format!("state: expected live or dead, got {other:?}"))),
    };
    let limit = match query.limit.as_str() {
        "" => Some(LISTED),
        text => text.parse().ok().filter(|limit| (1..=MOST_LISTED).contains(limit)),
    };
    let limit = limit.ok_or_else(|| {
        let got = &query.limit;
        Refusal::bad_request(format!("limit: expected a number from 1 to {MOST_LISTED}, got {got:?}"))
    })?;
    let function = function(&gateway, &query.function, &query.namespace)?;
    let found = gateway.queue()?.list(&function, shelf, limit).await?;
    Ok(Json(found.into_iter().map(to_status).collect()))
}

/// `POST /system/queue/redrive`: dead jobs are due again as if new.
pub(crate) async fn redrive(State(gateway): State<Gateway>, body: Bytes) -> Result<Json<JobCount>, Refusal> {
    let request: RedriveRequest = parse(&body)?;
    let function = function(&gateway, &request.function_name, &request.namespace)?;
    let one = match request.call_id.as_str() {
        "" => None,
        id => Some(id.parse::<CallId>().map_err(|error| Refusal::bad_request(format!("callId: {error}")))?),
    };
    let jobs = gateway.queue()?.redrive(&function, one.as_ref()).await?;
    match one {
        Some(id) if jobs == 0 => {
            Err(Refusal(StatusCode::NOT_FOUND, format!("function {function} has no dead job {id}")))
        }
        _ => Ok(Json(JobCount { jobs })),
    }
}

/// `POST /system/queue/purge`: forgets jobs that wait, or dead ones, or says how many it would.
pub(crate) async fn purge(State(gateway): State<Gateway>, body: Bytes) -> Result<Json<JobCount>, Refusal> {
    let request: PurgeRequest = parse(&body)?;
    let function = function(&gateway, &request.function_name, &request.namespace)?;
    let shelf = match request.state {
        JobShelf::Live => Shelf::Live,
        JobShelf::Dead => Shelf::Dead,
    };
    let queue = gateway.queue()?;
    let jobs = if request.dry_run {
        let depths = queue.depths().await?.into_iter().filter(|depth| depth.function == function);
        depths.map(|depth| if shelf == Shelf::Dead { depth.dead } else { depth.waiting }).sum()
    } else {
        queue.purge(&function, shelf).await?
    };
    Ok(Json(JobCount { jobs }))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("failed to unmarshal request: {error}")))
}

/// It need not exist: jobs outlive their function.
fn function(gateway: &Gateway, name: &str, namespace: &str) -> Result<FunctionId, Refusal> {
    if name.is_empty() {
        return Err(Refusal::bad_request("function: is required"));
    }
    let namespace = Scope::default().namespace(gateway, namespace)?;
    FunctionId::parse(name, &namespace).map_err(|error| Refusal::bad_request(format!("function: {error}")))
}
