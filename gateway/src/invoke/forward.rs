//! From a request to an answer's head: which replica gets it, and what happens when that one fails.

use std::error::Error as _;

use axum::http::{Method, Request, Response, StatusCode};
use faas_provider::InFlight;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::call::Call;
use super::upload::{Late, Silent, Upload};
use crate::fault::{Fault, Side};
use crate::server::Client;
use crate::upstream::{Connection, Failure};
use crate::wake::{self, Lease};

/// Replicas that one request is tried on.
const TRIES: usize = 4;
/// Connections end all the time.
const SHORTAGE_SECONDS: u16 = 1;

/// An answer's head, and what must be held while its body is read.
pub(super) struct Forwarded {
    pub(super) response: Response<Incoming>,
    pub(super) connection: Connection,
    pub(super) in_flight: InFlight,
}

/// Sends the request to a replica; to another one while it may be done again. (No `async fn`: that keeps its arguments
/// twice, and what an invocation takes in memory has to stay below a kilobyte.)
pub(super) fn forward(
    client: &Client,
    call: &Call,
    mut request: Box<Request<Upload>>,
    deadline: Instant,
) -> impl Future<Output = Result<Forwarded, Fault>> {
    let (gateway, entry) = (&client.worker.gateway, call.entry());
    // Once is enough for what a replica may have begun: perhaps it is the request that ends them.
    let (mut tries, mut lost) = (1..TRIES, false);
    async move {
        loop {
            let Lease { upstream, in_flight } = wake::acquire(gateway, entry, deadline).await?;
            let others = entry.upstreams.len() > 1;
            let spare = (others && repeatable(&request)).then(|| Box::new(spare(&request)));
            let sent = upstream.send(&client.worker, request).await;
            let failure = match sent {
                Ok((response, connection)) => {
                    upstream.answered();
                    let elapsed = call.started().elapsed();
                    gateway.0.metrics.record_first_byte(client.worker.index, elapsed);
                    return Ok(Forwarded { response, connection, in_flight });
                }
                Err(failure) => failure,
            };
            let name = &upstream.replica().name;
            tracing::debug!(function = %entry.function, replica = name, error = %failure, "a replica failed");
            let reason = format!("{name}: {failure}");
            // Alone it is tried again at once: nobody else could be in its place.
            let broke = others && matches!(failure, Failure::Lost(_) | Failure::Broken(_));
            request = match (failure, spare) {
                (Failure::Short(_), _) => {
                    let fault = Fault::new(Side::Gateway, StatusCode::SERVICE_UNAVAILABLE, reason);
                    return Err(fault.retry_after(SHORTAGE_SECONDS));
                }
                (Failure::Unsent(unsent, _), _) => unsent,
                (Failure::Lost(error) | Failure::Broken(error), _) if error.is_user() => {
                    return Err(broken_upload(&error));
                }
                (Failure::Lost(_), Some(spare)) if !lost => {
                    lost = true;
                    spare
                }
                (Failure::Lost(_) | Failure::Broken(_), _) => {
                    if upstream.is_exclusive() {
                        upstream.set_aside(&entry.shared, broke);
                    }
                    return Err(Fault::new(Side::Platform, StatusCode::BAD_GATEWAY, reason));
                }
            };
            upstream.set_aside(&entry.shared, broke);
            if tries.next().is_none() {
                return Err(Fault::new(Side::Platform, StatusCode::BAD_GATEWAY, reason));
            }
        }
    }
}

/// Whether a replica may get it though another one may have begun it: RFC 9110, 9.2.2, and nothing of it is gone.
fn repeatable(request: &Request<Upload>) -> bool {
    const IDEMPOTENT: [Method; 5] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];
    request.body().is_end_stream() && IDEMPOTENT.contains(request.method())
}

fn spare(request: &Request<Upload>) -> Request<Upload> {
    let mut spare = Request::new(Upload::Empty);
    request.method().clone_into(spare.method_mut());
    request.uri().clone_into(spare.uri_mut());
    *spare.version_mut() = request.version();
    request.headers().clone_into(spare.headers_mut());
    spare
}

/// The caller's own body ended the request.
fn broken_upload(error: &hyper::Error) -> Fault {
    let source = error.source();
    if source.is_some_and(<dyn std::error::Error>::is::<Silent>) {
        too_slow(&Silent)
    } else if source.is_some_and(<dyn std::error::Error>::is::<Late>) {
        too_slow(&Late)
    } else {
        let reason = "the request's body broke off, or is not framed as its head says";
        Fault::new(Side::Client, StatusCode::BAD_REQUEST, reason).body(reason)
    }
}

/// The caller has not sent all of its body in time.
pub(super) fn too_slow(error: &dyn std::error::Error) -> Fault {
    Fault::new(Side::Client, StatusCode::REQUEST_TIMEOUT, error.to_string()).body(error.to_string())
}
