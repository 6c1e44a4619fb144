#![expect(clippy::needless_pass_by_value, reason = "literals read better without references")]

use serde_json::{Value, json};

use super::*;

fn probe() -> ValidProbe {
    ValidProbe {
        path: "/_/health".into(),
        chosen: false,
        initial_delay_seconds: 0,
        period_seconds: 2,
        timeout_seconds: 1,
        failure_threshold: 3,
        success_threshold: 1,
    }
}

fn defaults() -> Defaults {
    Defaults {
        timeout: Duration::from_mins(1),
        healthcheck_interval: Duration::from_secs(30),
        liveness: probe(),
        readiness: probe(),
    }
}

/// A function named `f` with this in its spec.
fn function(extra: Value) -> Function {
    let mut spec = json!({ "name": "f", "image": "i:1" });
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let object = json!({ "apiVersion": "openfaas.com/v1", "kind": "Function", "spec": spec,
        "metadata": { "name": "f", "namespace": "openfaas-fn" } });
    serde_json::from_value(object).unwrap()
}

fn valid(extra: Value) -> Valid {
    validate(&function(extra), &Secrets::new(), &defaults()).unwrap()
}

#[track_caller]
fn refused(extra: Value, reason: &str, text: &str) {
    let stalled = validate(&function(extra), &Secrets::new(), &defaults()).unwrap_err();
    assert_eq!(stalled.reason, reason);
    assert!(stalled.message.contains(text), "{}", stalled.message);
}

#[test]
fn what_cannot_run_is_told_with_the_field_and_what_was_expected() {
    refused(json!({ "name": "g" }), "InvalidName", "both must be the same");
    refused(json!({ "image": "" }), "InvalidImage", "spec.image");
    refused(json!({ "image": null, "package": "sha256:0" }), "PackageUnsupported", "give an image");
    refused(json!({ "limits": { "cpu": "1x" } }), "InvalidQuantity", "spec.limits: \"1x\"");
    refused(json!({ "requests": { "memory": "5MB" } }), "InvalidQuantity", "spec.requests: \"5MB\"");
    refused(json!({ "limits": { "nvidia.com/gpu": "0.5" } }), "InvalidQuantity", "nvidia.com/gpu: \"0.5\"");
    refused(
        json!({ "requests": { "amd.com/gpu": "1" } }),
        "InvalidQuantity",
        "must be the same in spec.limits",
    );
    refused(json!({ "constraints": ["zone"] }), "InvalidConstraint", "expected key=value");
    refused(json!({ "labels": { "a": "b c" } }), "InvalidLabel", "\"b c\"");
    refused(json!({ "environment": { "A=B": "" } }), "InvalidEnvironment", "A=B");
    refused(json!({ "annotations": { "a b": "" } }), "InvalidAnnotation", "\"a b\"");
    refused(
        json!({ "secrets": ["s"] }),
        "SecretNotFound",
        "Required secret 's' was not found in the cluster",
    );
    let own = "deployment.kubernetes.io/revision";
    refused(json!({ "annotations": { own: "7" } }), "InvalidAnnotation", own);
    refused(json!({ "secrets": ["../pods/x"] }), "InvalidSecret", "not the name of a Secret");
    for annotation in ["com.openfaas.ready.http.path", "com.openfaas.health.http.periodSeconds"] {
        refused(json!({ "annotations": { annotation: "x" } }), "InvalidAnnotation", annotation);
    }
}

#[test]
fn a_name_must_be_one_of_a_service() {
    for (name, text) in [("0f", "begin with a letter"), ("f_g", "not a DNS label"), (&*"f".repeat(64), "63")]
    {
        let mut function = function(json!({ "name": name }));
        function.metadata.name = Some(name.into());
        let stalled = validate(&function, &Secrets::new(), &defaults()).unwrap_err();
        assert!(stalled.reason == "InvalidName" && stalled.message.contains(text), "{}", stalled.message);
    }
}

