//! What an invocation may rely on: streaming, timeouts, updates without a failed request.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use faas_testing::{Options, Platform, wait_for};

use crate::isolation::deploy;
use crate::wire::{digest, package};

/// Calls a function from four clients while `change` goes on; an answer but 200 and the payload fails the test. How many
/// there were.
fn answered_during(platform: &Platform, function: &str, change: impl FnOnce(&dyn Fn())) -> usize {
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let path = format!("/function/{function}");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let http = platform.http();
                while !stop.load(Ordering::Relaxed) {
                    let answer = http.post(&path, b"payload");
                    assert!(answer.status == 200 && answer.text().ends_with("payload"), "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        change(&|| {
            let before = answered.load(Ordering::Relaxed);
            wait_for("more answers", || (answered.load(Ordering::Relaxed) > before + 4).then_some(()));
        });
        stop.store(true, Ordering::Relaxed);
    });
    answered.into_inner()
}

#[test]
fn updates_and_scaling_under_load_fail_no_request() {
    let platform = Platform::start();
    deploy(&platform, "busy", "cat", "");
    let faas = platform.login();
    let answered = answered_during(&platform, "busy", |more_answers| {
        for round in 0..5 {
            platform.write("busy/handler.sh", &format!("#!/bin/bash\n# {round}\ncat\n"));
            faas.run(&["up", "-f", "busy.yml"]).success();
            for replicas in [2, 0, 1] {
                let scale = serde_json::json!({ "replicas": replicas });
                let path = "/system/scale-function/busy";
                assert_eq!(platform.admin().json("POST", path, &scale).status, 202);
                more_answers();
            }
        }
    });
    assert!(answered > 50, "only {answered:?} requests were tried");
}

#[test]
fn a_hundred_rolling_updates_under_load_fail_no_request() {
    let platform = Platform::start();
    deploy(&platform, "rolling", "printf '%s ' \"$ROUND\"; cat", "");
    let admin = platform.admin();
    let mut deployment: serde_json::Value =
        serde_json::from_slice(&admin.get("/system/function/rolling").body).unwrap();
    deployment["service"] = deployment["name"].take();
    let processes = || platform.processes().len();
    let before = processes();
    let answered = answered_during(&platform, "rolling", |_| {
        let http = platform.http();
        for round in 0..100 {
            deployment["envVars"]["ROUND"] = round.to_string().into();
            let answer = admin.json("PUT", "/system/functions", &deployment);
            assert_eq!(answer.status, 202, "{}", answer.text());
            let expected = format!("{round} x");
            wait_for("an answer of the new revision", || {
                (http.post("/function/rolling", b"x").text() == expected).then_some(())
            });
        }
    });
    assert!(answered > 500, "only {answered:?} requests were tried");
    eprintln!("{answered} requests during a hundred updates, none failed");
    wait_for("the last revision alone", || (processes() <= before).then_some(()));
}

#[test]
fn a_function_over_its_timeout_is_ended() {
    let platform = Platform::start();
    deploy(&platform, "slow", "sleep 60; echo late", "    environment:\n      exec_timeout: 2s\n");
    let answer = platform.http().post("/function/slow", b"");
    assert_eq!((answer.status, answer.text().as_str()), (408, "Killed process."));
    assert!(answer.header("x-faas-fault").starts_with("handler"), "{:?}", answer.headers);
    wait_for("the handler to be gone", || {
        platform.processes().iter().all(|(_, command)| !command.contains("sleep 60")).then_some(())
    });
}

#[test]
fn a_watchdog_that_hangs_is_given_up_by_the_gateway() {
    let platform = Platform::start();
    deploy(&platform, "stuck", "cat", "    environment:\n      exec_timeout: 3s\n");
    assert_eq!(platform.http().post("/function/stuck", b"1").text(), "1");
    let watchdog =
        platform.processes().iter().find(|(_, command)| command.contains("faas-watchdog")).unwrap().0;
    let pid = rustix::process::Pid::from_raw(watchdog).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let answer = platform.http().post("/function/stuck", b"2");
    assert_eq!((answer.status, answer.text().as_str()), (502, ""));
    assert_eq!(answer.header("x-openfaas-internal"), "proxy");
    assert!(answer.header("x-faas-fault").ends_with("no answer within 3s"), "{:?}", answer.headers);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
}

