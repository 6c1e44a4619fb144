//! This program as an HTTP function's handler: a small answer to every request, on one thread, after a while if told so.
//!
//! nginx and our watchdog get the very same, so that what differs between two runs is what stands in front of it.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use faas_package::HTTP_SOCKET_VARIABLE;
use faas_provider::Address;
use faas_testing::wait_for;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::child::{Server, as_handler};

/// A process of it on a socket of its own, ended when dropped.
pub(crate) struct Handler {
    pub(crate) address: Address,
    server: Server,
    _folder: TempDir,
}

impl Handler {
    pub(crate) fn start(delay: Duration) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("h.sock");
        let mut command = as_handler(&std::env::current_exe()?);
        command.arg("--delay").arg(delay.as_millis().to_string()).env(HTTP_SOCKET_VARIABLE, &socket);
        let server = Server::start(&mut command)?;
        wait_for("the handler's socket", || socket.exists().then_some(()));
        Ok(Self { address: Address::Unix(socket), server, _folder: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }
}

/// Serves until the process ends.
pub(crate) fn run(socket: &Path, delay: Duration) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(socket, delay))
}

async fn serve(socket: &Path, delay: Duration) -> anyhow::Result<()> {
    let listener =
        UnixListener::bind(socket).with_context(|| format!("failed to listen on {}", socket.display()))?;
    loop {
        let (stream, _) = listener.accept().await.context("failed to accept")?;
        let service = service_fn(move |request| answer(request, delay));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(_: Request<Incoming>, delay: Duration) -> Result<Response<Full<Bytes>>, Infallible> {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"Hello from the handler.\n"))))
}
