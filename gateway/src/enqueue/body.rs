//! A body on its way to the queue: in memory if it is short and there is room, else piece by piece as it comes.
//!
//! Bounded: its length; memory, of all bodies together ([`Room`]), past which it is 503; silence, as with invocations;
//! and its pace: it may take as long as it may be silent, and a second more for each [`LEAST_RATE`] bytes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body as _;
use tokio::time::Instant;

use super::{Ingest, RETRY_AFTER};
use crate::Limits;
use crate::fault::{Fault, Side};
use crate::invoke::Upload;
use crate::invoke::upload::Silent;
use crate::lock::lock;

/// Bytes in a second.
const LEAST_RATE: u64 = 64 << 10;

/// A body as the queue gets it.
pub(super) enum Taken {
    /// All of it, and its place in memory.
    Whole(Bytes, Held),
    /// What has come, and what is still to come.
    Streamed(Streamed),
}

/// The longest that a body may take.
pub(super) fn longest(limits: &Limits) -> Duration {
    limits.body_timeout + Duration::from_secs(limits.async_body_bytes / LEAST_RATE)
}

/// Reads it, as far as it is to be held.
pub(super) async fn take(upload: Upload, ingest: &Ingest, limits: &Limits) -> Result<Taken, Verdict> {
    let mut held = Held::in_half(&ingest.room, Half::Whole);
    let (known, limit) = (upload.size_hint().exact(), limits.async_body_bytes);
    if known.is_some_and(|length| length > limit) {
        return Err(Verdict::TooLarge { length: known, limit });
    }
    let inline = ingest.queue.inline_limit();
    let is_long = known.is_some_and(|length| length > inline as u64);
    let mut reading =
        Reading { upload, limit, received: 0, begun: Instant::now(), patience: limits.body_timeout };
    let mut pieces = BytesMut::new();
    if is_long {
        // The place itself is taken as bytes come.
        let probe = Held::in_half(&ingest.room, Half::Streamed).grow(ingest.room.most(inline));
        return if probe { Streamed::start(Bytes::new(), reading, ingest) } else { Err(Verdict::NoRoom) };
    }
    while let Some(piece) = reading.next().await.transpose()? {
        if pieces.len() + piece.len() > inline || !held.grow(piece.len()) {
            return Streamed::start(join(pieces, piece), reading, ingest);
        }
        if pieces.is_empty() && reading.upload.is_end_stream() {
            // Mostly all of it came at once.
            return Ok(Taken::Whole(piece, held));
        }
        pieces.extend_from_slice(&piece);
    }
    Ok(Taken::Whole(pieces.freeze(), held))
}

fn join(mut pieces: BytesMut, piece: Bytes) -> Bytes {
    if pieces.is_empty() {
        return piece;
    }
    pieces.extend_from_slice(&piece);
    pieces.freeze()
}

/// Memory for the bodies of all requests: one half for those that are held whole, and one for those that stream, of which
/// the queue holds as much as lies beside a job before it writes. So a few that are long and slow do not keep short ones
/// out. A body takes its place as it comes, and has it until the queue has answered.
#[derive(Debug)]
pub(crate) struct Room {
    half: usize,
    whole: AtomicUsize,
    streamed: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
enum Half {
    Whole,
    Streamed,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let half = bytes / 2;
        Arc::new(Self { half, whole: AtomicUsize::new(half), streamed: AtomicUsize::new(half) })
    }

    /// The place of one body that streams, of which the queue holds so much.
    fn most(&self, inline: usize) -> usize {
        inline.min(self.half)
    }

    fn left(&self, half: Half) -> &AtomicUsize {
        match half {
            Half::Whole => &self.whole,
            Half::Streamed => &self.streamed,
        }
    }
}

/// A place in it, until dropped.
pub(super) struct Held {
    room: Arc<Room>,
    half: Half,
    bytes: usize,
}

impl Held {
    fn in_half(room: &Arc<Room>, half: Half) -> Self {
        Self { room: Arc::clone(room), half, bytes: 0 }
    }

    /// False where there is no room for so many more.
    fn grow(&mut self, bytes: usize) -> bool {
        let (left, relaxed) = (self.room.left(self.half), Ordering::Relaxed);
        let taken = left.fetch_update(relaxed, relaxed, |left| left.checked_sub(bytes)).is_ok();
        self.bytes += if taken { bytes } else { 0 };
        taken
    }

