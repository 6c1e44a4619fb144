use std::net::SocketAddr;

use faas_api::{Namespace, Scaling, Terms};
use faas_provider::{Address, Cause, Failure};
use jiff::Timestamp;

use super::*;

/// A state and the routes as a sink has them.
#[derive(Default)]
struct World {
    state: State,
    routes: HashMap<FunctionId, Route>,
    retired: Vec<String>,
}

impl World {
    /// Returns how many routes changed.
    fn see(&mut self, events: impl IntoIterator<Item = Event>) -> usize {
        let Changes { routes, retired } = self.state.handle(events);
        let changed = routes.len();
        for (id, route) in routes {
            match route {
                Some(route) => drop(self.routes.insert(id, route)),
                None => drop(self.routes.remove(&id)),
            }
        }
        self.retired.extend(retired.iter().map(|replica| replica.name.clone()));
        changed
    }

    fn route(&self) -> Option<&Route> {
        self.routes.get(&id("f"))
    }

    fn replicas(&self) -> Vec<&str> {
        self.route()
            .into_iter()
            .flat_map(|route| &route.replicas)
            .map(|replica| replica.name.as_str())
            .collect()
    }

    fn failure(&self) -> Option<&str> {
        Some(&*self.route()?.failure.as_ref()?.reason)
    }
}

