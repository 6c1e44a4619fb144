//! Connections: to any address for invocations, and for callbacks only to those that are allowed, judged where they are
//! connected, so that no name can mean something else a moment later.
//!
//! Bounded: a few seconds to connect; idle connections are used again within [`REUSE`]. A peer that is gone without a
//! word is noticed by the kernel's probes, since invocations have no timeout of their own to speak of.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_util::either::Either;

use super::destination::Destinations;
use crate::callback_url::port;

/// Gateways and common servers close what is idle for five seconds; a request sent at that moment would be lost.
const REUSE: Duration = Duration::from_secs(3);
/// For resolving, for one address to answer, and for TLS.
const TO_CONNECT: Duration = Duration::from_secs(10);
/// Idle connections to one host.
const MOST_IDLE: usize = 256;
/// Bytes of an answer's head: it goes into the job's record.
const MOST_HEAD: usize = 64 << 10;
/// A silent peer is asked after the first, then at the second, and is gone after so many.
const PROBES: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;
/// What is sent.
pub(super) type Upload = UnsyncBoxBody<Bytes, io::Error>;
/// Sends requests over kept connections.
pub(super) type Client = legacy::Client<Connector, Upload>;

/// To anywhere.
pub(super) fn open(tls: Arc<ClientConfig>) -> Client {
    build(Connector { guard: None, tls })
}

/// To where callbacks may go.
pub(super) fn guarded(tls: Arc<ClientConfig>, guard: Arc<Destinations>) -> Client {
    build(Connector { guard: Some(guard), tls })
}

fn build(connector: Connector) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(REUSE)
        .pool_max_idle_per_host(MOST_IDLE)
        .http1_max_buf_size(MOST_HEAD)
        .build(connector)
}

/// TLS with the platform's roots, or, where there are none, with those of Mozilla.
pub(super) fn tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Connects.
#[derive(Clone)]
pub(super) struct Connector {
    guard: Option<Arc<Destinations>>,
    tls: Arc<ClientConfig>,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> Result<Stream, BoxError> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut addresses = within(async { Ok(lookup_host((host, port(uri))).await?.collect()) }).await?;
        if let Some(guard) = &self.guard {
            addresses = guard.filter(host, port(uri), addresses)?;
        }
        let stream = connect_any(&addresses).await?;
        probe(&stream)?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Stream(Either::Left(stream)));
        }
        let name = ServerName::try_from(host.to_owned())?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        Ok(Stream(Either::Right(Box::new(within(tls.connect(name, stream)).await?))))
    }
}

async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match within(TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn probe(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (idle, between, count) = PROBES;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, between)?;
    sockopt::set_tcp_keepcnt(stream, count)?;
    Ok(())
}

async fn within<T>(connecting: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(TO_CONNECT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A connection, with TLS or without.
pub(super) struct Stream(Either<TcpStream, Box<TlsStream<TcpStream>>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

/// An error and its causes in one line, without URLs.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}
