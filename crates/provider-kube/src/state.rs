//! From what was seen to routes: functions and pods go in as [`Event`]s, changes of routes come out. No IO, no clock.
//!
//! Functions come from two sides that are not in step, the watch and what our own calls return; what is older than
//! what is known is ignored, and a function that is gone stays gone, whatever late event names it. The
//! last [`GRAVES`] that went are remembered for that. Pods come from their watch alone, in order.

mod entry;
mod facts;
mod graves;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use faas_api::{FunctionId, Namespace};
use faas_provider::{Replica, Route};

use entry::{Entry, Known};
pub(crate) use facts::{FunctionFacts, PodFacts};
use graves::Graves;

/// Deleted functions that are remembered. Late events are those of the last seconds.
const GRAVES: usize = 4096;

/// Something that was seen or done.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// From the watch on functions.
    Function(Watched<FunctionFacts>),
    /// From the watch on pods.
    Pod(Watched<PodFacts>),
    /// A call of ours returned this function.
    Written(FunctionFacts),
    /// A call of ours deleted the function with this uid.
    Deleted(FunctionId, String),
    /// A call of ours deleted a namespace.
    NamespaceDeleted(Namespace),
}

/// What a watch says.
#[derive(Debug, Clone)]
pub(crate) enum Watched<T> {
    /// A list begins, of all that there is.
    Listing,
    /// One of the list.
    Listed(T),
    /// The list is complete: what was not in it is gone.
    AllListed,
    /// It is new or has changed.
    Seen(T),
    /// It is gone.
    Gone(T),
    /// The one with this uid is no function's any more.
    Lost(String),
}

/// What follows from events.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Functions whose route is another now; `None` for those that are gone.
    pub(crate) routes: Vec<(FunctionId, Option<Route>)>,
    /// Replicas that left their route.
    pub(crate) retired: Vec<Arc<Replica>>,
}

/// A pod, for those who read its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodName {
    pub(crate) uid: String,
    pub(crate) name: String,
}

/// Functions and pods as they are known.
#[derive(Debug, Default)]
pub(crate) struct State {
    functions: HashMap<FunctionId, Entry>,
    graves: Graves,
    /// Whose each known pod is, by its uid.
    owners: HashMap<String, FunctionId>,
    /// The list that is coming in, with what was written meanwhile.
    listing_functions: Option<Vec<FunctionFacts>>,
    listing_pods: Option<Vec<PodFacts>>,
}

impl State {
    /// Every route that stands.
    pub(crate) fn routes(&self) -> Vec<(FunctionId, Option<Route>)> {
        let standing = self.functions.iter().filter(|(_, entry)| entry.route.is_some());
        standing.map(|(id, entry)| (id.clone(), entry.route.clone())).collect()
    }

    /// Pods that exist, ready or not.
    pub(crate) fn pods(&self, function: &FunctionId) -> Vec<PodName> {
        let pods = self.functions.get(function).into_iter().flat_map(|entry| &entry.pods);
        pods.map(|Known { pod, .. }| PodName { uid: pod.uid.clone(), name: pod.name.clone() }).collect()
    }

    /// Takes events in, in order, and says what they changed.
    pub(crate) fn handle(&mut self, events: impl IntoIterator<Item = Event>) -> Changes {
        let mut touched = HashSet::new();
        for event in events {
            match event {
                Event::Function(watched) => self.function_watched(watched, &mut touched),
                Event::Pod(watched) => self.pod_watched(watched, &mut touched),
                Event::Written(facts) => {
                    self.listing_functions.iter_mut().for_each(|listing| listing.push(facts.clone()));
                    self.function(facts, &mut touched);
                }
                Event::Deleted(id, uid) => self.function_gone(id, uid, &mut touched),
                Event::NamespaceDeleted(namespace) => self.namespace_gone(&namespace, &mut touched),
            }
        }
        let mut changes = Changes::default();
        for id in touched {
            self.settle(id, &mut changes);
        }
        changes
    }

    fn function_watched(&mut self, watched: Watched<FunctionFacts>, touched: &mut HashSet<FunctionId>) {
        match watched {
            Watched::Listing => self.listing_functions = Some(Vec::new()),
            Watched::Listed(facts) => self.listing_functions.get_or_insert_default().push(facts),
            Watched::AllListed => self.functions_listed(touched),
            Watched::Seen(facts) => self.function(facts, touched),
            Watched::Gone(facts) => self.function_gone(facts.id, facts.uid, touched),
            // A function's name does not change.
            Watched::Lost(_) => {}
        }
    }

