//! Connections to one replica: HTTP/1.1, kept and reused.
//!
//! Bounded: [`MOST_IDLE`] idle connections are kept; how many are in use is bounded by the invocations in flight. They
//! are closed when the replica leaves the table. A failure says whether any byte may have reached the replica.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use faas_provider::{Address, Replica};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// A replica whose machine is gone answers nothing; another may.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// As many idle connections as the peers keep to one host.
const MOST_IDLE: usize = 1024;
/// A full backlog of a Unix socket refuses at once; it is tried again this much later.
const BACKLOG_PAUSE: Duration = Duration::from_millis(1);

/// A replica and the idle connections to it.
pub(crate) struct Upstream {
    replica: Arc<Replica>,
    idle: Mutex<Vec<SendRequest<Body>>>,
}

/// A connection whose answer is being read; dropping it closes it.
pub(crate) struct Connection {
    upstream: Arc<Upstream>,
    sender: SendRequest<Body>,
}

impl Connection {
    /// Lets others use the connection, once the answer has been read to its end.
    pub(crate) fn keep(self) {
        let mut idle = self.upstream.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE && !self.sender.is_closed() {
            idle.push(self.sender);
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No byte was sent; the request is handed back.
    #[error("failed to connect: {1}")]
    Unsent(Box<Request<Body>>, Box<dyn std::error::Error + Send + Sync>),
    /// The replica may have begun.
    #[error("connection lost before an answer: {0}")]
    Lost(hyper::Error),
}

impl Upstream {
    pub(crate) fn new(replica: Arc<Replica>) -> Self {
        Self { replica, idle: Mutex::default() }
    }

    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Sends the request and waits for the head of the answer. Dropping the future or the connection closes it, which
    /// tells the replica that the caller is gone.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        loop {
            let (mut sender, reused) = match self.take_idle() {
                Some(sender) => (sender, true),
                None => match self.connect().await {
                    Ok(sender) => (sender, false),
                    Err(error) => return Err(Failure::Unsent(Box::new(request), error)),
                },
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    return Ok((response, Connection { upstream: Arc::clone(self), sender }));
                }
                Err(mut error) => match error.take_message() {
                    // An idle connection that the replica closed meanwhile.
                    Some(unsent) if reused => request = unsent,
                    Some(unsent) => {
                        return Err(Failure::Unsent(Box::new(unsent), error.into_error().into()));
                    }
                    None => return Err(Failure::Lost(error.into_error())),
                },
            }
        }
    }

    /// The connection that was used last and takes a request now. One whose last request is still being sent, though
    /// its answer has ended, does not: nobody may have to wait for somebody else's upload.
    fn take_idle(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        let ready = idle.iter().rposition(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Box<dyn std::error::Error + Send + Sync>> {
        match &self.replica.address {
            Address::Tcp(address) => {
                let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
                stream.set_nodelay(true)?;
                handshake(stream).await
            }
            Address::Unix(path) => loop {
                match UnixStream::connect(path).await {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::time::sleep(BACKLOG_PAUSE).await;
                    }
                    connected => return handshake(connected?).await,
                }
            },
        }
    }
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Body>, Box<dyn std::error::Error + Send + Sync>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
