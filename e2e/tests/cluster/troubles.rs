//! What cannot run says why: in a condition, in `faas describe`, in an Event; and nothing of it is half applied.

use faas_testing::{Cluster, Installation, wait_for};
use serde_json::json;

use crate::{condition, deploy, deployment, remove};

/// A `Function` with this in its spec, by kubectl.
fn apply(platform: &Installation<'_>, name: &str, spec: &str) {
    let manifest = format!(
        "apiVersion: openfaas.com/v1\nkind: Function\nmetadata: {{name: {name}, namespace: openfaas-fn}}\nspec: {{{spec}}}\n"
    );
    platform.cluster.apply(&manifest).success();
}

#[test]
fn a_resource_that_cannot_run_is_stalled_and_nothing_is_made() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let image = faas_testing::TEST_IMAGE;
    let long = "x".repeat(64);
    for (name, spec, reason, text) in [
        (
            "no-secret",
            format!("name: no-secret, image: {image}, secrets: [absent]"),
            "SecretNotFound",
            "Required secret 'absent' was not found in the cluster",
        ),
        (
            "bad-limit",
            format!("name: bad-limit, image: {image}, limits: {{memory: lots}}"),
            "InvalidQuantity",
            "\"lots\"",
        ),
        ("0digit", format!("name: 0digit, image: {image}"), "InvalidName", "must begin with a letter"),
        (&long, format!("name: {long}, image: {image}"), "InvalidName", "63"),
        ("other-name", format!("name: no-secret, image: {image}"), "InvalidName", "both must be the same"),
    ] {
        apply(&platform, name, &spec);
        let (status, message) = condition(&platform, name, "Stalled", reason);
        assert!(status == "True" && message.contains(text), "{name}: {status} {message}");
        for kind in ["deployment", "service"] {
            assert_eq!(cluster.kubectl(&["-n", "openfaas-fn", "get", kind, name]).code, 1, "{kind} {name}");
        }
    }
    let events = cluster.kubectl(&["-n", "openfaas-fn", "get", "events"]).success();
    assert!(events.contains("SecretNotFound") && events.contains("function/no-secret"), "{events}");
    let answer = platform.http().get("/function/no-secret");
    assert_eq!(answer.status, 503, "{}", answer.text());
    cluster
        .kubectl(&["-n", "openfaas-fn", "create", "secret", "generic", "absent", "--from-literal=a=b"])
        .success();
    condition(&platform, "no-secret", "Healthy", "Available");
    cluster.kubectl(&["-n", "openfaas-fn", "delete", "functions", "--all"]).success();
    cluster.kubectl(&["-n", "openfaas-fn", "delete", "secret", "absent"]).success();
}

#[test]
fn the_schema_refuses_what_only_our_fields_could_say_wrong() {
    let Some(cluster) = Cluster::take() else { return };
    cluster.install(&[]);
    for (spec, text) in [
        ("name: f", "spec.image is required"),
        ("name: f, image: i, replicas: -1", "spec.replicas"),
        ("name: f, image: i, timeout: soon", "spec.timeout"),
        ("name: f, image: i, scaling: {min: 3, max: 2}", "scaling.min must not be above scaling.max"),
        ("name: f, image: i, unknown: 1", "unknown field"),
    ] {
        let manifest = format!(
            "apiVersion: openfaas.com/v1\nkind: Function\nmetadata: {{name: f, namespace: openfaas-fn}}\nspec: {{{spec}}}\n"
        );
        let refused = cluster.apply(&manifest);
        assert!(
            refused.code == 1 && refused.stderr.contains(text),
            "{spec}: {}{}",
            refused.stdout,
            refused.stderr
        );
    }
}

#[test]
fn pods_that_do_not_start_say_why_in_describe() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let faas = platform.login();
    let mut crash = deployment("crash", "/bin/broken");
    crash["envVars"] = json!({ "mode": "http", "upstream_url": "http://127.0.0.1:5000" });
    let mut pull = deployment("pull", "cat");
    pull["image"] = json!("localhost/absent:1");
    let mut huge = deployment("huge", "cat");
    huge["requests"] = json!({ "memory": "900Gi" });
    let mut gpu = deployment("gpu", "cat");
    gpu["limits"] = json!({ "nvidia.com/gpu": "1" });
    for (name, body, reason, text) in [
        ("crash", crash, "CrashLoop", "exit code 1: see \"faas logs crash\""),
        ("pull", pull, "ImagePullBackOff", "localhost/absent:1 could not be pulled"),
        ("huge", huge, "Unschedulable", "no node takes it"),
        ("gpu", gpu, "Unschedulable", "nvidia.com/gpu"),
    ] {
        deploy(&platform, &body);
        let (status, message) = condition(&platform, name, "Healthy", reason);
        assert!(status == "False" && message.contains(text), "{message}");
        let described = faas.run(&["describe", name]).success();
        assert!(described.contains("Not Ready") && described.contains(text), "{described}");
        let answer = platform.http().get(&format!("/function/{name}"));
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let last_words = faas.run(&["logs", "crash", "--tail=false"]).success();
    assert!(last_words.contains("this handler is broken"), "{last_words}");
    assert_eq!(platform.function("gpu")["limits"], json!({ "nvidia.com/gpu": "1" }));
    for name in ["crash", "pull", "huge", "gpu"] {
        remove(&platform, name);
    }
}

#[test]
fn what_was_changed_by_hand_comes_back_and_what_is_foreign_stays() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    deploy(&platform, &deployment("drifting", "cat"));
    condition(&platform, "drifting", "Healthy", "Available");
    let object = "deployment/drifting";
    cluster.kubectl(&["-n", "openfaas-fn", "annotate", object, "theirs=kept"]).success();
    cluster.kubectl(&["-n", "openfaas-fn", "set", "image", object, "drifting=localhost/other:1"]).success();
    cluster.kubectl(&["-n", "openfaas-fn", "scale", object, "--replicas=4"]).success();
    cluster.kubectl(&["-n", "openfaas-fn", "delete", "service", "drifting"]).success();
    wait_for("the image and the number of replicas", || {
        let found = cluster.get(&["-n", "openfaas-fn", "deployment", "drifting"]);
        let image = &found["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(found["metadata"]["annotations"]["theirs"], "kept");
        (image == faas_testing::TEST_IMAGE && found["spec"]["replicas"] == 1).then_some(())
    });
    wait_for("the service", || {
        (cluster.kubectl(&["-n", "openfaas-fn", "get", "service", "drifting"]).code == 0).then_some(())
    });
    remove(&platform, "drifting");
}

#[test]
fn a_deployment_that_is_nobodys_function_is_not_taken_over() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let image = format!("--image={}", faas_testing::TEST_IMAGE);
    cluster.kubectl(&["-n", "openfaas-fn", "create", "deployment", "theirs", &image]).success();
    deploy(&platform, &deployment("theirs", "cat"));
    let (_, message) = condition(&platform, "theirs", "Stalled", "NameTaken");
    assert!(message.contains("there is a Deployment theirs that is not a function's"), "{message}");
    remove(&platform, "theirs");
    cluster.kubectl(&["-n", "openfaas-fn", "delete", "deployment", "theirs"]).success();
}
