//! Mode `fork` beyond the rows of the contract: handlers and callers that misbehave.

use std::io::Write as _;

use rustix::process::Signal;

use crate::harness::{Watchdog, exists, read_answer, script, soak, until};

pub(crate) fn shell(text: &str, more: &[(&str, &str)]) -> Watchdog {
    let folder = tempfile::tempdir().unwrap();
    let path = script(&folder.path().join("handler.sh"), &format!("#!/bin/sh\n{text}\n"));
    let mut watchdog = Watchdog::start(&[&[("fprocess", path.as_str())], more].concat());
    watchdog.keep = Some(folder);
    watchdog
}

pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0_u8..251).cycle().take(size).collect()
}

#[test]
fn an_empty_body_is_an_empty_input() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    assert_eq!(watchdog.get("/").body, b"");
    assert_eq!(watchdog.post(b"").status, 200);
}

#[test]
fn more_headers_are_taken_than_the_gateway_sends() {
    let watchdog = Watchdog::start(&[("fprocess", "env")]);
    let headers = (0..120).map(|index| format!("X-H{index}: v\r\n")).collect::<Vec<_>>().concat();
    let answer = watchdog.send("POST", "/", &headers, b"");
    assert!(answer.status == 200 && answer.text().contains("Http_X_H119=v\n"), "{}", answer.status);
    let headers = (0..150).map(|index| format!("X-H{index}: v\r\n")).collect::<Vec<_>>().concat();
    assert_eq!(watchdog.send("POST", "/", &headers, b"").status, 431);
}

#[test]
fn a_handler_over_its_time_is_killed_with_its_group() {
    let watchdog = shell("sleep 300 & echo $! > $TMPDIR/pid; wait", &[("exec_timeout", "2s")]);
    let answer = watchdog.get("/");
    assert_eq!((answer.status, answer.text()), (408, "Killed process."));
    assert_eq!(answer.header("x-faas-fault"), Some("handler; no answer within 2s"));
    let pid = std::fs::read_to_string(watchdog.path("pid")).unwrap();
    until("its child gone", || (!exists(&pid)).then_some(()));
}

#[test]
fn a_handler_that_closes_its_output_early_is_still_waited_for() {
    let watchdog = shell("exec >&- 2>&-; cat > $TMPDIR/got; exit 7", &[]);
    assert_eq!(watchdog.post(b"x").text(), "exit status 7\n");
    assert_eq!(std::fs::read(watchdog.path("got")).unwrap(), b"x");
}

#[test]
fn large_bodies_go_through_whole() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    for size in [65_536, 1_048_576, 1_048_577, 20_000_000] {
        let (body, watchdog) = (pattern(size), &watchdog);
        assert!(watchdog.post(&body).body == body, "{size}");
    }
    assert_eq!(std::fs::read_dir(watchdog.folder.path()).unwrap().count(), 1, "only the lock file is left");
}

#[test]
fn a_handler_may_ignore_close_or_outrun_its_input() {
    for text in ["true", "exec <&-; echo x", "head -c 10 > /dev/null", "exec 0</dev/null; true"] {
        let watchdog = shell(text, &[]);
        assert_eq!(watchdog.post(&pattern(5_000_000)).status, 200, "{text}");
        assert_eq!(watchdog.post(b"x").status, 200, "{text}");
    }
}

#[test]
fn an_early_answer_reaches_a_caller_who_is_still_sending() {
    let body = pattern(20_000_000);
    let killed = shell("exec sleep 300", &[("exec_timeout", "200ms")]).post(&body);
    assert_eq!((killed.status, killed.text()), (408, "Killed process."));
    let refused = Watchdog::start(&[("fprocess", "cat")]).send("OPTIONS", "/", "", &body);
    assert_eq!(refused.status, 405);
    assert_eq!(shell("echo quick", &[]).post(&body).text(), "quick\n");
}

#[test]
fn a_failing_handler_with_large_output_tells_both() {
    let answer = shell("head -c 3000000 /dev/zero; exit 1", &[]).get("/");
    assert_eq!((answer.status, answer.body.len()), (500, "exit status 1\n".len() + 3_000_000));
}

