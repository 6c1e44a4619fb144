//! Connections to the handler's server, kept while idle.
//!
//! The most recently used goes first, so that a burst's surplus ages out when the server closes it. At most
//! [`IDLE`] are kept. A request that a dead connection never took is sent again on another; one that it took is not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{Either, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::upstream::{Stream, Upstream};
use crate::inbound::Inbound;

const IDLE: usize = 128;

/// A body as it came, whole, or none.
pub(super) type RequestBody = Either<Inbound, Either<Full<Bytes>, Empty<Bytes>>>;

/// Idle connections.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: Upstream,
    idle: Mutex<Vec<SendRequest<RequestBody>>>,
}

/// A connection in use. It returns to the pool only by [`Lease::give_back`].
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    sender: SendRequest<RequestBody>,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the handler does not listen: {0}")]
    Connect(std::io::Error),
    #[error("the handler broke the connection or sent no valid HTTP: {0}")]
    Http(hyper::Error),
}

impl Pool {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self { upstream, idle: Mutex::default() }
    }

    /// Sends on an idle connection, or a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        loop {
            let (mut sender, reused) = match self.take() {
                Some(sender) => (sender, true),
                None => (self.open().await?, false),
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Lease { pool: Arc::clone(self), sender })),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(Error::Http(error.into_error())),
                },
            }
        }
    }

    /// The last one returned that can take a request. One that is still sending an old body may become usable later.
    fn take(&self) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.idle();
        idle.retain(|sender| !sender.is_closed());
        let place = idle.iter().rposition(SendRequest::is_ready)?;
        Some(idle.remove(place))
    }

    async fn open(&self) -> Result<SendRequest<RequestBody>, Error> {
        match self.upstream.connect().await.map_err(Error::Connect)? {
            Stream::Tcp(stream) => handshake(stream).await,
            Stream::Unix(stream) => handshake(stream).await,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<RequestBody>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<RequestBody>, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // With hyper's own bound on headers, 100, whose table needs no memory of its own.
    let builder = http1::Builder::new();
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(Error::Http)?;
    tokio::spawn(connection.with_upgrades());
    sender.ready().await.map_err(Error::Http)?;
    Ok(sender)
}

impl Lease {
    /// Keeps the connection for another request: its answer was read to the end.
    pub(super) fn give_back(self) {
        let mut idle = self.pool.idle();
        if !self.sender.is_closed() && idle.len() < IDLE {
            idle.push(self.sender);
        }
    }
}
