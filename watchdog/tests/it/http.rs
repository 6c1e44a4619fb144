//! Mode `http` before a small Python server: what goes beyond the rows of the contract.

use std::io::{Read as _, Write as _};

use crate::harness::{Watchdog, until};

/// From the package's folder, in which cargo runs its tests.
pub(crate) const SERVER: &str = "tests/it/server.py";

pub(crate) fn python(more: &[(&str, &str)]) -> Watchdog {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("up");
    let process = format!("/usr/bin/python3 -u {SERVER} {}", socket.display());
    let url = format!("unix:{}", socket.display());
    let own = [("mode", "http"), ("fprocess", process.as_str()), ("upstream_url", url.as_str())];
    let mut watchdog = Watchdog::ready(&[&own, more].concat(), &[]);
    watchdog.keep = Some(folder);
    watchdog
}

pub(crate) fn child(watchdog: &Watchdog) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", watchdog.pid())).unwrap().flatten();
    let children: String =
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok()).collect();
    children.trim().to_owned()
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
fn an_answer_over_its_time_is_cut_off() {
    let watchdog = python(&[("exec_timeout", "2s")]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("begun"), "{text}");
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
fn a_handler_that_dies_ends_a_supervised_watchdog() {
    for code in ["1", "0"] {
        let mut watchdog = python(&[]);
        let answer = watchdog.get(&format!("/exit?{code}"));
        assert_eq!(answer.status, 500);
        assert_eq!(watchdog.said(), format!("failed: handler exited with status {code}\n"));
        assert_eq!(watchdog.exit().code(), Some(1));
    }
}
