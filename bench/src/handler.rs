//! This program as an HTTP function's handler: a small answer to every request, on one thread.
//!
//! nginx and our watchdog get the very same, so that what differs between two runs is what stands in front of it.

use std::convert::Infallible;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;

/// Serves until the process ends.
pub(crate) fn run(socket: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(serve(socket))
}

async fn serve(socket: &Path) -> anyhow::Result<()> {
    let listener =
        UnixListener::bind(socket).with_context(|| format!("failed to listen on {}", socket.display()))?;
    loop {
        let (stream, _) = listener.accept().await.context("failed to accept")?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"Hello from the handler.\n"))))
}
