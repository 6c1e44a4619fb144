//! One client's connection: TLS if there is any, HTTP/1.1 or HTTP/2, and how it ends.
//!
//! Bounded: what [`Limits`](crate::Limits) says. HTTP/2 is spoken to whoever begins with its preface or agreed on it in
//! TLS; a stream ends at its call's deadline even if its client takes nothing of it.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use super::io::Watched;
use super::watch::{Order, Watch};
use super::worker::Worker;
use crate::invoke::Upload;
use crate::service::{self, Answer};

/// HTTP/2 keeps a head in memory while it is decoded, for each stream.
const HTTP2_HEAD_BYTES: usize = 64 << 10;
/// Of an answer that a client of HTTP/2 does not read, for each stream.
const UNREAD_BYTES: usize = 64 << 10;

/// A connection as its requests see it.
pub(crate) struct Client {
    pub(crate) worker: Arc<Worker>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) caller: Caller,
}

/// Who asks.
pub(crate) struct Caller {
    /// `IP:PORT`, for `X-Forwarded-For`.
    pub(crate) address: HeaderValue,
    /// Whether its own `X-Forwarded-` headers are believed.
    pub(crate) trusted: bool,
}

/// Serves a client to its end. `stream` holds the client's place among all connections.
pub(super) async fn serve(worker: Arc<Worker>, stream: Watched, peer: SocketAddr, watch: Arc<Watch>) {
    let trusted = worker.gateway.0.config.trusted_proxies.as_ref();
    let client = Arc::new(Client {
        caller: Caller {
            trusted: trusted.is_none_or(|ranges| ranges.iter().any(|range| range.contains(peer.ip()))),
            address: HeaderValue::try_from(peer.to_string()).unwrap_or(HeaderValue::from_static("unknown")),
        },
        watch: Arc::clone(&watch),
        worker,
    });
    let begun = watch.unless_ended(begin(&client, stream)).await;
    let ended = match begun {
        None => Ok(()),
        Some(Ok(Begun::Http1(stream))) => serve_http1(client, stream).await,
        Some(Ok(Begun::Http2(stream))) => Box::pin(serve_http2(client, stream)).await,
        Some(Ok(Begun::Tls(stream, false))) => Box::pin(serve_http1(client, *stream)).await,
        Some(Ok(Begun::Tls(stream, true))) => Box::pin(serve_http2(client, *stream)).await,
        Some(Err(error)) => Err(error.into()),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error, "connection ended");
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

enum Begun {
    Http1(Watched),
    Http2(Watched),
    /// With HTTP/2 if so.
    Tls(Box<TlsStream<Watched>>, bool),
}

async fn begin(client: &Client, mut stream: Watched) -> std::io::Result<Begun> {
    let Some(tls) = &client.worker.tls else {
        let http2 = stream.speaks_http2().await?;
        return Ok(if http2 { Begun::Http2(stream) } else { Begun::Http1(stream) });
    };
    let limit = client.worker.gateway.0.config.limits.head_timeout;
    let stream = timeout(limit, tls.acceptor().accept(stream)).await??;
    client.watch.is_ready();
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Begun::Tls(Box::new(stream), http2))
}

async fn serve_http1<S>(client: Arc<Client>, stream: S) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (limits, watch) = (&client.worker.gateway.0.config.limits, Arc::clone(&client.watch));
    let mut server = http1::Builder::new();
    server.header_read_timeout(None).max_buf_size(limits.head_bytes);
    let connection = server.serve_connection(TokioIo::new(stream), service_fn(answer(client.clone())));
    run(connection.with_upgrades(), http1::UpgradeableConnection::graceful_shutdown, &watch).await
}

async fn serve_http2<S>(client: Arc<Client>, stream: S) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (limits, watch) = (&client.worker.gateway.0.config.limits, Arc::clone(&client.watch));
    watch.is_http2();
    let mut server = http2::Builder::new(Streams);
    let head_bytes = u32::try_from(limits.head_bytes.min(HTTP2_HEAD_BYTES)).unwrap_or(u32::MAX);
    server.max_concurrent_streams(limits.streams).max_header_list_size(head_bytes);
    server.max_send_buf_size(UNREAD_BYTES);
    let connection = server.serve_connection(TokioIo::new(stream), service_fn(answer(client.clone())));
    run(connection, http2::Connection::graceful_shutdown, &watch).await
}

/// Until it ends, or is told to. One whose request is awaited ends by itself: the answer closes it.
async fn run<C>(connection: C, finish: impl Fn(Pin<&mut C>), watch: &Watch) -> Result<(), Error>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut finishing = false;
    std::future::poll_fn(|context| {
        match watch.told(context) {
            Order::End => return Poll::Ready(Ok(())),
            Order::Finish if !finishing && !watch.awaits_request() => {
                finishing = true;
                finish(connection.as_mut());
            }
            _ => {}
        }
        connection.as_mut().poll(context).map_err(Error::from)
    })
    .await
}

/// A client's socket after an upgrade; `None` if bytes of the new protocol came before it was agreed on.
pub(crate) fn socket(upgraded: Upgraded) -> Option<Box<dyn Socket>> {
    match upgraded.downcast::<TokioIo<Watched>>() {
        Ok(parts) => parts.read_buf.is_empty().then(|| Box::new(parts.io.into_inner()) as _),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<TlsStream<Watched>>>().ok()?;
            parts.read_buf.is_empty().then(|| Box::new(parts.io.into_inner()) as _)
        }
    }
}

/// Bytes both ways.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// Boxed: hyper keeps its place in every connection, idle ones included.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// Answers the requests of one connection.
fn answer(client: Arc<Client>) -> impl Fn(Request<Incoming>) -> Answering {
    move |request| {
        let limit = client.worker.gateway.0.config.limits.body_timeout;
        let request = Box::new(request.map(|body| Upload::new(body, &client.watch, limit)));
        Box::pin(service::answer(Arc::clone(&client), request))
    }
}

tokio::task_local! {
    /// When the stream that runs has to be over.
    static LATEST: Cell<Option<Instant>>;
}

/// Ends the HTTP/2 stream that this is called on at `latest`. A stream whose client opens no window is not polled for
/// more of its answer, and would never notice its deadline; HTTP/1 has its writes watched for that. The last call counts.
pub(crate) fn end_stream_at(latest: Instant) {
    let _ = LATEST.try_with(|cell| cell.set(Some(latest)));
}

/// Runs HTTP/2 streams, each to its end or its latest.
#[derive(Clone)]
struct Streams;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(LATEST.scope(Cell::new(None), Stream { stream: Box::pin(stream), sleep: None }));
    }
}

struct Stream<F> {
    stream: Pin<Box<F>>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(latest) = LATEST.with(Cell::get) else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(latest)));
        if sleep.deadline() != latest {
            sleep.as_mut().reset(latest);
        }
        sleep.as_mut().poll(context)
    }
}
