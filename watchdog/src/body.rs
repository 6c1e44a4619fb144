//! The body of an answer: bytes in memory, a file, or what the handler or its own server is still sending.
//!
//! A file is read in pieces of 64 KiB, on the runtime's thread: it was just written and is in the page cache.

use std::fs::File;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::mode::access::AccessLog;
use crate::mode::http::relay::Relay;
use crate::mode::streaming::Live;
use crate::mode::worker::call::Rest;
use crate::server::Held;

const PIECE: usize = 64 * 1024;

/// A body, and what is to be let go of once it is sent.
#[derive(Debug)]
pub(crate) struct Body {
    source: Source,
    _held: Option<Held>,
    /// Written when this is sent or given up.
    _access: Option<AccessLog>,
}

#[derive(Debug)]
enum Source {
    Whole(Bytes),
    /// Text first, then so much of the file.
    File {
        before: Bytes,
        file: File,
        left: u64,
    },
    Relay(Box<Relay>),
    Live(Live),
    Boxed(UnsyncBoxBody<Bytes, io::Error>),
    Call(Box<Rest>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { source: Source::Whole(bytes), _held: None, _access: None }
    }

    /// Some text, then the rest of a file, which is `length` bytes.
    pub(crate) fn file(before: &str, file: File, length: u64) -> Self {
        let before = Bytes::copy_from_slice(before.as_bytes());
        Self { source: Source::File { before, file, left: length }, _held: None, _access: None }
    }

    pub(crate) fn relay(relay: Relay) -> Self {
        Self { source: Source::Relay(Box::new(relay)), _held: None, _access: None }
    }

    /// What a handler process still sends.
    pub(crate) fn call(rest: Rest) -> Self {
        Self { source: Source::Call(Box::new(rest)), _held: None, _access: None }
    }

    /// Logs the request once this body is sent or given up.
    pub(crate) fn logging(self, access: Option<AccessLog>) -> Self {
        Self { _access: access, ..self }
    }

    /// What a process writes, while it writes it.
    pub(crate) fn live(live: Live) -> Self {
        Self { source: Source::Live(live), _held: None, _access: None }
    }

    pub(crate) fn boxed(body: UnsyncBoxBody<Bytes, io::Error>) -> Self {
        Self { source: Source::Boxed(body), _held: None, _access: None }
    }

    /// Keeps `held` until this body is sent or given up.
    pub(crate) fn holding(self, held: Held) -> Self {
        Self { _held: Some(held), ..self }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().source {
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::File { before, .. } if !before.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(before)))))
            }
            Source::File { left: 0, .. } => Poll::Ready(None),
            Source::File { file, left, .. } => Poll::Ready(Some(read_piece(file, left).map(Frame::data))),
            Source::Relay(relay) => relay.poll_frame(context),
            Source::Live(live) => live.poll_frame(context),
            Source::Boxed(body) => Pin::new(body).poll_frame(context),
            Source::Call(rest) => rest.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::File { before, left, .. } => before.is_empty() && *left == 0,
            Source::Relay(relay) => relay.is_end_stream(),
            Source::Live(_) => false,
            Source::Boxed(body) => body.is_end_stream(),
            Source::Call(rest) => rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::File { before, left, .. } => SizeHint::with_exact(before.len() as u64 + *left),
            Source::Relay(relay) => relay.size_hint(),
            Source::Boxed(body) => body.size_hint(),
            Source::Live(_) | Source::Call(_) => SizeHint::new(),
        }
    }
}

fn read_piece(file: &mut File, left: &mut u64) -> io::Result<Bytes> {
    let size = usize::try_from(*left).unwrap_or(PIECE).min(PIECE);
    let mut piece = BytesMut::zeroed(size);
    let read = file.read(&mut piece)?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(read);
    *left -= read as u64;
    Ok(piece.freeze())
}
