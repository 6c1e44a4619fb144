//! Publishing many jobs by one atomic batch: what comes while one is under way goes with the next.
//!
//! The server syncs each message that it is given alone, and once for a batch. A batch is refused as a whole; its parts
//! are then to be published each by itself, which tells whose fault it was. Bounded: [`UNDER_WAY`] batches of
//! [`TOGETHER`] messages of [`MOST_BYTES`]; whoever finds the list full waits. Source: NATS ADR-50.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::store::{Fault, Publish, Refused, Store};
use crate::Error;

/// Messages that wait, and that go together.
const WAITING: usize = 1024;
const TOGETHER: usize = 64;
/// One is written while the next is on its way.
const UNDER_WAY: usize = 2;
/// A larger message goes alone: the server keeps a batch apart until it is whole, and so writes it twice.
const MOST_BYTES: usize = 16 << 10;

/// Publishes on behalf of many.
#[derive(Debug, Clone)]
pub(super) struct Batches(mpsc::Sender<Part>);

#[derive(Debug)]
struct Part {
    subject: String,
    publish: Publish,
    done: oneshot::Sender<Result<(), Fault>>,
}

impl Batches {
    /// Publishes until the last clone is gone.
    pub(super) fn start(store: Store) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(run(store, receiver));
        Self(sender)
    }

    /// Writes one message, with others or alone. It is on the server's disk when this returns. [`Fault::Away`] may be
    /// another's fault.
    pub(super) async fn publish(&self, subject: String, publish: Publish) -> Result<(), Fault> {
        let (done, told) = oneshot::channel();
        self.0.send(Part { subject, publish, done }).await.map_err(|_| unknown())?;
        told.await.unwrap_or_else(|_| Err(unknown()))
    }
}

/// Whether it may go with others.
pub(super) fn fits(payload: &Bytes) -> bool {
    payload.len() <= MOST_BYTES
}

async fn run(store: Store, mut receiver: mpsc::Receiver<Part>) {
    let mut under_way = FuturesUnordered::new();
    let mut parts = Vec::new();
    loop {
        tokio::select! {
            Some(()) = under_way.next() => {}
            count = receiver.recv_many(&mut parts, TOGETHER), if under_way.len() < UNDER_WAY => match count {
                0 => return under_way.collect().await,
                _ => under_way.push(write(&store, std::mem::take(&mut parts))),
            },
        }
    }
}

async fn write(store: &Store, mut parts: Vec<Part>) {
    parts.retain(|part| !part.done.is_closed());
    if parts.len() > 1 {
        return write_together(store, parts).await;
    }
    for Part { subject, publish, done } in parts {
        let _ = done.send(store.publish(subject, publish).await.map(drop));
    }
}

async fn write_together(store: &Store, parts: Vec<Part>) {
    let (messages, all): (_, Vec<_>) =
        parts.into_iter().map(|part| ((part.subject, part.publish), part.done)).unzip();
    let written = store.publish_together(messages).await;
    if let Err(fault) = &written {
        debug!(?fault, jobs = all.len(), "a batch was not written: each job of it is written alone");
    }
    for done in all {
        let _ = done.send(if written.is_ok() { Ok(()) } else { Err(unknown()) });
    }
}

/// It may have been written.
pub(super) fn unknown() -> Fault {
    Fault::Away(Error::unavailable("write to NATS")(Refused::NotAnswered))
}