    fn functions_listed(&mut self, touched: &mut HashSet<FunctionId>) {
        let listed = self.listing_functions.take().unwrap_or_default();
        let uids: HashSet<String> = listed.iter().map(|facts| facts.uid.clone()).collect();
        let known = self.functions.values().filter_map(|entry| entry.function.as_ref());
        let gone = known.filter(|facts| !uids.contains(&facts.uid));
        let gone: Vec<_> = gone.map(|facts| (facts.id.clone(), facts.uid.clone())).collect();
        for (id, uid) in gone {
            self.function_gone(id, uid, touched);
        }
        for facts in listed {
            self.function(facts, touched);
        }
    }

    /// Takes a version of a function in, unless a newer one is known.
    fn function(&mut self, facts: FunctionFacts, touched: &mut HashSet<FunctionId>) {
        if facts.deleting {
            return self.function_gone(facts.id, facts.uid, touched);
        }
        let entry = self.functions.entry(facts.id.clone()).or_default();
        touched.insert(facts.id.clone());
        let stale = entry.function.as_ref().is_some_and(|known| facts.version < known.version);
        if stale || self.graves.has(&facts.uid) {
            return;
        }
        if entry.function.as_ref().is_some_and(|known| known.uid != facts.uid) {
            entry.bury(&mut self.graves);
        }
        entry.function = Some(facts);
    }

    fn function_gone(&mut self, id: FunctionId, uid: String, touched: &mut HashSet<FunctionId>) {
        let known = self.functions.get_mut(&id);
        if let Some(entry) = known.filter(|entry| entry.function.as_ref().is_some_and(|f| f.uid == uid)) {
            entry.bury(&mut self.graves);
            touched.insert(id);
        } else {
            self.graves.add(uid);
        }
    }

    fn namespace_gone(&mut self, namespace: &Namespace, touched: &mut HashSet<FunctionId>) {
        for (id, entry) in self.functions.iter_mut().filter(|(id, _)| id.namespace == *namespace) {
            entry.bury(&mut self.graves);
            touched.insert(id.clone());
        }
    }

    fn pod_watched(&mut self, watched: Watched<PodFacts>, touched: &mut HashSet<FunctionId>) {
        match watched {
            Watched::Listing => self.listing_pods = Some(Vec::new()),
            Watched::Listed(pod) => self.listing_pods.get_or_insert_default().push(pod),
            Watched::AllListed => self.pods_listed(touched),
            Watched::Seen(pod) => self.pod(pod, touched),
            Watched::Gone(PodFacts { uid, .. }) | Watched::Lost(uid) => self.pod_gone(&uid, touched),
        }
    }

    fn pods_listed(&mut self, touched: &mut HashSet<FunctionId>) {
        let mut listed = self.listing_pods.take().unwrap_or_default();
        let uids: HashSet<String> = listed.iter().map(|pod| pod.uid.clone()).collect();
        let gone: Vec<_> = self.owners.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in gone {
            self.pod_gone(&uid, touched);
        }
        listed.sort_by_key(|pod| pod.created);
        for pod in listed {
            self.pod(pod, touched);
        }
    }

    fn pod(&mut self, pod: PodFacts, touched: &mut HashSet<FunctionId>) {
        // Somebody may label it anew, to take it out of service.
        if self.owners.get(&pod.uid).is_some_and(|owner| *owner != pod.function) {
            self.pod_gone(&pod.uid, touched);
        }
        self.owners.insert(pod.uid.clone(), pod.function.clone());
        let entry = self.functions.entry(pod.function.clone()).or_default();
        touched.insert(pod.function.clone());
        if let Some(known) = entry.pods.iter_mut().find(|known| known.pod.uid == pod.uid) {
            known.pod = pod;
            return;
        }
        entry.pods.push(Known::new(pod));
    }

    fn pod_gone(&mut self, uid: &str, touched: &mut HashSet<FunctionId>) {
        if let Some(owner) = self.owners.remove(uid) {
            self.pods_gone(&owner, touched, |pod| pod.uid == uid);
        }
    }

    fn pods_gone(
        &mut self,
        id: &FunctionId,
        touched: &mut HashSet<FunctionId>,
        gone: impl Fn(&PodFacts) -> bool,
    ) {
        let Some(entry) = self.functions.get_mut(id) else { return };
        let before = entry.pods.len();
        entry.pods.retain(|known| !gone(&known.pod));
        if entry.pods.len() != before {
            touched.insert(id.clone());
        }
    }

    /// Compares the route with the one that was sent.
    fn settle(&mut self, id: FunctionId, changes: &mut Changes) {
        let Some(entry) = self.functions.get_mut(&id) else { return };
        let route = entry.settle(&mut changes.retired).then(|| entry.route.clone());
        if entry.is_empty() {
            self.functions.remove(&id);
        }
        changes.routes.extend(route.map(|route| (id, route)));
    }
}