#[test]
fn many_callers_wake_a_function_once() {
    let platform = Platform::start();
    deploy(&platform, "asleep", "cat", "");
    let scale = |replicas: u32| {
        let body = serde_json::json!({ "replicas": replicas });
        assert_eq!(platform.admin().json("POST", "/system/scale-function/asleep", &body).status, 202);
    };
    for _ in 0..5 {
        scale(0);
        wait_for("no replica", || platform.processes().is_empty().then_some(()));
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| assert_eq!(platform.http().post("/function/asleep", b"hey").text(), "hey"));
            }
        });
        let watchdogs =
            platform.processes().iter().filter(|(_, line)| line.contains("faas-watchdog")).count();
        assert_eq!(watchdogs, 1);
    }
}

#[test]
fn metrics_count_what_was_invoked_and_nothing_else() {
    let platform = Platform::start();
    deploy(&platform, "counted", "cat", "");
    for _ in 0..3 {
        assert_eq!(platform.http().post("/function/counted", b"x").status, 200);
    }
    assert_eq!(platform.http().post("/function/unknown", b"x").status, 404);
    let admin = platform.admin_listener();
    assert_eq!((admin.get("/healthz").text().as_str(), admin.get("/readyz").status), ("OK", 200));
    let metrics = admin.get("/metrics").text();
    for line in [
        "gateway_function_invocation_total{code=\"200\",function_name=\"counted.openfaas-fn\"} 3",
        "gateway_function_invocation_started{function_name=\"counted.openfaas-fn\"} 3",
        "gateway_functions_seconds_count{code=\"200\",function_name=\"counted.openfaas-fn\"} 3",
        "gateway_function_invocation_inflight{function_name=\"counted.openfaas-fn\"} 0",
        "gateway_service_count{function_name=\"counted.openfaas-fn\"} 1",
        "gateway_service_min{function_name=\"counted.openfaas-fn\"} 1",
        "gateway_service_target_load{function_name=\"counted.openfaas-fn\",scaling_type=\"rps\"} 50",
        "faas_upstream_first_byte_seconds_count 3",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("unknown"), "{metrics}");
    let load: serde_json::Value = serde_json::from_slice(&admin.get("/load").body).unwrap();
    let counted = &load["counted.openfaas-fn"];
    assert_eq!((&counted["started_total"], &counted["in_flight"]), (&3.into(), &0.into()), "{load}");
    assert!(counted["last_used"].as_u64().unwrap() > 1_700_000_000_000, "{load}");
    assert!(platform.http().get("/metrics").status == 404, "metrics are not on the product's port");
}

/// Answers with a first part before it has read the request's body, and with a second one after.
const DUPLEX: &str = r#"#!/usr/bin/python3
import os, socket
server = socket.socket(socket.AF_UNIX)
server.bind(os.environ["FAAS_HTTP_SOCKET"])
server.listen()
while True:
    connection, _ = server.accept()
    lines = connection.makefile("rb")
    while (line := lines.readline()) not in (b"", b"\r\n"):
        pass
    if line:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
        while (line := lines.readline()) not in (b"", b"0\r\n"):
            pass
        connection.sendall(b"7\r\nsecond\n\r\n0\r\n\r\n")
    connection.close()
"#;

#[test]
fn bodies_stream_both_ways_at_once() {
    let platform = Platform::start();
    let manifest = r#"{"version": 1, "runtime": "binary", "handler": "serve", "signature": "http"}"#;
    let zip = package(&[("faas.json", manifest), ("function/serve", DUPLEX)]);
    let digest = digest(&zip);
    assert_eq!(platform.admin().send("PUT", &format!("/system/packages/{digest}"), &[], &zip).status, 201);
    let function = serde_json::json!({"service": "duplex", "package": digest});
    assert_eq!(platform.admin().json("POST", "/system/functions", &function).status, 202);
    let mut stream = TcpStream::connect(platform.url.trim_start_matches("http://")).unwrap();
    let head = "POST /function/duplex HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut until = |part: &str| {
        let mut line = String::new();
        while line != part {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the answer ended before {part:?}");
        }
    };
    until("first\n");
    stream.write_all(b"0\r\n\r\n").unwrap();
    until("second\n");
}

