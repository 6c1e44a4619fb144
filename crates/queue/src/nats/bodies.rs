//! Bodies that do not lie in a message: in chunks, each on a subject of its own that ends with the chunk's number.
//!
//! The last chunk to be written is number 0. It says how many there are, so what has one is whole. (The object store
//! of JetStream waits for each chunk, leaves what broke off where nobody finds it, and cannot expire single objects.)

use std::future::ready;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::names::{Place, Stream};
use super::store::{Fault, Publish, Store};
use crate::{Body, BodyStream, Error};

/// Bytes of a chunk. At most [`AT_ONCE`] of a body are in memory.
const CHUNK: usize = 256 << 10;
const AT_ONCE: usize = 4;

/// Names a body among those of its job, and tells its extent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) part: String,
    pub(super) chunks: u64,
}

/// A body that was to be put somewhere.
pub(super) struct Put<'a> {
    pub(super) stream: Stream,
    pub(super) place: Place<'a>,
    pub(super) part: &'a str,
    pub(super) most_bytes: u64,
    pub(super) keep: Option<Duration>,
}

impl Store {
    /// Writes a body. What was written of one that fails is removed, as far as possible.
    pub(super) async fn put_body(&self, put: &Put<'_>, body: Body) -> Result<Object, Error> {
        let object = self.write_chunks(put, chunks_of(body, put.most_bytes)).await;
        if object.is_err() {
            let _ = self.remove_body(put.stream, put.place, put.part).await;
        }
        object
    }

    async fn write_chunks(&self, put: &Put<'_>, mut chunks: BodyStream) -> Result<Object, Error> {
        let (failed, relaxed) = (&AtomicBool::new(false), Ordering::Relaxed);
        let first = chunks.next().await.transpose().map_err(|error| refusal(error, put.most_bytes))?;
        let written = chunks
            .map_err(|error| refusal(error, put.most_bytes))
            .take_while(|_| ready(!failed.load(relaxed)))
            .zip(stream::iter(1..))
            .map(|(chunk, number): (_, u64)| async move {
                let written = self.write_chunk(put, number, chunk?, None).await;
                failed.fetch_or(written.is_err(), relaxed);
                written
            })
            .buffer_unordered(AT_ONCE);
        // If one fails, those that are under way are waited for, since what is removed then must not come after, and no
        // more is read.
        let written = written
            .fold(Ok(0_u64), |so_far, one| async { so_far.and_then(|count| one.map(|()| count + 1)) })
            .await?;
        let chunks = written + 1;
        self.write_chunk(put, 0, first.unwrap_or_default(), Some(chunks)).await?;
        Ok(Object { part: put.part.to_owned(), chunks })
    }

    async fn write_chunk(
        &self,
        put: &Put<'_>,
        number: u64,
        payload: Bytes,
        count: Option<u64>,
    ) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        if let Some(count) = count {
            headers.insert("Of-Chunks", count.to_string());
        }
        let subject = format!("{}.{number}", self.names.chunks(put.stream, put.place, put.part));
        let publish = Publish { payload, keep: put.keep, headers, ..Publish::default() };
        self.publish(subject, publish).await.map(drop).map_err(Fault::into)
    }

    /// What is kept under that name, if it is whole.
    pub(super) async fn find_body(
        &self,
        stream: Stream,
        place: Place<'_>,
        part: &str,
    ) -> Result<Option<Object>, Error> {
        let first = format!("{}.0", self.names.chunks(stream, place, part));
        let first = self.find_last(stream, &first).await?;
        let chunks = first.and_then(|first| first.headers.get("Of-Chunks")?.as_str().parse().ok());
        Ok(chunks.map(|chunks| Object { part: part.to_owned(), chunks }))
    }

    /// Reads a body, chunk after chunk.
    pub(super) fn body(&self, stream: Stream, place: Place<'_>, object: &Object) -> Body {
        let place = self.names.chunks(stream, place, &object.part);
        let store = self.clone();
        let read = move |number: u64| {
            let (store, subject) = (store.clone(), format!("{place}.{number}"));
            async move {
                let chunk = store.find_last(stream, &subject).await.map_err(io::Error::other)?;
                chunk.map(|chunk| chunk.payload).ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        };
        Body::Stream(Box::pin(stream::iter(0..object.chunks).map(read).buffered(AT_ONCE)))
    }

    pub(super) async fn remove_body(
        &self,
        stream: Stream,
        place: Place<'_>,
        part: &str,
    ) -> Result<(), Error> {
        self.purge(stream, &format!("{}.*", self.names.chunks(stream, place, part))).await.map(drop)
    }
}

/// Pieces of one size, but the last; an error past the limit, or where the body breaks off.
fn chunks_of(body: Body, most_bytes: u64) -> BodyStream {
    let pieces: BodyStream = match body {
        Body::Whole(bytes) => Box::pin(stream::iter([Ok(bytes)])),
        Body::Stream(stream) => stream,
    };
    let state = (pieces, BytesMut::new(), most_bytes);
    Box::pin(stream::try_unfold(state, |(mut pieces, mut buffer, mut left)| async move {
        while buffer.len() < CHUNK {
            let Some(piece) = pieces.try_next().await? else { break };
            left = left.checked_sub(piece.len() as u64).ok_or(io::ErrorKind::FileTooLarge)?;
            buffer.extend_from_slice(&piece);
        }
        let chunk = buffer.split_to(buffer.len().min(CHUNK)).freeze();
        Ok((!chunk.is_empty()).then_some((chunk, (pieces, buffer, left))))
    }))
}

fn refusal(error: io::Error, limit_bytes: u64) -> Error {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Error::TooLarge { limit_bytes },
        _ => Error::Body(error),
    }
}

/// Reads a body up to `most` bytes; a longer one comes back as a stream of everything.
pub(super) async fn gather(body: Body, most: usize) -> Result<Result<Bytes, Body>, Error> {
    let mut pieces = match body {
        Body::Whole(bytes) if bytes.len() <= most => return Ok(Ok(bytes)),
        whole @ Body::Whole(_) => return Ok(Err(whole)),
        Body::Stream(pieces) => pieces,
    };
    let mut start = BytesMut::new();
    while start.len() <= most {
        match pieces.try_next().await.map_err(Error::Body)? {
            Some(piece) => start.extend_from_slice(&piece),
            None => return Ok(Ok(start.freeze())),
        }
    }
    let start = stream::iter([Ok(start.freeze())]);
    Ok(Err(Body::Stream(Box::pin(start.chain(pieces)))))
}
