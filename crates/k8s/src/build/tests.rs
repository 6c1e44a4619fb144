#![expect(clippy::needless_pass_by_value, reason = "literals read better without references")]

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{Defaults, Secrets, ValidProbe, validate};

fn probe(period_seconds: i32) -> ValidProbe {
    ValidProbe {
        path: "/_/health".into(),
        chosen: false,
        initial_delay_seconds: 0,
        period_seconds,
        timeout_seconds: 1,
        failure_threshold: 3,
        success_threshold: 1,
    }
}

fn objects(spec: serde_json::Value, settings: &Settings) -> String {
    let object = json!({ "apiVersion": "openfaas.com/v1", "kind": "Function", "spec": spec,
        "metadata": { "name": "resize", "namespace": "openfaas-fn", "uid": "u-1" } });
    let function: Function = serde_json::from_value(object).unwrap();
    let defaults = Defaults {
        timeout: Duration::from_mins(1),
        healthcheck_interval: Duration::from_secs(30),
        liveness: probe(10),
        readiness: probe(2),
    };
    let secrets = Secrets::from([("api-key".to_owned(), Some("Opaque".to_owned()))]);
    let valid = validate(&function, &secrets, &defaults).unwrap();
    let deployment =
        build_deployment(&valid, settings, owner_reference(&function), Some("2026-01-01T00:00:00Z"));
    let service = build_service(&valid, owner_reference(&function));
    format!(
        "{}---\n{}",
        serde_yaml_ng::to_string(&deployment).unwrap(),
        serde_yaml_ng::to_string(&service).unwrap()
    )
}

#[test]
fn a_plain_function() {
    let settings = Settings { http_probe: true, set_nonroot_user: true, image_pull_policy: "Always".into() };
    insta::assert_snapshot!(objects(json!({ "name": "resize", "image": "resize:1" }), &settings));
}

#[test]
fn a_function_with_everything() {
    let settings =
        Settings { http_probe: false, set_nonroot_user: false, image_pull_policy: "IfNotPresent".into() };
    let spec = json!({ "name": "resize", "image": "resize:1", "handler": "node index.js", "replicas": 3,
        "environment": { "MODE": "fast" }, "labels": { "team": "blue" }, "constraints": ["zone=a"],
        "annotations": { "topic": "images", "com.openfaas.serviceaccount": "resizer",
            "com.openfaas.ready.http.path": "/ready", "prometheus.io.scrape": "true" },
        "secrets": ["api-key"], "limits": { "cpu": "1", "memory": "128Mi" }, "requests": { "cpu": "100m" },
        "readOnlyRootFilesystem": true, "timeout": "90s" });
    insta::assert_snapshot!(objects(spec, &settings));
}
