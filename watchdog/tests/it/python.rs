//! The Python runtime behind `mode=worker`: what handlers are given, and what becomes of what they return.

mod asynchronous;
mod imports;
mod output;
mod streams;

use faas_package::Signature;

use crate::function::Function;
use crate::harness::{Watchdog, children, until};

const FORMS: &str = include_str!("python/forms.py");

fn forms() -> Option<Function> {
    Function::python(Signature::Http, FORMS)
}

const ISOLATIONS: [&str; 3] = ["worker", "fork", "exec"];

#[test]
fn every_form_of_answer_is_understood() {
    let Some(function) = forms() else { return };
    for isolation in ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        for (target, status, header, values, body) in [
            ("/", 200, "content-type", &["text/html; charset=utf-8"][..], "hello"),
            ("/echo", 200, "content-length", &["4"], "body"),
            ("/dict", 418, "set-cookie", &["a", "b"], "tea"),
            ("/dict", 418, "content-type", &["text/plain"], "tea"),
            ("/pairs", 200, "x-a", &["b", "c"], ""),
            ("/tuple", 201, "x-a", &["b"], "made"),
            ("/tuple-headers", 200, "x-a", &["b"], "made"),
            ("/plain-dict", 200, "content-type", &["application/json"], "{\"a\": 1}"),
            ("/list", 200, "content-type", &["application/json"], "[1, \"b\"]"),
            ("/number", 200, "content-type", &["text/html; charset=utf-8"], "7"),
            ("/view", 200, "content-length", &["4"], "view"),
            ("/none", 200, "content-length", &["0"], ""),
            ("/204", 204, "content-type", &[], ""),
            ("/304", 304, "content-type", &[], ""),
            ("/own-length", 200, "content-length", &["5"], "hello"),
            ("/status?is=299", 299, "content-length", &["1"], "x"),
            ("/numbers", 200, "transfer-encoding", &["chunked"], "78"),
            ("/generator", 200, "transfer-encoding", &["chunked"], "text bytes array"),
        ] {
            let answer = watchdog.send("POST", target, "", b"body");
            assert_eq!((answer.status, answer.text()), (status, body), "{target}");
            assert_eq!(answer.headers(header), values, "{target}");
        }
    }
}

#[test]
fn a_failure_is_500_with_its_traceback_in_the_log_and_costs_no_other_call() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[("worker_count", "1")]);
    let worker = children(watchdog.pid());
    for (target, logged) in [
        ("/raise", "ValueError: no good"),
        ("/exit", "SystemExit: 3"),
        ("/interrupt", "KeyboardInterrupt"),
        ("/coroutine", "the handler returned an awaitable: declare it with async def"),
        ("/tuple-of-4", "the handler returned a tuple of 4"),
        ("/split", "the handler returned a header 'X-A' with"),
        ("/split-name", r"the handler returned a header named 'X-A\r\nX-C'"),
        ("/control", "the handler returned a header 'X-A' with"),
        ("/status?is=99", "the handler returned status 99: expected 200 to 999"),
        ("/status?is=100", "the handler returned status 100: expected 200 to 999"),
        ("/status?is=1000", "the handler returned status 1000: expected 200 to 999"),
    ] {
        let answer = watchdog.get(target);
        assert_eq!((answer.status, answer.text()), (500, "Internal Server Error\n"), "{target}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{target}");
        assert_eq!(answer.header("x-c"), None, "{target}");
        watchdog.logged(logged);
    }
    watchdog.logged("Traceback (most recent call last):");
    assert_eq!(watchdog.get("/").text(), "hello");
    assert_eq!(children(watchdog.pid()), worker, "it is the same process");
}

#[test]
fn an_answer_that_fails_half_way_does_not_look_whole() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[]);
    let text = watchdog.exchange(b"GET /bad-generator HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.contains("begun") && !text.ends_with("0\r\n\r\n"), "{text}");
    watchdog.logged("ValueError: half way");
    assert_eq!(watchdog.get("/").text(), "hello");
}

#[test]
fn the_event_has_the_parts_of_the_request() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[]);
    let headers = "x-custom: one\r\nX-Custom: two\r\n";
    let answer = watchdog.send("PUT", "/%72equest?a=1&a=%20&b", headers, b"x");
    let expected = r#"{"type": "bytes", "method": "PUT", "query": {"a": "1", "b": ""}, "all": ["1", " "], "path": "/request", "host": true, "custom": "one, two", "none": null}"#;
    assert_eq!(answer.text(), expected);
}

#[test]
fn head_requests_tell_the_length_and_send_nothing() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[]);
    for (target, length) in [("/", Some("5")), ("/own-length", Some("5")), ("/generator", None)] {
        let request = format!("HEAD {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let text = watchdog.exchange(request.as_bytes());
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        let lengths = text.lines().filter_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(lengths.collect::<Vec<_>>(), Vec::from_iter(length), "{target}");
    }
}

#[test]
fn connections_are_kept_and_bodies_may_be_chunked() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[]);
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: v\r\n\r\n";
    let last = "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlast";
    let text = watchdog.exchange([chunked, chunked, last].concat().as_bytes());
    assert_eq!(text.matches("\r\n\r\nabcde").count(), 2, "{text}");
    assert!(text.ends_with("\r\n\r\nlast"), "{text}");
}

