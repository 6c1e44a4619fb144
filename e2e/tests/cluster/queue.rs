//! Asynchronous invocations through the chart's NATS.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use faas_testing::{Cluster, Installation, TEST_IMAGE, wait_for};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{available, deploy, deployment, remove};

const CLIENTS: usize = 8;
/// Accepted before NATS is killed, and again after.
const EACH: usize = 200;
/// Answers everybody at once, and prints what came by then: the head.
const RECEIVER: &str = r"while :; do printf 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' | nc -l -p 8000; done";

#[test]
fn callbacks_go_signed_to_where_they_may() {
    let Some(cluster) = Cluster::take() else { return };
    let receiver = Receiver::start(&cluster);
    let platform = cluster.install(&["--set=async=true"]);
    let secret = json!({ "name": "callback-key", "value": "k3y" });
    assert!([202, 409].contains(&platform.admin().json("POST", "/system/secrets", &secret).status));
    let mut hook = deployment("hook", "cat");
    hook["secrets"] = json!(["callback-key"]);
    hook["annotations"] = json!({ "com.openfaas.callback.secret": "callback-key" });
    deploy(&platform, &hook);
    deploy(&platform, &deployment("record", "tee -a /tmp/seen"));
    available(&platform, "hook", 1);
    available(&platform, "record", 1);

    let faas = platform.login();
    let waited = faas.run_with(&["invoke", "hook", "--async", "--wait"], b"waited").success();
    assert_eq!(waited, "waited");
    post(&platform, "hook", "http://gateway.openfaas:8080/function/record", b"chained\n");
    wait_for("the function that is called back", || {
        seen(&cluster, "record").contains("chained").then_some(())
    });

    let id = post(&platform, "hook", &receiver.url, b"refused");
    wait_for("the callback to be refused", || {
        let job = platform.admin().get(&format!("/async-function/{id}")).text();
        job.contains("the address is not public").then_some(())
    });
    let allowed = format!("--set=async=true,queueWorker.callbackAllowed={}", receiver.address);
    let platform = cluster.install(&[&allowed]);
    let id = post(&platform, "hook", &receiver.url, b"signed");
    let request = wait_for("the callback", || receiver.request(&id));
    for expected in ["post /done", "content-length: 6", "x-function-status: 200", "x-function-name: hook"] {
        assert!(request.to_lowercase().contains(expected), "{expected}: {request}");
    }
    check_signature(&request, "signed");
    remove(&platform, "hook");
    remove(&platform, "record");
}

#[test]
fn two_workers_share_the_jobs_and_a_killed_nats_loses_none() {
    let Some(cluster) = Cluster::take() else { return };
    let platform = cluster.install(&["--set=async=true,queueWorker.replicas=2,queueWorker.ackWait=5s"]);
    deploy(&platform, &deployment("record", "tee -a /tmp/seen"));
    available(&platform, "record", 1);
    let (accepted, refused) = post_until_killed(&cluster, &platform);
    wait_for("every accepted job to have run", || {
        let seen = seen(&cluster, "record");
        let seen: BTreeSet<&str> = seen.lines().collect();
        accepted.iter().all(|id| seen.contains(id.as_str())).then_some(())
    });
    // What a worker could not write down while NATS was away runs once more, when its lease has ended.
    wait_for("every job to have ended", || {
        let depths = platform.admin().get("/system/queue");
        (depths.status == 200 && depths.text() == "[]").then_some(())
    });
    let runs = seen(&cluster, "record").lines().count();
    let workers = pods(&cluster, "queue-worker");
    let ended = "queue_worker_messages_processed_total{queue_name=\"faas-request\"}";
    let processed: Vec<f64> = workers.iter().map(|pod| metric(&cluster, pod, ended)).collect();
    println!(
        "{} jobs accepted, {refused} refused while NATS was away; {runs} runs, all accepted among them, {processed:?} \
         at each worker",
        accepted.len()
    );
    assert!(processed.len() == 2 && processed.iter().all(|jobs| *jobs > 0.0), "{processed:?}");
    for (part, reconnects) in
        [("gateway", "gateway_nats_reconnect_total"), ("queue-worker", "queue_worker_nats_reconnect_total")]
    {
        for pod in pods(&cluster, part) {
            let reconnects = metric(&cluster, &pod, reconnects);
            assert!(!cluster.is_development() || reconnects > 0.0, "{pod}: {reconnects}");
            assert_eq!(crate::leader::restarts(&cluster, &pod), 0, "{pod} waits for NATS, it does not end");
        }
    }
    remove(&platform, "record");
    cluster.install(&[]);
    assert_eq!(platform.http().post("/async-function/record", b"").status, 404, "without async");
}

