//! Under `faas serve`: readiness, failures and the supervisor's end, over the control socket.

use rustix::process::Signal;

use crate::harness::{Watchdog, exists, script, until};

const ESCAPING: &str = "#!/bin/sh\nsetsid sh -c 'echo $$; exec sleep 300 > /dev/null 2>&1' &";

#[test]
fn it_serves_on_a_socket_once_ready() {
    let watchdog = Watchdog::ready(&[("fprocess", "cat")], &[]);
    assert_eq!(watchdog.post(b"hello").text(), "hello");
}

#[test]
fn a_stale_socket_is_replaced() {
    let watchdog = Watchdog::ready(&[("fprocess", "cat")], &[]);
    let socket = watchdog.path("s");
    let mut second = Watchdog::supervised(&[("fprocess", "cat")], &["--socket", socket.to_str().unwrap()]);
    assert_eq!(second.said(), "ready\n");
    assert_eq!(watchdog.post(b"x").text(), "x", "whoever connects now reaches the second");
    second.logged("Forking fprocess.");
}

#[test]
fn handlers_work_in_the_given_folder_and_never_see_the_control_socket() {
    let watchdog =
        Watchdog::ready(&[("fprocess", "sh -c pwd;ls$IFS-l$IFS/proc/self/fd")], &["--directory", "/usr/bin"]);
    let answer = watchdog.get("/");
    assert!(answer.text().starts_with("/usr/bin\n"), "{}", answer.text());
    assert!(!answer.text().contains("socket:"), "{}", answer.text());
}

#[test]
fn the_end_of_the_supervisor_ends_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(&folder.path().join("h"), ESCAPING);
    let mut watchdog = Watchdog::ready(&[("fprocess", &path)], &[]);
    let escaped = watchdog.get("/").text().to_owned();
    assert!(exists(&escaped));
    watchdog.control = None;
    assert_eq!(watchdog.exit().code(), Some(1));
    assert!(!exists(&escaped), "it was to be gone before the watchdog");
}

#[test]
fn the_end_of_the_supervisor_ends_a_drain() {
    let mut watchdog = Watchdog::ready(&[("fprocess", "cat"), ("healthcheck_interval", "1h")], &[]);
    watchdog.signal(Signal::TERM);
    watchdog.logged("SIGTERM: no new connections");
    watchdog.control = None;
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn sigterm_drains() {
    let mut watchdog = Watchdog::ready(&[("fprocess", "cat"), ("healthcheck_interval", "0")], &[]);
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.exit().code(), Some(0));
    assert!(!watchdog.path("s").exists());
    assert_eq!(watchdog.said(), "", "nothing failed");
}

#[test]
fn failures_to_start_are_told() {
    for (variables, reason) in [
        (&[("fprocess", "no-such-program")][..], "failed: fprocess \"no-such-program\" was not found"),
        (&[("mode", "nope"), ("fprocess", "cat")], "failed: unknown watchdog mode: nope\n"),
        (
            &[("mode", "http"), ("fprocess", "false"), ("upstream_url", "unix:/nonexistent")],
            "failed: handler exited with status 1\n",
        ),
        (
            &[("mode", "http"), ("fprocess", "true"), ("upstream_url", "unix:/nonexistent")],
            "failed: handler exited with status 0\n",
        ),
        (
            &[
                ("mode", "http"),
                ("fprocess", "sleep 300"),
                ("upstream_url", "unix:/nonexistent"),
                ("ready_timeout", "300ms"),
            ],
            "failed: not ready in 300ms\n",
        ),
    ] {
        let mut watchdog = Watchdog::supervised(variables, &[]);
        let said = watchdog.said();
        assert!(said.starts_with(reason), "{said}");
        assert_ne!(watchdog.exit().code(), Some(0));
    }
}

#[test]
fn memory_can_be_limited() {
    let limit = (64 * 1024 * 1024).to_string();
    let watchdog = Watchdog::ready(&[("fprocess", "cat /proc/self/limits")], &["--data-limit", &limit]);
    let answer = watchdog.get("/");
    let line = answer.text().lines().find(|line| line.starts_with("Max data size")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some(limit.as_str()), "{line}");
}

#[test]
fn the_cgroup_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cgroup.procs");
    std::fs::write(&file, "").unwrap();
    let _watchdog = Watchdog::ready(&[("fprocess", "cat")], &["--cgroup", file.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "0");
}

#[test]
fn a_cgroup_that_is_not_there_is_a_failure() {
    let mut watchdog =
        Watchdog::supervised(&[("fprocess", "cat")], &["--cgroup", "/nonexistent/cgroup.procs"]);
    let said = watchdog.said();
    assert!(said.starts_with("failed: cannot enter the cgroup /nonexistent/cgroup.procs"), "{said}");
}

#[test]
fn a_supervisor_that_kills_the_watchdog_is_not_confused() {
    let mut watchdog = Watchdog::ready(&[("fprocess", "cat")], &[]);
    watchdog.signal(Signal::KILL);
    until("the end of the control socket", || watchdog.said().is_empty().then_some(()));
}
