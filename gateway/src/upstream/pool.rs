//! One worker's connections to one replica.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use axum::http::{Request, Response};
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use smallvec::SmallVec;

use super::{BoxError, MOST_IDLE, REUSE_SECONDS, Upstream, connect};
use crate::invoke::Upload;
use crate::lock::lock;
use crate::server::Worker;

/// So many idle connections lie in the pool itself; more are there only after many invocations at a time.
const USUAL: usize = 2;

/// HTTP/1.1: as many as there are requests. HTTP/2: one for all of them.
pub(super) enum Pool {
    Http1(Mutex<Kept>),
    /// Held while it is being made, so that it is made once.
    Http2(tokio::sync::Mutex<Option<http2::SendRequest<Upload>>>),
}

/// Idle connections of one worker.
#[derive(Default)]
pub(super) struct Kept {
    /// The last used last.
    idle: SmallVec<[Idle; USUAL]>,
    /// Whether the worker looks at them.
    warm: bool,
    /// Whether none is to be kept any more.
    closed: bool,
}

/// A connection, and since which second of the worker's it is idle.
pub(super) struct Idle(Exclusive, u32);

/// A connection for one request at a time.
pub(super) struct Exclusive {
    sender: http1::SendRequest<Upload>,
    heard: connect::Heard,
}

impl Idle {
    fn is_fresh(&self, now: u32) -> bool {
        now.wrapping_sub(self.1) <= REUSE_SECONDS && !self.0.sender.is_closed()
    }
}

/// Takes a request.
pub(super) enum Sender {
    Http1(Exclusive),
    Http2(http2::SendRequest<Upload>),
}

impl Sender {
    /// Sends it at once; the future is the answer.
    pub(super) fn try_send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<> {
        match self {
            Self::Http1(exclusive) => {
                exclusive.heard.store(false, Ordering::Relaxed);
                Either::Left(exclusive.sender.try_send_request(request))
            }
            Self::Http2(sender) => Either::Right(sender.try_send_request(request)),
        }
    }

    /// Whether a byte of an answer to the last request may have come; among many nobody knows whose.
    pub(super) fn heard(&self) -> bool {
        match self {
            Self::Http1(exclusive) => exclusive.heard.load(Ordering::Relaxed),
            Self::Http2(_) => true,
        }
    }
}

impl Pool {
    pub(super) fn new(h2c: bool) -> Self {
        if h2c { Self::Http2(tokio::sync::Mutex::default()) } else { Self::Http1(Mutex::default()) }
    }

    /// The connection that was used last and takes a request now. One whose last request is still being sent, though
    /// its answer has ended, does not: nobody may have to wait for somebody else's upload.
    pub(super) fn take(&self, now: u32) -> Option<Sender> {
        let kept = match self {
            Self::Http1(kept) => kept,
            Self::Http2(shared) => {
                let shared = shared.try_lock().ok()?;
                return shared.as_ref().filter(|sender| !sender.is_closed()).cloned().map(Sender::Http2);
            }
        };
        let mut kept = lock(kept);
        let ready = kept.idle.iter().rposition(|idle| idle.is_fresh(now) && idle.0.sender.is_ready())?;
        Some(Sender::Http1(kept.idle.swap_remove(ready).0))
    }

    /// Takes a connection back; whether the worker is to look at the pool from now on.
    pub(super) fn keep(&self, exclusive: Exclusive, now: u32) -> bool {
        let Self::Http1(kept) = self else { return false };
        let mut kept = lock(kept);
        if kept.closed || kept.idle.len() >= MOST_IDLE || exclusive.sender.is_closed() {
            return false;
        }
        kept.idle.push(Idle(exclusive, now));
        !std::mem::replace(&mut kept.warm, true)
    }

    /// Closes what will not be used again; whether anything is left.
    pub(super) fn cool(&self, now: u32) -> bool {
        let Self::Http1(kept) = self else { return false };
        let mut kept = lock(kept);
        kept.idle.retain(|idle| idle.is_fresh(now));
        if kept.idle.len() <= USUAL {
            // Back into the pool.
            kept.idle.shrink_to_fit();
        }
        kept.warm = !kept.idle.is_empty();
        kept.warm
    }

    /// Closes what is idle, and keeps nothing any more.
    pub(super) fn close(&self) {
        match self {
            Self::Http1(kept) => {
                let mut kept = lock(kept);
                kept.closed = true;
                kept.idle.clear();
            }
            // If it is being made, it ends with the pool.
            Self::Http2(shared) => drop(shared.try_lock().map(|mut shared| shared.take())),
        }
    }

    /// A new connection; with HTTP/2 the one there is, if it goes on.
    pub(super) async fn connect(&self, upstream: &Upstream, worker: &Worker) -> Result<Sender, BoxError> {
        let address = &upstream.replica.address;
        let metrics = &worker.gateway.0.metrics;
        match self {
            Self::Http1(_) => {
                let (sender, heard) = connect::http1(address, metrics).await?;
                Ok(Sender::Http1(Exclusive { sender, heard }))
            }
            Self::Http2(shared) => {
                let mut shared = shared.lock().await;
                if !upstream.is_usable() {
                    return Err("it was set aside meanwhile".into());
                }
                match &*shared {
                    Some(sender) if !sender.is_closed() => Ok(Sender::Http2(sender.clone())),
                    _ => {
                        let sender = connect::http2(address, metrics).await?;
                        Ok(Sender::Http2(shared.insert(sender).clone()))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use faas_provider::{Address, Replica};

    use super::*;

    #[test]
    fn a_replica_that_left_keeps_no_connection_even_if_it_never_had_one() {
        let replica = Replica::new("r".into(), Address::Unix("/r".into()));
        let upstream = Upstream::new(Arc::clone(&replica), false, 2);
        upstream.close();
        let closed = |pool: &Pool| matches!(pool, Pool::Http1(kept) if lock(kept).closed);
        assert_eq!(upstream.pools().all().filter(|pool| closed(pool)).count(), 2);
    }

    #[test]
    fn a_pool_fits_into_the_lines_that_a_worker_has() {
        assert!(size_of::<Pool>() <= 128, "{}", size_of::<Pool>());
    }
}