#[test]
fn bodies_of_any_size_and_bytes_come_back_unchanged() {
    let Some(function) = forms() else { return };
    for isolation in ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        for size in [0, 1, 65_536, 262_143, 262_144, 262_145, 1_048_576, 20_000_003] {
            let body: Vec<u8> = (0_u8..=255).cycle().take(size).collect();
            let answer = watchdog.send("POST", "/echo", "", &body);
            assert!(answer.status == 200 && answer.body == body, "{isolation} {size}");
        }
    }
}

#[test]
fn bodies_are_bounded_where_they_are_held() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[("MAX_BODY_BYTES", "0.5mb")]);
    for (size, status) in [(524_288, 200), (524_289, 413), (10_000_000, 413), (1, 200)] {
        assert_eq!(watchdog.send("POST", "/echo", "", &vec![7; size]).status, status, "{size}");
    }
    let chunked = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    let small = function.ready(&[("MAX_BODY_BYTES", "10")]);
    assert!(small.exchange(chunked).starts_with("HTTP/1.1 413"));
    assert_eq!(small.send("POST", "/echo", "", b"01234567890").text(), "body too large\n");
    assert_eq!(small.send("POST", "/", "", b"01234567890").status, 200, "it is not looked at");
}

#[test]
fn a_bound_on_bodies_that_is_none_ends_the_start() {
    let Some(function) = forms() else { return };
    let mut watchdog = function.supervised(&[("MAX_BODY_BYTES", "lots")]);
    assert_eq!(watchdog.said(), "failed: handler exited with status 1\n");
    watchdog.logged("MAX_BODY_BYTES is 'lots': expected a size such as 1000, 100kb or 64mb");
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn a_handler_that_does_not_load_ends_the_start_with_its_reason() {
    for (handler, expected) in [
        ("import missing_module", "No module named 'missing_module'"),
        ("def other(event, context):\n    pass", "has no attribute 'handle'"),
        ("handle =", "SyntaxError"),
    ] {
        let Some(function) = Function::python(Signature::Http, handler) else { return };
        for isolation in ISOLATIONS {
            let mut watchdog = function.supervised(&[("worker_isolation", isolation)]);
            assert_eq!(watchdog.said(), "failed: handler exited with status 1\n");
            watchdog.logged(expected);
            assert_eq!(watchdog.exit().code(), Some(1));
        }
    }
}

#[test]
fn what_a_call_took_is_told_and_only_the_platform_tells_it() {
    let Some(function) = forms() else { return };
    for isolation in ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        let answer = watchdog.get("/lies");
        assert_eq!(answer.headers("x-faas-fault"), [""; 0]);
        let usage = answer.headers("x-faas-usage");
        assert_eq!(usage.len(), 1, "{usage:?}");
        let numbers: Vec<f64> =
            usage[0].split(", ").map(|part| part.split_once('=').unwrap().1.parse().unwrap()).collect();
        let [wall, cpu, memory] = numbers[..] else { unreachable!("{usage:?}") };
        assert!(wall > 0.0 && wall < 30.0 && cpu < 5.0, "{usage:?}");
        assert!(memory > 1e6 && memory < 1e9, "{usage:?}");
    }
}

#[test]
fn processor_time_is_the_calls_own() {
    let handler = "import sys, time\nsum(i * i for i in range(4_000_000))\n\
                   def handle(event, context):\n    \
                   end = time.process_time() + float(event.query['burn'])\n    \
                   while time.process_time() < end: pass";
    for handler in [handler.to_owned(), handler.replace("def", "async def")] {
        let Some(function) = Function::python(Signature::Http, &handler) else { return };
        let watchdog = function.ready(&[("worker_count", "1")]);
        let cpu = |burn: &str| -> f64 {
            let answer = watchdog.get(&format!("/?burn={burn}"));
            let usage = answer.header("x-faas-usage").unwrap().to_owned();
            usage.split("cpu=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
        };
        let first = cpu("0");
        assert!(first < 0.15, "what was imported is no part of it: {first}");
        assert!((0.2..0.5).contains(&cpu("0.2")));
    }
}

#[test]
fn sigterm_lets_a_running_call_end() {
    let handler = "import time\ndef handle(event, context):\n    print('begun')\n    time.sleep(0.3)\n    return 'done'";
    let Some(function) = Function::python(Signature::Http, handler) else { return };
    for isolation in ISOLATIONS {
        let mut watchdog = function.ready(&[("worker_isolation", isolation), ("healthcheck_interval", "0")]);
        let running = watchdog.begin(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        watchdog.logged("begun");
        watchdog.signal(rustix::process::Signal::TERM);
        assert_eq!(crate::harness::read_answer(running).text(), "done", "{isolation}");
        assert_eq!(watchdog.exit().code(), Some(0));
        assert_eq!(watchdog.said(), "", "nothing failed");
    }
}

/// Waits until the replica has `count` processes, and names them.
pub(crate) fn processes(watchdog: &Watchdog, count: usize) -> Vec<String> {
    until(&format!("{count} processes"), || Some(children(watchdog.pid())).filter(|pids| pids.len() == count))
}
