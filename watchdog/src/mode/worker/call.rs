//! One call to a handler process, through frames.
//!
//! What fits the window is read from the caller before a process is taken, so that a slow sender holds none. The answer is
//! passed on as it comes, and acknowledged as the caller takes it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Frame as BodyFrame;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::head;
use super::lease::Lease;
use super::pool::{Pool, Unavailable};
use super::process::{Event, WINDOW};
use super::upload::{Upload, Uploading};
use crate::answer::handler_exit;
use crate::frame::Usage;
use crate::inbound::{Broken, Inbound};
use crate::mode::deadline::{is_stream, wants_stream};

/// Processes that a call is sent to, one after the other, while none looks at it.
const TRIES: usize = 3;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The caller's body broke off; the text says how.
    Client(String),
    Timeout,
    /// The handler gave up; its process lives.
    Aborted(String),
    /// The process took no more calls, and did not look at this one.
    Unseen(String),
    /// The process ended, or broke its word.
    Died(String),
    Unavailable(String),
}

/// The beginning of an answer.
pub(super) struct Begun {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Absent when the body is whole.
    pub(super) rest: Option<Rest>,
    pub(super) usage: Option<Usage>,
}

/// Sends one request through a process of the pool, and waits for the beginning of the answer. One that its process never
/// looked at goes to another, while all of it is here.
pub(super) async fn run(
    pool: &Arc<Pool>,
    mut head: Parts,
    body: Inbound,
    patience: Duration,
    deadline: Option<Instant>,
) -> Result<Begun, Failure> {
    let may_last = wants_stream(&head.headers);
    let mut upload = within(deadline, Upload::begin(body, patience)).await??;
    let call_id = head.headers.get(faas_api::headers::CALL_ID).cloned();
    let text = head::write(&mut head);
    for _ in 0..TRIES {
        let again = upload.rest.is_none().then(|| upload.first.clone());
        let mut lease = within(deadline, pool.lease(call_id.clone())).await??;
        let uploading = upload.send(&mut lease, &text, patience);
        let mut call = Call { lease, uploading, method: head.method.clone() };
        match (within(deadline, call.begin()).await, again) {
            (Err(timeout), _) => {
                call.lease.expire();
                return Err(timeout);
            }
            (Ok(Err(Failure::Unseen(_))), Some(first)) => upload = Upload { first, rest: None },
            (Ok(Err(failure)), _) => return Err(failure),
            (Ok(Ok((begun, true))), _) => return Ok(begun),
            (Ok(Ok((begun, false))), _) => {
                let lasts = may_last && is_stream(&begun.headers);
                return Ok(call.stream(begun, deadline.filter(|_| !lasts)));
            }
        }
    }
    Err(Failure::Unseen("its processes take no more calls".to_owned()))
}

async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Result<T, Failure> {
    match deadline {
        None => Ok(future.await),
        Some(deadline) => timeout_at(deadline, future).await.map_err(|_| Failure::Timeout),
    }
}

/// A call that was sent.
struct Call {
    lease: Lease,
    uploading: Uploading,
    method: Method,
}

impl Call {
    /// Waits for the answer's beginning; true when that is all of it.
    async fn begin(&mut self) -> Result<(Begun, bool), Failure> {
        let event = loop {
            tokio::select! {
                event = self.lease.next() => break event,
                Some(sent) = self.uploading.join_next() => if let Ok(Err(failure)) = sent {
                    return Err(failure);
                },
            }
        };
        match event {
            Some(Event::Head { head, body, end, usage }) => {
                let (status, headers) =
                    head::parse(&head, &self.method).map_err(|error| self.broken(error))?;
                Ok((Begun { status, headers, body, rest: None, usage }, end))
            }
            Some(Event::Aborted { reason, unseen: true }) => Err(Failure::Unseen(reason)),
            Some(Event::Aborted { reason, .. }) => Err(Failure::Aborted(reason)),
            Some(Event::Exited { status, .. }) => Err(Failure::Died(handler_exit(status))),
            Some(Event::Lost(reason)) => Err(Failure::Died(reason)),
            Some(Event::Body { .. }) | None => Err(Failure::Died("handler is gone".to_owned())),
        }
    }

    fn broken(&self, what: impl std::fmt::Display) -> Failure {
        self.lease.condemn();
        Failure::Died(format!("handler broke the worker protocol: {what}"))
    }

    fn stream(self, begun: Begun, deadline: Option<Instant>) -> Begun {
        let clock = deadline.map(|deadline| self.lease.end_at(deadline));
        let rest = Rest {
            first: begun.body,
            taken: 0,
            ended: false,
            lease: self.lease,
            uploading: self.uploading,
            _clock: clock,
        };
        Begun { body: Bytes::new(), rest: Some(rest), ..begun }
    }
}

/// The rest of an answer, as it comes.
pub(crate) struct Rest {
    first: Bytes,
    /// Not acknowledged yet.
    taken: usize,
    ended: bool,
    lease: Lease,
    uploading: Uploading,
    /// Runs for a caller who does not read, too.
    _clock: Option<JoinSet<()>>,
}

impl Rest {
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, io::Error>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(self.take(first))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Some(Ok(Err(_)))) = self.uploading.poll_join_next(context) {
            self.lease.abort();
            return Poll::Ready(Some(Err(io::Error::other("the request body broke off"))));
        }
        match ready!(self.lease.poll_next(context)) {
            Some(Event::Body { body, end }) => {
                self.ended = end;
                if body.is_empty() {
                    // Only the end comes without bytes.
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(self.take(body))))
            }
            other => Poll::Ready(Some(Err(io::Error::other(describe(other))))),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended && self.first.is_empty()
    }

    /// Whoever asks for more has taken what was before.
    fn take(&mut self, bytes: Bytes) -> BodyFrame<Bytes> {
        self.taken += bytes.len();
        if self.taken >= WINDOW / 2 && !self.ended {
            self.lease.process().acknowledge(self.lease.call, std::mem::take(&mut self.taken));
        }
        BodyFrame::data(bytes)
    }
}

/// Why an answer is broken off.
fn describe(event: Option<Event>) -> String {
    match event {
        Some(Event::Aborted { reason, .. } | Event::Lost(reason)) => reason,
        Some(Event::Exited { status, .. }) => handler_exit(status),
        _ => "handler is gone".to_owned(),
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Rest").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Client(broken.to_string())
    }
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable.0)
    }
}
