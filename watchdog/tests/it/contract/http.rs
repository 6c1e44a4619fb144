//! Contract 4.3: mode `http`, before a small Python server.

use std::io::{Read as _, Write as _};

use rustix::process::Signal;

use super::Expect::{Body, Duration, Logged, NoHeader, Status};
use super::Handler::Python;
use super::{get, send};
use crate::harness::{Answer, Watchdog, exists, read_answer, until};
use crate::http::{SERVER, child, python};

rows! {
    row_4_3_http_answers_are_copied: Python, [], send("POST", "/echo", "", "x")
        => Status(200), Body("x"), Duration, NoHeader("x-faas-fault");
    row_4_3_http_redirects_are_not_followed: Python, [], get("/redirect")
        => Status(302), Body("elsewhere");
    row_4_3_http_probes_of_other_names_are_logged: Python, [], send("GET", "/", "User-Agent: probe\r\n", "")
        => Logged("GET / - 201 Created");
    row_4_3_http_log_call_id: Python, [log_call_id = "1"], send("GET", "/", "X-Call-Id: abc\r\n", "")
        => Logged("s) [abc]");
    row_4_3_http_log_buffer_size: Python, [log_buffer_size = "4"], get("/log")
        => Logged("stdout: to s"), Logged("stdout: tdou"), Logged("stderr: to s");
}

#[test]
fn row_4_3_http_passes_method_uri_host_headers_and_body_and_logs_it() {
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
fn row_4_3_http_every_request_has_its_line_soon_and_before_the_end() {
    let mut watchdog = python(&[("healthcheck_interval", "0")]);
    let mut paths: Vec<_> = (0..300).map(|number| format!("/{number}")).collect();
    for path in &paths {
        assert_eq!(watchdog.get(path).status, 201);
    }
    watchdog.logged("GET /299 - 201 Created");
    // By then nobody gathers lines any more.
    std::thread::sleep(std::time::Duration::from_millis(50));
    for path in ["/once-more", "/last"] {
        paths.push(path.to_owned());
        assert_eq!(watchdog.get(path).status, 201);
    }
    watchdog.logged("GET /last - 201 Created");
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.exit().code(), Some(0));
    watchdog.logged("Exiting. Active connections");
    let log = watchdog.log();
    let logged = log.lines().filter_map(|line| line.split_once(" GET ")?.1.split_once(" - 201 Created"));
    assert_eq!(logged.map(|line| line.0).collect::<Vec<_>>(), paths);
}

#[test]
fn row_4_3_http_upstream_url_wins_and_is_reached_over_tcp() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = format!("/usr/bin/python3 -u {SERVER} {port}");
    let url = format!("http://127.0.0.1:{port}");
    let variables = [
        ("mode", "http"),
        ("fprocess", "false"),
        ("function_process", process.as_str()),
        ("upstream_url", "unix:/none"),
        ("http_upstream_url", url.as_str()),
    ];
    let watchdog = Watchdog::start(&variables);
    until("the handler up", || (watchdog.get("/").status == 201).then_some(()));
    assert_eq!(watchdog.send("POST", "/echo", "", b"hello").text(), "hello");
}

