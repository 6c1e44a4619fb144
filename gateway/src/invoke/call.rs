//! An invocation under way, as metrics and the access log see it; ended when dropped.

use std::sync::Arc;

use axum::http::{Response, StatusCode};
use tokio::time::Instant;

use super::access::Access;
use super::headers::Stamp;
use crate::fault::{Fault, Side};
use crate::server::{Client, Worker};
use crate::service::Content;
use crate::table::Entry;

/// Counted from here to the last byte of its answer.
pub(crate) struct Call {
    worker: Arc<Worker>,
    entry: Arc<Entry>,
    started: Instant,
    /// Unix time in milliseconds.
    began_at: u64,
    status: StatusCode,
    fault: Option<Side>,
    access: Option<Box<Access>>,
}

impl Call {
    pub(super) fn begin(
        client: &Client,
        entry: Arc<Entry>,
        stamp: &Stamp,
        access: Option<Box<Access>>,
    ) -> Self {
        let worker = Arc::clone(&client.worker);
        entry.shared.counts_of(worker.index).begin(stamp.unix_milliseconds());
        // The caller left before there was an answer, unless one comes: nginx's status for it.
        let status = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
        let began_at = stamp.unix_milliseconds();
        let fault = Some(Side::Client);
        Self { worker, entry, started: Instant::now(), began_at, status, fault, access }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The function's, as it was when the invocation began.
    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(super) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The replica's answer; it may say whose fault it is.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        (self.status, self.fault) = (response.status(), Side::of_answer(response));
    }

    /// The replica ended within the answer's body.
    pub(super) fn broke_off(&mut self) {
        self.fault = Some(Side::Platform);
    }

    /// The deadline passed within the answer's body.
    pub(super) fn cut_off(&mut self) {
        self.fault = Some(Side::Handler);
    }

    pub(super) fn failed(mut self, fault: Fault) -> Response<Content> {
        (self.status, self.fault) = (fault.status, Some(fault.side));
        let (function, side) = (&self.entry.function, fault.side.name());
        tracing::debug!(%function, fault = side, reason = %fault.reason, "failed");
        fault.into_response()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let ended_at = self.began_at + u64::try_from(elapsed.as_millis()).unwrap_or_default();
        self.entry.shared.counts_of(self.worker.index).end(ended_at, self.status, self.fault, elapsed);
        if let Some(access) = self.access.take() {
            access.write(self.status, self.fault);
        }
    }
}
