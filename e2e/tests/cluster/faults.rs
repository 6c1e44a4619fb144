//! The control plane may die: warm functions answer on, and what would change something is told to come back.

use std::fs;

use faas_testing::Cluster;
use rustix::process::{Pid, Signal, kill_process};

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

#[test]
fn a_missing_right_is_named() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let role = "[{\"op\": \"replace\", \"path\": \"/rules\", \"value\": []}]";
    let patch = ["-n", "openfaas-fn", "patch", "role", "faas-gateway", "--type=json", "-p", role];
    cluster.kubectl(&patch).success();
    let answer = platform.admin().get("/system/functions");
    assert_eq!(answer.status, 403, "{}", answer.text());
    for part in ["list", "functions", "openfaas-fn"] {
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    cluster.install(&[]);
    cluster.kubectl(&["-n", "openfaas", "rollout", "status", "deployment/gateway"]).success();
}
