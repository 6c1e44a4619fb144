use faas_api::{Digest, FunctionDeployment, FunctionId, Namespace};
use faas_provider::{Address, Cause};

use super::*;

fn record(revision: u64, replicas: u32) -> Arc<Record> {
    Arc::new(Record {
        function: FunctionId::parse("f", &Namespace::default()).unwrap(),
        deployment: FunctionDeployment::default(),
        package: Digest::from_bytes(&[0; 32]),
        replicas,
        revision,
        created_at: Timestamp::UNIX_EPOCH,
    })
}

/// Starts what is missing and makes it ready; the names of those started.
fn start_missing(function: &mut Function, prefix: &str) -> Vec<String> {
    let names: Vec<_> = (0..function.missing()).map(|index| format!("{prefix}{index}")).collect();
    for name in &names {
        function.start(name.clone(), CancellationToken::new());
    }
    names
}

fn make_ready(function: &mut Function, name: &str) {
    let replica = Replica::new(name.into(), Address::Unix("/x".into()));
    function.ready(name, replica, Instant::now());
}

fn failure() -> Failure {
    Failure { cause: Cause::Handler, reason: "broke".into() }
}

fn end(function: &mut Function, instance: &str) -> Option<Duration> {
    function.ended(
        &Ended { instance: instance.into(), failure: failure(), last_words: String::new() },
        Instant::now(),
    )
}

fn routed(function: &Function) -> Vec<String> {
    function.route(Terms::default()).replicas.iter().map(|replica| replica.name.clone()).collect()
}

#[test]
fn old_replicas_answer_until_the_new_ones_are_ready() {
    let mut function = Function::new(record(1, 2));
    for name in start_missing(&mut function, "old") {
        make_ready(&mut function, &name);
    }
    function.replace(record(2, 2));
    let new = start_missing(&mut function, "new");
    assert_eq!(new.len(), 2);
    make_ready(&mut function, &new[0]);
    assert!(function.surplus().is_empty());
    assert_eq!(routed(&function), ["old0", "old1", "new0"]);
    make_ready(&mut function, &new[1]);
    assert_eq!(function.surplus().len(), 2);
    assert_eq!(routed(&function), ["new0", "new1"]);
}

#[test]
fn a_failing_update_leaves_the_old_replica_serving() {
    let mut function = Function::new(record(1, 1));
    start_missing(&mut function, "old");
    make_ready(&mut function, "old0");
    function.replace(record(2, 1));
    start_missing(&mut function, "new");
    assert!(end(&mut function, "new0").unwrap() > Duration::ZERO);
    assert!(function.surplus().is_empty());
    assert_eq!(routed(&function), ["old0"]);
    assert_eq!(function.status().conditions.last().unwrap().message, "broke");
}

#[test]
fn a_failed_start_is_told_and_tried_again_after_a_growing_pause() {
    let mut function = Function::new(record(1, 1));
    let mut pauses = Vec::new();
    for _ in 0..12 {
        assert_eq!(start_missing(&mut function, "r"), ["r0"]);
        pauses.push(end(&mut function, "r0").unwrap());
        assert_eq!(function.route(Terms::default()).failure, Some(failure()));
        assert_eq!(function.missing(), 0, "nothing starts during the pause");
        function.resume(Instant::now() + LONGEST_PAUSE);
    }
    assert!(pauses.is_sorted() && pauses[0] < pauses[1]);
    assert_eq!(pauses[11], LONGEST_PAUSE);
    start_missing(&mut function, "r");
    make_ready(&mut function, "r0");
    assert!(function.route(Terms::default()).failure.is_none());
}

#[test]
fn a_crash_after_ready_is_replaced_at_once_but_not_for_ever() {
    let mut function = Function::new(record(1, 1));
    start_missing(&mut function, "r");
    make_ready(&mut function, "r0");
    assert_eq!(end(&mut function, "r0"), Some(Duration::ZERO));
    assert!(function.route(Terms::default()).failure.is_none(), "invocations are held for the successor");
    for _ in 0..2 {
        function.resume(Instant::now() + LONGEST_PAUSE);
        start_missing(&mut function, "r");
        make_ready(&mut function, "r0");
        assert!(end(&mut function, "r0").unwrap() > Duration::ZERO);
    }
    assert!(function.route(Terms::default()).failure.is_some());
}

#[test]
fn scaling_down_stops_the_youngest_and_zero_stops_all() {
    let mut function = Function::new(record(1, 3));
    for name in start_missing(&mut function, "r") {
        make_ready(&mut function, &name);
    }
    function.scale(1);
    assert_eq!(function.surplus().len(), 2);
    assert_eq!(routed(&function), ["r0"]);
    function.scale(0);
    assert_eq!(function.surplus().len(), 1);
    assert_eq!(function.route(Terms::default()).wanted, 0);
}

#[test]
fn what_was_told_to_stop_is_no_failure() {
    let mut function = Function::new(record(1, 1));
    start_missing(&mut function, "r");
    function.scale(0);
    function.surplus();
    assert_eq!(end(&mut function, "r0"), None);
    assert!(function.route(Terms::default()).failure.is_none());
}
