//! One name, and which of the pods that carry it are its function's.
//!
//! A pod carries its function's name and nothing of the `Function` itself (a `ReplicaSet` owns it), so one that is older
//! than the function belongs to an earlier one of the same name, and is not routed to. The exception is what was
//! adopted: the operator sees replicas answer, no younger pod does, and both come from the same deployment. (A gateway's
//! deployment starts new pods in any case; so what is adopted was applied by hand, or restored together.)

use std::sync::Arc;

use faas_provider::{Address, Failure, Replica, Route};

use super::graves::Graves;
use super::{FunctionFacts, PodFacts};

/// One name: its function, if there is one, and the pods that carry the name.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) function: Option<FunctionFacts>,
    /// In the order in which they appeared.
    pub(super) pods: Vec<Known>,
    /// As it was sent.
    pub(super) route: Option<Route>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) pod: PodFacts,
    /// It was here when an earlier function of the name went.
    left_behind: bool,
    /// It is older than the function, which has it all the same.
    adopted: bool,
    replica: Option<Arc<Replica>>,
}

impl Entry {
    /// Forgets the function; the pods that are here were its own.
    pub(super) fn bury(&mut self, graves: &mut Graves) {
        let Some(function) = self.function.take() else { return };
        graves.add(function.uid);
        for known in &mut self.pods {
            (known.left_behind, known.adopted) = (true, false);
        }
    }

    /// Whether nothing is known by this name.
    pub(super) fn is_empty(&self) -> bool {
        self.function.is_none() && self.pods.is_empty()
    }

    /// Makes the route anew; returns whether it is another. Replicas that left it are added to `retired`.
    pub(super) fn settle(&mut self, retired: &mut Vec<Arc<Replica>>) -> bool {
        let route = self.compute();
        let before = std::mem::replace(&mut self.route, route);
        let stays = |replica: &Arc<Replica>| self.route.iter().any(|route| has(route, replica));
        let left = before.iter().flat_map(|route| &route.replicas).filter(|replica| !stays(replica));
        retired.extend(left.cloned());
        !same(before.as_ref(), self.route.as_ref())
    }

    fn compute(&mut self) -> Option<Route> {
        let Self { function, pods, .. } = self;
        let Some(function) = function else {
            for known in pods {
                known.replica = None;
            }
            return None;
        };
        let answers = |known: &Known| known.is_of(function) && known.pod.address.is_some();
        if function.available && !pods.iter().any(answers) {
            for known in pods.iter_mut() {
                known.adopted |= known.pod.deployed_at == function.deployed_at;
            }
        }
        let replicas: Vec<_> = pods.iter_mut().filter_map(|known| known.replica(function)).collect();
        let failure = match &function.stalled {
            Some(stalled) => Some(stalled.clone()).filter(|_| replicas.is_empty()),
            // Pods of a function that stands at zero are leaving.
            None if function.wanted == 0 => None,
            None => find_failure(pods.iter().filter(|known| known.is_of(function))),
        };
        Some(Route {
            replicas,
            wanted: function.wanted,
            terms: function.terms.clone(),
            scaling: function.scaling.clone(),
            failure,
        })
    }
}

impl Known {
    pub(super) fn new(pod: PodFacts) -> Self {
        Self { pod, left_behind: false, adopted: false, replica: None }
    }

    /// Times have whole seconds: of those of the same second, the ones that were there before are another's.
    fn is_of(&self, function: &FunctionFacts) -> bool {
        let (pod, function) = (self.pod.created, function.created);
        pod > function || (pod == function && !self.left_behind) || self.adopted
    }

    /// The one it had, while its address is the same; never one that has left its route.
    fn replica(&mut self, function: &FunctionFacts) -> Option<Arc<Replica>> {
        let address = self.pod.address.filter(|_| self.is_of(function)).map(Address::Tcp);
        let kept = self.replica.take().filter(|replica| address.as_ref() == Some(&replica.address));
        self.replica = kept.or_else(|| Some(Replica::new(self.pod.name.clone(), address?)));
        self.replica.clone()
    }
}

/// Why the newest revision does not come to answer: `None` if one of its pods does, or none has failed.
fn find_failure<'a>(pods: impl Iterator<Item = &'a Known>) -> Option<Failure> {
    let mut living: Vec<&Known> = pods.filter(|known| !known.pod.deleting).collect();
    // Those of the same second stay in the order in which they appeared.
    living.sort_by_key(|known| known.pod.created);
    let newest = &living.last()?.pod.template;
    let mut newest = living.iter().map(|known| &known.pod).filter(|pod| pod.template == *newest);
    let answers = newest.clone().any(|pod| pod.address.is_some());
    if answers { None } else { newest.find_map(|pod| pod.failure.clone()) }
}

fn has(route: &Route, replica: &Arc<Replica>) -> bool {
    route.replicas.iter().any(|known| Arc::ptr_eq(known, replica))
}

fn same(one: Option<&Route>, other: Option<&Route>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.wanted == other.wanted
                && one.terms == other.terms
                && one.scaling == other.scaling
                && one.failure == other.failure
                && one.replicas.len() == other.replicas.len()
                && one.replicas.iter().all(|replica| has(other, replica))
        }
        _ => false,
    }
}
