//! A gateway, a client that sends any bytes, and upstreams that record every byte and answer as they are told.

mod answer;
mod canonical;
mod client;
pub(crate) mod frames;
mod gateway;
pub(crate) mod http2;
mod upstream;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) use answer::Answer;
pub(crate) use canonical::{Request, find};
pub(crate) use client::{Client, get, post, request};
pub(crate) use gateway::{Server, terms};
pub(crate) use upstream::{Exchange, Upstream};

/// Far beyond what anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Something that one thread waits for until another opens it.
pub(crate) fn gate() -> (Opener, Gate) {
    let (sender, receiver) = channel();
    (Opener(sender), Gate(Mutex::new(receiver)))
}

/// Opens a gate once per call.
pub(crate) struct Opener(Sender<()>);

/// Waits at a gate.
pub(crate) struct Gate(Mutex<Receiver<()>>);

impl Opener {
    pub(crate) fn open(&self) {
        self.0.send(()).unwrap();
    }
}

impl Gate {
    /// Until opened once more; a dropped opener is a test that has failed elsewhere.
    pub(crate) fn wait(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LIMIT);
    }
}
