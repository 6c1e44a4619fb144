//! One call to a handler process, through frames.
//!
//! What fits the window is read from the caller before a process is taken, so that a slow sender holds none; the rest is
//! sent by a task of its own, as fast as the handler acknowledges it. The answer is passed on as it comes, and
//! acknowledged as the caller takes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Frame as BodyFrame};
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::head;
use super::lease::Lease;
use super::pool::{Pool, Unavailable};
use super::process::{Event, Process, WINDOW};
use crate::answer::handler_exit;
use crate::frame::{END, Kind, Usage};
use crate::inbound::{Broken, Inbound};

/// Bytes of body in one frame.
const PIECE: usize = 64 * 1024;
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

/// The request's body as far as it was read before a process was taken.
struct Upload {
    first: Bytes,
    /// Absent when `first` is all.
    rest: Option<Inbound>,
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
            (Ok(Ok((begun, false))), _) => return Ok(call.stream(begun, deadline)),
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

impl Upload {
    /// Reads up to a window.
    async fn begin(mut body: Inbound, patience: Duration) -> Result<Self, Failure> {
        let mut first = BytesMut::new();
        while first.len() < WINDOW && !body.is_end_stream() {
            match body.next_part(patience).await? {
                Some(bytes) => first.extend_from_slice(&bytes),
                None => return Ok(Self { first: first.freeze(), rest: None }),
            }
        }
        let rest = (!body.is_end_stream()).then_some(body);
        Ok(Self { first: first.freeze(), rest })
    }

    /// Sends the head with what was read; a task sends the rest.
    fn send(mut self, lease: &mut Lease, head: &[u8], patience: Duration) -> Uploading {
        let fits = self.first.split_to(self.first.len().min(WINDOW));
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
        let whole = self.first.is_empty() && self.rest.is_none();
        let flags = if whole { END } else { 0 };
        let mut uploading = JoinSet::new();
        if !whole {
            let (process, call) = (Arc::clone(lease.process()), lease.call);
            let room = WINDOW - fits.len();
            let sender = Sender { credit: process.credit(call), process, call, room };
            uploading.spawn(sender.run(self, patience));
        }
        lease.send(Kind::Head, flags, &[&length, head, &fits], Vec::new());
        uploading
    }
}

/// The task that sends the rest of a body, if any. Dropping it ends the task.
type Uploading = JoinSet<Result<(), Failure>>;

/// Sends body as far as the handler has room for it.
struct Sender {
    process: Arc<Process>,
    call: u32,
    credit: mpsc::UnboundedReceiver<u32>,
    room: usize,
}

impl Sender {
    async fn run(mut self, upload: Upload, patience: Duration) -> Result<(), Failure> {
        let mut part = upload.first;
        let mut rest = upload.rest;
        loop {
            if self.send(part).await.is_none() {
                return Ok(());
            }
            let more = match &mut rest {
                Some(body) => body.next_part(patience).await?,
                None => None,
            };
            match more {
                Some(bytes) => part = bytes,
                None => break,
            }
        }
        self.process.send(Kind::Body, END, self.call, &[]);
        Ok(())
    }

    /// None when the call is over.
    async fn send(&mut self, mut part: Bytes) -> Option<()> {
        while !part.is_empty() {
            if self.room == 0 {
                self.room = self.credit.recv().await? as usize;
            }
            let piece = part.split_to(part.len().min(self.room).min(PIECE));
            self.room -= piece.len();
            self.process.send(Kind::Body, 0, self.call, &[&piece]);
        }
        Some(())
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
            Some(Event::Body { .. }) => Err(self.broken("BODY before HEAD")),
            Some(Event::Aborted { reason, unseen: true }) => Err(Failure::Unseen(reason)),
            Some(Event::Aborted { reason, .. }) => Err(Failure::Aborted(reason)),
            Some(Event::Exited { status, .. }) => Err(Failure::Died(handler_exit(status))),
            Some(Event::Lost(reason)) => Err(Failure::Died(reason)),
            None => Err(Failure::Died("handler is gone".to_owned())),
        }
    }

    fn broken(&self, what: impl std::fmt::Display) -> Failure {
        self.lease.condemn();
        Failure::Died(format!("handler broke the worker protocol: {what}"))
    }

    fn stream(self, begun: Begun, deadline: Option<Instant>) -> Begun {
        let rest = Rest {
            first: begun.body,
            taken: 0,
            ended: false,
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            lease: Some(self.lease),
            _uploading: self.uploading,
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
    deadline: Option<Pin<Box<Sleep>>>,
    /// Absent once its time was over.
    lease: Option<Lease>,
    _uploading: Uploading,
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
        let event = loop {
            let Some(lease) = self.lease.as_mut().filter(|_| !self.ended) else { return Poll::Ready(None) };
            let Poll::Ready(event) = lease.poll_next(context) else { return self.poll_deadline(context) };
            match event {
                // An empty frame would end a chunked answer for some readers.
                Some(Event::Body { body, end }) if body.is_empty() => self.ended = end,
                event => break event,
            }
        };
        Poll::Ready(match event {
            Some(Event::Body { body, end }) => {
                self.ended = end;
                Some(Ok(self.take(body)))
            }
            Some(Event::Aborted { reason, .. } | Event::Lost(reason)) => Some(Err(io::Error::other(reason))),
            Some(Event::Exited { status, .. }) => Some(Err(io::Error::other(handler_exit(status)))),
            Some(Event::Head { .. }) => {
                if let Some(lease) = &self.lease {
                    lease.condemn();
                }
                Some(Err(io::Error::other("a second HEAD")))
            }
            None => Some(Err(io::ErrorKind::InvalidData.into())),
        })
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended && self.first.is_empty()
    }

    /// Whoever asks for more has taken what was before.
    fn take(&mut self, bytes: Bytes) -> BodyFrame<Bytes> {
        self.taken += bytes.len();
        if let Some(lease) = self.lease.as_ref().filter(|_| self.taken >= WINDOW / 2 && !self.ended) {
            lease.process().acknowledge(lease.call, std::mem::take(&mut self.taken));
        }
        BodyFrame::data(bytes)
    }

    fn poll_deadline(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, io::Error>>> {
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(context));
        if let Some(lease) = self.lease.take() {
            lease.expire();
        }
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
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
