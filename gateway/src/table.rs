//! The route table: function → what answers it. Immutable maps, swapped whole, read without a lock.
//!
//! What must outlive a change of route (waiting invocations, counts, connections to replicas) hangs on the entry and
//! is handed from the old one to the new one. An update copies one of [`SHARDS`] maps, so that a change among 10,000
//! functions takes microseconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use arc_swap::ArcSwap;
use faas_api::{FunctionId, Namespace};
use faas_provider::{Replica, Route, RouteSink};
use smallvec::SmallVec;
use smol_str::SmolStr;
use tokio::sync::Notify;

use crate::counts::{Counts, Totals};
use crate::lock::lock;
use crate::per_worker::PerWorker;
use crate::rate::Rate;
use crate::upstream::Upstream;

/// How many maps the table is made of.
const SHARDS: usize = 64;

/// One function as the gateway sees it now. What every invocation reads comes first, together: among many functions each
/// line of memory is one that has to be fetched.
#[repr(C)]
pub(crate) struct Entry {
    /// As many as `route.replicas`, in their order; most have one.
    pub(crate) upstreams: SmallVec<[Arc<Upstream>; 1]>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) route: Route,
    pub(crate) function: FunctionId,
}

/// What outlives a change of route.
pub(crate) struct Shared {
    /// Wakes those that wait for a change.
    pub(crate) changed: Notify,
    /// Invocations that wait for a replica.
    pub(crate) waiting: AtomicUsize,
    /// Whether the provider is being asked for a replica.
    pub(crate) waking: AtomicBool,
    /// How often jobs were accepted for it, from the first on.
    pub(crate) accepted: OnceLock<Box<Rate>>,
    /// What is counted of its invocations, from the first on.
    counts: OnceLock<PerWorker<Mutex<Counts>>>,
    workers: usize,
}

impl Shared {
    fn new(workers: usize) -> Self {
        Self {
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
            waking: AtomicBool::new(false),
            accepted: OnceLock::new(),
            counts: OnceLock::new(),
            workers,
        }
    }

    /// One worker's, to count an invocation that it makes.
    pub(crate) fn counts_of(&self, worker: usize) -> MutexGuard<'_, Counts> {
        lock(self.counts.get_or_init(|| PerWorker::new(self.workers, Mutex::default)).of(worker))
    }

    /// All workers' together; `None` before the first invocation.
    pub(crate) fn counts(&self) -> Option<Counts> {
        let mut all = Counts::default();
        self.counts.get()?.all().for_each(|one| all.add(&lock(one)));
        Some(all)
    }

    /// The same without what only scrapes ask for; all 0 before the first invocation.
    pub(crate) fn totals(&self) -> Totals {
        let mut all = Totals::default();
        let workers = self.counts.get().into_iter().flat_map(PerWorker::all);
        workers.for_each(|one| all.add(lock(one).totals));
        all
    }
}

/// Names of up to 23 bytes lie in the map itself: most that are written without a namespace.
type Shard = HashMap<SmolStr, Arc<Entry>>;

/// Every function's entry.
pub(crate) struct RouteTable {
    /// By the names that callers write: `NAME.NAMESPACE`, and `NAME` alone in the default namespace.
    shards: Box<[ArcSwap<Shard>]>,
    namespace: Namespace,
    workers: usize,
    /// Held while a new map is made, so that no update is lost to another.
    updating: Mutex<()>,
}

impl RouteTable {
    /// For functions of `namespace` by their names alone, and so many workers that keep connections.
    pub(crate) fn new(namespace: Namespace, workers: usize) -> Self {
        let shards = (0..SHARDS).map(|_| ArcSwap::default()).collect();
        Self { shards, namespace, workers, updating: Mutex::default() }
    }

    /// The function that a caller wrote so; `None` also for what is no name.
    pub(crate) fn written(&self, name: &str) -> Option<Arc<Entry>> {
        self.shard(name).load().get(name).cloned()
    }

    pub(crate) fn get(&self, function: &FunctionId) -> Option<Arc<Entry>> {
        self.written(&function.to_string())
    }

