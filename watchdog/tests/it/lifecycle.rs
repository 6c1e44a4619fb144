//! The drain sequence of contract 4.1.

use std::io::Write as _;

use rustix::process::Signal;

use crate::harness::{Watchdog, read_answer, until};

#[test]
fn running_requests_finish_and_health_is_bad_meanwhile() {
    let mut watchdog = Watchdog::start(&[("fprocess", "cat"), ("healthcheck_interval", "500ms")]);
    let mut running = watchdog.connect();
    running
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nx")
        .unwrap();
    watchdog.logged("Forking fprocess.");
    watchdog.signal(Signal::TERM);
    watchdog.logged("SIGTERM: no new connections in 500ms");
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
fn requests_over_write_timeout_are_cut_off() {
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
fn idle_connections_do_not_hold_the_exit() {
    let mut watchdog = Watchdog::start(&[("fprocess", "cat"), ("healthcheck_interval", "0")]);
    let _silent = watchdog.connect();
    let mut idle = watchdog.connect();
    idle.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").unwrap();
    watchdog.logged("Wrote 1 Bytes");
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.exit().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let mut watchdog = Watchdog::start(&[("fprocess", "cat"), ("healthcheck_interval", "1h")]);
    watchdog.signal(Signal::TERM);
    watchdog.logged("SIGTERM: no new connections in 1h0m0s");
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn no_lock_file_when_suppressed() {
    let watchdog = crate::harness::Watchdog::ready(&[("fprocess", "cat"), ("suppress_lock", "true")], &[]);
    assert!(!watchdog.path(".lock").exists());
    assert_eq!(watchdog.get("/_/health").status, 503, "as the peers have it: health looks for the file");
    until("still served", || (watchdog.post(b"x").status == 200).then_some(()));
}