fn id(name: &str) -> FunctionId {
    FunctionId::parse(name, &Namespace::default()).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn function(uid: &str, version: u64) -> FunctionFacts {
    FunctionFacts {
        id: id("f"),
        uid: uid.into(),
        version,
        created: at(10),
        wanted: 1,
        terms: Terms::default(),
        scaling: Scaling::default(),
        available: false,
        deployed_at: None,
        stalled: None,
        deleting: false,
    }
}

/// A ready one.
fn pod(name: &str) -> PodFacts {
    PodFacts {
        function: id("f"),
        uid: format!("uid-{name}"),
        name: name.into(),
        created: at(11),
        deployed_at: None,
        address: Some(SocketAddr::from(([10, 0, 0, 1], 8080))),
        deleting: false,
        template: "one".into(),
        failure: None,
    }
}

fn failure(reason: &str) -> Failure {
    Failure { cause: Cause::Handler, reason: reason.into() }
}

fn failing(name: &str, template: &str) -> PodFacts {
    let (address, template) = (None, template.to_owned());
    PodFacts { address, template, failure: Some(failure(name)), created: at(12), ..pod(name) }
}

fn seen(facts: FunctionFacts) -> Event {
    Event::Function(Watched::Seen(facts))
}

fn pod_seen(facts: PodFacts) -> Event {
    Event::Pod(Watched::Seen(facts))
}

#[test]
fn a_ready_pod_is_a_replica_and_stays_the_same() {
    let mut world = World::default();
    assert_eq!(world.see([pod_seen(pod("a"))]), 0);
    assert_eq!(world.see([seen(function("1", 1))]), 1);
    let first = Arc::clone(&world.route().unwrap().replicas[0]);
    assert_eq!(first.address, Address::Tcp(SocketAddr::from(([10, 0, 0, 1], 8080))));
    assert_eq!(world.see([pod_seen(pod("a")), seen(function("1", 2))]), 0, "nothing changed");
    assert_eq!(world.see([pod_seen(pod("b"))]), 1);
    assert!(Arc::ptr_eq(&first, &world.route().unwrap().replicas[0]));
    assert!(world.retired.is_empty());
}

#[test]
fn a_pod_that_leaves_is_retired_and_comes_back_as_another_replica() {
    let mut world = World::default();
    world.see([seen(function("1", 1)), pod_seen(pod("a")), pod_seen(pod("b")), pod_seen(pod("c"))]);
    let first = Arc::clone(&world.route().unwrap().replicas[0]);
    world.see([pod_seen(PodFacts { address: None, ..pod("a") })]);
    world.see([pod_seen(PodFacts { address: None, deleting: true, ..pod("b") })]);
    world.see([Event::Pod(Watched::Gone(pod("c")))]);
    assert!(world.replicas().is_empty());
    assert_eq!(world.retired, ["a", "b", "c"]);
    world.see([pod_seen(pod("a"))]);
    assert!(!Arc::ptr_eq(&first, &world.route().unwrap().replicas[0]));
}

#[test]
fn a_write_is_in_effect_and_older_events_are_not() {
    let mut world = World::default();
    world.see([Event::Written(FunctionFacts { wanted: 3, ..function("1", 5) })]);
    assert_eq!(world.see([seen(function("1", 4))]), 0);
    assert_eq!(world.route().unwrap().wanted, 3);
    world.see([seen(FunctionFacts { wanted: 0, ..function("1", 6) })]);
    assert_eq!(world.route().unwrap().wanted, 0);
}

#[test]
fn a_deleted_function_stays_gone_whatever_comes_late() {
    let mut world = World::default();
    world.see([seen(function("1", 1)), pod_seen(pod("a"))]);
    world.see([Event::Deleted(id("f"), "1".into())]);
    assert!(world.route().is_none());
    assert_eq!(world.retired, ["a"]);
    assert_eq!(world.see([seen(function("1", 2)), Event::Written(function("1", 3))]), 0);
    world.see([Event::Function(Watched::Gone(function("1", 4)))]);
    assert_eq!(world.see([Event::Written(function("1", 3))]), 0, "a slow answer");
    assert!(world.route().is_none());
}

#[test]
fn a_function_on_its_way_out_is_gone() {
    let mut world = World::default();
    world.see([seen(function("1", 1))]);
    world.see([seen(FunctionFacts { deleting: true, ..function("1", 2) })]);
    assert!(world.route().is_none());
}

#[test]
fn one_that_is_deployed_anew_has_none_of_the_old_pods() {
    let mut world = World::default();
    world.see([seen(function("1", 1)), pod_seen(PodFacts { created: at(20), ..pod("old") })]);
    world.see([Event::Deleted(id("f"), "1".into())]);
    // All in one second, which is as fine as Kubernetes' times are.
    let anew = FunctionFacts { created: at(20), ..function("2", 5) };
    world.see([Event::Written(anew.clone())]);
    assert!(world.replicas().is_empty());
    world.see([Event::Function(Watched::Gone(function("1", 4))), seen(anew)]);
    world.see([pod_seen(PodFacts { created: at(20), ..pod("old") })]);
    assert!(world.replicas().is_empty());
    world.see([pod_seen(PodFacts { created: at(20), ..pod("new") })]);
    assert_eq!(world.replicas(), ["new"]);
}

#[test]
fn one_that_took_the_place_of_another_is_known_by_its_uid() {
    let mut world = World::default();
    world.see([seen(function("1", 1)), pod_seen(pod("old"))]);
    world.see([seen(FunctionFacts { created: at(30), ..function("2", 9) })]);
    assert!(world.replicas().is_empty());
    assert_eq!(world.see([seen(function("1", 10))]), 0, "the one before does not come back");
    world.see([Event::Function(Watched::Gone(function("1", 8)))]);
    assert!(world.route().is_some());
}

#[test]
fn older_pods_are_adopted_once_the_operator_sees_them_answer() {
    let mut world = World::default();
    let function = |available| FunctionFacts { available, created: at(30), ..function("1", 1) };
    world.see([pod_seen(pod("old")), seen(function(false))]);
    assert!(world.replicas().is_empty());
    world.see([seen(function(true))]);
    assert_eq!(world.replicas(), ["old"]);
    world.see([pod_seen(PodFacts { created: at(40), ..pod("new") })]);
    assert_eq!(world.replicas(), ["old", "new"], "the old ones serve until they are told to end");
}

#[test]
fn older_pods_of_another_deployment_are_not_adopted() {
    let mut world = World::default();
    let deployed_at = Some("now".to_owned());
    world.see([
        pod_seen(pod("old")),
        seen(FunctionFacts { available: true, created: at(30), deployed_at, ..function("1", 1) }),
    ]);
    assert!(world.replicas().is_empty());
}

#[test]
fn the_newest_revision_says_why_it_fails_and_the_old_one_serves() {
    let mut world = World::default();
    world.see([seen(function("1", 1)), pod_seen(pod("a")), pod_seen(failing("b", "two"))]);
    assert_eq!((world.replicas(), world.failure()), (vec!["a"], Some("b")));
    let mended = PodFacts { created: at(13), template: "three".into(), address: None, ..pod("c") };
    world.see([pod_seen(mended.clone())]);
    assert_eq!(world.failure(), None);
    let address = pod("c").address;
    world.see([pod_seen(PodFacts { address, ..mended })]);
    assert_eq!((world.replicas(), world.failure()), (vec!["a", "c"], None));
}

#[test]
fn a_revision_of_which_one_pod_answers_does_not_fail() {
    let mut world = World::default();
    world.see([seen(function("1", 1)), pod_seen(pod("a")), pod_seen(failing("b", "one"))]);
    assert_eq!(world.failure(), None);
    world.see([pod_seen(PodFacts { address: None, ..pod("a") })]);
    assert_eq!(world.failure(), Some("b"));
    world.see([seen(FunctionFacts { wanted: 0, ..function("1", 2) })]);
    assert_eq!(world.failure(), None, "waking it is worth a try");
}

#[test]
fn a_stalled_function_fails_where_nothing_answers() {
    let mut world = World::default();
    let stalled = Some(failure("no such secret"));
    world.see([seen(FunctionFacts { stalled: stalled.clone(), ..function("1", 1) })]);
    assert_eq!(world.failure(), Some("no such secret"));
    world.see([pod_seen(pod("a"))]);
    assert_eq!(world.failure(), None);
}

#[test]
fn a_namespace_goes_with_its_routes() {
    let mut world = World::default();
    let there = FunctionFacts { id: id("f.dev"), uid: "2".into(), ..function("2", 1) };
    world.see([seen(function("1", 1)), seen(there.clone())]);
    world.see([Event::NamespaceDeleted("dev".parse().unwrap())]);
    assert!(world.routes.contains_key(&id("f")) && !world.routes.contains_key(&id("f.dev")));
    assert_eq!(world.see([seen(FunctionFacts { version: 2, ..there })]), 0);
}

#[test]
fn a_new_list_removes_what_went_meanwhile_and_keeps_what_was_written() {
    let mut world = World::default();
    let other =
        |name: &str, version| FunctionFacts { id: id(name), uid: name.into(), ..function("", version) };
    world.see([seen(function("1", 1)), seen(other("gone", 2)), pod_seen(pod("a")), pod_seen(pod("b"))]);
    world.see([Event::Function(Watched::Listing), Event::Function(Watched::Listed(function("1", 1)))]);
    world.see([Event::Written(other("written", 9))]);
    world.see([Event::Function(Watched::AllListed)]);
    let mut names: Vec<_> = world.routes.keys().map(|id| id.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["f", "written"]);
    let list = [Watched::Listing, Watched::Listed(pod("b")), Watched::AllListed];
    world.see(list.map(Event::Pod));
    assert_eq!(world.replicas(), ["b"]);
    assert_eq!(world.retired, ["a"]);
}

#[test]
fn nothing_is_kept_of_what_is_gone() {
    let mut world = World::default();
    world.see([seen(function("1", 1)), pod_seen(pod("a"))]);
    world.see([Event::Pod(Watched::Gone(pod("a"))), Event::Function(Watched::Gone(function("1", 2)))]);
    assert!(world.state.functions.is_empty() && world.state.routes().is_empty());
}
