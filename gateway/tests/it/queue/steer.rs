//! `/system/queue`: what there is, and what to do about it.

use faas_queue::{Queue as _, Record, Then};
use serde_json::json;

use crate::fixture::Upstream;
use crate::queue::{Queued, id};

/// `f` with a dead job, one that runs, and two that wait; `g` with one.
fn filled() -> (Queued, String) {
    let queued = Queued::start();
    queued.server.route("f", &[&Upstream::start()]);
    let dead = id(&queued.post("/async-function/f", &[], b"dead")).to_string();
    let taken = queued.take();
    queued.wait(queued.queue.settle(&taken.lease, &Record::default(), Then::Dead)).unwrap();
    for _ in 0..3 {
        queued.post("/async-function/f", &[], b"live");
    }
    queued.take();
    queued.post("/async-function/g.dev", &[], b"live");
    (queued, dead)
}

#[test]
fn depths_are_told_by_function() {
    let (queued, _) = filled();
    let depths = queued.json("/system/queue");
    let (f, g) = (&depths[0], &depths[1]);
    assert_eq!(depths.as_array().unwrap().len(), 2);
    assert_eq!((&f["functionName"], &f["namespace"]), (&json!("f"), &json!("openfaas-fn")));
    assert_eq!((&f["waiting"], &f["running"], &f["dead"]), (&json!(2), &json!(1), &json!(1)));
    assert!(f["oldest"].is_string() && f["rate"].as_f64().unwrap() > 0.0, "{f}");
    assert_eq!((&g["functionName"], &g["namespace"], &g["waiting"]), (&json!("g"), &json!("dev"), &json!(1)));
    let dev = queued.json("/system/queue?namespace=dev");
    assert_eq!((dev.as_array().unwrap().len(), &dev[0]["functionName"]), (1, &json!("g")));
    assert_eq!(queued.json("/system/queue?namespace=none"), json!([]));
    assert_eq!(queued.api("GET", "/system/queue?namespace=A", "").status, 400);
}

#[test]
fn jobs_are_listed_by_shelf() {
    let (queued, dead) = filled();
    let list = |query: &str| queued.json(&format!("/system/queue/jobs?{query}")).as_array().unwrap().clone();
    assert_eq!(list("function=f").len(), 3);
    assert_eq!(list("function=f&state=live&limit=2").len(), 2);
    assert_eq!(
        (list("function=g").len(), list("function=g&namespace=dev").len(), list("function=g.dev").len()),
        (0, 1, 1)
    );
    let letters = list("function=f&state=dead");
    assert_eq!(
        (letters.len(), &letters[0]["callId"], &letters[0]["state"]),
        (1, &json!(dead), &json!("dead"))
    );
}

#[test]
fn dead_jobs_are_tried_again_and_forgotten() {
    let (queued, dead) = filled();
    let answer =
        queued.api("POST", "/system/queue/redrive", &format!(r#"{{"functionName":"f","callId":"{dead}"}}"#));
    assert_eq!((answer.status, answer.text()), (200, r#"{"jobs":1}"#));
    assert_eq!(queued.live().len(), 4);
    let again =
        queued.api("POST", "/system/queue/redrive", &format!(r#"{{"functionName":"f","callId":"{dead}"}}"#));
    assert_eq!(
        (again.status, again.text()),
        (404, format!("function f.openfaas-fn has no dead job {dead}").as_str())
    );
    assert_eq!(
        queued.api("POST", "/system/queue/redrive", r#"{"functionName":"f"}"#).text(),
        r#"{"jobs":0}"#
    );
    for (state, jobs) in [("live", 3), ("dead", 0)] {
        let asked = format!(r#"{{"functionName":"f","state":"{state}","dryRun":true}}"#);
        for _ in 0..2 {
            let would = queued.api("POST", "/system/queue/purge", &asked);
            assert_eq!((would.status, would.text()), (200, format!(r#"{{"jobs":{jobs}}}"#).as_str()));
        }
    }
    let purged = queued.api("POST", "/system/queue/purge", r#"{"functionName":"f","state":"live"}"#);
    assert_eq!((purged.status, purged.text()), (200, r#"{"jobs":3}"#), "the one that runs is let be");
    let purged =
        queued.api("POST", "/system/queue/purge", r#"{"functionName":"g","namespace":"dev","state":"dead"}"#);
    assert_eq!(purged.text(), r#"{"jobs":0}"#);
}

#[test]
fn what_is_wrong_is_told_with_what_was_expected() {
    let queued = Queued::start();
    for (method, path, body, text) in [
        ("GET", "/system/queue/jobs", "", "function: is required"),
        ("GET", "/system/queue/jobs?function=F", "", "function: "),
        ("GET", "/system/queue/jobs?function=f&state=x", "", "state: expected live or dead, got \"x\""),
        (
            "GET",
            "/system/queue/jobs?function=f&limit=0",
            "",
            "limit: expected a number from 1 to 1000, got \"0\"",
        ),
        ("POST", "/system/queue/redrive", "", "failed to unmarshal request: "),
        ("POST", "/system/queue/redrive", "{}", "failed to unmarshal request: missing field `functionName`"),
        ("POST", "/system/queue/redrive", r#"{"functionName":""}"#, "function: is required"),
        (
            "POST",
            "/system/queue/redrive",
            r#"{"functionName":"f","callId":"a.b"}"#,
            "callId: \"a.b\" is no call id",
        ),
        (
            "POST",
            "/system/queue/purge",
            r#"{"functionName":"f"}"#,
            "failed to unmarshal request: missing field `state`",
        ),
        (
            "POST",
            "/system/queue/purge",
            r#"{"functionName":"f","state":"all"}"#,
            "failed to unmarshal request: unknown variant",
        ),
        (
            "POST",
            "/system/queue/purge",
            r#"{"functionName":"f","namespace":"A","state":"dead"}"#,
            "namespace not valid",
        ),
    ] {
        let answer = queued.api(method, path, body);
        assert_eq!(answer.status, 400, "{method} {path} {body}: {answer:?}");
        assert!(answer.text().starts_with(text), "{method} {path} {body}: {:?}", answer.text());
    }
    assert_eq!(queued.api("DELETE", "/system/queue", "").status, 405);
}

#[test]
fn scrapes_and_loads_tell_of_the_queue() {
    let (queued, _) = filled();
    let text = queued.wait(queued.server.gateway.collect());
    for line in [
        r#"queue_worker_pending_messages{queue_name="faas-request",function_name="f.openfaas-fn"} 2"#,
        r#"faas_queue_running{queue_name="faas-request",function_name="f.openfaas-fn"} 1"#,
        r#"faas_queue_dead{queue_name="faas-request",function_name="f.openfaas-fn"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(!text.contains("g.dev"), "a name that anybody may have invented");
    let load: serde_json::Value = serde_json::from_str(&queued.wait(queued.server.gateway.load())).unwrap();
    assert_eq!(load["f.openfaas-fn"]["queued"], 3);
    let counters = queued.server.counters();
    assert!(
        counters.contains("queue_worker_messages_submitted_total{queue_name=\"faas-request\"} 5"),
        "{counters}"
    );
    let accepted = r#"http_requests_total{method="POST",path="/async-function/{name}",status="202"} 5"#;
    assert!(counters.contains(accepted), "{counters}");
    for counter in ["gateway_function_invocation_started", "gateway_function_invocation_total"] {
        assert!(!counters.contains(counter), "it counts when it is made: {counters}");
    }
}
