//! The lock around [`State`] and the sink that its routes go to, in the order in which they change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use faas_api::FunctionId;
use faas_provider::RouteSink;
use tokio::sync::Notify;

use crate::state::{Changes, Event, PodName, State};

/// What is known and who is told. No lock is held across a wait.
#[derive(Default)]
pub(crate) struct Routes {
    inner: Mutex<Inner>,
    /// Wakes those who follow pods, after each event.
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    state: State,
    sink: Option<Arc<dyn RouteSink>>,
}

impl Routes {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all routes to `sink`, and every change from now on.
    pub(crate) fn subscribe(&self, sink: Arc<dyn RouteSink>) {
        let mut inner = self.lock();
        sink.apply(inner.state.routes());
        inner.sink = Some(sink);
    }

    /// Takes events in; what changes is in effect when this returns.
    pub(crate) fn handle(&self, events: impl IntoIterator<Item = Event>) {
        let mut inner = self.lock();
        let Changes { routes, retired } = inner.state.handle(events);
        if let Some(sink) = inner.sink.as_ref().filter(|_| !routes.is_empty()) {
            sink.apply(routes);
        }
        drop(inner);
        for replica in retired {
            // Nobody waits for it: the pod itself finishes what it has.
            tokio::spawn(async move { replica.retire().await });
        }
        self.changed.notify_waiters();
    }

    /// The pods of a function that exist, ready or not.
    pub(crate) fn pods(&self, function: &FunctionId) -> Vec<PodName> {
        self.lock().state.pods(function)
    }

    /// Woken by the next event.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}
