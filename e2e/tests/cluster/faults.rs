//! The control plane may die: warm functions answer on, and what would change something is told to come back.

use std::fs;

use faas_testing::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{available, deploy, deployment, remove};

/// The API server of the development cluster, stopped until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn api_server() -> Self {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let found = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).find(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&command);
            words
                .split('\0')
                .next()
                .is_some_and(|program| program.rsplit('/').next() == Some("kube-apiserver"))
        });
        let pid = Pid::from_raw(found.expect("the API server runs on this machine")).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[test]
fn warm_functions_answer_while_the_api_server_does_not() {
    let Some(cluster) = Cluster::take() else { return };
    if !cluster.is_development() {
        eprintln!("skipped: the API server of another cluster is not ours to stop");
        return;
    }
    let platform = cluster.install(&[]);
    deploy(&platform, &deployment("warm", "cat"));
    available(&platform, "warm", 1);
    let stopped = Stopped::api_server();
    for number in 0..200_u32 {
        let answer = platform.http().post("/function/warm", number.to_string().as_bytes());
        assert_eq!((answer.status, answer.text()), (200, number.to_string()));
    }
    for (method, path) in [("POST", "/system/functions"), ("GET", "/system/functions")] {
        let answer = platform.admin().json(method, path, &deployment("cold", "cat"));
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.text());
    }
    assert_eq!(
        platform.http().get("/function/nobody-knows").status,
        503,
        "nobody can say that it is not there"
    );
    assert_eq!(platform.http().post("/function/warm", b"still").text(), "still");
    drop(stopped);
    deploy(&platform, &deployment("cold", "cat"));
    assert_eq!(platform.http().post("/function/cold", b"again").text(), "again");
    remove(&platform, "cold");
    remove(&platform, "warm");
}

/// Leaves the gateway these rules in the namespace of functions.
fn leave_rules(cluster: &Cluster, rules: &str) {
    let patch = format!("[{{\"op\": \"replace\", \"path\": \"/rules\", \"value\": {rules}}}]");
    let patch = ["-n", "openfaas-fn", "patch", "role", "faas-gateway", "--type=json", "-p", &patch];
    cluster.kubectl(&patch).success();
}

#[test]
fn a_missing_right_is_named() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    deploy(&platform, &deployment("asleep", "cat"));
    let zero = json!({ "replicas": 0 });
    assert_eq!(platform.admin().json("POST", "/system/scale-function/asleep", &zero).status, 202);
    available(&platform, "asleep", 0);

    let read =
        r#"[{"apiGroups": ["openfaas.com"], "resources": ["functions"], "verbs": ["get", "list", "watch"]}]"#;
    leave_rules(&cluster, read);
    let writes = [
        ("POST", "/system/functions", deployment("new", "cat"), "create"),
        ("PUT", "/system/functions", deployment("asleep", "env"), "update"),
        ("DELETE", "/system/functions", json!({ "functionName": "asleep" }), "delete"),
        ("POST", "/system/scale-function/asleep", json!({ "replicas": 1 }), "patch"),
    ];
    for (method, path, body, verb) in writes {
        let answer = platform.admin().json(method, path, &body);
        names(&answer.text(), answer.status, verb);
    }
    let answer = platform.http().get("/function/asleep");
    names(&answer.text(), answer.status, "patch");
    assert!(answer.header("x-faas-fault").starts_with("platform; "), "{}", answer.header("x-faas-fault"));
    let secret = platform.admin().json("POST", "/system/secrets", &json!({ "name": "s", "value": "x" }));
    assert_eq!(secret.status, 403, "{}", secret.text());
    assert!(secret.text().contains("cannot create resource \"secrets\""), "{}", secret.text());

    leave_rules(&cluster, "[]");
    let answer = platform.admin().get("/system/functions");
    names(&answer.text(), answer.status, "list");
    cluster.install(&[]);
    cluster.kubectl(&["-n", "openfaas", "rollout", "status", "deployment/gateway"]).success();
    assert_eq!(platform.http().post("/function/asleep", b"awake").text(), "awake");
    remove(&platform, "asleep");
}

/// The refusal says which rule is missing, and where.
#[track_caller]
fn names(text: &str, status: u16, verb: &str) {
    assert_eq!(status, 403, "{text}");
    for part in [format!("cannot {verb} resource \"functions\""), "in the namespace \"openfaas-fn\"".into()] {
        assert!(text.contains(&part), "{text}");
    }
}