/// Posts from many clients and kills NATS in the middle, where it is this machine's; what was accepted, and how many
/// were not.
fn post_until_killed(cluster: &Cluster, platform: &Installation<'_>) -> (Vec<String>, usize) {
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (enough, accepted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = || {
        let (http, mut ids) = (platform.http(), Vec::new());
        while !enough.load(Ordering::Relaxed) {
            let id = format!("job-{}", next.fetch_add(1, Ordering::Relaxed));
            let answer = http.post("/async-function/record", format!("{id}\n").as_bytes());
            if answer.status == 202 {
                ids.push(id);
                accepted.fetch_add(1, Ordering::Relaxed);
            } else {
                let said = (answer.status, answer.header("retry-after").is_empty());
                assert_eq!(said, (503, false), "{}", answer.text());
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        ids
    };
    let more = |what: &str| {
        let from = accepted.load(Ordering::Relaxed);
        wait_for(what, || (accepted.load(Ordering::Relaxed) >= from + EACH).then_some(()));
    };
    let ids = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let told = Told(&enough);
        more("some jobs");
        if cluster.is_development() {
            let nats = cluster.process("nats-0").and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            kill_process(nats.expect("NATS runs on this machine"), Signal::KILL).unwrap();
            wait_for("NATS to start again", || {
                (crate::leader::restarts(cluster, "nats-0") > 0).then_some(())
            });
        }
        more("more jobs, with NATS back");
        drop(told);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    (ids, refused.into_inner())
}

/// Set when this goes, by a failure too: who reads it ends.
struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Queues an invocation; its call id.
fn post(platform: &Installation<'_>, function: &str, callback: &str, body: &[u8]) -> String {
    let path = format!("/async-function/{function}");
    let answer = platform.http().send("POST", &path, &[("X-Callback-Url", callback)], body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.header("x-call-id").to_owned()
}

/// What the function `name` has been sent so far, by its only replica.
fn seen(cluster: &Cluster, name: &str) -> String {
    let deployment = format!("deployment/{name}");
    cluster.kubectl(&["-n", "openfaas-fn", "exec", &deployment, "--", "cat", "/tmp/seen"]).stdout
}

/// The pods of a part of the platform that are not ending.
fn pods(cluster: &Cluster, part: &str) -> Vec<String> {
    let found = cluster.get(&["-n", "openfaas", "pods", "-l", &format!("app={part}")]);
    let stays = |pod: &&Value| pod["metadata"].get("deletionTimestamp").is_none();
    let items = found["items"].as_array().unwrap().iter().filter(stays);
    items.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// What a pod of the platform says of itself.
fn metric(cluster: &Cluster, pod: &str, series: &str) -> f64 {
    let path = format!("/api/v1/namespaces/openfaas/pods/{pod}:8082/proxy/metrics");
    let metrics = cluster.kubectl(&["get", "--raw", &path]).success();
    let series = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    series.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// A pod that is no function and takes callbacks.
struct Receiver<'a> {
    cluster: &'a Cluster,
    address: String,
    url: String,
}

impl<'a> Receiver<'a> {
    fn start(cluster: &'a Cluster) -> Self {
        let image = format!("--image={TEST_IMAGE}");
        let run =
            ["run", "receiver", "--image-pull-policy=IfNotPresent", &image, "--command", "--", "sh", "-c"];
        let run: Vec<&str> = run.into_iter().chain([RECEIVER]).collect();
        cluster.kubectl(&run).success();
        let address = wait_for("the receiver's address", || {
            cluster.get(&["pod", "receiver"])["status"]["podIP"].as_str().map(str::to_owned)
        });
        Self { cluster, url: format!("http://{address}:8000/done"), address }
    }

    /// The head of the request about this job.
    fn request(&self, id: &str) -> Option<String> {
        let all = self.cluster.kubectl(&["logs", "receiver"]).stdout;
        let start = all.rfind("POST ")?;
        let request = all.get(start..)?;
        // Logs have no carriage returns.
        (request.contains(id) && request.contains("\n\n")).then(|| request.to_owned())
    }
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        self.cluster.kubectl(&["delete", "pod", "receiver", "--force", "--grace-period=0"]);
    }
}

/// `X-Faas-Signature: t=UNIX,v1=HMAC` of time and body, by the function's secret.
#[track_caller]
fn check_signature(request: &str, body: &str) {
    let header = request.lines().find(|line| line.to_lowercase().starts_with("x-faas-signature: "));
    let (_, value) = header.unwrap_or_else(|| panic!("{request}")).split_once(": t=").unwrap();
    let (time, signature) = value.trim().split_once(",v1=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"k3y").unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    let mut expected = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(expected, "{byte:02x}").unwrap();
    }
    assert_eq!(signature, expected);
}