    fn grow_to(&mut self, bytes: usize) -> bool {
        self.grow(bytes.saturating_sub(self.bytes))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.left(self.half).fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Why a body is not taken to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Verdict {
    #[error("request body too large{}, maximum: {limit} bytes", told(*.length))]
    TooLarge { length: Option<u64>, limit: u64 },
    #[error("the request's body was silent for too long")]
    Silent,
    #[error("the request's body came too slowly")]
    Slow,
    #[error("the request's body broke off")]
    Broken,
    #[error("too many bodies are on their way: try again in a moment")]
    NoRoom,
}

fn told(length: Option<u64>) -> String {
    length.map(|length| format!(" ({length} bytes)")).unwrap_or_default()
}

/// 413.
pub(super) fn too_large(length: Option<u64>, limit: u64) -> Fault {
    Verdict::TooLarge { length, limit }.into()
}

impl From<Verdict> for Fault {
    fn from(verdict: Verdict) -> Self {
        let (status, reason) = match verdict {
            Verdict::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Verdict::Silent | Verdict::Slow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
            Verdict::Broken => (StatusCode::BAD_REQUEST, "the body broke off"),
            Verdict::NoRoom => {
                let fault = Self::new(Side::Gateway, StatusCode::SERVICE_UNAVAILABLE, "no room for the body");
                return fault.body(format!("Error queuing request: {verdict}")).retry_after(RETRY_AFTER);
            }
        };
        Self::new(Side::Client, status, reason).body(format!("Error queuing request: {verdict}"))
    }
}

impl From<BoxError> for Verdict {
    fn from(error: BoxError) -> Self {
        if error.is::<Silent>() { Self::Silent } else { Self::Broken }
    }
}

/// Data of a body, as long as it keeps to its limits.
struct Reading {
    upload: Upload,
    limit: u64,
    received: u64,
    begun: Instant,
    patience: Duration,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Bytes, Verdict>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Verdict>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.upload).poll_frame(context)) else {
                return Poll::Ready(None);
            };
            // Trailers are not kept.
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => return Poll::Ready(Some(self.check(data))),
                Ok(Err(_)) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    fn check(&mut self, data: Bytes) -> Result<Bytes, Verdict> {
        self.received += data.len() as u64;
        if self.received > self.limit {
            return Err(Verdict::TooLarge { length: None, limit: self.limit });
        }
        let allowed = self.patience + Duration::from_secs(self.received / LEAST_RATE);
        if self.begun.elapsed() > allowed { Err(Verdict::Slow) } else { Ok(data) }
    }
}

/// The rest of a body for the queue.
pub(super) struct Streamed {
    first: Bytes,
    reading: Reading,
    /// The largest place it takes.
    most: usize,
    note: Arc<Note>,
}

/// Of a body that was handed on: what is wrong with it, whatever the queue makes of that, and its place in memory, which
/// it has until the queue is done with it.
pub(super) struct Note {
    verdict: OnceLock<Verdict>,
    held: Mutex<Held>,
}

impl Note {
    /// `None` if nothing is wrong with it.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.verdict.get().cloned()
    }

    fn grow_to(&self, bytes: usize) -> Result<(), Verdict> {
        let mut held = lock(&self.held);
        if held.grow_to(bytes) { Ok(()) } else { Err(Verdict::NoRoom) }
    }
}

impl Streamed {
    fn start(first: Bytes, reading: Reading, ingest: &Ingest) -> Result<Taken, Verdict> {
        let held = Mutex::new(Held::in_half(&ingest.room, Half::Streamed));
        let note = Arc::new(Note { verdict: OnceLock::new(), held });
        let most = ingest.room.most(ingest.queue.inline_limit());
        note.grow_to(first.len().min(most))?;
        Ok(Taken::Streamed(Self { first, reading, most, note }))
    }

    pub(super) fn note(&self) -> Arc<Note> {
        Arc::clone(&self.note)
    }

    fn hold(&self, piece: Bytes) -> Result<Bytes, Verdict> {
        let received = usize::try_from(self.reading.received).unwrap_or(usize::MAX);
        self.note.grow_to(received.min(self.most)).map(|()| piece)
    }

    /// Reads to the end and keeps nothing.
    pub(super) async fn drain(mut self) -> Result<(), Verdict> {
        while self.reading.next().await.transpose()?.is_some() {}
        Ok(())
    }
}

impl Stream for Streamed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.first))));
        }
        let piece = ready!(self.reading.poll(context));
        Poll::Ready(piece.map(|piece| {
            piece.and_then(|piece| self.hold(piece)).map_err(|verdict| {
                let _ = self.note.verdict.set(verdict.clone());
                io::Error::other(verdict)
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_and_never_more_than_there_is() {
        let room = Room::new(20);
        let held = || Held::in_half(&room, Half::Whole);
        let (mut one, mut other) = (held(), held());
        assert!(one.grow(6) && one.grow(2) && !other.grow(3) && other.grow(2) && !one.grow(1));
        assert!(Held::in_half(&room, Half::Streamed).grow(10), "the other half");
        drop(one);
        assert!(other.grow(8) && !other.grow(1) && other.grow(0));
        drop(other);
        assert!(held().grow(10));
    }
}
