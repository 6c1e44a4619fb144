//! Changes under load: how many requests were sent, and that none failed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use faas_testing::{Cluster, Installation, wait_for};
use serde_json::json;

use crate::{available, deploy, deployment, remove};

/// Callers at once.
const CALLERS: usize = 4;

/// Calls `path` without a pause while `change` goes on; how many answers there were, all of them 200.
fn under_load(platform: &Installation<'_>, path: &str, change: impl FnOnce()) -> usize {
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let call = || {
        let http = platform.http();
        while !done.load(Ordering::Relaxed) {
            let answer = http.post(path, b"hello");
            assert_eq!(answer.status, 200, "{} {:?}", answer.text(), answer.headers);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(change));
        done.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.join().unwrap();
        }
        changed.unwrap();
    });
    answered.into_inner()
}

#[test]
fn an_update_and_a_scale_down_fail_no_request() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&[]);
    let revision = |number: u32| {
        let mut body = deployment("steady", "env");
        body["envVars"] = json!({ "REVISION": number.to_string() });
        body["labels"] = json!({ "com.openfaas.scale.min": "2" });
        body
    };
    deploy(&platform, &revision(0));
    available(&platform, "steady", 2);
    let answered = under_load(&platform, "/function/steady", || {
        for number in 1..=3 {
            assert_eq!(platform.admin().json("PUT", "/system/functions", &revision(number)).status, 202);
            let line = format!("REVISION={number}\n");
            wait_for("the new revision", || {
                let all = (0..8).all(|_| platform.http().get("/function/steady").text().contains(&line));
                all.then_some(())
            });
        }
        for replicas in [4, 1] {
            let body = json!({ "replicas": replicas });
            assert_eq!(platform.admin().json("POST", "/system/scale-function/steady", &body).status, 202);
            available(&platform, "steady", replicas);
        }
    });
    println!("{answered} requests answered during three updates and two changes of scale, none failed");
    assert!(answered > 100, "only {answered} requests were sent");
    remove(&platform, "steady");
}

#[test]
fn a_restart_of_the_gateways_fails_no_request() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&["--set=gateway.replicas=2"]);
    deploy(&platform, &deployment("steady", "cat"));
    available(&platform, "steady", 1);
    let answered = under_load(&platform, "/function/steady", || {
        cluster.kubectl(&["-n", "openfaas", "rollout", "restart", "deployment/gateway"]).success();
        cluster
            .kubectl(&["-n", "openfaas", "rollout", "status", "deployment/gateway", "--timeout=90s"])
            .success();
    });
    println!("{answered} requests answered while both gateways were replaced, none failed");
    assert!(answered > 100, "only {answered} requests were sent");
    remove(&platform, "steady");
}

#[test]
fn a_function_deployed_through_one_gateway_answers_through_the_other_at_once() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&["--set=gateway.replicas=2"]);
    for round in 0..5 {
        let name = format!("fresh-{round}");
        deploy(&platform, &deployment(&name, "cat"));
        // Each is a connection of its own, which may go to either gateway.
        for _ in 0..4 {
            assert_eq!(platform.function(&name)["name"], name.as_str());
            let answer = platform.http().post(&format!("/function/{name}"), b"hello");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        remove(&platform, &name);
    }
}
