//! One asynchronous invocation: name and path, the body, and 202 once the queue has all of it on disk.
//!
//! Anybody may, as with `/function`; whether the function exists is not asked, unless it is told to. Short bodies are
//! held in memory, within a limit for all of them; others go to the queue as they come. 202 means accepted, and anything
//! else that the job may not have been: a caller who tries again with the same `Idempotency-Key` gets it done once.
//!
//! The queue is awaited here, on the worker that has the connection: an engine's own threads or connection do the work
//! and only their word is waited for, while a hop to the main runtime and back would cost two wakes for each job.
//!
//! Bounded: body, memory, how slowly a body may come ([`body`]), and how long the queue may take.

mod body;
mod callback;
mod job;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use faas_api::headers;
use faas_queue::{CallId, Error, Queue};
use tokio::time::{Instant, timeout};

use crate::fault::{Fault, Side};
use crate::framing::Fields;
use crate::invoke::Upload;
use crate::invoke::access::Access;
use crate::invoke::{self, headers::Stamp};
use crate::server::Client;
use crate::service::Content;
use body::{Taken, Verdict};
use job::Draft;

pub(crate) use body::Room;

/// What stands before a function's name, or a job's.
pub(crate) const PREFIX: &str = "/async-function/";

/// How long the queue may take to write down what it has been given.
const APPEND_LIMIT: Duration = Duration::from_secs(30);
/// Seconds after which what was not accepted may be.
const RETRY_AFTER: u16 = 5;
const POST: HeaderValue = HeaderValue::from_static("POST");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(headers::IDEMPOTENCY_KEY);

/// Where jobs go, and the memory that their bodies may take on the way.
pub(crate) struct Ingest {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) room: Arc<Room>,
}

/// Answers `POST /async-function/{name}[.{namespace}][/path]`.
pub(crate) async fn enqueue(
    client: &Client,
    ingest: &Ingest,
    request: Box<Request<Upload>>,
    fields: &Fields,
    access: &mut Option<Box<Access>>,
) -> Response<Content> {
    let started = Instant::now();
    let own = invoke::headers::call_id(request.headers(), fields);
    let mut stamp = Stamp::new(own.filter(|id| call_id(id).is_some()));
    let accepted = accept(client, ingest, request, fields, &mut stamp).await;
    if let Some(access) = access {
        access.call_id = Some(stamp.call_id().clone());
    }
    let metrics = &client.worker.gateway.0.metrics;
    let mut response = accepted.map_or_else(Fault::into_response, |()| {
        let mut response = Response::new(Content::Text(Bytes::new()));
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    });
    stamp.tell(response.headers_mut());
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, POST);
    }
    metrics.record_ingest(response.status(), started.elapsed());
    response
}

/// Whether a request by this method may be an invocation. PUT and PATCH are where the function wants to see them.
pub(crate) fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// The answer to other methods where functions are posted to.
pub(crate) async fn not_allowed() -> (StatusCode, [(HeaderName, HeaderValue); 1]) {
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, POST)])
}

async fn accept(
    client: &Client,
    ingest: &Ingest,
    request: Box<Request<Upload>>,
    fields: &Fields,
    stamp: &mut Stamp,
) -> Result<(), Fault> {
    let (parts, upload) = request.into_parts();
    let draft = Draft::new(client, &parts, fields).await?;
    if parts.method != Method::POST && !draft.keeps_method() {
        return Err(Fault::new(Side::Client, StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
    }
    let key = idempotency_key(&parts.headers)?;
    if let Some(key) = key {
        stamp.rename(job::derive_id(&draft.function, key));
    }
    let limits = &client.worker.gateway.0.config.limits;
    let taken = body::take(upload, ingest, limits).await.map_err(Fault::from)?;
    let queued = match taken {
        Taken::Whole(bytes, held) => {
            let queued = append_whole(ingest, &draft, stamp, key.is_some(), &bytes).await;
            drop(held);
            queued
        }
        Taken::Streamed(stream) => {
            let limit = APPEND_LIMIT + body::longest(limits);
            Box::pin(append_stream(ingest, &draft, stamp, key.is_some(), stream, limit)).await
        }
    };
    let is_new = queued.map_err(|unqueued| unqueued.into_fault(&client.worker.gateway, &draft))?;
    if is_new {
        client.worker.gateway.0.metrics.record_submitted();
        draft.count();
    }
    Ok(())
}

/// The text that makes two requests one.
fn idempotency_key(headers: &axum::http::HeaderMap) -> Result<Option<&HeaderValue>, Fault> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (keys.next().filter(|key| !key.is_empty()), keys.next()) {
        (key, None) => Ok(key),
        (_, Some(_)) => Err(refuse("Idempotency-Key: expected once")),
    }
}

/// Why a job was not accepted.
enum Unqueued {
    Body(Verdict),
    Queue(Error),
    Slow,
}

/// Whether there was no such job before. A caller's own id that is taken already is replaced; one that was made from a
/// key is the same job's.
async fn append_whole(
    ingest: &Ingest,
    draft: &Draft<'_>,
    stamp: &mut Stamp,
    keyed: bool,
    bytes: &Bytes,
) -> Result<bool, Unqueued> {
    loop {
        let job = draft.job(id_of(stamp), stamp.is_fresh());
        let appending = ingest.queue.append(job, faas_queue::Body::Whole(bytes.clone()));
        match timeout(APPEND_LIMIT, appending).await {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(Error::Exists(_))) if keyed => return Ok(false),
            Ok(Err(Error::Exists(_))) => stamp.renew(),
            Ok(Err(error)) => return Err(Unqueued::Queue(error)),
            Err(_) => return Err(Unqueued::Slow),
        }
    }
}

