//! What clients of OpenFaaS rely on, behaviour by behaviour.

use faas_testing::{Cluster, wait_for};
use serde_json::{Value, json};

use crate::{available, deploy, deployment, remove};

fn json_of(answer: &faas_testing::Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

#[test]
fn what_was_deployed_is_seen_at_once_and_whole() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let admin = platform.admin();
    for name in ["zeta", "alpha"] {
        let body = json!({ "name": name, "value": "x" });
        assert!([202, 409].contains(&admin.json("POST", "/system/secrets", &body).status));
    }
    let annotation = "{\"a\":\n [1, 2]}";
    let mut full = deployment("full", "env");
    for (key, value) in [
        ("annotations", json!({ "note": annotation })),
        ("labels", json!({ "team": "blue" })),
        ("envVars", json!({ "A": "b" })),
        ("secrets", json!(["zeta", "alpha"])),
        ("constraints", json!(["kubernetes.io/os=linux", "kubernetes.io/arch=amd64"])),
        ("limits", json!({ "memory": "64Mi", "cpu": "100m" })),
        ("readOnlyRootFilesystem", json!(true)),
    ] {
        full[key] = value;
    }
    deploy(&platform, &deployment("plain", "cat"));
    deploy(&platform, &full);
    let list = json_of(&admin.get("/system/functions"));
    let names: Vec<_> = list.as_array().unwrap().iter().map(|function| &function["name"]).collect();
    assert_eq!(names, ["full", "plain"]);
    for seen in [&list[0], &platform.function("full")] {
        for key in
            ["image", "envProcess", "envVars", "secrets", "constraints", "limits", "readOnlyRootFilesystem"]
        {
            assert_eq!(seen[key], full[key], "{key}");
        }
        assert_eq!(
            (&seen["annotations"]["note"], &seen["labels"]["team"]),
            (&json!(annotation), &json!("blue"))
        );
        assert!(seen.get("requests").is_none());
    }
    let plain = platform.function("plain");
    for key in ["envVars", "secrets", "constraints", "limits", "requests", "readOnlyRootFilesystem"] {
        assert!(plain.get(key).is_none(), "{key}");
    }
    let duplicate = admin.json("POST", "/system/functions", &full);
    let text = "unable create Deployment: deployments.apps \"full\" already exists";
    assert_eq!((duplicate.status, duplicate.text().as_str()), (409, text));
    assert_eq!(admin.json("PUT", "/system/functions", &deployment("absent", "cat")).status, 404);
    available(&platform, "full", 1);
    remove(&platform, "full");
    remove(&platform, "plain");
    assert_eq!(admin.get("/system/functions").text(), "[]");
}

#[test]
fn health_info_and_namespaces_are_told() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let admin = platform.admin();
    assert_eq!(platform.http().get("/healthz").status, 200);
    assert_eq!(platform.http().get("/system/functions").status, 401);
    let info = json_of(&admin.get("/system/info"));
    let provider = &info["provider"];
    assert_eq!(
        (&provider["provider"], &provider["orchestration"]),
        (&json!("faas-kubernetes"), &json!("kubernetes"))
    );
    assert_eq!(provider["accepts"], json!(["image"]));
    for version in [&info["version"], &provider["version"]] {
        assert!(["sha", "release"].iter().all(|key| !version[key].as_str().unwrap().is_empty()));
    }
    assert_eq!(admin.get("/system/namespaces").text(), "[\"openfaas-fn\"]");
    let elsewhere = admin.get("/system/functions?namespace=kube-system");
    assert_eq!((elsewhere.status, elsewhere.text().as_str()), (400, "namespace not valid"));
}

