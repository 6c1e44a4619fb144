//! When an invocation has to be over: one for the wait for its answer's head and for its body.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A point in time, and the timer for it.
pub(super) struct Deadline {
    at: Instant,
    /// Made when something is waited for the first time. Boxed, so that requests are small.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn new(at: Instant) -> Self {
        Self { at, sleep: None }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Ready once it has passed; whoever polls is woken then.
    pub(super) fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.sleep.get_or_insert_with(|| Box::pin(sleep_until(self.at))).as_mut().poll(context)
    }

    /// What comes of `work`; `None` if it is not over in time.
    pub(super) fn poll_within<F: Future>(
        &mut self,
        work: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        match work.poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll_passed(context).map(|()| None),
        }
    }
}
