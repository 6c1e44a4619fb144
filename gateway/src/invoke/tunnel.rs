//! Upgrades: WebSocket and whatever else a function agrees to with 101. From then on bytes pass both ways until both
//! sides have closed, or the deadline.
//!
//! Refused: `h2c`, with which a caller would speak past our checks; and bytes that come before the 101 does, which
//! somebody could take for another request.

use std::sync::Arc;

use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use super::call::Call;
use super::forward::Forwarded;
use crate::fault::{Fault, Side};
use crate::server::{Client, Watch, socket};
use crate::service::Content;

/// What a caller wants to change to.
pub(super) struct Upgrade {
    /// One protocol, or several of which the function chooses.
    pub(super) protocols: HeaderValue,
    caller: OnUpgrade,
}

impl Upgrade {
    /// Reads it from a request, if it wants one that may be passed on.
    pub(super) fn wanted<B>(request: &mut Request<B>) -> Option<Self> {
        let protocols = protocols(request.version(), request.headers())?.clone();
        Some(Self { protocols, caller: hyper::upgrade::on(request) })
    }
}

fn protocols(version: Version, headers: &HeaderMap) -> Option<&HeaderValue> {
    let asked = headers.get_all(CONNECTION).iter().any(|value| names(value, "upgrade"));
    let protocols = only(headers).filter(|_| version == Version::HTTP_11 && asked)?;
    // What is no text might be read by somebody as what it is not.
    (protocols.to_str().is_ok() && !names(protocols, "h2c")).then_some(protocols)
}

fn only(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut all = headers.get_all(UPGRADE).iter();
    all.next().filter(|_| all.next().is_none())
}

/// Whether a list has this word.
fn names(list: &HeaderValue, word: &str) -> bool {
    list.to_str().unwrap_or_default().split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
}

/// Answers 101 and passes bytes from then on. The call and the replica's place last as long.
pub(super) fn open(
    client: &Client,
    mut call: Call,
    upgrade: Option<Box<Upgrade>>,
    forwarded: Forwarded,
    deadline: Instant,
) -> Response<Content> {
    let chosen = only(forwarded.response.headers()).and_then(|chosen| chosen.to_str().ok());
    let Some(upgrade) = upgrade.filter(|asked| chosen.is_some_and(|chosen| names(&asked.protocols, chosen)))
    else {
        let reason = "the function changed the protocol, which nobody asked for";
        return call.failed(Fault::new(Side::Handler, StatusCode::BAD_GATEWAY, reason));
    };
    let Forwarded { mut response, connection, in_flight } = forwarded;
    call.answered(&response);
    let watch = Arc::clone(&client.watch);
    let function = hyper::upgrade::on(&mut response);
    let mut answer = Response::new(Content::Text(bytes::Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    client.worker.tasks.spawn(async move {
        let passing = pass(&watch, upgrade.caller, function);
        if timeout_at(deadline, passing).await.is_err() {
            call.cut_off();
        }
        drop((connection, in_flight, call));
    });
    answer
}

async fn pass(watch: &Watch, caller: OnUpgrade, function: OnUpgrade) {
    // Once the caller has been told: until then its connection is watched like any other.
    let Ok(caller) = caller.await else { return };
    watch.leave();
    let Ok(function) = function.await else { return };
    let Some(mut caller) = socket(caller) else {
        tracing::debug!("a caller did not wait for the answer to its upgrade");
        return;
    };
    let mut function = TokioIo::new(function);
    // An error is a side that left.
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut function).await;
}
