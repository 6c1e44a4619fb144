#![expect(clippy::needless_pass_by_value, reason = "literals read better without references")]

use serde_json::{Value, json};

use super::*;

/// A pod of revision `hash`, made at second `created`.
fn pod(hash: &str, created: u32, status: Value) -> Pod {
    let time = format!("2026-01-01T00:00:{created:02}Z");
    let metadata = json!({ "name": "p", "creationTimestamp": time,
        "labels": { "faas_function": "f", "pod-template-hash": hash } });
    serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap()
}

fn container(ready: bool, state: Value, last: Value) -> Value {
    let status = json!({ "name": "f", "image": "i:1", "imageID": "", "ready": ready, "restartCount": 0,
        "state": state, "lastState": last });
    json!({ "containerStatuses": [status], "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }] })
}

fn waiting(reason: &str, message: &str) -> Value {
    container(false, json!({ "waiting": { "reason": reason, "message": message } }), json!({}))
}

fn exited(code: i32, reason: &str) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": reason } })
}

fn ready() -> Value {
    container(true, json!({ "running": {} }), json!({}))
}

#[track_caller]
fn check(status: Value, reason: &str, text: &str, blame: Blame) {
    let trouble = find_trouble([&pod("a", 0, status)]).unwrap();
    assert_eq!((trouble.reason, trouble.blame), (reason, blame));
    assert!(trouble.message.contains(text), "{}", trouble.message);
}

#[test]
fn each_trouble_tells_what_to_do() {
    check(
        waiting("ErrImagePull", "no such host"),
        "ImagePullBackOff",
        "i:1 could not be pulled: no such host",
        Blame::Platform,
    );
    check(waiting("ErrImageNeverPull", ""), "ErrImageNeverPull", "switched off", Blame::Platform);
    let absent = "secret \"s\" not found";
    check(
        waiting("CreateContainerConfigError", absent),
        "CreateContainerConfigError",
        absent,
        Blame::Platform,
    );
    let crash = container(false, json!({ "waiting": { "reason": "CrashLoopBackOff" } }), exited(3, "Error"));
    check(crash, "CrashLoop", "exit code 3: see \"faas logs f\"", Blame::Handler);
    check(
        container(false, exited(137, "OOMKilled"), json!({})),
        "OutOfMemory",
        "more memory",
        Blame::Handler,
    );
    let full = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu" }] });
    check(full, "Unschedulable", "Insufficient cpu", Blame::Platform);
}

#[test]
fn starting_is_no_trouble() {
    for status in
        [waiting("ContainerCreating", ""), container(false, json!({ "running": {} }), json!({})), json!({})]
    {
        assert_eq!(find_trouble([&pod("a", 0, status)]), None);
    }
}

#[test]
fn only_the_newest_revision_counts() {
    let crash = || container(false, exited(1, "Error"), json!({}));
    let (old, new) = (pod("a", 0, ready()), pod("b", 1, crash()));
    assert!(find_trouble([&new, &old]).is_some());
    let (old, new) = (pod("a", 0, crash()), pod("b", 1, ready()));
    assert_eq!(find_trouble([&new, &old]), None);
}

#[test]
fn one_replica_that_answers_is_enough() {
    let crash = container(false, exited(1, "Error"), json!({}));
    assert_eq!(find_trouble([&pod("a", 0, crash), &pod("a", 1, ready())]), None);
}

#[test]
fn a_pod_that_is_being_deleted_is_not_looked_at() {
    let mut pod = pod("a", 0, ready());
    assert!(is_ready(&pod));
    pod.metadata.deletion_timestamp = pod.metadata.creation_timestamp.clone();
    assert!(!is_ready(&pod));
    assert_eq!(find_trouble([&pod]), None);
}

#[test]
fn a_quota_or_pod_security_in_the_way_is_told() {
    let deployment = json!({ "metadata": {}, "status": { "conditions": [
        { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods" }] } });
    let trouble = rollout_trouble(&serde_json::from_value(deployment).unwrap()).unwrap();
    assert_eq!(
        (trouble.reason, trouble.message.as_str()),
        ("PodsRefused", "no pod can be made: exceeded quota: pods")
    );
}