#[test]
fn invocations_reach_the_function_as_they_were_sent() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let http = platform.http();
    let mut function = deployment("show", "env");
    function["envVars"] = json!({ "GREETING": "a b=c" });
    deploy(&platform, &function);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let answer = http.send(method, "/function/show/a/b?testing=1", &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        for line in [
            format!("Http_Method={method}"),
            "Http_Query=testing=1".into(),
            "Http_Path=/a/b".into(),
            "GREETING=a b=c".into(),
        ] {
            assert!(answer.text().lines().any(|found| found == line), "{line} in {}", answer.text());
        }
        assert!(!answer.header("x-call-id").is_empty() && !answer.header("x-start-time").is_empty());
    }
    for path in ["/function/.openfaas-fn", "/function/absent", "/function/show.elsewhere"] {
        assert_eq!(http.post(path, b"").status, 404, "{path}");
    }
    let mut redirector = deployment("redirector", "busybox httpd -f -p 5000 -h /");
    redirector["envVars"] = json!({ "mode": "http", "upstream_url": "http://127.0.0.1:5000" });
    deploy(&platform, &redirector);
    let answer = http.get("/function/redirector/usr");
    assert_eq!(
        (answer.status, answer.header("location").ends_with("/usr/")),
        (302, true),
        "{}",
        answer.text()
    );
    remove(&platform, "redirector");
    remove(&platform, "show");
}

#[test]
fn logs_end_by_themselves_or_follow() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    deploy(&platform, &deployment("noted", "cat"));
    assert_eq!(platform.http().post("/function/noted", b"1234567").status, 200);
    let lines = wait_for("the log lines", || {
        let lines = platform.admin().get("/system/logs?name=noted&follow=false").text();
        lines.contains("Wrote 7 Bytes").then_some(lines)
    });
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["name"], &line["namespace"]), (&json!("noted"), &json!("openfaas-fn")));
        assert!(line["instance"].as_str().unwrap().starts_with("noted-"));
    }
    assert!(lines.contains("Forking fprocess"), "{lines}");
    assert_eq!(platform.admin().get("/system/logs?name=absent").status, 501);
    remove(&platform, "noted");
}

#[test]
fn replicas_start_at_the_least_and_wake_from_zero() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let mut function = deployment("scaled", "cat");
    function["labels"] = json!({ "com.openfaas.scale.min": "2" });
    deploy(&platform, &function);
    assert_eq!(platform.function("scaled")["replicas"], 2);
    available(&platform, "scaled", 2);
    let zero = json!({ "replicas": 0 });
    assert_eq!(platform.admin().json("POST", "/system/scale-function/scaled", &zero).status, 202);
    assert!(platform.function("scaled").get("replicas").is_none(), "zero is left out");
    available(&platform, "scaled", 0);
    let answer = platform.http().post("/function/scaled", b"awake");
    assert_eq!((answer.status, answer.text().as_str()), (200, "awake"));
    assert_eq!(platform.function("scaled")["replicas"], 2);
    remove(&platform, "scaled");
}

#[test]
fn secrets_are_mounted_byte_for_byte_and_never_told() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let admin = platform.admin();
    let secrets = |method: &str, body: &Value| admin.json(method, "/system/secrets", body).status;
    assert_eq!(secrets("POST", &json!({ "name": "raw", "rawValue": "IG9uZQo=" })), 202);
    assert_eq!(secrets("POST", &json!({ "name": "raw", "value": "x" })), 409);
    let listed = admin.get("/system/secrets").text();
    assert!(listed.contains("{\"name\":\"raw\",\"namespace\":\"openfaas-fn\"}") && !listed.contains("one"));
    let mut reader = deployment("reader", "cat /var/openfaas/secrets/raw");
    reader["secrets"] = json!(["raw"]);
    deploy(&platform, &reader);
    assert_eq!(platform.http().get("/function/reader").text(), " one\n");
    assert_eq!(secrets("PUT", &json!({ "name": "raw", "value": "two" })), 202);
    reader["annotations"] = json!({ "changed": "1" });
    assert_eq!(admin.json("PUT", "/system/functions", &reader).status, 202);
    wait_for("the new value", || (platform.http().get("/function/reader").text() == "two").then_some(()));
    remove(&platform, "reader");
    assert_eq!(secrets("DELETE", &json!({ "name": "raw" })), 202);
    assert_eq!(secrets("DELETE", &json!({ "name": "raw" })), 404);
    cluster
        .kubectl(&["-n", "openfaas-fn", "create", "secret", "generic", "foreign", "--from-literal=a=b"])
        .success();
    assert_eq!(secrets("PUT", &json!({ "name": "foreign", "value": "x" })), 404, "not ours to change");
    cluster.kubectl(&["-n", "openfaas-fn", "delete", "secret", "foreign"]).success();
}
