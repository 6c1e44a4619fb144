//! One synchronous invocation: name and path, a replica, the request there, the answer back. Bodies stream both ways
//! and are never held.
//!
//! One deadline bounds the whole: the function's own timeout, else the gateway's, and a second more, so that the
//! watchdog's answer to a timeout comes first. A request of which no byte reached a replica is tried on another; one
//! that a replica may have begun only if it has no body, and doing it twice is doing it once.

pub(crate) mod access;
mod call;
mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod headers;
mod path;
mod relayed;
mod tunnel;
mod upload;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::TRANSFER_ENCODING;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use faas_api::format_duration;
use tokio::time::timeout_at;

use crate::fault::{Fault, Side};
use crate::framing::Fields;
use crate::server::{Client, end_stream_at};
use crate::service::Content;
use crate::table::Entry;
use crate::wake;
use access::Access;
use call::Call;
use forward::{Forwarded, forward};
use headers::Stamp;
use tunnel::Upgrade;

pub(crate) use path::canonical_path;
pub(crate) use relayed::Relayed;
pub(crate) use upload::Upload;

/// The watchdog ends a call at the function's timeout; the gateway steps in this much later.
const GRACE: Duration = Duration::from_secs(1);

/// Answers any method on `/function/{name}[.{namespace}][/path]`.
pub(crate) async fn invoke(
    client: &Client,
    request: Box<Request<Upload>>,
    mut fields: Fields,
    access: &mut Option<Box<Access>>,
) -> Response<Content> {
    let stamp = Stamp::new(fields.call_id.take());
    let content_type = fields.content_type.take();
    if let Some(access) = access {
        access.call_id = Some(stamp.call_id().clone());
    }
    let mut response = match resolve(client, &request).await {
        Ok((entry, uri)) => {
            let call = Call::begin(client, Arc::clone(&entry), &stamp, access.take());
            run(client, call, &entry, uri, request, &fields, &stamp).await
        }
        Err(fault) => fault.into_response(),
    };
    headers::to_caller(&mut response, stamp, content_type);
    response
}

/// The function, and the path that it sees.
async fn resolve(client: &Client, request: &Request<Upload>) -> Result<(Arc<Entry>, Uri), Fault> {
    let gateway = &client.worker.gateway;
    let (name, rest) = path::split(request.uri());
    let known = gateway.0.table.written(name);
    let unknown = known.is_none().then(|| path::parse(name, &gateway.0.config.namespace)).transpose()?;
    if !invocable(request.method()) {
        return Err(Fault::new(Side::Client, StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
    }
    let uri = path::own_uri(rest, request.uri().query())?;
    match (known, unknown) {
        (Some(entry), _) => Ok((entry, uri)),
        (None, Some(function)) => {
            let entry = Box::pin(wake::look_up(gateway, &function)).await?;
            Ok((entry, uri))
        }
        (None, None) => Err(Fault::new(Side::Client, StatusCode::NOT_FOUND, "no function")),
    }
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

/// Sends the request to a replica and its answer back, within the deadline.
async fn run(
    client: &Client,
    mut call: Call,
    entry: &Entry,
    uri: Uri,
    mut request: Box<Request<Upload>>,
    fields: &Fields,
    stamp: &Stamp,
) -> Response<Content> {
    let config = &client.worker.gateway.0.config;
    let timeout = entry.route.terms.timeout.unwrap_or(config.upstream_timeout);
    let deadline = call.started() + timeout + GRACE;
    end_stream_at(deadline + GRACE);
    client.watch.end_by(timeout + 2 * GRACE);
    let upgrades = fields.hop_by_hop.upgrade() && !entry.route.terms.h2c;
    let upgrade = if upgrades { Upgrade::wanted(&mut request) } else { None };
    headers::to_function(&mut request, fields, &client.caller, stamp);
    headers::readdress(&mut request, uri, entry.route.terms.h2c, upgrade.as_ref());
    if !entry.route.terms.h2c && request.body().is_of_unknown_length() {
        // Else nothing would be sent of a GET's.
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let forwarding = pin!(forward(client, entry, call.started(), request, deadline));
    match timeout_at(deadline, forwarding).await {
        Ok(Ok(forwarded)) if forwarded.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            tunnel::open(client, call, upgrade, forwarded, deadline)
        }
        Ok(Ok(Forwarded { response, connection, in_flight })) => {
            call.answered(&response);
            response.map(|body| {
                Content::Relayed(Box::new(Relayed::new(body, connection, call, in_flight, deadline)))
            })
        }
        Ok(Err(fault)) => call.failed(fault),
        Err(_) => {
            let reason = format!("no answer within {}", format_duration(timeout));
            call.failed(Fault::new(Side::Handler, StatusCode::BAD_GATEWAY, reason))
        }
    }
}
