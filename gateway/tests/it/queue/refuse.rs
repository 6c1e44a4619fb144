//! What is not accepted, and what the caller is told.

use faas_queue::Settings;

use crate::fixture::{get, request};
use crate::queue::{ADMIN, Queued, id};

#[test]
fn what_is_no_url_cannot_be_called_back() {
    let queued = Queued::start();
    let not_a_url = "X-Callback-Url: the callback is no absolute URL of at most 8192 bytes";
    let no_scheme = "X-Callback-Url: the callback's scheme is neither http nor https";
    for (url, text) in [
        ("nowhere", not_a_url),
        ("/x", not_a_url),
        ("http://", not_a_url),
        ("http://a:port/", not_a_url),
        ("ftp://a/b", no_scheme),
        ("ä", "X-Callback-Url: expected ASCII"),
    ] {
        let answer = queued.post("/async-function/f", &[&format!("X-Callback-Url: {url}")], b"");
        assert_eq!((answer.status, answer.text()), (400, text), "{url}");
    }
    let twice = ["X-Callback-Url: http://a", "X-Callback-Url: http://b"];
    assert_eq!(queued.post("/async-function/f", &twice, b"").status, 400);
    let twice = ["Idempotency-Key: a", "Idempotency-Key: b"];
    assert_eq!(queued.post("/async-function/f", &twice, b"").status, 400);
    assert!(queued.live().is_empty());
}

#[test]
fn of_the_gateway_itself_only_invocations_are_called_back() {
    let queued = Queued::with(Settings::default(), |config| {
        config.own_gateway = faas_gateway::OwnGateway::new(["http://gateway:8080"]).unwrap();
    });
    for (path, status) in [("function/g", 202), ("async-function/g", 202), ("system/functions", 400)] {
        let callback = format!("X-Callback-Url: http://gateway:8080/{path}");
        assert_eq!(queued.post("/async-function/f", &[&callback], b"").status, status, "{path}");
    }
}

#[test]
fn what_is_no_function_cannot_be_queued() {
    let queued = Queued::start();
    let answer = queued.post("/async-function/", &[], b"");
    assert_eq!((answer.status, answer.text()), (400, "Provide function name in the request path"));
    let answer = queued.post("/async-function/F", &[], b"");
    assert_eq!(answer.status, 404);
    assert!(answer.text().starts_with("error finding function F: "), "{answer:?}");
    assert_eq!(answer.header("x-openfaas-internal"), None);
}

#[test]
fn functions_are_posted_to() {
    let queued = Queued::start();
    for (method, path) in [
        ("PUT", "/async-function/f"),
        ("PATCH", "/async-function/f"),
        ("PUT", "/async-function/f/path"),
        ("OPTIONS", "/async-function/f"),
        ("GET", "/async-function/f/path"),
        ("DELETE", "/async-function/f/"),
        ("GET", "/async-function/"),
    ] {
        let answer = queued.client().call(request(method, path, &[], b""));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {path}");
        assert_eq!(answer.header("x-faas-fault"), Some("client; method not allowed"), "{method} {path}");
    }
    let counters = queued.server.counters();
    for method in ["PUT", "PATCH"] {
        let counted = format!("method=\"{method}\",path=\"/async-function/{{name}}\"");
        assert!(counters.lines().any(|line| line.contains(&counted)), "{counters}");
    }
}

#[test]
fn past_the_limit_of_jobs_that_wait_it_is_503() {
    let queued = Queued::with(Settings { most_waiting: 2, ..Settings::default() }, |_| ());
    let small = b"x".to_vec();
    for _ in 0..2 {
        id(&queued.post("/async-function/f", &[], &small));
    }
    let answer = queued.post("/async-function/f", &[], &small);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert!(answer.text().starts_with("Error queuing request: 2 jobs wait"), "{answer:?}");
    assert!(answer.header("x-faas-fault").unwrap().starts_with("queue; "), "{answer:?}");
    id(&queued.post("/async-function/g", &[], &small));
    queued.take();
    id(&queued.post("/async-function/f", &[], &small));
    assert_eq!(queued.live().len(), 3);
}

#[test]
fn a_queue_that_cannot_write_is_503_and_never_202() {
    let queued = Queued::start();
    id(&queued.post("/async-function/f", &[], b"x"));
    // The disk is as good as gone for long bodies.
    let bodies = queued.folder.path().join("bodies");
    std::fs::remove_dir(&bodies).unwrap();
    let answer = queued.post("/async-function/f", &[], &vec![0; 2 << 20]);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    assert!(answer.text().starts_with("Error queuing request: failed to "), "{answer:?}");
    assert!(answer.header("x-faas-fault").unwrap().starts_with("queue; "), "{answer:?}");
    assert_eq!(answer.header("x-openfaas-internal"), Some("proxy"));
    std::fs::create_dir(&bodies).unwrap();
    id(&queued.post("/async-function/f", &[], &vec![0; 2 << 20]));
    assert_eq!(queued.live().len(), 2);
}

#[test]
fn reading_and_steering_need_credentials_and_posting_does_not() {
    let queued = Queued::start();
    let id = id(&queued.post("/async-function/f", &[], b""));
    let job = format!("/async-function/{id}");
    for (method, path) in [
        ("GET", job.as_str()),
        ("DELETE", job.as_str()),
        ("GET", "/system/queue"),
        ("GET", "/system/queue/jobs?function=f"),
        ("POST", "/system/queue/redrive"),
        ("POST", "/system/queue/purge"),
    ] {
        for wrong in [&[][..], &["Authorization: Basic YWRtaW46d3Jvbmc="]] {
            let answer = queued.client().call(request(method, path, wrong, b""));
            assert_eq!((answer.status, answer.text()), (401, "invalid credentials"), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Restricted\""));
        }
    }
    assert_eq!(queued.live().len(), 1);
    assert_eq!(queued.client().call(get(&job, &[ADMIN])).status, 200);
}
