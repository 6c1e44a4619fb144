//! How it ends, beyond the rows of contract 4.1.

use std::io::Write as _;

use rustix::process::Signal;

use crate::harness::Watchdog;

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
