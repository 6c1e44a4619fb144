//! The answer's body on its way to the caller. While it lasts, the invocation is in flight; past the deadline it is cut
//! off, so that the caller sees an incomplete answer rather than none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::Bytes;
use faas_provider::InFlight;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Call;
use super::upstream::Connection;

pin_project! {
    /// Passes frames on as they come.
    pub(crate) struct Relayed {
        body: Incoming,
        ended: bool,
        connection: Option<Connection>,
        #[pin]
        deadline: Sleep,
        // Ended, in this order, when the body is dropped: the replica is free before the call counts as ended.
        in_flight: InFlight,
        call: Call,
    }

    impl PinnedDrop for Relayed {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // A body of known length is over with its last byte, without anyone asking for more.
            if (*this.ended || this.body.is_end_stream()) && let Some(connection) = this.connection.take() {
                connection.keep();
            }
        }
    }
}

impl Relayed {
    pub(crate) fn new(
        (body, connection): (Incoming, Connection),
        call: Call,
        in_flight: InFlight,
        deadline: Instant,
    ) -> Self {
        let deadline = sleep_until(deadline);
        Self { body, ended: false, connection: Some(connection), deadline, in_flight, call }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Poll::Ready(frame) = Pin::new(this.body).poll_frame(context) {
            *this.ended = frame.is_none();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.deadline.poll(context));
        Poll::Ready(Some(Err("the function's timeout passed before its answer ended".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
