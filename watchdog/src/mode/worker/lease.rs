//! A place for one call in a process.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::pool::Pool;
use super::process::{Event, Opened, Process};
use crate::frame::Kind;

/// How long a handler may go on after its caller has left.
const ABANDONED: Duration = Duration::from_secs(10);

/// A call that a process has room for. Dropped before it has ended, the process is asked to stop with it.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    process: Arc<Process>,
    pub(crate) call: u32,
    events: mpsc::UnboundedReceiver<Event>,
    sent: bool,
}

impl Lease {
    pub(super) fn new(pool: &Arc<Pool>, process: Arc<Process>, opened: Opened) -> Self {
        let Opened { call, events } = opened;
        Self { pool: Arc::clone(pool), process, call, events, sent: false }
    }

    /// Sends the call's first frame.
    pub(crate) fn send(&mut self, kind: Kind, flags: u8, parts: &[&[u8]], descriptors: Vec<OwnedFd>) {
        self.sent = true;
        self.process.send_with(kind, flags, self.call, parts, descriptors);
    }

    /// What happens next. None is for a call that is over.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events.poll_recv(context)
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The process broke its word.
    pub(crate) fn condemn(&self) {
        self.pool.retire(&self.process, Some(self.call));
    }

    /// Asks for the end of it, and of what it left behind.
    pub(crate) fn abort(&self) {
        self.process.send(Kind::Abort, 0, self.call, &[]);
    }

    /// Its time is over: the process is killed as soon as nobody else needs it.
    pub(crate) fn expire(self) {
        self.abort();
        self.condemn();
    }
}

impl Lease {
    /// Ends the call at this time; the process is killed as soon as nobody else needs it. Dropping the set calls it off.
    pub(super) fn end_at(&self, deadline: Instant) -> JoinSet<()> {
        let (pool, process, call) = (Arc::clone(&self.pool), Arc::clone(&self.process), self.call);
        let mut clock = JoinSet::new();
        clock.spawn(async move {
            sleep_until(deadline).await;
            process.send(Kind::Abort, 0, call, &[]);
            process.give_up(call);
            pool.retire(&process, Some(call));
        });
        clock
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.process.is_running(self.call) {
            return;
        }
        if !self.sent {
            self.process.forget(self.call);
            self.pool.give_back(&self.process);
            return;
        }
        if self.process.becomes_the_call() {
            // Nobody listens there for an ABORT.
            self.condemn();
            return;
        }
        self.abort();
        tokio::spawn(abandon(Arc::clone(&self.pool), Arc::downgrade(&self.process), self.call));
    }
}

/// The caller has left: the handler may stop, for a while.
async fn abandon(pool: Arc<Pool>, process: Weak<Process>, call: u32) {
    tokio::time::sleep(ABANDONED).await;
    if let Some(process) = process.upgrade().filter(|process| process.is_running(call)) {
        pool.retire(&process, Some(call));
    }
}
