//! New connections to replicas.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use faas_provider::Address;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::either::Either;

use super::BoxError;
use crate::invoke::Upload;
use crate::metrics::Metrics;
use crate::pieces;

/// A replica whose machine is gone answers nothing; another may.
const TIMEOUT: Duration = Duration::from_secs(1);
/// HTTP/2: how long a connection is silent before it is asked whether it lives, and how long it has to say so.
const PING: Duration = Duration::from_secs(10);
/// A full backlog of a Unix socket refuses at once; it is tried again this much later.
const BACKLOG_PAUSE: Duration = Duration::from_millis(1);

/// Set by the first byte.
pub(super) type Heard = Arc<AtomicBool>;

/// A stream that tells whether anything came.
struct Listening {
    stream: Stream,
    heard: Heard,
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        pieces::poll_write(&mut self.stream, context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

type Stream = Either<TcpStream, UnixStream>;

/// A connection for one request at a time, and whether anything came on it since that was last set back.
pub(super) async fn http1(
    address: &Address,
    metrics: &Metrics,
) -> Result<(http1::SendRequest<Upload>, Heard), BoxError> {
    let heard = Heard::default();
    let stream = Listening { stream: timed(address, metrics).await?, heard: Arc::clone(&heard) };
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok((sender, heard))
}

/// A connection for many requests at a time.
pub(super) async fn http2(
    address: &Address,
    metrics: &Metrics,
) -> Result<http2::SendRequest<Upload>, BoxError> {
    let stream = TokioIo::new(timed(address, metrics).await?);
    // A replica whose machine is gone says nothing, and many calls share the connection.
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    let (sender, connection) = client.handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn timed(address: &Address, metrics: &Metrics) -> io::Result<Stream> {
    let started = Instant::now();
    let stream = open(address).await?;
    metrics.record_connect(started.elapsed());
    Ok(stream)
}

/// Whether it is the gateway that has no descriptors, ports or memory left.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    const SHORTAGES: [Errno; 5] =
        [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| SHORTAGES.contains(&errno))
}

/// Whether the replica takes a connection.
pub(super) async fn is_open(address: &Address) -> bool {
    open(address).await.is_ok()
}

async fn open(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Tcp(address) => {
            let stream = timeout(TIMEOUT, TcpStream::connect(address)).await??;
            stream.set_nodelay(true)?;
            Ok(Either::Left(stream))
        }
        Address::Unix(path) => loop {
            match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(BACKLOG_PAUSE).await;
                }
                connected => return Ok(Either::Right(connected?)),
            }
        },
    }
}
