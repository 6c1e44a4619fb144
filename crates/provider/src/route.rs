//! Where invocations of a function go: what a provider pushes and the gateway reads.
//!
//! A [`Replica`] counts its invocations in flight, and can be retired: no new one begins, and whoever retires it
//! learns when the last has ended. So a replica that leaves the routes is stopped without a failed request.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faas_api::{FunctionId, Scaling, Terms};
use tokio::sync::Notify;

/// Takes the routes that a provider pushes.
pub trait RouteSink: Send + Sync {
    /// Puts the new routes into effect before it returns; `None` removes a function. Called often, must be quick.
    fn apply(&self, updates: Vec<(FunctionId, Option<Route>)>);
}

/// What can answer one function now.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Route {
    /// How the function wants to be invoked. First, since that is what every invocation reads.
    pub terms: Terms,
    /// The ready ones.
    pub replicas: Vec<Arc<Replica>>,
    /// Replicas wanted; at 0 the next invocation wakes the function.
    pub wanted: u32,
    /// How it wants to be scaled.
    pub scaling: Scaling,
    /// Why the last start failed, until one succeeds: waiting would not help.
    pub failure: Option<Failure>,
}

/// Why a start failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it was.
    pub cause: Cause,
    /// For a person, on one line.
    pub reason: Arc<str>,
}

/// Whose fault a failed start was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The user's code, which ended or did not come to listen.
    Handler,
    /// What should have run it.
    Platform,
}

/// Where a replica listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// HTTP over TCP.
    Tcp(SocketAddr),
    /// HTTP over a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// Set in [`Replica::state`] once no new invocation may begin; the other bits count those in flight.
const RETIRED: usize = 1 << (usize::BITS - 1);

/// One running copy of a function.
#[derive(Debug)]
#[repr(C)]
pub struct Replica {
    /// First, beside the count of those that hold it: every invocation writes to both.
    state: AtomicUsize,
    last_ended: Notify,
    /// Its name, as in logs.
    pub name: String,
    /// Where it listens.
    pub address: Address,
}

impl Replica {
    /// A ready replica with nothing in flight.
    pub fn new(name: String, address: Address) -> Arc<Self> {
        Arc::new(Self { name, address, state: AtomicUsize::new(0), last_ended: Notify::new() })
    }

    /// Invocations in flight.
    pub fn in_flight(&self) -> usize {
        self.state.load(Ordering::Relaxed) & !RETIRED
    }

    /// Counts an invocation until the returned guard is dropped; `None` once the replica is retired, and while `most`
    /// are in flight.
    pub fn begin(self: &Arc<Self>, most: Option<NonZeroUsize>) -> Option<InFlight> {
        let guard = InFlight { replica: Arc::clone(self) };
        // Counted first and checked after, so that `retire` either is seen here or sees this one.
        let before = self.state.fetch_add(1, Ordering::AcqRel);
        // A retired one is past every limit.
        (before < most.map_or(RETIRED, |most| most.get().min(RETIRED))).then_some(guard)
    }

    /// Whether no new invocation may begin for ever.
    pub fn is_retired(&self) -> bool {
        self.state.load(Ordering::Relaxed) & RETIRED != 0
    }

    /// Lets no new invocation begin and waits until the last has ended. Cancel safe; stays retired.
    pub async fn retire(&self) {
        self.state.fetch_or(RETIRED, Ordering::AcqRel);
        loop {
            let ended = self.last_ended.notified();
            if self.state.load(Ordering::Acquire) == RETIRED {
                return;
            }
            ended.await;
        }
    }
}

/// One invocation in flight at a replica.
#[derive(Debug)]
pub struct InFlight {
    replica: Arc<Replica>,
}

impl InFlight {
    /// The replica it runs at.
    pub fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.replica.state.fetch_sub(1, Ordering::AcqRel) == RETIRED + 1 {
            self.replica.last_ended.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica() -> Arc<Replica> {
        Replica::new("r".into(), Address::Unix("/r".into()))
    }

    #[tokio::test]
    async fn a_retired_replica_takes_nothing_new_and_waits_for_the_rest() {
        let replica = replica();
        let first = replica.begin(None).unwrap();
        let retire = tokio::spawn({
            let replica = Arc::clone(&replica);
            async move { replica.retire().await }
        });
        while replica.begin(None).is_some() {
            tokio::task::yield_now().await;
        }
        assert!(!retire.is_finished());
        drop(first);
        retire.await.unwrap();
        assert_eq!(replica.in_flight(), 0);
    }

    #[tokio::test]
    async fn no_more_begin_than_it_takes() {
        let (replica, two) = (replica(), NonZeroUsize::new(2));
        let both = [replica.begin(two).unwrap(), replica.begin(two).unwrap()];
        assert!(replica.begin(two).is_none() && !replica.is_retired());
        assert_eq!(replica.in_flight(), 2);
        drop(both);
        assert!(replica.begin(two).is_some());
    }

    #[tokio::test]
    async fn a_refused_begin_is_not_counted() {
        let replica = replica();
        replica.retire().await;
        assert!(replica.begin(None).is_none());
        replica.retire().await;
        assert_eq!(replica.in_flight(), 0);
    }
}
