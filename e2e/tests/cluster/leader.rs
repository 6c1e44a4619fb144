//! Two operators: the leader is killed in place, killed and gone, or stopped past its Lease and continued. It converges,
//! and no object is written twice for one change.

use faas_testing::{Cluster, Http, Installation, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{available, deploy, deployment, remove};

/// A stopped process does not answer probes by HTTP, and the kubelet would end it; the kernel answers those by TCP.
const TWO: [&str; 2] = ["--set=operator.replicas=2", "--set=httpProbe=false"];

fn lease(cluster: &Cluster) -> Value {
    cluster.get(&["-n", "openfaas", "lease", "faas-operator"])["spec"].clone()
}

/// The pod that leads, once one does that is not `other`.
fn leader(cluster: &Cluster, other: &str) -> String {
    wait_for("a leader", || {
        let holder = lease(cluster)["holderIdentity"].as_str()?.to_owned();
        let lives = || cluster.kubectl(&["-n", "openfaas", "get", "pod", &holder]).code == 0;
        (!holder.is_empty() && holder != other && lives()).then_some(holder)
    })
}

/// Waits until this pod has renewed the Lease so many times; it is nobody else's meanwhile.
fn renewed(cluster: &Cluster, holder: &str, times: usize) {
    let mut last = lease(cluster)["renewTime"].clone();
    for _ in 0..times {
        last = wait_for("a renewal of the Lease", || {
            let lease = lease(cluster);
            assert_eq!(lease["holderIdentity"], holder);
            (lease["renewTime"] != last).then(|| lease["renewTime"].clone())
        });
    }
}

fn process(cluster: &Cluster, pod: &str) -> Pid {
    let process = cluster.process(pod).expect("the node is this machine");
    Pid::from_raw(i32::try_from(process).unwrap()).unwrap()
}

pub(crate) fn restarts(cluster: &Cluster, pod: &str) -> u64 {
    let pod = cluster.get(&["-n", "openfaas", "pod", pod]);
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default()
}

/// Waits until what this pod's operator counts says so.
fn counts(cluster: &Cluster, pod: &str, line: &str) {
    let address = wait_for("the address of an operator", || {
        // It may lead before the kubelet has told where it is.
        let pod = cluster.get(&["-n", "openfaas", "pod", pod]);
        pod["status"]["podIP"].as_str().map(str::to_owned)
    });
    let admin = Http::new(&format!("http://{address}:8082"));
    wait_for(line, || {
        let answer = admin.try_send("GET", "/metrics", &[], b"").ok()?;
        answer.text().lines().any(|found| found == line).then_some(())
    });
}

/// A new leader reconciles everything once, which is a request to apply each object, and finds all as it should be.
fn has_looked(cluster: &Cluster, pod: &str) {
    counts(cluster, pod, "faas_operator_leader 1");
    counts(cluster, pod, "faas_operator_writes_total{kind=\"Service\"} 1");
}

/// What any write would change: the Deployment's generation, the versions of Service and Function, and the conditions.
/// Once the function has settled at so many replicas.
fn written(cluster: &Cluster, replicas: u64) -> [Value; 4] {
    let get = |kind: &str| cluster.get(&["-n", "openfaas-fn", kind, "led"]);
    let function = wait_for("the function to settle", || {
        let function = get("function");
        let status = &function["status"];
        let settled = |condition: &Value| condition["reason"] == "Settled";
        let there = ["replicas", "availableReplicas"].iter().all(|key| status[*key] == replicas)
            && status["observedGeneration"] == function["metadata"]["generation"]
            && status["conditions"].as_array()?.iter().any(settled);
        there.then_some(function)
    });
    [
        get("deployment")["metadata"]["generation"].clone(),
        get("service")["metadata"]["resourceVersion"].clone(),
        function["metadata"]["resourceVersion"].clone(),
        function["status"]["conditions"].clone(),
    ]
}

/// One change of the function makes one change of its Deployment, and none of its Service.
fn one_change(platform: &Installation<'_>, from: u64, to: u64) {
    let before = written(platform.cluster, from);
    let body = json!({ "replicas": to });
    assert_eq!(platform.admin().json("POST", "/system/scale-function/led", &body).status, 202);
    available(platform, "led", to);
    let after = written(platform.cluster, to);
    assert_eq!(after[0].as_u64(), before[0].as_u64().map(|generation| generation + 1));
    assert_eq!(after[1], before[1], "the Service has not changed");
}

#[test]
fn a_killed_leader_is_followed_and_nothing_is_written_twice() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&TWO);
    deploy(&platform, &deployment("led", "cat"));
    available(&platform, "led", 1);
    let before = written(&cluster, 1);

    // Killed in place: the kubelet starts the container again, and it is the pod that holds the Lease.
    let first = leader(&cluster, "");
    let count = restarts(&cluster, &first);
    kill_process(process(&cluster, &first), Signal::KILL).unwrap();
    wait_for("the container to start again", || (restarts(&cluster, &first) == count + 1).then_some(()));
    renewed(&cluster, &leader(&cluster, ""), 2);
    has_looked(&cluster, &leader(&cluster, ""));
    assert_eq!(written(&cluster, 1), before, "a leader that comes back changes nothing");
    one_change(&platform, 1, 2);

    // Killed and gone, as with its node. Stopped before, so that it does not see the kubelet's SIGTERM.
    let first = leader(&cluster, "");
    let before = (written(&cluster, 2), lease(&cluster)["leaseTransitions"].as_u64().unwrap());
    let operator = process(&cluster, &first);
    kill_process(operator, Signal::STOP).unwrap();
    let delete = ["-n", "openfaas", "delete", "pod", &first, "--force", "--grace-period=0"];
    cluster.kubectl(&delete).success();
    kill_process(operator, Signal::KILL).unwrap();
    assert_eq!(lease(&cluster)["holderIdentity"], first.as_str(), "it could not release the Lease");
    let second = leader(&cluster, &first);
    has_looked(&cluster, &second);
    renewed(&cluster, &second, 2);
    assert_eq!(lease(&cluster)["leaseTransitions"], before.1 + 1);
    assert_eq!(written(&cluster, 2), before.0, "a new leader changes nothing");
    one_change(&platform, 2, 1);
    remove(&platform, "led");
    cluster.install(&[]);
}

#[test]
fn a_leader_that_was_stopped_past_its_lease_and_continued_writes_nothing() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&TWO);
    deploy(&platform, &deployment("led", "cat"));
    available(&platform, "led", 1);
    one_change(&platform, 1, 2);
    let first = leader(&cluster, "");
    let count = restarts(&cluster, &first);
    // From here on it knows nothing of what the other does.
    let operator = process(&cluster, &first);
    kill_process(operator, Signal::STOP).unwrap();
    let second = leader(&cluster, &first);
    one_change(&platform, 2, 1);
    let before = written(&cluster, 1);
    kill_process(operator, Signal::CONT).unwrap();
    counts(&cluster, &first, "faas_operator_leader 0");
    renewed(&cluster, &second, 5);
    assert_eq!(written(&cluster, 1), before, "who was stopped takes nothing back");
    assert_eq!(restarts(&cluster, &first), count, "it was continued, not started again");
    assert_eq!(process(&cluster, &first), operator);
    one_change(&platform, 1, 2);
    assert_eq!(lease(&cluster)["holderIdentity"], second.as_str(), "the Lease was not taken back");
    remove(&platform, "led");
    cluster.install(&[]);
}
