//! How it ends, beyond the rows of contract 4.1.

use std::io::Write as _;

use rustix::process::Signal;

use crate::contract::of_watchdog::site;
use crate::harness::{Watchdog, until};

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
fn a_file_that_cannot_be_read_yet_does_not_hold_the_exit() {
    let mut watchdog = site(&[("healthcheck_interval", "0"), ("write_timeout", "200ms")]);
    let pipe = watchdog.keep.as_ref().unwrap().path().join("public/pipe");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let mut waiting = watchdog.connect();
    waiting.write_all(b"GET /pipe HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let wait = format!("/proc/{}/task", watchdog.pid());
    until("a thread for the file", || (std::fs::read_dir(&wait).unwrap().count() > 2).then_some(()));
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.exit().code(), Some(0));
    assert_eq!(watchdog.logged("Exiting. Active connections: "), "1");
}
