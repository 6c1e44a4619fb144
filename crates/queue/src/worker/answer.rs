//! The body of a function's answer: streamed into the queue, so far as it is kept, and counted.
//!
//! Bounded: [`MOST_WHOLE`] in memory before it is handed over as a stream, and a few pieces on their way after that.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use super::client::chain;
use crate::{Body, Error, Lease, Queue};

/// Up to so much the queue gets in one piece.
const MOST_WHOLE: usize = 64 << 10;
/// Pieces between the gateway and the queue.
const ON_THEIR_WAY: usize = 4;
/// Before a queue that cannot keep an answer now is asked again: some seconds are enough for one that restarts.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(4)];

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) size: u64,
    pub(super) kept: bool,
}

/// Why a body has no end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The answer broke off.
    Broken(String),
    /// The queue says so.
    Queue(Error),
}

/// Reads an answer to its end, and keeps it if it is no longer than `most`. Of an empty one nothing is kept.
pub(super) async fn keep(
    queue: &dyn Queue,
    lease: &Lease,
    mut body: Incoming,
    most: u64,
) -> Result<Kept, Failure> {
    let mut start = BytesMut::new();
    while start.len() <= MOST_WHOLE {
        let Some(part) = next(&mut body).await? else {
            return keep_whole(queue, lease, start.freeze(), most).await;
        };
        start.extend_from_slice(&part);
    }
    keep_stream(queue, lease, start.freeze(), body, most).await
}

/// Reads what is left of an answer that nobody wants, if it is little, so that its connection can be used again.
pub(super) async fn discard(mut body: Incoming) -> Result<(), Failure> {
    let mut size = 0;
    while size <= MOST_WHOLE {
        let Some(part) = next(&mut body).await? else { return Ok(()) };
        size += part.len();
    }
    Ok(())
}

async fn keep_whole(queue: &dyn Queue, lease: &Lease, bytes: Bytes, most: u64) -> Result<Kept, Failure> {
    let size = length(&bytes);
    let kept = size > 0 && size <= most;
    if !kept {
        return Ok(Kept { size, kept });
    }
    for pause in PAUSES {
        match queue.keep_result(lease, Body::Whole(bytes.clone())).await {
            Err(Error::Unavailable { .. }) => sleep(pause).await,
            done => return kept_or_not(size, lease, done),
        }
    }
    kept_or_not(size, lease, queue.keep_result(lease, Body::Whole(bytes)).await)
}

/// The function has answered, whether its answer can be kept or not: it is not asked again for that.
fn kept_or_not(size: u64, lease: &Lease, done: Result<(), Error>) -> Result<Kept, Failure> {
    match done {
        Ok(()) => Ok(Kept { size, kept: true }),
        Err(Error::Body(_) | Error::TooLarge { .. }) => Ok(Kept { size, kept: false }),
        Err(error @ (Error::LeaseLost(_) | Error::NotFound(_))) => Err(Failure::Queue(error)),
        Err(error) => {
            tracing::warn!(call_id = %lease.id, %error, "an answer is not kept");
            Ok(Kept { size, kept: false })
        }
    }
}

async fn keep_stream(
    queue: &dyn Queue,
    lease: &Lease,
    start: Bytes,
    body: Incoming,
    most: u64,
) -> Result<Kept, Failure> {
    let (sender, receiver) = mpsc::channel(ON_THEIR_WAY);
    let stream = ReceiverStream::new(receiver).boxed();
    let (pumped, kept) =
        tokio::join!(pump(start, body, most, sender), queue.keep_result(lease, Body::Stream(stream)));
    let size = pumped?;
    kept_or_not(size, lease, kept)
}

/// Passes on what comes, up to `most` bytes of it, and says how many came.
async fn pump(
    start: Bytes,
    mut body: Incoming,
    most: u64,
    sender: mpsc::Sender<io::Result<Bytes>>,
) -> Result<u64, Failure> {
    let (mut sender, mut size, mut part) = (Some(sender), 0, start);
    loop {
        size += length(&part);
        let piece = if size <= most { Ok(part) } else { Err(io::Error::other("longer than what is kept")) };
        let end = piece.is_err();
        if let Some(open) = &sender
            && (open.send(piece).await.is_err() || end)
        {
            sender = None;
        }
        part = match next(&mut body).await {
            Ok(Some(part)) => part,
            Ok(None) => return Ok(size),
            Err(failure) => {
                if let Some(open) = &sender {
                    let _ = open.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
                }
                return Err(failure);
            }
        };
    }
}

/// The next bytes; trailers are nobody's.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Broken(chain(&error)))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