#[test]
fn a_grandchild_that_keeps_the_output_open_does_not_hold_the_answer() {
    let watchdog = shell("echo done; sleep 300 & echo $! > $TMPDIR/pid", &[]);
    assert_eq!(watchdog.get("/").text(), "done\n");
    let pid = std::fs::read_to_string(watchdog.path("pid")).unwrap();
    until("the grandchild gone", || (!exists(&pid)).then_some(()));
}

#[test]
fn a_client_that_leaves_takes_the_handler_with_it() {
    let watchdog = shell("sleep 300 & echo $! > $TMPDIR/pid.new; mv $TMPDIR/pid.new $TMPDIR/pid; wait", &[]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let pid = until("the handler up", || std::fs::read_to_string(watchdog.path("pid")).ok());
    assert!(exists(&pid));
    drop(stream);
    until("the handler gone", || (!exists(&pid)).then_some(()));
    assert_eq!(watchdog.get("/_/health").status, 200);
}

#[test]
fn a_body_that_breaks_off_or_stalls_ends_the_handler() {
    let watchdog =
        shell("echo $$ > $TMPDIR/pid.new; mv $TMPDIR/pid.new $TMPDIR/pid; cat", &[("read_timeout", "2s")]);
    let mut stream = watchdog.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nConnection: close\r\n\r\nabc")
        .unwrap();
    let answer = read_answer(stream);
    assert_eq!(
        (answer.status, answer.header("x-faas-fault").unwrap().split(';').next()),
        (400, Some("client"))
    );
    let pid = std::fs::read_to_string(watchdog.path("pid")).unwrap();
    until("the handler gone", || (!exists(&pid)).then_some(()));
}

#[test]
fn a_short_body_that_stalls_starts_no_handler() {
    let watchdog = shell("echo > $TMPDIR/up; cat", &[("read_timeout", "300ms")]);
    let mut stream = watchdog.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc")
        .unwrap();
    assert_eq!(read_answer(stream).status, 400);
    assert!(!watchdog.path("up").exists());
}

#[test]
fn connections_are_kept_and_used_again() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let mut stream = watchdog.connect();
    let mut requests = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na".to_vec();
    requests.extend(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb");
    stream.write_all(&requests).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
}

#[test]
fn a_head_of_a_mebibyte_is_the_most() {
    let watchdog = Watchdog::start(&[("fprocess", "true")]);
    let header = |size: usize| format!("X-Large: {}\r\n", "a".repeat(size));
    assert_eq!(watchdog.send("GET", "/", &header(100_000), b"").status, 200);
    assert_eq!(watchdog.send("GET", "/", &header(3_000_000), b"").status, 431);
    // Linux takes no single variable above 128 KiB.
    let answer = watchdog.send("GET", "/", &header(500_000), b"");
    assert_eq!(answer.status, 431);
    assert_eq!(answer.header("x-faas-fault"), Some("client; headers too large for a process"));
    assert_eq!(watchdog.get("/").status, 200);
}

#[test]
fn neither_zombies_nor_descriptors_stay_behind() {
    let watchdog = shell("(sleep 0.01 &); (setsid true &); echo x", &[]);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", watchdog.pid())).unwrap().count();
    watchdog.get("/");
    let before = descriptors();
    let calls = soak(50);
    for _ in 0..calls {
        assert_eq!(watchdog.get("/").status, 200);
    }
    until(&format!("descriptors as before, after {calls} calls"), || (descriptors() <= before).then_some(()));
    let tasks = || std::fs::read_dir(format!("/proc/{}/task", watchdog.pid())).unwrap().flatten();
    until("no child left", || {
        let children = tasks().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        children.collect::<String>().is_empty().then_some(())
    });
}

#[test]
fn a_handler_that_leaves_its_session_dies_with_the_watchdog() {
    let mut watchdog =
        shell("setsid sh -c 'echo $$; exec sleep 300 > /dev/null 2>&1' &", &[("healthcheck_interval", "0")]);
    let pid = watchdog.get("/").text().to_owned();
    assert!(exists(&pid), "it may outlive the request");
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.exit().code(), Some(0));
    until("it is gone", || (!exists(&pid)).then_some(()));
}
