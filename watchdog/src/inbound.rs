//! The body of a request, which nobody need read to its end.
//!
//! An answer that is sent while the caller still sends would be lost if the connection closed on unread bytes. So what
//! is left of a body when it is given up is read and thrown away, for [`LINGER`] at most; then the connection closes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use hyper::{Request, body};
use tokio::time::timeout;

const LINGER: Duration = Duration::from_secs(5);

/// A body on its way in. Dropped on a runtime.
#[derive(Debug)]
pub(crate) struct Inbound {
    body: Option<Incoming>,
    /// What [`Inbound::ask`] has read.
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    /// The caller sends only when asked to, and has not been.
    waits: bool,
}

impl Inbound {
    pub(crate) fn of(request: Request<Incoming>) -> Request<Self> {
        let waits = request.headers().contains_key(EXPECT);
        request.map(|body| Self { body: Some(body), first: None, waits })
    }

    /// Lets a caller who waits to be asked begin, and waits until it has. An answer that begins before that would come
    /// without the asking. Cancel safe.
    pub(crate) async fn ask(&mut self, patience: Duration) -> Result<(), Broken> {
        if self.waits {
            self.first = within(patience, self.frame()).await?;
        }
        Ok(())
    }

    /// The next bytes, which have so long to come (zero: any time). Trailers are for nobody here. Cancel safe.
    pub(crate) async fn next_part(&mut self, patience: Duration) -> Result<Option<Bytes>, Broken> {
        loop {
            match within(patience, self.frame()).await?.transpose().map_err(Broken::Read)? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

async fn within<T>(patience: Duration, coming: impl Future<Output = T>) -> Result<T, Broken> {
    if patience.is_zero() {
        return Ok(coming.await);
    }
    timeout(patience, coming).await.map_err(|_| Broken::Stalled)
}

/// Why a body has no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the request body did not go on in time")]
    Stalled,
    #[error("failed to read the request body: {0}")]
    Read(hyper::Error),
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.as_ref().is_none_or(body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), body::Body::size_hint);
        let first = self.first.iter().flatten().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        left.exact().map_or(left, |exact| SizeHint::with_exact(exact + first as u64))
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !self.waits && !body.is_end_stream()) {
            tokio::spawn(timeout(LINGER, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}
