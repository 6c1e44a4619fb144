//! Contract 4.1: what both watchdogs have in common.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Expect::{Body, Logged, Status};
use super::Handler::Run;
use super::{get, post, send};
use crate::fork::shell;
use crate::harness::{Watchdog, binary, outcome, read_answer, until};

const TIMEOUTS: &str = "Timeouts: read: 30s write: 30s hard: 0s health: 30s.";

rows! {
    row_4_1_timeouts_are_30s: Run("cat"), [], post("") => Logged(TIMEOUTS);
    row_4_1_durations_are_gos_or_seconds:
        Run("cat"), [read_timeout = "5", write_timeout = "1m5s", exec_timeout = "1.5s"], post("")
        => Logged("Timeouts: read: 5s write: 1m5s hard: 1.5s health: 1m5s.");
    row_4_1_healthcheck_interval: Run("cat"), [healthcheck_interval = "7"], post("")
        => Logged("write: 30s hard: 0s health: 7s.");
    row_4_1_max_inflight_0_is_unlimited: Run("cat"), [max_inflight = "0"], post("x") => Status(200), Body("x");
    row_4_1_health_200_ok: Run("cat"), [], get("/_/health") => Status(200), Body("OK");
    row_4_1_health_post_405: Run("cat"), [], send("POST", "/_/health", "", "") => Status(405);
    row_4_1_health_delete_405: Run("cat"), [], send("DELETE", "/_/health", "", "") => Status(405);
    row_4_1_suppress_lock: Run("cat"), [suppress_lock = "true"], get("/_/health")
        => Status(503), Logged("Warning: \"suppress_lock\" is enabled");
    row_4_1_jwt_auth_debug_alone_is_harmless: Run("cat"), [jwt_auth_debug = "true"], post("x") => Status(200);
    row_4_1_jwt_auth_false_is_harmless: Run("cat"), [jwt_auth = "false", jwt_auth_local = "0"], post("x")
        => Status(200);
    row_4_1_startup_log_version: Run("cat"), [], post("") => Logged("Version: v"), Logged("\tSHA: ");
    row_4_1_startup_log_lock_file: Run("cat"), [], post("") => Logged("Writing lock-file to: ");
}

refusals! {
    row_4_1_jwt_auth_refused: [fprocess = "cat", jwt_auth = "true"]
        => "jwt_auth is not supported by this watchdog: unset it";
    row_4_1_jwt_auth_local_refused: [fprocess = "cat", mode = "streaming", jwt_auth_local = "1"]
        => "jwt_auth_local is not supported by this watchdog: unset it";
    row_4_1_port_that_is_none: [fprocess = "cat", port = "http"] => "port: \"http\" is not a port number";
}

/// Other processes may hold the fixed ports here: then the refusal names them.
fn takes_or_names(variable: &str, taken: &str, refused: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.env("fprocess", "cat").env("TMPDIR", folder.path()).env("port", "0").env_remove(variable);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = String::new();
    let mut pipe = child.stderr.take().unwrap();
    let mut piece = [0; 256];
    while !log.contains(taken) && !log.contains(refused) {
        let read = pipe.read(&mut piece).unwrap();
        assert!(read > 0, "{taken}: {log}");
        log += std::str::from_utf8(&piece[..read]).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn row_4_1_port_8080_unless_set() {
    takes_or_names("port", "Listening on port: 8080\n", "cannot listen on port 8080: ");
}

#[test]
fn row_4_1_metrics_on_8081() {
    takes_or_names(
        "metrics_port",
        "Metrics listening on port: 8081\n",
        "cannot listen on metrics_port 8081: ",
    );
}

#[test]
fn row_4_1_port() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("port", &port)]);
    assert_eq!(watchdog.logged("Listening on port: "), port);
    assert_eq!(watchdog.post(b"x").status, 200);
}

#[test]
fn row_4_1_metrics_path() {
    // The port is chosen here since the watchdog takes 0 for off.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("metrics_port", &port.to_string())]);
    assert_eq!(watchdog.post(b"x").status, 200);
    let fetch = |path: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        read_answer(stream)
    };
    let counted = "http_requests_total{code=\"200\",method=\"post\"} 1";
    until("the request counted", || fetch("/metrics").text().contains(counted).then_some(()));
    assert_eq!(fetch("/").status, 404);
}

#[test]
fn row_4_1_read_timeout_of_a_head() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("read_timeout", "200ms")]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHos").unwrap();
    let (start, mut answer) = (Instant::now(), String::new());
    stream.read_to_string(&mut answer).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "the variable counts, not the default of 30s");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn row_4_1_health_without_its_lock_file_503() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    std::fs::remove_file(watchdog.path(".lock")).unwrap();
    assert_eq!(watchdog.get("/_/health").status, 503);
}