#[test]
fn a_slow_upload_holds_up_nobody_else() {
    let platform = Platform::start();
    deploy(&platform, "deaf", "echo answered", "");
    let mut slow = TcpStream::connect(platform.url.trim_start_matches("http://")).unwrap();
    slow.write_all(b"POST /function/deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\npart").unwrap();
    let mut line = String::new();
    BufReader::new(slow.try_clone().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    // Its answer has ended, its request has not: the connection behind it must not be anybody else's.
    for _ in 0..20 {
        assert_eq!(platform.http().get("/function/deaf").text(), "answered\n");
        assert_eq!(over_ten_seconds(&platform), 0);
    }
    drop(slow);
}

/// Invocations that took longer than ten seconds, by the gateway's own histogram.
fn over_ten_seconds(platform: &Platform) -> u64 {
    let metrics = platform.admin_listener().get("/metrics").text();
    let value = |bound: &str| {
        let part = format!(
            "gateway_functions_seconds_bucket{{code=\"200\",function_name=\"deaf.openfaas-fn\",le=\"{bound}\"}} "
        );
        metrics.lines().find_map(|line| line.strip_prefix(&part)?.parse::<u64>().ok()).unwrap_or_default()
    };
    value("+Inf") - value("10")
}

#[test]
fn a_chunked_request_reaches_an_http_handler_whole() {
    let platform = Platform::start();
    let faas = platform.login();
    faas.run(&["new", "--lang", "node", "ticker"]).success();
    platform.write(
        "ticker/handler.js",
        "module.exports = async (event, context) => context.succeed(event.body)\n",
    );
    faas.run(&["up", "-f", "ticker.yml"]).success();
    let mut stream = TcpStream::connect(platform.url.trim_start_matches("http://")).unwrap();
    stream
        .write_all(
            b"POST /function/ticker HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        )
        .unwrap();
    stream.write_all(b"6\r\n world\r\n0\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    assert_eq!(String::from_utf8_lossy(&body), "hello world");
}

#[test]
fn a_large_body_streams_with_flat_memory() {
    let platform = Platform::start();
    deploy(&platform, "sink", "wc -c", "");
    assert_eq!(platform.http().post("/function/sink", b"12").text().trim(), "2");
    let before = resident_bytes(platform.pid());
    let bytes: u64 = 512 << 20;
    let mut stream = TcpStream::connect(platform.url.trim_start_matches("http://")).unwrap();
    write!(stream, "POST /function/sink HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n").unwrap();
    let chunk = vec![b'x'; 1 << 20];
    let mut most = 0;
    for _ in 0..bytes >> 20 {
        stream.write_all(&chunk).unwrap();
        most = most.max(resident_bytes(platform.pid()));
    }
    let mut text = String::new();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains(&bytes.to_string()), "{text}");
    assert!(most < before + (32 << 20), "{before} bytes became {most}");
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_caller_that_leaves_ends_its_handler() {
    let platform = Platform::start();
    deploy(&platform, "left", "sleep 61", "");
    let mut stream = TcpStream::connect(platform.url.trim_start_matches("http://")).unwrap();
    write!(stream, "POST /function/left HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    let running = || platform.processes().iter().any(|(_, command)| command.contains("handler.sh"));
    wait_for("the handler to run", || running().then_some(()));
    drop(stream);
    wait_for("the handler to be killed", || (!running()).then_some(()));
}

#[test]
fn the_access_log_has_a_line_for_each_request_and_no_query() {
    let variables = vec![("access_log".to_owned(), "true".to_owned())];
    let platform = Platform::start_with(Options { variables });
    deploy(&platform, "logged", "cat", "");
    let http = platform.http();
    let call_id = http.post("/function/logged/a?key=secret", b"x").header("x-call-id").to_owned();
    assert_eq!(http.get("/function/absent").status, 404);
    assert_eq!(http.get("/system/functions").status, 401);
    let log = || std::fs::read_to_string(platform.folder.path().join("serve.log")).unwrap();
    let line = |path: &str| log().lines().find(|line| line.contains(path)).map(str::to_owned);
    let ours = wait_for("the invocation's line", || line("path=\"/function/logged/a\""));
    for part in [call_id.as_str(), "method=POST", "status=200", "elapsed_ms=", "client=\"127.0.0.1:"] {
        assert!(ours.contains(part), "{part}: {ours}");
    }
    let absent = wait_for("the refusal's line", || line("path=\"/function/absent\""));
    assert!(absent.contains("status=404") && absent.contains("fault=\"client\""), "{absent}");
    let api = wait_for("the API's line", || line("path=\"/system/functions\""));
    assert!(api.contains("status=401") || api.contains("status=20"), "{api}");
    assert!(!log().contains("key="));
}