/// A body that can be read once only: whether the job's id is taken is asked before.
async fn append_stream(
    ingest: &Ingest,
    draft: &Draft<'_>,
    stamp: &mut Stamp,
    keyed: bool,
    stream: body::Streamed,
    limit: Duration,
) -> Result<bool, Unqueued> {
    let id = id_of(stamp);
    let known = !stamp.is_fresh() && ingest.queue.find(&id).await.map_err(Unqueued::Queue)?.is_some();
    if known && keyed {
        // To its end, since a client that is cut off while it sends may not see the answer.
        return stream.drain().await.map(|()| false).map_err(Unqueued::Body);
    }
    if known {
        stamp.renew();
    }
    let verdict = stream.verdict();
    let job = draft.job(id_of(stamp), stamp.is_fresh());
    let appending = ingest.queue.append(job, faas_queue::Body::Stream(Box::pin(stream)));
    match timeout(limit, appending).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(Error::Exists(_))) if keyed => Ok(false),
        Ok(Err(error)) => Err(verdict.get().map_or(Unqueued::Queue(error), Unqueued::Body)),
        Err(_) => Err(verdict.get().map_or(Unqueued::Slow, Unqueued::Body)),
    }
}

impl Unqueued {
    fn into_fault(self, gateway: &crate::Gateway, draft: &Draft<'_>) -> Fault {
        let error = match self {
            Self::Body(verdict) => return verdict.into(),
            Self::Slow => {
                return gateway.refuse_job(draft, "timeout", "the queue did not answer in time", None);
            }
            Self::Queue(Error::TooLarge { limit_bytes }) => return body::too_large(None, limit_bytes),
            Self::Queue(error) => error,
        };
        let kind = match &error {
            Error::Full { .. } => "full",
            Error::Exists(_) => "exists",
            _ => "unavailable",
        };
        gateway.refuse_job(draft, kind, &error.to_string(), Some(&error))
    }
}

impl crate::Gateway {
    /// 503, and a line in the log now and then: a flood of refusals is no flood of lines.
    fn refuse_job(&self, draft: &Draft<'_>, kind: &str, reason: &str, error: Option<&Error>) -> Fault {
        let refused = self.0.metrics.record_unqueued(kind);
        if refused.is_power_of_two() {
            let error = error.map(|error| error as &dyn std::error::Error);
            tracing::warn!(function = %draft.function, refused, error, reason, "failed to queue an invocation");
        }
        Fault::new(Side::Queue, StatusCode::SERVICE_UNAVAILABLE, reason.to_owned())
            .body(format!("Error queuing request: {reason}"))
            .retry_after(RETRY_AFTER)
    }
}

/// 400.
fn refuse(reason: impl Into<Cow<'static, str>>) -> Fault {
    let reason = reason.into();
    Fault::new(Side::Client, StatusCode::BAD_REQUEST, reason.clone()).body(reason)
}

/// What names a job, if it does.
fn call_id(value: &HeaderValue) -> Option<CallId> {
    value.to_str().ok()?.parse().ok()
}

fn id_of(stamp: &mut Stamp) -> CallId {
    loop {
        match call_id(stamp.call_id()) {
            Some(id) => return id,
            None => stamp.renew(),
        }
    }
}