#[test]
fn row_4_1_lock_file_after_listen_with_mode_0660() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap();
    let umask = u32::from_str_radix(umask.trim(), 8).unwrap();
    let mode = std::fs::metadata(watchdog.path(".lock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660 & !umask);
    let log = watchdog.log();
    assert!(log.find("Listening on port: ") < log.find("Writing lock-file to: "), "{log}");
}

#[test]
fn row_4_1_suppressed_lock_is_not_written() {
    // Supervised, since otherwise nothing says when it would have been there.
    let watchdog = Watchdog::ready(&[("fprocess", "cat"), ("suppress_lock", "true")], &[]);
    assert!(!watchdog.path(".lock").exists());
    assert_eq!(watchdog.post(b"x").status, 200);
}

#[test]
fn row_4_1_flag_run_healthcheck() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let check = || outcome(binary().arg("-run-healthcheck").env("TMPDIR", watchdog.folder.path()));
    assert_eq!(check().0, Some(0));
    std::fs::remove_file(watchdog.path(".lock")).unwrap();
    assert_eq!(check(), (Some(1), String::new(), "unable to find lock file.\n".to_owned()));
}

#[test]
fn row_4_1_flag_version() {
    for flag in ["-version", "-v", "--version"] {
        let (code, out, _) = outcome(binary().arg(flag));
        assert!(code == Some(0) && out.starts_with("Version: v") && out.contains("\tSHA: "), "{out}");
    }
}

#[test]
fn row_4_1_header_limit_1_mib() {
    let watchdog = Watchdog::start(&[("fprocess", "true"), ("cgi_headers", "false")]);
    let header = |size: usize| format!("X-Large: {}\r\n", "a".repeat(size));
    assert_eq!(watchdog.send("GET", "/", &header(1_000_000), b"").status, 200);
    assert_eq!(watchdog.send("GET", "/", &header(3_000_000), b"").status, 431);
}

#[test]
fn row_4_1_max_inflight_429() {
    let watchdog = shell("echo > $TMPDIR/up; cat", &[("max_inflight", "1")]);
    let mut running = watchdog.connect();
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n";
    running.write_all(head.as_bytes()).unwrap();
    until("the first running", || watchdog.path("up").exists().then_some(()));
    let answer = watchdog.get("/");
    let body = "Concurrent request limit exceeded. Max concurrent requests: 1\n";
    assert_eq!((answer.status, answer.text()), (429, body));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.header("x-openfaas-internal"), Some("faas-middleware"));
    assert_eq!(watchdog.get("/_/health").status, 200, "not counted");
    running.write_all(b"1\r\ny\r\n0\r\n\r\n").unwrap();
    assert_eq!(read_answer(running).text(), "xy");
    assert_eq!(watchdog.get("/").status, 200);
}

#[test]
fn row_4_1_shutdown_on_sigterm() {
    let mut watchdog = Watchdog::start(&[("fprocess", "cat"), ("healthcheck_interval", "3s")]);
    let mut running = watchdog.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nx";
    running.write_all(head.as_bytes()).unwrap();
    watchdog.logged("Forking fprocess.");
    watchdog.signal(Signal::TERM);
    watchdog.logged("SIGTERM: no new connections in 3s");
    assert_eq!(watchdog.get("/_/health").status, 503);
    assert!(!watchdog.path(".lock").exists());
    assert_eq!(watchdog.post(b"still served").text(), "still served");
    assert_eq!(watchdog.logged("No new connections allowed, draining: "), "1 requests");
    running.write_all(b"y").unwrap();
    assert_eq!(read_answer(running).text(), "xy");
    assert_eq!(watchdog.exit().code(), Some(0));
    assert_eq!(watchdog.logged("Exiting. Active connections: "), "0");
}

#[test]
fn row_4_1_shutdown_waits_for_write_timeout_at_most() {
    let variables = [("fprocess", "cat"), ("healthcheck_interval", "0"), ("write_timeout", "200ms")];
    let mut watchdog = Watchdog::start(&variables);
    let mut running = watchdog.connect();
    running.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx").unwrap();
    watchdog.logged("Forking fprocess.");
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.exit().code(), Some(0));
    assert_eq!(watchdog.logged("Exiting. Active connections: "), "1");
}

#[test]
fn row_4_1_log_line_prefix() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    for line in watchdog.log().lines() {
        let digits = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        let prefix: String = digits(line.get(..20).unwrap_or_default());
        assert_eq!(prefix, "9999/99/99 99:99:99 ", "{line}");
    }
}
