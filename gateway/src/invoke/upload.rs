//! A request's body on its way to a replica. One that is silent for too long ends the request, and none outlives its
//! invocation's deadline, whether it was answered or not.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::server::Watch;

/// What the caller sends.
#[derive(Debug)]
pub(crate) enum Upload {
    /// Nothing.
    Empty,
    /// As it comes.
    Streamed(Box<Streamed>),
}

/// A body, and how long it has been silent.
#[derive(Debug)]
pub(crate) struct Streamed {
    body: Incoming,
    watch: Arc<Watch>,
    limit: Duration,
    /// Made when the body is waited for the first time.
    silence: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
    /// The invocation's deadline.
    end: Option<Instant>,
}

/// How far a request with a body is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether the answer has begun: both sides may think between what they say to each other, as in gRPC.
    answered: AtomicBool,
    /// Whether the replica takes more, and the caller sends none.
    waiting: AtomicBool,
}

impl Progress {
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn waits_for_caller(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Nothing came for as long as a body may be silent.
#[derive(Debug, thiserror::Error)]
#[error("the request's body was silent for too long")]
pub(crate) struct Silent;

/// The deadline passed before all of it had come.
#[derive(Debug, thiserror::Error)]
#[error("the request's body was not whole when the function's timeout passed")]
pub(super) struct Late;

impl Upload {
    pub(crate) fn new(body: Incoming, watch: &Arc<Watch>, limit: Duration) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let watch = Arc::clone(watch);
        Self::Streamed(Box::new(Streamed {
            body,
            watch,
            limit,
            silence: None,
            progress: Arc::default(),
            end: None,
        }))
    }

    /// Whether there is a body, and its head did not say how long it is.
    pub(super) fn is_of_unknown_length(&self) -> bool {
        !self.is_end_stream() && self.size_hint().exact().is_none()
    }

    /// `None` for a request without a body.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streamed(streamed) => Some(Arc::clone(&streamed.progress)),
        }
    }

    /// Nothing of it is passed on any more from then.
    pub(super) fn end_at(&mut self, deadline: Instant) {
        if let Self::Streamed(streamed) = self {
            streamed.end = Some(deadline);
        }
    }
}

impl Streamed {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Poll::Ready(Some(Err(Late.into())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let waited = self.progress.waiting.swap(polled.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(frame) = polled {
            self.watch.heard();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !waited {
            silence.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(silence.as_mut().poll(context));
        if self.progress.answered.load(Ordering::Relaxed) {
            silence.as_mut().reset(Instant::now() + self.limit);
            let _ = silence.as_mut().poll(context);
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Silent.into())))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(streamed) => streamed.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}
