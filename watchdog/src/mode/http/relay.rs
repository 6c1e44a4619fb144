//! An answer on its way from the handler's server to the caller.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::pool::Lease;

/// The rest of an answer.
#[derive(Debug)]
pub(crate) struct Relay {
    body: Incoming,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The connection, until the end has been read from it.
    lease: Option<Lease>,
}

impl Relay {
    /// Breaks off after `left`.
    pub(super) fn new(body: Incoming, lease: Lease, left: Option<Duration>) -> Self {
        let ended = body.is_end_stream();
        let mut relay = Self { body, deadline: None, lease: Some(lease) };
        if ended {
            relay.finish();
        } else {
            relay.deadline = left.map(|left| Box::pin(tokio::time::sleep(left)));
        }
        relay
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.body.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(io::Error::other(error)))),
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Pending if self.is_late(context) => Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready())
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}
