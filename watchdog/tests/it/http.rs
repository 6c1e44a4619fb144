//! Mode `http`, row by row of contract 4.3, before a small Python server.

use std::io::{Read as _, Write as _};

use rustix::process::Signal;

use crate::harness::{Answer, Watchdog, exists, until};

/// From the package's folder, in which cargo runs its tests.
const SERVER: &str = "tests/it/server.py";

fn python(more: &[(&str, &str)]) -> Watchdog {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("up");
    let process = format!("/usr/bin/python3 -u {SERVER} {}", socket.display());
    let url = format!("unix:{}", socket.display());
    let own = [("mode", "http"), ("fprocess", process.as_str()), ("upstream_url", url.as_str())];
    let mut watchdog = Watchdog::ready(&[&own, more].concat(), &[]);
    watchdog.keep = Some(folder);
    watchdog
}

fn child(watchdog: &Watchdog) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", watchdog.pid())).unwrap().flatten();
    let children: String =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok()).collect();
    children.trim().to_owned()
}

#[test]
fn requests_are_passed_on_whole() {
    let watchdog = python(&[]);
    let answer = watchdog.send("PATCH", "/a%20b?c=d&e", "X-A: 1\r\nX-A: 2\r\n", b"the body");
    assert_eq!((answer.status, answer.header("x-own")), (201, Some("yes")));
    assert!(answer.text().starts_with("PATCH /a%20b?c=d&e\n"), "{}", answer.text());
    for part in ["host: test\n", "x-a: 1\nx-a: 2\n", "content-length: 8\n", "\n\nthe body"] {
        assert!(answer.text().to_lowercase().contains(part), "{part}: {}", answer.text());
    }
    assert!(!answer.text().to_lowercase().contains("connection:"), "{}", answer.text());
    assert_eq!(answer.header("x-duration-seconds").unwrap().split_once('.').unwrap().1.len(), 6);
    let line = watchdog.logged("PATCH /a%20b?c=d&e - 201 Created - ContentLength: ");
    assert!(line.ends_with("s)") && line.contains("B (0."), "{line}");
}

#[test]
fn over_tcp_and_unsupervised_too() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = format!("/usr/bin/python3 -u {SERVER} {port}");
    let url = format!("http://127.0.0.1:{port}");
    let variables =
        [("mode", "http"), ("function_process", process.as_str()), ("http_upstream_url", url.as_str())];
    let watchdog = Watchdog::start(&variables);
    until("the handler up", || (watchdog.get("/").status == 201).then_some(()));
    assert_eq!(watchdog.send("POST", "/echo", "", b"hello").text(), "hello");
}

#[test]
fn a_handler_cannot_blame_the_platform() {
    let answer = python(&[]).send("POST", "/echo", "", b"x");
    assert_eq!((answer.status, answer.header("x-faas-fault")), (200, None));
}

#[test]
fn bodies_stream_both_ways_and_connections_are_reused() {
    let watchdog = python(&[]);
    let body: Vec<u8> = (0_u8..251).cycle().take(10_000_000).collect();
    for _ in 0..3 {
        assert!(watchdog.send("POST", "/echo", "", &body).body == body);
    }
    assert_eq!(watchdog.get("/stream").text(), "one,two");
    let sockets = format!("/proc/{}/fd", watchdog.pid());
    let before = std::fs::read_dir(&sockets).unwrap().count();
    for _ in 0..50 {
        assert_eq!(watchdog.get("/").status, 201);
    }
    until("no more descriptors", || (std::fs::read_dir(&sockets).unwrap().count() <= before).then_some(()));
}

#[test]
fn a_chunked_body_stays_chunked_unless_buffered() {
    let chunked = |watchdog: &Watchdog| -> Answer {
        let mut stream = watchdog.connect();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}3\r\nabc\r\n0\r\n\r\n").as_bytes()).unwrap();
        crate::harness::read_answer(stream)
    };
    let answer = chunked(&python(&[]));
    assert!(answer.text().to_lowercase().contains("transfer-encoding: chunked\n"), "{}", answer.text());
    assert!(answer.text().ends_with("\n\nabc"), "{}", answer.text());
    for name in ["buffer_http", "http_buffer_req_body"] {
        let answer = chunked(&python(&[(name, "1")]));
        assert!(answer.text().to_lowercase().contains("content-length: 3\n"), "{}", answer.text());
        assert!(answer.text().ends_with("\n\nabc"), "{}", answer.text());
    }
}

