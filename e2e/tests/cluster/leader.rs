//! Two operators: the leader is killed, or stopped past its Lease and continued. It converges, and no object is written
//! twice for one change.

use faas_testing::{Cluster, Http, Installation, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{available, condition, deploy, deployment, remove};

/// The pod that leads, once one does that is not `other`.
fn leader(cluster: &Cluster, other: &str) -> String {
    wait_for("a leader", || {
        let lease = cluster.get(&["-n", "openfaas", "lease", "faas-operator"]);
        let holder = lease["spec"]["holderIdentity"].as_str()?.to_owned();
        let lives = || cluster.kubectl(&["-n", "openfaas", "get", "pod", &holder]).code == 0;
        (!holder.is_empty() && holder != other && lives()).then_some(holder)
    })
}

fn generation(cluster: &Cluster, name: &str) -> Value {
    cluster.get(&["-n", "openfaas-fn", "deployment", name])["metadata"]["generation"].clone()
}

/// What changes with every write: the Service's version, and when each condition of the function last changed.
fn written(cluster: &Cluster) -> (Value, Vec<Value>) {
    let service = cluster.get(&["-n", "openfaas-fn", "service", "led"]);
    let function = cluster.get(&["-n", "openfaas-fn", "function", "led"]);
    let conditions = function["status"]["conditions"].as_array().unwrap();
    let times = conditions.iter().map(|condition| condition["lastTransitionTime"].clone()).collect();
    (service["metadata"]["resourceVersion"].clone(), times)
}

/// One change of the function makes one change of its Deployment.
fn one_change(platform: &Installation<'_>, replicas: u64) {
    let before = generation(platform.cluster, "led").as_u64().unwrap();
    let body = json!({ "replicas": replicas });
    assert_eq!(platform.admin().json("POST", "/system/scale-function/led", &body).status, 202);
    available(platform, "led", replicas);
    assert_eq!(generation(platform.cluster, "led"), before + 1);
}

#[test]
fn another_operator_takes_over_and_nothing_is_written_twice() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&["--set=operator.replicas=2"]);
    deploy(&platform, &deployment("led", "cat"));
    available(&platform, "led", 1);
    condition(&platform, "led", "Reconciling", "Settled");
    let before = written(&cluster);

    let first = leader(&cluster, "");
    let kill = ["-n", "openfaas", "delete", "pod", &first, "--force", "--grace-period=0"];
    cluster.kubectl(&kill).success();
    let second = leader(&cluster, &first);
    // It reconciles everything once, and finds all as it should be.
    let address = wait_for("the address of the new leader", || {
        // It may lead before the kubelet has told where it is.
        let pod = cluster.get(&["-n", "openfaas", "pod", &second]);
        pod["status"]["podIP"].as_str().map(str::to_owned)
    });
    let admin = Http::new(&format!("http://{address}:8082"));
    wait_for("the new leader to have looked at every function", || {
        let counts = admin.get("/metrics").text();
        counts.contains("faas_operator_writes_total{kind=\"Service\"} 1").then_some(())
    });
    assert_eq!(written(&cluster), before, "a new leader changes nothing");
    one_change(&platform, 2);

    // Stopped for longer than its Lease lasts, it knows nothing of what the other has done meanwhile.
    let process = cluster.process(&second).expect("the node is this machine");
    let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let third = leader(&cluster, &second);
    one_change(&platform, 1);
    let left = generation(&cluster, "led");
    kill_process(process, Signal::CONT).unwrap();
    one_change(&platform, 2);
    assert_eq!(generation(&cluster, "led"), left.as_u64().unwrap() + 1);
    let lease = cluster.get(&["-n", "openfaas", "lease", "faas-operator"]);
    assert_eq!(
        lease["spec"]["holderIdentity"],
        third.as_str(),
        "who was stopped does not take the Lease back"
    );
    remove(&platform, "led");
    cluster.install(&[]);
}
