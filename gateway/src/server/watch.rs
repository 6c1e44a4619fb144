//! What a connection is at, so that one that is slow, silent or noisy can be cut off.
//!
//! A worker looks at all of its connections once a second. So a limit is kept to the second, and a request costs a few
//! stores instead of a timer for each of its stages.
//!
//! Written by the connection's own thread only; orders may come from others.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use crate::Limits;

/// HTTP/2: what may come on the way of neither head nor body, with half as much again each second: a window of a body
/// that nobody reads yet, and a quarter of it.
const NOISE_BYTES: usize = (1 << 20) + (1 << 18);

/// Seconds since the worker began, moved on by its look at the connections. The first is 1.
#[derive(Debug, Clone)]
pub(crate) struct Clock(Arc<AtomicU32>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }
}

impl Clock {
    pub(crate) fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub(crate) fn tick(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Nothing is under way.
const IDLE: u8 = 0;
/// Bytes of a head have come.
const HEAD: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;
/// It speaks HTTP no more.
const LEFT: u8 = 3;

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Nothing.
    GoOn,
    /// To end what is under way and take nothing new.
    Finish,
    /// To end now.
    End,
}

/// One connection's.
#[derive(Debug)]
pub(crate) struct Watch {
    clock: Clock,
    phase: AtomicU8,
    /// When the phase began.
    since: AtomicU32,
    /// Being answered; several only with HTTP/2.
    requests: AtomicUsize,
    /// Bytes that came since the last head or piece of a body.
    noise: AtomicUsize,
    /// When the request has to be over, HTTP/1 only; 0 is never. A client that takes its answer slowly keeps its body from
    /// being asked for more, and so from its deadline.
    latest: AtomicU32,
    /// Since when the client takes nothing of what is written; 0 is not at all.
    stalled: AtomicU32,
    /// Frames that are no request do not begin one.
    http2: AtomicBool,
    /// Whether there was a request.
    used: AtomicBool,
    order: AtomicU8,
    waker: AtomicWaker,
}

impl Watch {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            phase: AtomicU8::new(IDLE),
            since: AtomicU32::new(clock.now()),
            requests: AtomicUsize::new(0),
            noise: AtomicUsize::new(0),
            latest: AtomicU32::new(0),
            stalled: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            used: AtomicBool::new(false),
            order: AtomicU8::new(Order::GoOn as u8),
            waker: AtomicWaker::new(),
            clock,
        }
    }

    pub(crate) fn is_http2(&self) {
        self.http2.store(true, Relaxed);
        self.enter(IDLE);
    }

    /// A request has come; it is under way until the turn is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Turn {
        self.requests.store(self.requests.load(Relaxed) + 1, Relaxed);
        self.phase.store(BUSY, Relaxed);
        self.used.store(true, Relaxed);
        self.noise.store(0, Relaxed);
        Turn(Arc::clone(self))
    }

    /// Whether it is answering, or has not written all of its answer.
    pub(super) fn is_busy(&self) -> bool {
        self.phase.load(Relaxed) == BUSY || self.stalled.load(Relaxed) != 0
    }

    /// The request that is under way has to be over by then.
    pub(crate) fn end_by(&self, limit: Duration) {
        if !self.http2.load(Relaxed) {
            let seconds = u32::try_from(limit.as_secs() + 1).unwrap_or(u32::MAX);
            self.latest.store(self.clock.now().saturating_add(seconds), Relaxed);
        }
    }

    /// Nothing has come yet that counts: TLS is agreed on.
    pub(super) fn is_ready(&self) {
        self.enter(IDLE);
    }

    /// The connection is a tunnel's from now on, which has a deadline of its own.
    pub(crate) fn leave(&self) {
        self.enter(LEFT);
    }

    /// Whether a request may be on its way that was sent before the client could know better: a client that connects
    /// does so for one. HTTP/2 can tell its clients what was not done.
    pub(super) fn awaits_request(&self) -> bool {
        let phase = self.phase.load(Relaxed);
        !self.http2.load(Relaxed) && (phase == HEAD || phase == IDLE && !self.used.load(Relaxed))
    }

    /// A piece of a body has come, or gone out, which takes frames of the other side too.
    pub(crate) fn heard(&self) {
        self.noise.store(0, Relaxed);
    }

    pub(super) fn read(&self, bytes: usize) {
        self.noise.store(self.noise.load(Relaxed).saturating_add(bytes), Relaxed);
        if self.phase.load(Relaxed) == IDLE && !self.http2.load(Relaxed) {
            self.enter(HEAD);
        }
    }

    pub(super) fn written(&self, taken: bool) {
        if taken {
            self.stalled.store(0, Relaxed);
            if self.phase.load(Relaxed) == IDLE && !self.http2.load(Relaxed) {
                // The last of an answer. (With HTTP/2 it may be an answer to a PING, which is no use of the connection.)
                self.since.store(self.clock.now(), Relaxed);
            }
        } else if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.clock.now(), Relaxed);
        }
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Relaxed);
        self.since.store(self.clock.now(), Relaxed);
    }

    /// Why the connection is to be ended, if it is.
    pub(super) fn judge(&self, limits: &Limits) -> Option<&'static str> {
        let past =
            |since: u32, limit: Duration| u64::from(self.clock.now().wrapping_sub(since)) > limit.as_secs();
        let (phase, since) = (self.phase.load(Relaxed), self.since.load(Relaxed));
        if phase == LEFT {
            return None;
        }
        let (stalled, latest) = (self.stalled.load(Relaxed), self.latest.load(Relaxed));
        if stalled != 0 && past(stalled, limits.body_timeout) {
            return Some("the client takes nothing of its answer");
        }
        let noise = self.noise.load(Relaxed);
        if self.http2.load(Relaxed) && noise > NOISE_BYTES {
            return Some("a flood of frames");
        }
        self.noise.store(noise / 2, Relaxed);
        match phase {
            BUSY if latest != 0 && self.clock.now() > latest => {
                Some("the client takes its answer too slowly")
            }
            IDLE if past(since, limits.idle_timeout) => Some("idle"),
            HEAD if past(since, limits.head_timeout) => Some("a request's head took too long"),
            _ => None,
        }
    }

    /// Tells the connection's task; never less than it was told before.
    pub(super) fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Relaxed);
        self.waker.wake();
    }

    /// What it was told; the task of `context` is woken when that changes.
    pub(super) fn told(&self, context: &Context<'_>) -> Order {
        self.waker.register(context.waker());
        match self.order.load(Relaxed) {
            told if told == Order::GoOn as u8 => Order::GoOn,
            told if told == Order::Finish as u8 => Order::Finish,
            _ => Order::End,
        }
    }

    /// `None` once it was told to end.
    pub(super) async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            if self.told(context) == Order::End {
                return Poll::Ready(None);
            }
            Pin::new(&mut work).poll(context).map(Some)
        })
        .await
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Watch>);

