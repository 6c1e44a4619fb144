//! Connections and requests: where they come in, what is answered here, what goes to the handler.
//!
//! Bounded: a request's head (1 MiB, `read_timeout`), invocations at a time (`max_inflight`). Not bounded: connections,
//! which the descriptor limit bounds; at that bound accepting pauses.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::answer::{self, Answer, Side};
use crate::config::Listen;
use crate::health;
use crate::inbound::Inbound;
use crate::limiter::{Admission, Limiter};
use crate::log;
use crate::metrics::{Measured, Metrics};
use crate::mode::Mode;

const HEAD_BYTES: usize = 1024 * 1024;
/// hyper counts headers, Go only their bytes. The gateway takes 100 and adds some of its own; room for many more would be
/// cleared at each request.
const HEADERS: usize = 128;
/// Out of descriptors: until some are closed, asking again at once would only burn time.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What requests need.
pub(crate) struct Server {
    pub(crate) mode: Mode,
    pub(crate) limiter: Limiter,
    pub(crate) metrics: Metrics,
    pub(crate) lock: PathBuf,
    pub(crate) accepting: AtomicBool,
    pub(crate) read_timeout: Duration,
}

/// What a request holds until its answer is sent.
#[derive(Debug)]
pub(crate) struct Held {
    _admission: Option<Admission>,
    _measured: Measured,
}

impl Server {
    /// Not shutting down, and the lock file is there.
    pub(crate) fn is_open(&self) -> bool {
        self.accepting.load(Ordering::Relaxed) && self.lock.exists()
    }

    async fn respond(&self, request: Request<Inbound>) -> Answer {
        match request.uri().path() {
            "/_/health" => health::health(self, request.method()),
            "/_/ready" if self.mode.has_ready() => match health::not_ready(self, request.method()) {
                Some(answer) => answer,
                None => self.mode.ready_answer().await,
            },
            _ => self.invoke(request).await,
        }
    }

    async fn invoke(&self, mut request: Request<Inbound>) -> Answer {
        let mut measured = self.metrics.measure(request.method());
        let admission = self.limiter.admit();
        let answer = match &admission {
            Some(admission) => {
                request.extensions_mut().insert(admission.clone());
                self.mode.answer(request).await
            }
            None => too_many(self.limiter.limit()),
        };
        measured.code = Some(answer.status());
        answer.map(|body| body.holding(Held { _admission: admission, _measured: measured }))
    }
}

fn too_many(limit: usize) -> Answer {
    let body = format!("Concurrent request limit exceeded. Max concurrent requests: {limit}\n");
    let mut answer = answer::text(StatusCode::TOO_MANY_REQUESTS, body);
    let plain = hyper::header::HeaderValue::from_static("text/plain");
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, plain);
    answer::mark_internal(&mut answer, "faas-middleware");
    answer::blame(answer, Side::Watchdog, &format!("{limit} requests run already"))
}

/// A bound socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Binds; a stale socket file is removed first.
    pub(crate) async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Port(port) => Ok(Self::Tcp(bind_port(*port).await?)),
            Listen::Socket(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(Self::Unix(UnixListener::bind(path)?)),
            },
        }
    }

    /// Says where it listens, with the port that the system chose for 0.
    pub(crate) fn announce(&self, listen: &Listen) {
        match (self, listen) {
            (Self::Tcp(listener), _) => {
                let port = listener.local_addr().map_or(0, |address| address.port());
                log::line(format_args!("Listening on port: {port}"));
            }
            (Self::Unix(_), Listen::Socket(path)) => {
                log::line(format_args!("Listening on socket: {}", path.display()));
            }
            (Self::Unix(_), Listen::Port(_)) => {}
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// On both address families, or on IPv4 where there is no other.
pub(crate) async fn bind_port(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(("::", port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)).await,
        result => result,
    }
}

/// Ends accepting, and lets connections finish.
#[derive(Debug)]
pub(crate) struct Stop {
    stop: watch::Sender<bool>,
    open: mpsc::Receiver<()>,
}

impl Stop {
    /// Closes the listener and idle connections, and waits until the others have finished.
    pub(crate) async fn finish(mut self) {
        self.stop.send_replace(true);
        while self.open.recv().await.is_some() {}
    }
}

/// Serves connections until told to stop.
pub(crate) fn start(server: Arc<Server>, listener: Listener) -> Stop {
    let (stop, stopped) = watch::channel(false);
    // Nothing is ever sent: it closes when the last connection drops its sender.
    let (alive, open) = mpsc::channel(1);
    tokio::spawn(accept(server, listener, stopped, alive));
    Stop { stop, open }
}

async fn accept(
    server: Arc<Server>,
    listener: Listener,
    mut stopped: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        let (server, stopped, alive) = (Arc::clone(&server), stopped.clone(), alive.clone());
        match accepted {
            Ok(Stream::Tcp(stream)) => drop(tokio::spawn(connection(server, stream, stopped, alive))),
            Ok(Stream::Unix(stream)) => drop(tokio::spawn(connection(server, stream, stopped, alive))),
            Err(error) => {
                log::line(format_args!("failed to accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    server: Arc<Server>,
    stream: S,
    mut stopped: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).max_buf_size(HEAD_BYTES).max_headers(HEADERS);
    builder.header_read_timeout((!server.read_timeout.is_zero()).then_some(server.read_timeout));
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.respond(Inbound::of(request)).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    // A broken connection is its client's affair: whoever waits for the answer has gone.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// The methods that the classic watchdog takes.
pub(crate) fn is_classic_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}
