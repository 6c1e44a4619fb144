//! One synchronous invocation: name and path, a replica, the request there, the answer back. Bodies stream both ways
//! and are never held.
//!
//! One deadline bounds the whole: the function's own timeout, else the gateway's, and a second more, so that the
//! watchdog's answer to a timeout comes first. A request of which no byte reached a replica is tried on another.

mod body;
mod headers;
mod path;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Response, StatusCode};
use faas_api::{FunctionId, format_duration};
use faas_provider::InFlight;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::Gateway;
use crate::fault::{Fault, Side};
use crate::server::Peer;
use crate::table::{Entry, Shared};
use crate::wake::{self, Lease};
use body::Relayed;
use upstream::{Connection, Failure};

pub(crate) use path::canonical_path;
pub(crate) use upstream::Upstream;

/// The watchdog ends a call at the function's timeout; the gateway steps in this much later.
const GRACE: Duration = Duration::from_secs(1);
/// Replicas that one request is tried on.
const TRIES: usize = 4;

/// Answers any method on `/function/{name}[.{namespace}][/path]`.
pub(crate) async fn invoke(
    State(gateway): State<Gateway>,
    Extension(Peer(peer)): Extension<Peer>,
    mut request: Request,
) -> Response<Body> {
    let started = headers::Started::now();
    let call_id = headers::call_id(request.headers());
    let content_type = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = match path::target(request.uri(), &gateway.0.config.namespace) {
        Err(fault) => fault.into_response(),
        Ok(_) if !invocable(request.method()) => {
            Fault::new(Side::Client, StatusCode::METHOD_NOT_ALLOWED, "method not allowed").into_response()
        }
        Ok(target) => {
            *request.uri_mut() = target.uri;
            headers::to_function(request.headers_mut(), &call_id, &started, peer);
            let entry = match gateway.0.table.get(&target.function) {
                Some(entry) => Ok(entry),
                None => wake::look_up(&gateway, &target.function).await,
            };
            match entry {
                Ok(entry) => run(&gateway, target.function, &entry, request).await,
                Err(fault) => fault.into_response(),
            }
        }
    };
    headers::to_caller(response.headers_mut(), call_id, started, content_type);
    response
}

fn invocable(method: &Method) -> bool {
    const METHODS: [Method; 7] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    METHODS.contains(method)
}

/// Counts the invocation from here to the last byte of its answer.
async fn run(gateway: &Gateway, function: FunctionId, entry: &Entry, request: Request) -> Response<Body> {
    let timeout = entry.route.terms.timeout.unwrap_or(gateway.0.config.upstream_timeout);
    let mut call = Call::begin(gateway.clone(), &function, Arc::clone(&entry.shared));
    let deadline = call.started + timeout + GRACE;
    match timeout_at(deadline, forward(gateway, &function, request, deadline)).await {
        Ok(Ok(Forwarded { response, connection, in_flight })) => {
            call.answered(response.status(), response.headers());
            response.map(|body| Body::new(Relayed::new((body, connection), call, in_flight, deadline)))
        }
        Ok(Err(fault)) => call.failed(fault),
        Err(_) => {
            let reason = format!("no answer within {}", format_duration(timeout));
            call.failed(Fault::new(Side::Handler, StatusCode::BAD_GATEWAY, reason))
        }
    }
}

/// An answer's head, and what must be held while its body is read.
struct Forwarded {
    response: Response<Incoming>,
    connection: Connection,
    in_flight: InFlight,
}

/// Sends the request to a replica; to another one while none has had a byte of it.
async fn forward(
    gateway: &Gateway,
    function: &FunctionId,
    mut request: Request,
    deadline: Instant,
) -> Result<Forwarded, Fault> {
    let mut tried = Vec::new();
    loop {
        let Lease { upstream, in_flight } = wake::acquire(gateway, function, &tried, deadline).await?;
        match upstream.send(request).await {
            Ok((response, connection)) => return Ok(Forwarded { response, connection, in_flight }),
            Err(Failure::Unsent(unsent, error)) if tried.len() + 1 < TRIES => {
                tracing::debug!(%function, replica = upstream.replica().name, %error, "trying another replica");
                request = *unsent;
                tried.push(upstream);
            }
            Err(failure) => {
                let reason = format!("{}: {failure}", upstream.replica().name);
                return Err(Fault::new(Side::Platform, StatusCode::BAD_GATEWAY, reason));
            }
        }
    }
}

/// An invocation under way, for metrics; ended when dropped.
pub(crate) struct Call {
    gateway: Gateway,
    function: String,
    shared: Arc<Shared>,
    started: Instant,
    status: StatusCode,
}

impl Call {
    fn begin(gateway: Gateway, function: &FunctionId, shared: Arc<Shared>) -> Self {
        let function = function.to_string();
        gateway.0.metrics.record_started(&function);
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        // The caller left before there was an answer, unless one comes: nginx's status for it.
        let status = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
        Self { gateway, function, shared, started: Instant::now(), status }
    }

    fn answered(&mut self, status: StatusCode, headers: &axum::http::HeaderMap) {
        self.status = status;
        let fault = headers.get(faas_api::headers::FAULT).and_then(|value| value.to_str().ok());
        let side = match fault.and_then(|fault| fault.split(';').next()) {
            Some("watchdog") => "watchdog",
            Some("handler") => "handler",
            Some("client") => "client",
            Some(_) => "platform",
            None => return,
        };
        self.gateway.0.metrics.record_failure(&self.function, side);
    }

    fn failed(mut self, fault: Fault) -> Response<Body> {
        self.status = fault.status;
        self.gateway.0.metrics.record_failure(&self.function, fault.side.name());
        tracing::debug!(function = self.function, fault = fault.side.name(), reason = %fault.reason, "failed");
        fault.into_response()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.shared.ended.fetch_add(1, Ordering::Relaxed);
        self.gateway.0.metrics.record_ended(&self.function, self.status, self.started.elapsed());
    }
}
