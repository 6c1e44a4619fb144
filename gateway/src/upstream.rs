//! A replica as the gateway reaches it: connections, kept for each worker and used again, and whether it takes any.
//!
//! Bounded: [`MOST_IDLE`] idle connections a worker, used again within [`REUSE_SECONDS`]; how many are in use is bounded
//! by the invocations in flight. They are closed when the replica leaves the table. A failure says whether any byte may
//! have reached the replica. One that refuses or breaks connections is set aside until it takes one again (`health`).

mod connect;
mod health;
mod pool;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::{Request, Response};
use faas_provider::Replica;
use hyper::body::Incoming;

use crate::invoke::Upload;
use crate::per_worker::PerWorker;
use crate::server::Worker;
use pool::{Pool, Sender};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// As many as the peers keep to one host.
const MOST_IDLE: usize = 1024;
/// Common servers close what is idle for five seconds; a request sent at that moment would be lost.
const REUSE_SECONDS: u32 = 3;

/// A replica and the connections to it.
pub(crate) struct Upstream {
    replica: Arc<Replica>,
    /// Whether it refused or broke a connection, and has taken none since.
    aside: AtomicBool,
    /// Connections that it broke one after the other, without an answer between them.
    breaks: AtomicU32,
    h2c: bool,
    workers: usize,
    /// From the first invocation on: most functions see none.
    pools: OnceLock<PerWorker<Pool>>,
}

/// A connection whose answer is being read; dropping it closes it, or resets the stream where there are several.
pub(crate) struct Connection {
    upstream: Arc<Upstream>,
    sender: Sender,
}

impl Connection {
    /// Lets others use the connection, once the answer has been read to its end.
    pub(crate) fn keep(self, worker: &Worker) {
        if let Sender::Http1(exclusive) = self.sender
            && self.upstream.pools().of(worker.index).keep(exclusive, worker.clock.now())
        {
            worker.warms(&self.upstream);
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The gateway itself can open no more connections; the replica may be well.
    #[error("failed to open a connection: {0}")]
    Short(BoxError),
    /// No byte was sent; the request is handed back.
    #[error("failed to connect: {1}")]
    Unsent(Box<Request<Upload>>, BoxError),
    /// The replica may have begun, and has said nothing.
    #[error("connection lost before an answer: {0}")]
    Lost(hyper::Error),
    /// The replica has begun to answer.
    #[error("connection lost within an answer's head: {0}")]
    Broken(hyper::Error),
}

impl Upstream {
    pub(crate) fn new(replica: Arc<Replica>, h2c: bool, workers: usize) -> Self {
        Self {
            replica,
            aside: AtomicBool::new(false),
            breaks: AtomicU32::new(0),
            h2c,
            workers,
            pools: OnceLock::new(),
        }
    }

    fn pools(&self) -> &PerWorker<Pool> {
        self.pools.get_or_init(|| PerWorker::new(self.workers, || Pool::new(self.h2c)))
    }

    /// Whether it is this replica, spoken to so.
    pub(crate) fn is(&self, replica: &Arc<Replica>, h2c: bool) -> bool {
        Arc::ptr_eq(&self.replica, replica) && self.h2c == h2c
    }

    /// Closes what is idle, and what becomes so: the replica has left the table, and will stop.
    pub(crate) fn close(&self) {
        // Made if there are none: whoever got the replica a moment ago would make open ones.
        self.pools().all().for_each(Pool::close);
    }

    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Whether a lost request says that the connection was: one of many may have been ended alone.
    pub(crate) fn is_exclusive(&self) -> bool {
        !self.h2c
    }

    /// Whether it took connections when it was last tried.
    pub(crate) fn is_usable(&self) -> bool {
        !self.aside.load(Ordering::Relaxed)
    }

    /// Sends the request and waits for the head of the answer. Dropping the future or the connection closes it, which
    /// tells the replica that the caller is gone.
    pub(crate) async fn send(
        self: &Arc<Self>,
        worker: &Worker,
        mut request: Box<Request<Upload>>,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        let pool = self.pools().of(worker.index);
        loop {
            let (mut sender, reused) = match pool.take(worker.clock.now()) {
                Some(sender) => (sender, true),
                None => match Box::pin(pool.connect(self, worker)).await {
                    Ok(sender) => (sender, false),
                    Err(error) => return Err(unconnected(request, error)),
                },
            };
            match sender.try_send(*request).await {
                Ok(response) => return Ok((response, Connection { upstream: Arc::clone(self), sender })),
                Err(mut error) => match error.take_message() {
                    // An idle connection that the replica closed meanwhile.
                    Some(unsent) if reused => request = Box::new(unsent),
                    Some(unsent) => {
                        return Err(Failure::Unsent(Box::new(unsent), error.into_error().into()));
                    }
                    None if sender.heard() => return Err(Failure::Broken(error.into_error())),
                    None => return Err(Failure::Lost(error.into_error())),
                },
            }
        }
    }

    /// Closes what has been idle for long; whether anything is left.
    pub(crate) fn cool(&self, worker: &Worker) -> bool {
        self.pools().of(worker.index).cool(worker.clock.now())
    }
}

/// Why there is no connection: the replica, unless the gateway's own machine has no more to give.
fn unconnected(request: Box<Request<Upload>>, error: BoxError) -> Failure {
    if error.downcast_ref().is_some_and(connect::is_shortage) {
        Failure::Short(error)
    } else {
        Failure::Unsent(request, error)
    }
}
