//! Offering a job to the queue, under an id that no other has.

use std::time::Duration;

use bytes::Bytes;
use faas_queue::{CallId, Error};
use tokio::time::timeout;

use super::body::{self, Taken, Verdict};
use super::job::Draft;
use super::{Ingest, call_id};
use crate::Limits;
use crate::invoke::Upload;
use crate::invoke::headers::Stamp;

/// How long the queue may take to write down what it has been given.
const APPEND_LIMIT: Duration = Duration::from_secs(30);

/// Why a job was not accepted.
pub(super) enum Unqueued {
    Body(Verdict),
    Queue(Error),
    Slow,
}

/// A job that the queue is to take.
pub(super) struct Offer<'a> {
    pub(super) ingest: &'a Ingest,
    pub(super) draft: &'a Draft<'a>,
    /// Whether its id was made from a key, and so is that of the same job; else one that is taken is replaced.
    pub(super) keyed: bool,
}

impl Offer<'_> {
    /// Whether there was no such job before.
    pub(super) async fn make(
        &self,
        upload: Upload,
        stamp: &mut Stamp,
        limits: &Limits,
    ) -> Result<bool, Unqueued> {
        match body::take(upload, self.ingest, limits).await.map_err(Unqueued::Body)? {
            Taken::Whole(bytes, held) => {
                let queued = self.append_whole(stamp, &bytes).await;
                drop(held);
                queued
            }
            Taken::Streamed(stream) => {
                Box::pin(self.append_stream(stamp, stream, APPEND_LIMIT + body::longest(limits))).await
            }
        }
    }

    async fn append_whole(&self, stamp: &mut Stamp, bytes: &Bytes) -> Result<bool, Unqueued> {
        loop {
            let job = self.draft.job(id_of(stamp), stamp.is_fresh());
            let appending = self.ingest.queue.append(job, faas_queue::Body::Whole(bytes.clone()));
            match timeout(APPEND_LIMIT, appending).await {
                Ok(Ok(())) => return Ok(true),
                Ok(Err(Error::Exists(id))) if self.keyed => return self.same(id).await,
                Ok(Err(Error::Exists(_))) => stamp.renew(),
                Ok(Err(error)) => return Err(Unqueued::Queue(error)),
                Err(_) => return Err(Unqueued::Slow),
            }
        }
    }

    /// A body that can be read once only: whether the job's id is taken is asked before.
    async fn append_stream(
        &self,
        stamp: &mut Stamp,
        stream: body::Streamed,
        limit: Duration,
    ) -> Result<bool, Unqueued> {
        let (queue, id) = (&self.ingest.queue, id_of(stamp));
        let known = !stamp.is_fresh() && queue.find(&id).await.map_err(Unqueued::Queue)?.is_some();
        if known && self.keyed {
            // To its end, since a client that is cut off while it sends may not see the answer.
            stream.drain().await.map_err(Unqueued::Body)?;
            return self.same(id).await;
        }
        if known {
            stamp.renew();
        }
        let note = stream.note();
        let job = self.draft.job(id_of(stamp), stamp.is_fresh());
        let appending = queue.append(job, faas_queue::Body::Stream(Box::pin(stream)));
        match timeout(limit, appending).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(Error::Exists(id))) if self.keyed => self.same(id).await,
            Ok(Err(error)) => Err(note.verdict().map_or(Unqueued::Queue(error), Unqueued::Body)),
            Err(_) => Err(note.verdict().map_or(Unqueued::Slow, Unqueued::Body)),
        }
    }

    /// The job of that name, if it is this one: one that was removed meanwhile, or that somebody else gave the name of a
    /// key, is no reason for 202.
    async fn same(&self, id: CallId) -> Result<bool, Unqueued> {
        let found = self.ingest.queue.find(&id).await.map_err(Unqueued::Queue)?;
        let same = found.is_some_and(|found| found.function == self.draft.function);
        if same { Ok(false) } else { Err(Unqueued::Queue(Error::Exists(id))) }
    }
}

fn id_of(stamp: &mut Stamp) -> CallId {
    loop {
        match call_id(stamp.call_id()) {
            Some(id) => return id,
            None => stamp.renew(),
        }
    }
}
