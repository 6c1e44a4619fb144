//! The route table: function → what answers it. An immutable map, swapped whole, read without a lock.
//!
//! What must outlive a change of route (waiting invocations, counts, connections to replicas) hangs on the entry and
//! is handed from the old one to the new one. An update copies the map's pointers: 10,000 functions take about a
//! millisecond.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use faas_api::FunctionId;
use faas_provider::{Replica, Route, RouteSink};
use tokio::sync::Notify;

use crate::invoke::Upstream;

/// One function as the gateway sees it now.
pub(crate) struct Entry {
    pub(crate) route: Route,
    /// As many as `route.replicas`, in their order.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) shared: Arc<Shared>,
}

/// What outlives a change of route.
#[derive(Default)]
pub(crate) struct Shared {
    /// Wakes those that wait for a change.
    pub(crate) changed: Notify,
    /// Invocations that wait for a replica.
    pub(crate) waiting: AtomicUsize,
    /// Whether the provider is being asked for a replica.
    pub(crate) waking: AtomicBool,
    /// Invocations begun and not ended.
    pub(crate) in_flight: AtomicUsize,
    /// Invocations ended, whatever their status.
    pub(crate) ended: AtomicU64,
}

/// Every function's entry.
#[derive(Default)]
pub(crate) struct RouteTable {
    entries: ArcSwap<HashMap<FunctionId, Arc<Entry>>>,
    /// Held while a new map is made, so that no update is lost to another. Functions removed since the last scrape,
    /// whose series are to go.
    removed: Mutex<Vec<FunctionId>>,
}

impl RouteTable {
    pub(crate) fn get(&self, function: &FunctionId) -> Option<Arc<Entry>> {
        self.entries.load().get(function).cloned()
    }

    /// Invocations under way, of all functions.
    pub(crate) fn in_flight(&self) -> usize {
        self.entries.load().values().map(|entry| entry.shared.in_flight.load(Ordering::Relaxed)).sum()
    }

    /// Takes the functions that were removed since the last call.
    pub(crate) fn take_removed(&self) -> Vec<FunctionId> {
        std::mem::take(&mut self.removed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn all(&self) -> Arc<HashMap<FunctionId, Arc<Entry>>> {
        self.entries.load_full()
    }
}

impl RouteSink for RouteTable {
    fn apply(&self, updates: Vec<(FunctionId, Option<Route>)>) {
        let mut removed = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = HashMap::clone(&self.entries.load());
        let mut changed = Vec::with_capacity(updates.len());
        for (function, route) in updates {
            let before = entries.remove(&function);
            changed.extend(before.as_ref().map(|entry| Arc::clone(&entry.shared)));
            match route {
                Some(route) => {
                    entries.insert(function, Arc::new(Entry::succeed(before.as_deref(), route)));
                }
                None => removed.push(function),
            }
        }
        self.entries.store(Arc::new(entries));
        for shared in changed {
            shared.changed.notify_waiters();
        }
    }
}

impl Entry {
    /// The entry for `route`, with what `before` had.
    fn succeed(before: Option<&Self>, route: Route) -> Self {
        let upstream = |replica: &Arc<Replica>| {
            before
                .and_then(|entry| entry.upstreams.iter().find(|known| Arc::ptr_eq(known.replica(), replica)))
                .map_or_else(|| Arc::new(Upstream::new(Arc::clone(replica))), Arc::clone)
        };
        Self {
            upstreams: route.replicas.iter().map(upstream).collect(),
            shared: before.map(|entry| Arc::clone(&entry.shared)).unwrap_or_default(),
            route,
        }
    }
}

#[cfg(test)]
mod tests {
    use faas_api::{Namespace, Terms};
    use faas_provider::Address;

    use super::*;

    fn route(replicas: Vec<Arc<Replica>>) -> Route {
        Route { replicas, wanted: 1, terms: Terms::default(), failure: None }
    }

    #[test]
    fn updates_keep_connections_and_counts_and_removal_forgets() {
        let table = RouteTable::default();
        let function = FunctionId::parse("f", &Namespace::default()).unwrap();
        let replica = Replica::new("a".into(), Address::Unix("/a".into()));
        table.apply(vec![(function.clone(), Some(route(vec![Arc::clone(&replica)])))]);
        let first = table.get(&function).unwrap();
        let other = Replica::new("b".into(), Address::Unix("/b".into()));
        table.apply(vec![(function.clone(), Some(route(vec![other, replica])))]);
        let second = table.get(&function).unwrap();
        assert!(Arc::ptr_eq(&first.shared, &second.shared));
        assert!(Arc::ptr_eq(&first.upstreams[0], &second.upstreams[1]));
        table.apply(vec![(function.clone(), None)]);
        assert!(table.get(&function).is_none());
    }
}
