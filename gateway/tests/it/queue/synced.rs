//! That a 202 leaves only after what it promises was synced. A SIGKILL cannot tell: what was written and not synced
//! survives it. The order of system calls can, so a gateway runs under strace, with all that it writes through.

use std::sync::Arc;

use faas_queue::embedded::Options;
use faas_queue::nats::{self, Durability, Jetstream};
use faas_queue::{Queue, Settings};
use faas_testing::Nats;
use faas_testing::strace::{judge, trace};

use super::Queued;
use crate::fixture::{Client, Server, post};

const CLIENTS: usize = 8;
const EACH: usize = 20;

/// In that test no answer comes before its sync, or all do; the trace, to look for more.
fn assert_synced(test: &str, expected: bool) -> Option<String> {
    let trace = trace(&format!("queue::synced::{test}"))?;
    let verdict = judge(&trace);
    assert_eq!(verdict.answered, CLIENTS * EACH);
    let early = if expected { 0 } else { CLIENTS * EACH };
    assert_eq!(verdict.early.len(), early, "of {}: {:?}", verdict.answered, verdict.early);
    Some(trace)
}

#[test]
fn no_202_leaves_before_its_job_is_synced() {
    assert_synced("accepting", true);
}

#[test]
fn without_syncing_the_same_look_finds_that_they_do() {
    assert_synced("accepting_without_syncing", false);
}

#[test]
fn no_202_leaves_before_nats_has_synced_its_job() {
    // Where it cannot be built, there is nothing to see. It is not built under strace.
    if Nats::start().is_some()
        && let Some(trace) = assert_synced("accepting_over_nats", true)
    {
        assert!(trace.contains("Nats-Batch-Commit"), "no batch was among what was judged");
    }
}

#[test]
fn over_a_nats_that_syncs_now_and_then_they_do() {
    if Nats::start().is_some() {
        assert_synced("accepting_over_a_nats_that_syncs_now_and_then", false);
    }
}

#[test]
#[ignore = "run by another test, under strace"]
fn accepting() {
    accept(&Queued::start().server);
}

#[test]
#[ignore = "run by another test, under strace"]
fn accepting_without_syncing() {
    let options = Options { sync: false, ..Options::default() };
    accept(&Queued::opened(Settings::default(), options, |_| ()).server);
}

#[test]
#[ignore = "run by another test, under strace"]
fn accepting_over_nats() {
    let nats = Nats::start().unwrap();
    accept_over(&nats, Durability::Checked { monitors: vec![nats.monitor.clone()] });
}

#[test]
#[ignore = "run by another test, under strace"]
fn accepting_over_a_nats_that_syncs_now_and_then() {
    let nats = Nats::start_with("sync_interval: 1h").unwrap();
    accept_over(&nats, Durability::Unchecked);
}

fn accept_over(nats: &Nats, durability: Durability) {
    let options = nats::Options {
        servers: vec![nats.url.clone()],
        credentials: nats::Credentials::None,
        queue: "faas-request".parse().unwrap(),
        replicas: 1,
        durability,
        settings: Settings::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let queue: Arc<dyn Queue> = Arc::new(runtime.block_on(Jetstream::open(options)).unwrap());
    accept(&Server::queueing(Some(queue), |_| ()));
}

fn accept(server: &Server) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut connection = Client::new(server);
            scope.spawn(move || {
                for number in 0..EACH {
                    // Jobs with names of the gateway's own go together; others go each by itself.
                    let id = format!("X-Call-Id: {client:08}-0000-4000-8000-{number:012}");
                    let headers = if number % 4 == 0 { vec![id.as_str()] } else { Vec::new() };
                    assert_eq!(connection.call(post("/async-function/f", &headers, b"body")).status, 202);
                }
            });
        }
    });
}
