//! The answer's body on its way to the caller. While it lasts, the invocation is in flight; past the deadline it is cut
//! off, so that the caller sees an incomplete answer rather than none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::Bytes;
use faas_provider::InFlight;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::call::Call;
use super::deadline::Deadline;
use crate::upstream::Connection;

const PASSED: &str = "the function's timeout passed before its answer ended";

/// Passes frames on as they come.
pub(crate) struct Relayed {
    body: Incoming,
    begun: bool,
    ended: bool,
    connection: Option<Connection>,
    deadline: Deadline,
    // Ended, in this order, when the body is dropped: the replica is free before the call counts as ended.
    _in_flight: InFlight,
    call: Call,
}

impl Drop for Relayed {
    fn drop(&mut self) {
        // A body of known length is over with its last byte, without anyone asking for more.
        if (self.ended || self.body.is_end_stream())
            && let Some(connection) = self.connection.take()
        {
            connection.keep(self.call.worker());
        }
    }
}

impl Relayed {
    pub(super) fn new(
        body: Incoming,
        connection: Connection,
        call: Call,
        in_flight: InFlight,
        deadline: Deadline,
    ) -> Self {
        let connection = Some(connection);
        Self { body, begun: false, ended: false, connection, deadline, _in_flight: in_flight, call }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // Before the body: one that always has more would never look at the clock. Not for the first piece, which mostly
        // came with its head.
        if std::mem::replace(&mut this.begun, true) && Instant::now() >= this.deadline.at() {
            this.call.cut_off();
            return Poll::Ready(Some(Err(PASSED.into())));
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.ended = frame.is_none();
            if matches!(frame, Some(Err(_))) {
                this.call.broke_off();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.deadline.poll_passed(context));
        this.call.cut_off();
        Poll::Ready(Some(Err(PASSED.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