    fn shard(&self, name: &str) -> &ArcSwap<Shard> {
        // FNV-1a: spread is all that is asked of it, and names come from who deploys.
        let bits = name.bytes().fold(0xcbf2_9ce4_8422_2325, |bits: u64, byte| {
            (bits ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        &self.shards[usize::try_from(bits % SHARDS as u64).unwrap_or_default()]
    }

    /// Every function once.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        let full = |(name, entry): (&SmolStr, &Arc<Entry>)| name.contains('.').then(|| Arc::clone(entry));
        let entries = |shard: &ArcSwap<Shard>| shard.load().iter().filter_map(full).collect::<Vec<_>>();
        self.shards.iter().flat_map(entries).collect()
    }

    /// Invocations under way, of all functions.
    pub(crate) fn in_flight(&self) -> u64 {
        self.all().iter().map(|entry| entry.shared.totals().in_flight()).sum()
    }

    /// The names that callers may write.
    fn names(&self, function: &FunctionId) -> impl Iterator<Item = SmolStr> {
        let short = (function.namespace == self.namespace).then(|| SmolStr::from(function.name.as_str()));
        std::iter::once(SmolStr::from(function.to_string())).chain(short)
    }

    fn replace(&self, name: SmolStr, entry: Option<&Arc<Entry>>) {
        let shard = self.shard(&name);
        let mut entries = Shard::clone(&shard.load());
        match entry {
            Some(entry) => drop(entries.insert(name, Arc::clone(entry))),
            None => drop(entries.remove(&name)),
        }
        shard.store(Arc::new(entries));
    }
}

impl RouteSink for RouteTable {
    fn apply(&self, updates: Vec<(FunctionId, Option<Route>)>) {
        let _updating = lock(&self.updating);
        for (function, route) in updates {
            let before = self.get(&function);
            let entry = route.map(|route| {
                Arc::new(Entry::succeed(before.as_deref(), function.clone(), route, self.workers))
            });
            for name in self.names(&function) {
                self.replace(name, entry.as_ref());
            }
            let Some(before) = before else { continue };
            let stays = |known: &Arc<Upstream>| {
                entry.iter().any(|entry| entry.upstreams.iter().any(|upstream| Arc::ptr_eq(upstream, known)))
            };
            before.upstreams.iter().filter(|known| !stays(known)).for_each(|left| left.close());
            before.shared.changed.notify_waiters();
        }
    }
}

impl Entry {
    /// The entry for `route`, with what `before` had.
    fn succeed(before: Option<&Self>, function: FunctionId, route: Route, workers: usize) -> Self {
        let upstream = |replica: &Arc<Replica>| {
            before
                .and_then(|entry| entry.upstreams.iter().find(|known| known.is(replica, route.terms.h2c)))
                .map_or_else(
                    || Arc::new(Upstream::new(Arc::clone(replica), route.terms.h2c, workers)),
                    Arc::clone,
                )
        };
        Self {
            function,
            upstreams: route.replicas.iter().map(upstream).collect(),
            shared: before.map_or_else(|| Arc::new(Shared::new(workers)), |entry| Arc::clone(&entry.shared)),
            route,
        }
    }
}

#[cfg(test)]
mod tests {
    use faas_api::{Scaling, Terms};
    use faas_provider::Address;

    use super::*;

    fn route(replicas: Vec<Arc<Replica>>) -> Route {
        Route { replicas, wanted: 1, terms: Terms::default(), scaling: Scaling::default(), failure: None }
    }

    #[test]
    fn updates_keep_connections_and_counts_and_removal_forgets() {
        let table = RouteTable::new(Namespace::default(), 2);
        let function = FunctionId::parse("f", &Namespace::default()).unwrap();
        let replica = Replica::new("a".into(), Address::Unix("/a".into()));
        table.apply(vec![(function.clone(), Some(route(vec![Arc::clone(&replica)])))]);
        let first = table.get(&function).unwrap();
        first.shared.counts_of(1).begin(7);
        let other = Replica::new("b".into(), Address::Unix("/b".into()));
        table.apply(vec![(function.clone(), Some(route(vec![other, Arc::clone(&replica)])))]);
        let second = table.get(&function).unwrap();
        assert!(Arc::ptr_eq(&first.shared, &second.shared));
        assert!(Arc::ptr_eq(&first.upstreams[0], &second.upstreams[1]));
        assert_eq!(table.all().len(), 1);
        assert_eq!((second.shared.totals().started, table.in_flight()), (1, 1));
        table.apply(vec![(function.clone(), None)]);
        assert!(table.get(&function).is_none() && table.all().is_empty());
        // One that outlives its function brings nothing back.
        first.shared.counts_of(0).begin(8);
        table.apply(vec![(function.clone(), Some(route(vec![replica])))]);
        assert!(table.get(&function).unwrap().shared.counts().is_none());
    }

    #[test]
    fn a_function_goes_by_the_names_that_callers_write() {
        let table = RouteTable::new(Namespace::default(), 1);
        for name in ["f", "f.dev"] {
            let function = FunctionId::parse(name, &Namespace::default()).unwrap();
            table.apply(vec![(function, Some(route(Vec::new())))]);
        }
        let written = |name| table.written(name).map(|entry| entry.function.to_string());
        assert_eq!(written("f").unwrap(), "f.openfaas-fn");
        assert_eq!(written("f.openfaas-fn").unwrap(), "f.openfaas-fn");
        assert_eq!(written("f.dev").unwrap(), "f.dev");
        assert!(written("f.de").is_none() && written("").is_none());
        assert_eq!(table.all().len(), 2);
    }
}