#[test]
fn row_4_3_http_buffer_http_and_http_buffer_req_body() {
    let chunked = |watchdog: &Watchdog| -> Answer {
        let mut stream = watchdog.connect();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}3\r\nabc\r\n0\r\n\r\n").as_bytes()).unwrap();
        read_answer(stream)
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
fn row_4_3_http_errors_timeout_504() {
    let watchdog = python(&[("exec_timeout", "2s")]);
    let answer = watchdog.get("/hang");
    assert_eq!((answer.status, answer.text()), (504, ""));
    assert_eq!(answer.header("x-openfaas-internal"), Some("of-watchdog"));
    assert_eq!(answer.header("x-faas-fault"), Some("handler; no answer within 2s"));
    assert!(answer.header("x-duration-seconds").is_some());
    assert_eq!(watchdog.get("/").status, 201, "others go on");
}

#[test]
fn row_4_3_http_x_timeout_shortens_but_never_lengthens() {
    let watchdog = python(&[("exec_timeout", "1s")]);
    for (asked, fault) in
        [("200ms", "handler; no answer within 200ms"), ("1h", "handler; no answer within 1s")]
    {
        let answer = watchdog.send("GET", "/hang", &format!("X-Timeout: {asked}\r\n"), b"");
        assert_eq!((answer.status, answer.header("x-faas-fault")), (504, Some(fault)), "{asked}");
    }
}

#[test]
fn row_4_3_http_errors_no_http_500() {
    let watchdog = python(&[]);
    let answer = watchdog.get("/garbage");
    assert_eq!((answer.status, answer.text()), (500, ""));
    assert_eq!(answer.header("x-openfaas-internal"), Some("of-watchdog"));
    assert!(answer.header("x-faas-fault").unwrap().starts_with("handler; "));
    assert!(answer.header("x-duration-seconds").is_some());
    assert_eq!(watchdog.get("/").status, 201);
}

#[test]
fn row_4_3_http_errors_nothing_listening_500() {
    let variables = [("mode", "http"), ("fprocess", "sleep 300"), ("upstream_url", "http://127.0.0.1:1")];
    let answer = Watchdog::start(&variables).get("/");
    assert_eq!((answer.status, answer.header("x-openfaas-internal")), (500, Some("of-watchdog")));
}

#[test]
fn row_4_3_http_websockets_last_beyond_exec_timeout() {
    let watchdog = python(&[("exec_timeout", "2s")]);
    let mut stream = watchdog.connect();
    let head = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(watchdog.get("/hang").status, 504, "as much time has passed");
    stream.write_all(b"through the tunnel\n").unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 101") && text.ends_with("through the tunnel\n"), "{text}");
}

#[test]
fn row_4_3_http_prefix_logs() {
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
fn row_4_3_http_log_callid_and_no_probes() {
    let watchdog = python(&[("log_callid", "true")]);
    watchdog.send("GET", "/probe", "User-Agent: kube-probe/1.30\r\n", b"");
    watchdog.send("GET", "/call", "X-Call-Id: abc\r\n", b"");
    assert!(watchdog.logged("GET /call - ").ends_with("s) [abc]"));
    assert!(!watchdog.log().contains("/probe"));
}

#[test]
fn row_4_3_http_a_child_dying_with_an_error_ends_the_watchdog() {
    let variables = [("mode", "http"), ("fprocess", "sh -c exit$IFS$0 7"), ("upstream_url", "unix:/none")];
    let mut watchdog = Watchdog::start(&variables);
    assert_eq!(watchdog.logged("Forked function has terminated: "), "exit status 7");
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn row_4_3_http_sigterm_is_passed_to_the_child_at_once() {
    let mut watchdog = python(&[("healthcheck_interval", "1h")]);
    let handler = child(&watchdog);
    assert!(exists(&handler));
    watchdog.signal(Signal::TERM);
    until("the handler gone", || (!exists(&handler)).then_some(()));
    watchdog.control = None;
    watchdog.exit();
}

#[test]
fn row_4_3_http_a_child_leaving_without_an_error_does_not_end_the_watchdog() {
    let variables = [("mode", "http"), ("fprocess", "sleep 0"), ("upstream_url", "unix:/none")];
    let watchdog = Watchdog::start(&variables);
    until("the child gone", || (!exists(&child(&watchdog))).then_some(()));
    assert_eq!((watchdog.get("/_/health").status, watchdog.get("/").status), (200, 500));
}

#[test]
fn row_4_3_http_event_streams_last_beyond_exec_timeout() {
    for kind in ["text/event-stream", "application/x-ndjson"] {
        let watchdog = python(&[("exec_timeout", "2s")]);
        let mut stream = watchdog.connect();
        let head = format!("GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: {kind}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        watchdog.logged("late");
        assert_eq!(watchdog.get("/hang").status, 504, "as much time has passed");
        assert_eq!(watchdog.get("/release").status, 200);
        let answer = read_answer(stream);
        assert_eq!((answer.status, answer.text()), (200, "late"), "{kind}");
    }
}
