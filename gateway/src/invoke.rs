//! One synchronous invocation: name and path, a replica, the request there, the answer back. Bodies stream both ways
//! and are never held.
//!
//! One deadline bounds the whole: the function's own timeout, else the gateway's, and a second more, so that the
//! watchdog's answer to a timeout comes first. A request of which no byte reached a replica is tried on another; one
//! that a replica may have begun only if it has no body, and doing it twice is doing it once.

pub(crate) mod access;
mod call;
mod deadline;
mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod headers;
pub(crate) mod path;
mod relayed;
mod tunnel;
pub(crate) mod upload;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::TRANSFER_ENCODING;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use faas_api::format_duration;

use crate::fault::{Fault, Side};
use crate::framing::{self, Fields};
use crate::server::{Client, end_stream_at};
use crate::service::Content;
use crate::table::Entry;
use crate::wake;
use access::Access;
use call::Call;
use deadline::Deadline;
use forward::{Forwarded, forward, too_slow};
use headers::Stamp;
use tunnel::Upgrade;

pub(crate) use deadline::Timers;
pub(crate) use path::canonical_path;
pub(crate) use relayed::Relayed;
use upload::Late;
pub(crate) use upload::Upload;

/// The watchdog ends a call at the function's timeout; the gateway steps in this much later.
const GRACE: Duration = Duration::from_secs(1);

/// Answers any method on `/function/{name}[.{namespace}][/path]`.
pub(crate) fn invoke(
    client: &Client,
    mut request: Box<Request<Upload>>,
    fields: &mut Fields,
    access: &mut Option<Box<Access>>,
) -> impl Future<Output = Response<Content>> {
    let stamp = Stamp::new(headers::call_id(request.headers(), fields));
    if let Some(access) = access {
        access.call_id = Some(stamp.call_id().clone());
    }
    async move {
        // Taken apart as a whole: what is moved out of a part stays in the future.
        let (entry, upgrade) = match begin(client, &mut request, fields, &stamp).await {
            Ok(begun) => begun,
            Err(fault) => return to_caller(fault.into_response(), stamp, fields),
        };
        let asked_by_queue = fields.queue.then(|| Arc::clone(&entry));
        let call = Call::begin(client, entry, &stamp, access.take());
        let mut response = run(client, call, request, upgrade).await;
        if let Some(entry) = asked_by_queue {
            // As it is now: it may have been woken.
            let entry = client.worker.gateway.0.table.get(&entry.function).unwrap_or(entry);
            headers::tell_capacity(&mut response, &entry);
        }
        to_caller(response, stamp, fields)
    }
}

fn to_caller(mut response: Response<Content>, stamp: Stamp, fields: &mut Fields) -> Response<Content> {
    headers::to_caller(&mut response, stamp, fields.content_type.take());
    response
}

/// Finds the function and makes the request its own; also says to what it may be upgraded.
async fn begin(
    client: &Client,
    request: &mut Request<Upload>,
    fields: &Fields,
    stamp: &Stamp,
) -> Result<(Arc<Entry>, Option<Box<Upgrade>>), Fault> {
    let (entry, uri) = resolve(client, request).await?;
    let h2c = entry.route.terms.h2c;
    let upgrades = fields.hop_by_hop.upgrade() && !h2c;
    let upgrade = if upgrades { Upgrade::wanted(request).map(Box::new) } else { None };
    headers::to_function(request, fields, &client.caller, stamp);
    headers::readdress(request, uri, h2c, upgrade.as_deref());
    if !h2c && request.body().is_of_unknown_length() {
        // Else nothing would be sent of a GET's.
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok((entry, upgrade))
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
fn run(
    client: &Client,
    call: Call,
    mut request: Box<Request<Upload>>,
    upgrade: Option<Box<Upgrade>>,
) -> impl Future<Output = Response<Content>> {
    let config = &client.worker.gateway.0.config;
    let timeout = call.entry().route.terms.timeout.unwrap_or(config.upstream_timeout);
    let mut deadline = Deadline::new(call.started() + timeout + GRACE, &client.worker.timers);
    end_stream_at(deadline.at() + GRACE);
    client.watch.end_by(timeout + 2 * GRACE);
    request.body_mut().end_at(deadline.at());
    let progress = request.body().progress();
    async move {
        let forwarded = {
            let mut forwarding = pin!(forward(client, &call, request, deadline.at()));
            poll_fn(|context| deadline.poll_within(forwarding.as_mut(), context)).await
        };
        match forwarded {
            Some(Ok(mut forwarded)) => {
                if let Some(progress) = progress {
                    progress.answered();
                }
                match framing::settle_answer(forwarded.response.headers_mut()) {
                    Ok(()) => answered(client, call, upgrade, forwarded, deadline),
                    // Its connection ends with it.
                    Err(reason) => call.failed(Fault::new(Side::Handler, StatusCode::BAD_GATEWAY, reason)),
                }
            }
            Some(Err(fault)) => call.failed(fault),
            None if progress.is_some_and(|progress| progress.waits_for_caller()) => {
                call.failed(too_slow(&Late))
            }
            None => {
                let reason = format!("no answer within {}", format_duration(timeout));
                call.failed(Fault::new(Side::Handler, StatusCode::BAD_GATEWAY, reason))
            }
        }
    }
}

fn answered(
    client: &Client,
    mut call: Call,
    upgrade: Option<Box<Upgrade>>,
    forwarded: Forwarded,
    deadline: Deadline,
) -> Response<Content> {
    if forwarded.response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return tunnel::open(client, call, upgrade, forwarded, deadline.at());
    }
    call.answered(&forwarded.response);
    let Forwarded { response, connection, in_flight } = forwarded;
    response.map(|body| Content::Relayed(Box::new(Relayed::new(body, connection, call, in_flight, deadline))))
}
