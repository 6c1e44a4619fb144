//! What a cluster alone can show: the chart installed on a real Kubernetes, real images, real pods.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests, and counts that they tell"
)]

mod contract;
mod faults;
mod install;
mod leader;
mod load;
mod queue;
mod templates;
mod troubles;
mod walkthrough;

use faas_testing::{Cluster, Installation, TEST_IMAGE, wait_for};
use serde_json::{Value, json};

/// The body that deploys the test image as `name`.
fn deployment(name: &str, process: &str) -> Value {
    json!({ "service": name, "image": TEST_IMAGE, "envProcess": process })
}

/// Deploys, by `POST`, and expects that to be accepted.
#[track_caller]
fn deploy(platform: &Installation<'_>, body: &Value) {
    let answer = platform.admin().json("POST", "/system/functions", body);
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
}

/// Removes a function, and expects that to be accepted.
#[track_caller]
fn remove(platform: &Installation<'_>, name: &str) {
    let answer = platform.admin().json("DELETE", "/system/functions", &json!({ "functionName": name }));
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// Waits until so many replicas answer.
fn available(platform: &Installation<'_>, name: &str, replicas: u64) {
    wait_for(&format!("{replicas} replicas of {name}"), || {
        let found = platform.function(name)["availableReplicas"].as_u64().unwrap_or(0);
        (found == replicas).then_some(())
    });
}

/// The condition of a `Function`, once it has this reason; its status and message.
fn condition(platform: &Installation<'_>, name: &str, kind: &str, reason: &str) -> (String, String) {
    wait_for(&format!("{name} to be {kind}: {reason}"), || {
        let function = platform.cluster.get(&["-n", "openfaas-fn", "function", name]);
        let conditions = function["status"]["conditions"].as_array()?.clone();
        let found =
            conditions.into_iter().find(|found| found["type"] == kind && found["reason"] == reason)?;
        Some((found["status"].as_str()?.to_owned(), found["message"].as_str()?.to_owned()))
    })
}

/// What enforcing Pod Security "restricted" would say of the pods that are in a namespace.
fn restricted_says(cluster: &Cluster, namespace: &str) -> String {
    let label = "pod-security.kubernetes.io/enforce=restricted";
    let label = ["label", "namespace", namespace, "--overwrite", "--dry-run=server", label];
    let labelled = cluster.kubectl(&label);
    let said = labelled.stderr.clone();
    labelled.success();
    said
}
