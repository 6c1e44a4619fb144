//! A queue on a disk that is full for a while: ends of jobs cannot be written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use faas_api::FunctionId;
use faas_queue::{Body, CallId, Depth, Error, Event, Found, Job, Lease, Queue, Record, Shelf, Taken, Then};
use futures_util::stream::BoxStream;

pub(crate) struct Full {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) refusing: AtomicBool,
    pub(crate) refused: AtomicUsize,
}

impl Full {
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Arc<Self> {
        Arc::new(Self { queue, refusing: AtomicBool::new(true), refused: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Queue for Full {
    fn inline_limit(&self) -> usize {
        self.queue.inline_limit()
    }

    async fn append(&self, job: Job, body: Body) -> Result<(), Error> {
        self.queue.append(job, body).await
    }

    fn events(&self) -> BoxStream<'static, Event> {
        self.queue.events()
    }

    async fn take(&self, function: &FunctionId, most: usize) -> Result<Vec<Taken>, Error> {
        self.queue.take(function, most).await
    }

    async fn extend(&self, lease: &Lease) -> Result<(), Error> {
        self.queue.extend(lease).await
    }

    async fn keep_result(&self, lease: &Lease, body: Body) -> Result<(), Error> {
        self.queue.keep_result(lease, body).await
    }

    async fn settle(&self, lease: &Lease, record: &Record, then: Then) -> Result<(), Error> {
        if then != Then::Hold && self.refusing.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(Error::unavailable("write")(full));
        }
        self.queue.settle(lease, record, then).await
    }

    async fn find(&self, id: &CallId) -> Result<Option<Found>, Error> {
        self.queue.find(id).await
    }

    async fn result(&self, id: &CallId) -> Result<Option<Body>, Error> {
        self.queue.result(id).await
    }

    async fn cancel(&self, id: &CallId) -> Result<bool, Error> {
        self.queue.cancel(id).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, Error> {
        self.queue.depths().await
    }

    async fn list(&self, function: &FunctionId, of: Shelf, most: usize) -> Result<Vec<Found>, Error> {
        self.queue.list(function, of, most).await
    }

    async fn redrive(&self, function: &FunctionId, one: Option<&CallId>) -> Result<u64, Error> {
        self.queue.redrive(function, one).await
    }

    async fn purge(&self, function: &FunctionId, of: Shelf) -> Result<u64, Error> {
        self.queue.purge(function, of).await
    }
}