#[test]
fn head_requests_keep_their_length() {
    let answer = {
        let watchdog = python(&[]);
        let mut stream = watchdog.connect();
        stream.write_all(b"HEAD /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    };
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn a_call_over_its_time_gets_504() {
    let watchdog = python(&[("exec_timeout", "400ms")]);
    let answer = watchdog.get("/hang");
    assert_eq!((answer.status, answer.text()), (504, ""));
    assert_eq!(answer.header("x-openfaas-internal"), Some("of-watchdog"));
    assert_eq!(answer.header("x-faas-fault"), Some("handler; no answer within 400ms"));
    assert!(answer.header("x-duration-seconds").is_some());
    assert_eq!(watchdog.get("/").status, 201, "others go on");
}

#[test]
fn the_caller_may_ask_for_less_time_but_not_more() {
    let watchdog = python(&[("exec_timeout", "1s")]);
    for (asked, fault) in
        [("200ms", "handler; no answer within 200ms"), ("1h", "handler; no answer within 1s")]
    {
        let answer = watchdog.send("GET", "/hang", &format!("X-Timeout: {asked}\r\n"), b"");
        assert_eq!((answer.status, answer.header("x-faas-fault")), (504, Some(fault)), "{asked}");
    }
}

#[test]
fn an_answer_over_its_time_is_cut_off() {
    let watchdog = python(&[("exec_timeout", "400ms")]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("begun"), "{text}");
}

#[test]
fn what_is_no_http_gets_500() {
    let watchdog = python(&[]);
    let answer = watchdog.get("/garbage");
    assert_eq!((answer.status, answer.text()), (500, ""));
    assert_eq!(answer.header("x-openfaas-internal"), Some("of-watchdog"));
    assert!(answer.header("x-faas-fault").unwrap().starts_with("handler; "));
    assert_eq!(watchdog.get("/").status, 201);
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let watchdog = python(&[]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET /break HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(text.ends_with("only this") && text.contains("content-length: 100"), "{text}");
    assert_eq!(watchdog.get("/").status, 201);
}

#[test]
fn nothing_listening_gets_500() {
    let variables = [("mode", "http"), ("fprocess", "sleep 300"), ("upstream_url", "http://127.0.0.1:1")];
    let answer = Watchdog::start(&variables).get("/");
    assert_eq!((answer.status, answer.header("x-openfaas-internal")), (500, Some("of-watchdog")));
}

#[test]
fn websockets_are_tunnelled() {
    let watchdog = python(&[("exec_timeout", "1s")]);
    let mut stream = watchdog.connect();
    let head = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"through the tunnel\n").unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 101") && text.ends_with("through the tunnel\n"), "{text}");
}

#[test]
fn readiness_is_the_handlers() {
    let plain = python(&[]);
    assert_eq!(plain.get("/_/ready").status, 200);
    assert_eq!(plain.send("POST", "/_/ready", "", b"").status, 405);
    std::fs::remove_file(plain.path(".lock")).unwrap();
    assert_eq!(plain.get("/_/ready").status, 503);
    let answer = python(&[("ready_path", "/not-ready")]).get("/_/ready");
    assert_eq!((answer.status, answer.text()), (418, "warming up"));
}

#[test]
fn a_full_replica_is_not_ready() {
    let watchdog = python(&[("max_inflight", "1"), ("ready_path", "/echo")]);
    let mut running = watchdog.connect();
    running.write_all(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    watchdog.logged("hanging");
    assert_eq!(watchdog.get("/_/ready").status, 429);
    assert_eq!(watchdog.get("/").status, 429);
    drop(running);
    until("room again", || (watchdog.get("/_/ready").status == 200).then_some(()));
}

#[test]
fn handler_output_is_logged_with_a_prefix_or_without() {
    let watchdog = python(&[]);
    watchdog.get("/log");
    assert_eq!(watchdog.logged(" stdout: "), "to stdout");
    assert_eq!(watchdog.logged(" stderr: "), "to stderr");
    let plain = python(&[("prefix_logs", "false")]);
    plain.get("/log");
    plain.logged("to stderr");
    until("both lines", || {
        let log = plain.log();
        ["to stdout", "to stderr"].iter().all(|text| log.lines().any(|line| line == *text)).then_some(())
    });
}

#[test]
fn call_ids_are_logged_on_request_and_probes_never() {
    let watchdog = python(&[("log_callid", "true")]);
    watchdog.send("GET", "/probe", "User-Agent: kube-probe/1.30\r\n", b"");
    watchdog.send("GET", "/call", "X-Call-Id: abc\r\n", b"");
    assert!(watchdog.logged("GET /call - ").ends_with("s) [abc]"));
    assert!(!watchdog.log().contains("/probe"));
}

#[test]
fn a_handler_that_dies_ends_a_supervised_watchdog() {
    for code in ["1", "0"] {
        let mut watchdog = python(&[]);
        let answer = watchdog.get(&format!("/exit?{code}"));
        assert_eq!(answer.status, 500);
        assert_eq!(watchdog.said(), format!("failed: handler exited with status {code}\n"));
        assert_eq!(watchdog.exit().code(), Some(1));
    }
}

#[test]
fn a_handler_that_dies_with_an_error_ends_any_watchdog() {
    let variables = [("mode", "http"), ("fprocess", "sh -c exit$IFS$0 7"), ("upstream_url", "unix:/none")];
    let mut watchdog = Watchdog::start(&variables);
    assert_eq!(watchdog.logged("Forked function has terminated: "), "exit status 7");
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn sigterm_reaches_the_handler_at_once() {
    let mut watchdog = python(&[("healthcheck_interval", "1h")]);
    let handler = child(&watchdog);
    assert!(exists(&handler));
    watchdog.signal(Signal::TERM);
    until("the handler gone", || (!exists(&handler)).then_some(()));
    watchdog.control = None;
    watchdog.exit();
}
