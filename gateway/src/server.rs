//! Connections: accept, serve HTTP/1.1, drain.
//!
//! Bounded: a request's head within [`HEAD_TIMEOUT`] and 1 MiB. A drain stops accepting, lets every connection finish
//! the request it is at, and ends with the last one or the abort.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::{Gateway, router};

/// A client has this long for a request's head, and for an idle connection's next one.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
/// A caller that takes nothing of its answer for this long is cut off: until then it holds its call.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// A drain waits this long for connections that are at no invocation.
const IDLE_DRAIN: Duration = Duration::from_secs(1);
/// The peers' limit on a request's head.
const HEAD_BYTES: usize = 1 << 20;

/// Who sent a request; in its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

pub(crate) async fn run(listener: TcpListener, gateway: Gateway) {
    let (shutdown, router) = (gateway.0.shutdown.clone(), router::build(gateway.clone()));
    let connections = TaskTracker::new();
    while let Some(accepted) = shutdown.drain.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(serve(stream, peer, router.clone(), shutdown.drain.clone()));
            }
            Err(error) => {
                // Out of descriptors, mostly: those in use will be closed.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    shutdown.abort.run_until_cancelled(drain(&gateway, &connections)).await;
}

/// Waits for the last connection, or while any invocation is under way; each has its deadline. Who sends half a request
/// holds up nothing.
async fn drain(gateway: &Gateway, connections: &TaskTracker) {
    loop {
        let ended = tokio::time::timeout(IDLE_DRAIN, connections.wait()).await.is_ok();
        if ended || gateway.0.table.in_flight() == 0 {
            return;
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, drain: CancellationToken) {
    // Answers are written whole; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: axum::http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL_TIMEOUT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
