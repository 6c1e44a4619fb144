//! The platform on Kubernetes: what its images weigh, what its roles hold, how long a user waits.
//!
//! Uses the cluster of `FAAS_TEST_KUBECONFIG`, on this machine, and installs the chart there: `make bench-cluster`.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use faas_testing::{Cluster, Installation, TEST_IMAGE, wait_for};
use serde_json::json;

use crate::args::Args;
use crate::process::{megabytes, memory};
use crate::report::{Report, Row};
use crate::samples::{Samples, milliseconds, timed};

const IMAGE_MOST: u64 = 30_000_000;
const GATEWAY_MOST: u64 = 20_000_000;
const OPERATOR_MOST: u64 = 30_000_000;
/// Long enough for a write that comes once a few seconds.
const IDLE: Duration = Duration::from_secs(20);

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let Some(cluster) = Cluster::take() else {
        report.skip("cluster", "FAAS_TEST_KUBECONFIG is not set: make bench-cluster");
        return Ok(());
    };
    for image in ["faas", "fwatchdog"] {
        let archive = args.bin_dir.join(format!("images/{image}.tar"));
        let size =
            fs::metadata(&archive).with_context(|| format!("no {}: make images", archive.display()))?.len();
        let row =
            Row::new(format!("image {image}"), megabytes(size)).beside("OCI archive, layers compressed");
        report.add(&row.gate(format!("≤ {}", megabytes(IMAGE_MOST)), size <= IMAGE_MOST));
    }
    cluster.clear();
    let (platform, installed) = timed(|| cluster.install(&[]));
    report.add(&Row::new("helm install to a gateway that answers", milliseconds(installed)));
    roles(&cluster, report)?;
    first_answers(&platform, args.rounds(10), report);
    cold_starts(&platform, args.rounds(10), report)?;
    idle_writes(&cluster, report)?;
    Ok(())
}

/// Memory of each role of a release that has just been installed.
fn roles(cluster: &Cluster, report: &mut Report) -> anyhow::Result<()> {
    for (role, most) in [("gateway", GATEWAY_MOST), ("operator", OPERATOR_MOST)] {
        let pod = pod(cluster, role)?;
        let memory = memory(cluster.process(&pod).with_context(|| format!("{pod} runs elsewhere"))?)?;
        let row = Row::new(format!("{role}, idle"), megabytes(memory.resident));
        let row = row.beside(format!("PSS {}", megabytes(memory.proportional)));
        report.add(&row.gate(format!("≤ {}", megabytes(most)), memory.resident <= most));
    }
    Ok(())
}

fn pod(cluster: &Cluster, role: &str) -> anyhow::Result<String> {
    let pods = cluster.get(&["-n", "openfaas", "pods", "-l", &format!("app={role}")]);
    let name = pods["items"][0]["metadata"]["name"].as_str();
    Ok(name.with_context(|| format!("no pod of {role}"))?.to_owned())
}

/// From the request that deploys to the first answer.
fn first_answers(platform: &Installation<'_>, rounds: usize, report: &mut Report) {
    let mut samples = Samples::default();
    for round in 0..rounds {
        let name = format!("first-{round}");
        let ((), took) = timed(|| {
            deploy(platform, &name);
            invoke(platform, &name);
        });
        samples.push(took);
        platform.admin().json("DELETE", "/system/functions", &json!({ "functionName": name }));
    }
    let row = Row::new("deploy to first answer", milliseconds(samples.p50()));
    report.add(&row.beside(format!("{}, image on the node", samples.spread())));
}

/// A request to a function at zero, beside a plain Deployment that is scaled and reached through its Service.
fn cold_starts(platform: &Installation<'_>, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    let cluster = platform.cluster;
    deploy(platform, "cold");
    invoke(platform, "cold");
    let namespace = ["-n", "openfaas-fn"];
    let kubectl = |arguments: &[&str]| cluster.kubectl(&[&namespace, arguments].concat()).success();
    kubectl(&["create", "deployment", "plain", &format!("--image={TEST_IMAGE}"), "--replicas=0"]);
    kubectl(&["expose", "deployment", "plain", "--port=8080"]);
    let service = cluster.get(&["-n", "openfaas-fn", "service", "plain"]);
    let address = service["spec"]["clusterIP"].as_str().context("the Service has an address")?;
    let address: SocketAddr = format!("{address}:8080").parse()?;
    let (mut ours, mut plain) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        scale(platform, "cold");
        gone(cluster, "faas_function=cold");
        ours.push(timed(|| invoke(platform, "cold")).1);
        gone(cluster, "app=plain");
        let ((), took) = timed(|| {
            kubectl(&["scale", "deployment", "plain", "--replicas=1"]);
            while TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err() {
                sleep(Duration::from_millis(2));
            }
        });
        plain.push(took);
        kubectl(&["scale", "deployment", "plain", "--replicas=0"]);
    }
    let ratio = ours.p50().as_secs_f64() / plain.p50().as_secs_f64();
    report
        .add(&Row::new("plain Deployment, scaled 0 to 1", milliseconds(plain.p50())).beside(plain.spread()));
    let row = Row::new("cold start through the gateway", milliseconds(ours.p50()));
    let row = row.beside(format!("{}; {ratio:.2} x the plain one", ours.spread()));
    report.add(&row.aim("≤ 0.25 x", ratio <= 0.25));
    kubectl(&["delete", "deployment,service", "plain"]);
    platform.admin().json("DELETE", "/system/functions", &json!({ "functionName": "cold" }));
    Ok(())
}

/// What the operator writes while nothing changes.
fn idle_writes(cluster: &Cluster, report: &mut Report) -> anyhow::Result<()> {
    let pods = cluster.get(&["-n", "openfaas", "pods", "-l", "app=operator"]);
    let address = pods["items"][0]["status"]["podIP"].as_str().context("the operator has an address")?;
    let admin = faas_testing::Http::new(&format!("http://{address}:8082"));
    let writes = || {
        let text = admin.get("/metrics").text();
        let lines = text.lines().filter(|line| line.starts_with("faas_operator_writes_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    };
    settled(writes);
    let before = writes();
    sleep(IDLE);
    let written = writes() - before;
    let row = Row::new("the operator's writes while idle", format!("{written}"));
    let row = row.beside(format!("in {} s, after {before} before", IDLE.as_secs()));
    report.add(&row.gate("0", written == 0));
    Ok(())
}

/// Replicas that end are still told in a status.
fn settled(count: impl Fn() -> u64) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut last = count();
    while Instant::now() < deadline {
        sleep(Duration::from_secs(4));
        let now = count();
        if now == last {
            return;
        }
        last = now;
    }
}

fn deploy(platform: &Installation<'_>, name: &str) {
    let body = json!({ "service": name, "image": TEST_IMAGE, "envProcess": "cat" });
    let answer = platform.admin().json("POST", "/system/functions", &body);
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn invoke(platform: &Installation<'_>, name: &str) {
    let answer = platform.http().post(&format!("/function/{name}"), b"hello");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn scale(platform: &Installation<'_>, name: &str) {
    let path = format!("/system/scale-function/{name}");
    assert_eq!(platform.admin().json("POST", &path, &json!({ "replicas": 0 })).status, 202);
}

/// Waits until no pod carries the label.
fn gone(cluster: &Cluster, label: &str) {
    wait_for("pods to end", || {
        let pods = cluster.get(&["-n", "openfaas-fn", "pods", "-l", label]);
        pods["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}