#[test]
fn secrets_are_mounted_and_registry_credentials_pull() {
    let kinds = [("a", "Opaque"), ("r", "kubernetes.io/dockerconfigjson"), ("o", "kubernetes.io/dockercfg")];
    let secrets = kinds.map(|(name, kind)| (name.to_owned(), Some(kind.to_owned()))).into();
    let function = function(json!({ "secrets": ["r", "a", "o", "r", "a"] }));
    let valid = validate(&function, &secrets, &defaults()).unwrap();
    assert_eq!((valid.secrets, valid.pull_secrets), (vec!["a".into()], vec!["r".to_owned(), "o".into()]));
}

#[test]
fn the_environment_has_the_handler_the_name_and_the_one_timeout() {
    let valid = valid(json!({ "handler": "cat", "timeout": "90s",
        "environment": { "fprocess": "other", "read_timeout": "5s", "A": "b" } }));
    let environment = serde_json::to_value(&valid.environment).unwrap();
    assert_eq!(
        environment,
        json!({ "A": "b", "OPENFAAS_NAME": "f", "OPENFAAS_NAMESPACE": "openfaas-fn", "exec_timeout": "90s",
            "fprocess": "cat", "healthcheck_interval": "5s", "read_timeout": "5s", "write_timeout": "90s" })
    );
}

#[test]
fn the_grace_period_is_interval_and_timeout_and_five_seconds() {
    for (extra, seconds) in [
        (json!({}), 30 + 60 + 5),
        (json!({ "timeout": "10s" }), 5 + 10 + 5),
        (json!({ "environment": { "healthcheck_interval": "3s", "exec_timeout": "2s" } }), 3 + 2 + 5),
    ] {
        assert_eq!(valid(extra).grace.as_secs(), seconds);
    }
}

#[test]
fn probes_are_defaults_then_annotations_then_fields() {
    let valid = valid(json!({
        "annotations": { "com.openfaas.health.http.path": "/alive", "com.openfaas.health.http.initialDelay": "30s",
            "com.openfaas.ready.http.periodSeconds": "7", "com.openfaas.ready.http.timeoutSeconds": "4" },
        "probes": { "readiness": { "periodSeconds": 9 } } }));
    let (liveness, readiness) = (valid.liveness, valid.readiness);
    assert_eq!(
        (liveness.path.as_str(), liveness.initial_delay_seconds, liveness.chosen),
        ("/alive", 30, true)
    );
    let readiness = (readiness.path.as_str(), readiness.period_seconds, readiness.timeout_seconds);
    assert_eq!(readiness, ("/alive", 9, 4));
}

#[test]
fn constraints_take_both_spellings() {
    let valid = valid(json!({ "constraints": ["zone=a", "node-role/x == b"] }));
    assert_eq!(
        serde_json::to_value(valid.node_selector).unwrap(),
        json!({ "zone": "a", "node-role/x": "b" })
    );
}

#[test]
fn gpus_reach_the_pod() {
    let gpus = json!({ "nvidia.com/gpu": "2", "amd.com/gpu": "1", "intel.com/gpu": "", "cpu": "1" });
    let function = valid(json!({ "limits": gpus, "requests": { "nvidia.com/gpu": "2" } }));
    let quantity = |text: &str| Quantity(text.to_owned());
    let limits = [("amd.com/gpu", "1"), ("cpu", "1"), ("nvidia.com/gpu", "2")];
    let limits = limits.map(|(name, number)| (name.to_owned(), quantity(number)));
    assert_eq!(function.limits, limits.into());
    assert_eq!(function.requests, [("nvidia.com/gpu".to_owned(), quantity("2"))].into());
}

#[test]
fn an_empty_handler_is_none() {
    let function = valid(json!({ "handler": "", "environment": { "fprocess": "cat" } }));
    assert_eq!(function.environment["fprocess"], "cat");
}
