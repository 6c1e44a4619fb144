//! A request's body on its way to a handler process.
//!
//! What fits the window goes with the head; the rest is sent by a task of its own, as far as the handler has acknowledged.
//! Bounded: [`WINDOW`] of it on the way, whatever the handler acknowledges.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::Body as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::call::Failure;
use super::lease::Lease;
use super::process::{Process, WINDOW};
use crate::frame::{END, Kind};
use crate::inbound::Inbound;

/// Bytes of body in one frame.
const PIECE: usize = 64 * 1024;

/// The request's body as far as it was read before a process was taken.
pub(super) struct Upload {
    pub(super) first: Bytes,
    /// Absent when `first` is all.
    pub(super) rest: Option<Inbound>,
}

impl Upload {
    /// Reads up to a window.
    pub(super) async fn begin(mut body: Inbound, patience: Duration) -> Result<Self, Failure> {
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
    pub(super) fn send(mut self, lease: &mut Lease, head: &[u8], patience: Duration) -> Uploading {
        let fits = self.first.split_to(self.first.len().min(WINDOW));
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes();
        let whole = self.first.is_empty() && self.rest.is_none();
        let flags = if whole { END } else { 0 };
        let mut uploading = JoinSet::new();
        if !whole {
            let (process, call) = (Arc::clone(lease.process()), lease.call);
            let credit = Arc::new(Credit::after(fits.len()));
            process.give_credit(call, Arc::clone(&credit));
            uploading.spawn(Sender { process, call, credit }.run(self, patience));
        }
        lease.send(Kind::Head, flags, &[&length, head, &fits], Vec::new());
        uploading
    }
}

/// The task that sends the rest of a body, if any. Dropping it ends the task.
pub(super) type Uploading = JoinSet<Result<(), Failure>>;

/// How much of a body may go on.
#[derive(Debug)]
pub(super) struct Credit {
    /// Bytes on their way.
    sent: Mutex<usize>,
    more: Notify,
}

/// More was acknowledged than was sent.
#[derive(Debug, thiserror::Error)]
#[error("an ACK for more than was sent")]
pub(super) struct TooMuch;

impl Credit {
    fn after(sent: usize) -> Self {
        Self { sent: Mutex::new(sent), more: Notify::new() }
    }

    pub(super) fn acknowledge(&self, bytes: usize) -> Result<(), TooMuch> {
        let mut sent = self.sent();
        *sent = sent.checked_sub(bytes).ok_or(TooMuch)?;
        drop(sent);
        self.more.notify_one();
        Ok(())
    }

    /// Waits for room, and takes up to `wanted` bytes of it. For one who waits.
    async fn take(&self, wanted: usize) -> usize {
        loop {
            {
                let mut sent = self.sent();
                let room = WINDOW.saturating_sub(*sent).min(wanted);
                if room > 0 {
                    *sent += room;
                    return room;
                }
            }
            self.more.notified().await;
        }
    }

    fn sent(&self) -> MutexGuard<'_, usize> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends body as far as the handler has room for it.
struct Sender {
    process: Arc<Process>,
    call: u32,
    credit: Arc<Credit>,
}

impl Sender {
    async fn run(self, upload: Upload, patience: Duration) -> Result<(), Failure> {
        let mut part = upload.first;
        let mut rest = upload.rest;
        loop {
            self.send(part).await;
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

    async fn send(&self, mut part: Bytes) {
        while !part.is_empty() {
            let piece = part.split_to(self.credit.take(part.len().min(PIECE)).await);
            self.process.send(Kind::Body, 0, self.call, &[&piece]);
        }
    }
}
