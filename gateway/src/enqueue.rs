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
mod offer;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use faas_api::headers;
use faas_queue::{CallId, Error, Queue};
use tokio::time::Instant;

use crate::fault::{Fault, Side};
use crate::framing::Fields;
use crate::invoke::Upload;
use crate::invoke::access::Access;
use crate::invoke::{self, headers::Stamp};
use crate::lock::lock;
use crate::server::Client;
use crate::service::Content;
use body::{Room, Verdict};
use job::Draft;
use offer::{Offer, Unqueued};

/// What stands before a function's name, or a job's.
pub(crate) const PREFIX: &str = "/async-function/";

/// Seconds after which what was not accepted may be.
const RETRY_AFTER: u16 = 5;
/// Between two lines in the log on what was not accepted.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);
const POST: HeaderValue = HeaderValue::from_static("POST");
const FAULT: HeaderName = HeaderName::from_static(headers::FAULT);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(headers::IDEMPOTENCY_KEY);

/// Where jobs go, and the memory that their bodies may take on the way.
pub(crate) struct Ingest {
    queue: Arc<dyn Queue>,
    room: Arc<Room>,
    /// When it was last said that something was not accepted.
    warned: Mutex<Option<Instant>>,
}

impl Ingest {
    pub(crate) fn new(queue: Arc<dyn Queue>, memory_bytes: usize) -> Self {
        Self { queue, room: Room::new(memory_bytes), warned: Mutex::default() }
    }

    pub(crate) fn queue(&self) -> &dyn Queue {
        &*self.queue
    }

    /// A flood of refusals is no flood of lines.
    fn may_warn(&self) -> bool {
        let mut warned = lock(&self.warned);
        let long_ago = warned.is_none_or(|at| at.elapsed() >= BETWEEN_WARNINGS);
        if long_ago {
            *warned = Some(Instant::now());
        }
        long_ago
    }
}

/// Answers `POST /async-function/{name}[.{namespace}][/path]`.
pub(crate) async fn enqueue(
    client: &Client,
    ingest: &Ingest,
    request: Box<Request<Upload>>,
    fields: &Fields,
    access: &mut Option<Box<Access>>,
) -> Response<Content> {
    let (started, method) = (Instant::now(), request.method().clone());
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
    metrics.record_ingest(&method, response.status(), started.elapsed());
    response
}

/// Whether a request by this method may be an invocation. PUT and PATCH are where the function wants to see them.
pub(crate) fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// The answer to other methods where functions are posted to.
pub(crate) async fn not_allowed() -> (StatusCode, [(HeaderName, HeaderValue); 2]) {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        [(ALLOW, POST), (FAULT, HeaderValue::from_static("client; method not allowed"))],
    )
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
    let gateway = &client.worker.gateway;
    let offer = Offer { ingest, draft: &draft, keyed: key.is_some() };
    let queued = offer.make(upload, stamp, &gateway.0.config.limits).await;
    if queued.map_err(|unqueued| gateway.refuse(ingest, &draft, &unqueued))? {
        gateway.0.metrics.record_submitted();
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

impl crate::Gateway {
    /// Why, for the caller; for the metrics; and for the log, now and then.
    fn refuse(&self, ingest: &Ingest, draft: &Draft<'_>, unqueued: &Unqueued) -> Fault {
        let (kind, fault) = match unqueued {
            Unqueued::Body(verdict @ Verdict::NoRoom) => ("memory", verdict.clone().into()),
            Unqueued::Body(verdict) => return verdict.clone().into(),
            Unqueued::Queue(Error::TooLarge { limit_bytes }) => return body::too_large(None, *limit_bytes),
            Unqueued::Queue(error @ Error::HeadTooLarge { .. }) => {
                return Fault::new(
                    Side::Client,
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    error.to_string(),
                )
                .body(format!("Error queuing request: {error}"));
            }
            Unqueued::Queue(error) => (kind_of(error), unavailable(&error.to_string())),
            Unqueued::Slow => ("timeout", unavailable("the queue did not answer in time")),
        };
        let refused = self.0.metrics.record_unqueued(kind);
        if ingest.may_warn() {
            let error = match unqueued {
                Unqueued::Queue(error) => Some(error as &dyn std::error::Error),
                _ => None,
            };
            let (function, reason) = (&draft.function, &fault.reason);
            tracing::warn!(%function, refused, error, %reason, "failed to queue an invocation");
        }
        fault
    }
}

/// As the metric's label has it.
fn kind_of(error: &Error) -> &'static str {
    match error {
        Error::Full { .. } => "full",
        Error::Exists(_) => "exists",
        _ => "unavailable",
    }
}

/// 503.
fn unavailable(reason: &str) -> Fault {
    Fault::new(Side::Queue, StatusCode::SERVICE_UNAVAILABLE, reason.to_owned())
        .body(format!("Error queuing request: {reason}"))
        .retry_after(RETRY_AFTER)
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
