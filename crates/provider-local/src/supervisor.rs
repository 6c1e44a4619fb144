//! Which replicas there are, and which there should be: every function's state behind one lock.
//!
//! The lock is held for moments only, never across IO: decisions are [`Function`]'s, replicas live in tasks of their
//! own that report here, and each change of what answers is pushed to the gateway's sink before the lock is released,
//! so that routes are in order and a replica leaves them before it is told to stop.

mod function;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use faas_api::{Digest, FunctionId, FunctionStatus, Namespace, Terms};
use faas_provider::{Replica, RouteSink};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::launch::Launcher;
use crate::replica;
use crate::store::Record;
use function::Function;

pub(crate) use function::{Ended, labelled_least};

/// How long replicas may take to stop when the platform does.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Supervisor(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    launcher: Arc<Launcher>,
    replicas: TaskTracker,
    /// Cancelled when the platform stops: replicas have left the routes, nothing is waited for.
    stopping: CancellationToken,
}

#[derive(Default)]
struct State {
    functions: HashMap<FunctionId, Function>,
    sink: Option<Arc<dyn RouteSink>>,
}

impl Supervisor {
    pub(crate) fn new(launcher: Launcher) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            launcher: Arc::new(launcher),
            replicas: TaskTracker::new(),
            stopping: CancellationToken::new(),
        }))
    }

    /// Sends every route to `sink`, then each change.
    pub(crate) fn subscribe(&self, sink: Arc<dyn RouteSink>) {
        let mut state = self.lock();
        let routes = state
            .functions
            .values()
            .map(|function| (function.record.function.clone(), Some(function.route(self.terms(function)))))
            .collect();
        sink.apply(routes);
        state.sink = Some(sink);
    }

    /// Takes a function's record: a new one, or a new revision.
    pub(crate) fn put(&self, record: Record) {
        let mut state = self.lock();
        let (name, record) = (record.function.clone(), Arc::new(record));
        match state.functions.get_mut(&name) {
            Some(function) => function.replace(record),
            None => drop(state.functions.insert(name.clone(), Function::new(record))),
        }
        self.reconcile(&mut state, &name);
    }

    pub(crate) fn remove(&self, name: &FunctionId) {
        let mut state = self.lock();
        let removed = state.functions.remove(name);
        if let Some(sink) = &state.sink {
            sink.apply(vec![(name.clone(), None)]);
        }
        for stop in removed.into_iter().flat_map(|mut function| function.stop_all()) {
            stop.cancel();
        }
    }

    /// Sets the number of replicas; false if there is no such function.
    pub(crate) fn scale(&self, name: &FunctionId, replicas: u32) -> bool {
        self.change(name, |function| function.scale(replicas))
    }

    /// Brings a function that stands at zero to its least number; false if there is no such function.
    pub(crate) fn wake(&self, name: &FunctionId) -> bool {
        self.change(name, |function| {
            if function.wanted == 0 {
                function.scale(Function::least(&function.record));
            }
        })
    }

    fn change(&self, name: &FunctionId, change: impl FnOnce(&mut Function)) -> bool {
        let mut state = self.lock();
        let found = state.functions.get_mut(name).map(change).is_some();
        if found {
            self.reconcile(&mut state, name);
        }
        found
    }

    pub(crate) fn record(&self, name: &FunctionId) -> Option<Arc<Record>> {
        self.lock().functions.get(name).map(|function| Arc::clone(&function.record))
    }

    /// Replicas wanted now, which may differ from the record's once woken.
    pub(crate) fn wanted(&self, name: &FunctionId) -> Option<u32> {
        self.lock().functions.get(name).map(|function| function.wanted)
    }

    pub(crate) fn status(&self, name: &FunctionId) -> Option<FunctionStatus> {
        self.lock().functions.get(name).map(Function::status)
    }

    pub(crate) fn list(&self, namespace: &Namespace) -> Vec<FunctionStatus> {
        let state = self.lock();
        let inside = state.functions.values().filter(|f| f.record.function.namespace == *namespace);
        let mut functions: Vec<_> = inside.map(Function::status).collect();
        functions.sort_by(|one, other| one.name.cmp(&other.name));
        functions
    }

    /// Packages of replicas that run or drain.
    pub(crate) fn packages(&self) -> Vec<Digest> {
        self.0.launcher.packages_in_use()
    }

    /// Whether the replica has not been told to stop.
    pub(crate) fn expects(&self, name: &FunctionId, instance: &str) -> bool {
        self.lock().functions.get(name).is_some_and(|function| function.has(instance))
    }

    /// A replica's task says that it can be called.
    pub(crate) fn ready(&self, name: &FunctionId, instance: &str, replica: Arc<Replica>) {
        self.change(name, |function| function.ready(instance, replica, Instant::now()));
    }

    /// A replica's task says that it ended by itself.
    pub(crate) fn ended(&self, name: &FunctionId, ended: &Ended) {
        let mut pause = None;
        self.change(name, |function| pause = function.ended(ended, Instant::now()));
        if let Some(pause) = pause.filter(|pause| !pause.is_zero()) {
            let (supervisor, name) = (self.clone(), name.clone());
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                supervisor.change(&name, |function| function.resume(Instant::now()));
            });
        }
    }

    /// Starts what is missing, publishes what answers, and only then stops what is surplus.
    fn reconcile(&self, state: &mut State, name: &FunctionId) {
        let Some(function) = state.functions.get_mut(name) else { return };
        if self.0.stopping.is_cancelled() {
            return;
        }
        for _ in 0..function.missing() {
            let launch = self.0.launcher.prepare(Arc::clone(&function.record));
            function.start(launch.instance.clone(), launch.stop.clone());
            let task = replica::run(
                self.clone(),
                Arc::clone(&self.0.launcher),
                launch,
                self.terms(function).timeout.unwrap_or_default(),
            );
            self.0.replicas.spawn(task);
        }
        let surplus = function.surplus();
        let route = function.route(self.terms(function));
        if let Some(sink) = &state.sink {
            sink.apply(vec![(name.clone(), Some(route))]);
        }
        for stop in surplus {
            stop.cancel();
        }
    }

    fn terms(&self, function: &Function) -> Terms {
        self.0.launcher.terms(&function.record.deployment)
    }

    /// Cancelled once the platform stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Stops every replica and waits for them, for a bounded time.
    pub(crate) async fn stop(&self) {
        self.0.stopping.cancel();
        let stops: Vec<_> = self.lock().functions.values_mut().flat_map(Function::stop_all).collect();
        for stop in stops {
            stop.cancel();
        }
        self.0.replicas.close();
        if tokio::time::timeout(STOP_LIMIT, self.0.replicas.wait()).await.is_err() {
            tracing::warn!("replicas did not stop in time and are killed");
        }
        self.0.launcher.memory.remove_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