impl Turn {
    /// A piece of the answer is asked for: the one before it has gone out.
    pub(crate) fn passing(&self) {
        self.0.heard();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.latest.store(0, Relaxed);
        let left = self.0.requests.load(Relaxed).saturating_sub(1);
        self.0.requests.store(left, Relaxed);
        if left == 0 && self.0.phase.load(Relaxed) != LEFT {
            self.0.enter(IDLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u32, watch: &Watch) -> Option<&'static str> {
        (0..seconds).for_each(|_| watch.clock.tick());
        watch.judge(&Limits::default())
    }

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new(Clock::default()))
    }

    #[test]
    fn each_stage_has_its_limit() {
        let idle = watch();
        assert!(after(60, &idle).is_none() && after(1, &idle).is_some());
        let slow = watch();
        slow.read(1);
        assert!(after(10, &slow).is_none());
        slow.read(1);
        assert!(after(1, &slow).is_some(), "a byte now and then gains nothing");
        let busy = watch();
        let turn = busy.begin();
        assert!(after(1000, &busy).is_none());
        drop(turn);
        assert!(after(60, &busy).is_none() && after(1, &busy).is_some());
        let stalled = watch();
        let _turn = stalled.begin();
        stalled.written(false);
        assert!(after(60, &stalled).is_none() && after(1, &stalled).is_some());
        stalled.written(true);
        assert!(stalled.judge(&Limits::default()).is_none());
    }

    #[test]
    fn frames_alone_are_a_flood_and_requests_are_not() {
        let watch = watch();
        watch.is_http2();
        for _ in 0..100 {
            watch.read(1 << 20);
            drop(watch.begin());
        }
        assert!(after(11, &watch).is_none(), "frames begin no head");
        watch.read(1 << 20);
        assert!(watch.judge(&Limits::default()).is_none());
        watch.read(1 << 20);
        assert!(watch.judge(&Limits::default()).is_some());
        watch.heard();
        assert!(watch.judge(&Limits::default()).is_none());
    }
}
