//! When an invocation has to be over: one for the wait for its answer's head and for its body.
//!
//! Timers are used again, and moved as rarely as can be: one that is set for an invocation before this one fires too
//! early, once, and is moved then. (Measured: a timer made and removed for each request takes 3 to 4 % of its time.)

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::lock::lock;

/// Timers that a worker keeps; what is needed beyond that is made anew.
const MOST_KEPT: usize = 256;

/// A point in time, and the timer for it.
pub(super) struct Deadline {
    at: Instant,
    timers: Arc<Timers>,
    /// Had when something is waited for the first time.
    timer: Option<Timer>,
}

/// Boxed, so that requests are small.
type Timer = Pin<Box<Sleep>>;

/// A worker's timers that nobody waits for. They may be set.
#[derive(Default)]
pub(crate) struct Timers(Mutex<Vec<Timer>>);

impl Timers {
    fn take(&self) -> Option<Timer> {
        lock(&self.0).pop()
    }

    fn keep(&self, mut timer: Timer) {
        // If it fires meanwhile, nobody is woken; nobody's memory waits for it.
        let _ = pin!(unconstrained(timer.as_mut())).poll(&mut Context::from_waker(Waker::noop()));
        let mut kept = lock(&self.0);
        if kept.len() < MOST_KEPT {
            kept.push(timer);
        }
    }
}

impl Deadline {
    pub(super) fn new(at: Instant, timers: &Arc<Timers>) -> Self {
        Self { at, timers: Arc::clone(timers), timer: None }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Ready once it has passed; whoever polls is woken then.
    pub(super) fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (at, timers) = (self.at, &self.timers);
        let timer = self
            .timer
            .get_or_insert_with(|| timers.take().unwrap_or_else(|| Box::pin(sleep_until(at))))
            .as_mut();
        poll_at(timer, at, context)
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

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.timers.keep(timer);
        }
    }
}

/// Polls a timer that may be set for another time.
fn poll_at(mut timer: Pin<&mut Sleep>, at: Instant, context: &mut Context<'_>) -> Poll<()> {
    if timer.deadline() > at {
        timer.as_mut().reset(at);
    }
    ready!(timer.as_mut().poll(context));
    if timer.deadline() >= at {
        return Poll::Ready(());
    }
    timer.as_mut().reset(at);
    timer.poll(context)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    /// After how many milliseconds a timer that was set for `first` is ready at `then`.
    async fn waited(first: u64, then: u64) -> u128 {
        let started = Instant::now();
        let after = |milliseconds| started + Duration::from_millis(milliseconds);
        let mut timer = pin!(sleep_until(after(first)));
        let _ = timer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        poll_fn(|context| poll_at(timer.as_mut(), after(then), context)).await;
        started.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_of_an_earlier_invocation_is_moved() {
        for (first, then) in [(100, 100), (100, 200), (200, 100), (0, 50), (50, 0)] {
            let waited = waited(first, then).await;
            assert!((u128::from(then)..u128::from(then) + 2).contains(&waited), "{first}, {then}: {waited}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn timers_are_used_again_and_so_many_are_kept() {
        let timers = Arc::new(Timers::default());
        for milliseconds in [100, 50] {
            let at = Instant::now() + Duration::from_millis(milliseconds);
            let mut deadline = Deadline::new(at, &timers);
            poll_fn(|context| deadline.poll_passed(context)).await;
            let now = Instant::now();
            assert!(now >= at && now < at + Duration::from_millis(2), "{at:?}, {now:?}");
            drop(deadline);
            assert_eq!(lock(&timers.0).len(), 1);
        }
        (0..=MOST_KEPT).for_each(|_| timers.keep(Box::pin(sleep_until(Instant::now()))));
        assert_eq!(lock(&timers.0).len(), MOST_KEPT);
    }
}
