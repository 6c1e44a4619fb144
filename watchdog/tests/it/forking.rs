//! Modes `serializing` and `streaming` beyond the rows of the contract: handlers and callers that misbehave.

use std::io::{Read, Write as _};

use crate::bodies::Chunks;
use crate::fork::{pattern, shell};
use crate::harness::{Watchdog, exists, read_answer, script, until};

#[test]
fn streaming_time_runs_for_a_caller_who_does_not_read() {
    let text = "echo $$ > $TMPDIR/pid.new; mv $TMPDIR/pid.new $TMPDIR/pid; exec cat /dev/zero";
    let watchdog = shell(text, &[("mode", "streaming"), ("exec_timeout", "2s")]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let pid = until("the handler up", || std::fs::read_to_string(watchdog.path("pid")).ok());
    until("the handler gone", || (!exists(&pid)).then_some(()));
}

#[test]
fn streaming_callers_who_leave_take_the_handler_with_them() {
    let text = "sleep 300 & echo $! > $TMPDIR/pid.new; mv $TMPDIR/pid.new $TMPDIR/pid; wait";
    let watchdog = shell(text, &[("mode", "streaming")]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let pid = until("the handler up", || std::fs::read_to_string(watchdog.path("pid")).ok());
    assert!(exists(&pid));
    drop(stream);
    until("the handler gone", || (!exists(&pid)).then_some(()));
}

#[test]
fn streaming_breaks_off_where_the_body_does() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("mode", "streaming"), ("read_timeout", "300ms")]);
    let answer = watchdog.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("abc\r\n"), "no last chunk: {answer}");
    watchdog.logged("answer broken off: the request body did not go on in time");
}

#[test]
fn streaming_handlers_may_ignore_close_or_outrun_their_input() {
    for text in ["true", "exec <&-; echo x", "head -c 10 > /dev/null", "exec >&- 2>&-; cat > /dev/null"] {
        let watchdog = shell(text, &[("mode", "streaming")]);
        assert_eq!(watchdog.post(&pattern(5_000_000)).status, 200, "{text}");
    }
}

#[test]
fn a_handler_runs_to_its_end_for_head_too() {
    for mode in ["serializing", "streaming"] {
        let watchdog = shell("echo x; echo > $TMPDIR/done", &[("mode", mode)]);
        let answer = watchdog.head("/");
        assert_eq!((answer.status, answer.text()), (200, ""), "{mode}");
        assert!(watchdog.path("done").exists(), "{mode}");
    }
}

#[test]
fn a_grandchild_that_keeps_the_output_open_does_not_hold_a_stream() {
    let watchdog = shell("echo done; sleep 300 & echo $! > $TMPDIR/pid", &[("mode", "streaming")]);
    assert_eq!(watchdog.get("/").text(), "done\n");
    let pid = std::fs::read_to_string(watchdog.path("pid")).unwrap();
    until("the grandchild gone", || (!exists(&pid)).then_some(()));
}

#[test]
fn a_caller_who_waits_to_be_asked_for_the_body_is() {
    for mode in ["fork", "serializing", "streaming"] {
        let watchdog = Watchdog::start(&[("fprocess", "cat"), ("mode", mode)]);
        let mut stream = watchdog.connect();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n";
        stream.write_all(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes()).unwrap();
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(std::str::from_utf8(&asked), Ok("HTTP/1.1 100 Continue\r\n\r\n"), "{mode}");
        stream.write_all(b"hello").unwrap();
        assert_eq!(read_answer(stream).text(), "hello", "{mode}");
    }
}

/// Much more than lies between a handler and a caller on a Unix socket.
const LARGE: usize = 6_000_000;

/// The beginning of a large answer, read until its handler has written all of it and is gone, or almost all has come.
fn begin_slowly(watchdog: &Watchdog) -> impl Read + use<> {
    let mut stream = watchdog.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let pid = until("the handler up", || std::fs::read_to_string(watchdog.path("pid")).ok());
    std::fs::remove_file(watchdog.path("pid")).unwrap();
    let mut early = Vec::new();
    while exists(&pid) && early.len() < LARGE - 150_000 {
        let mut piece = [0; 1024];
        stream.read_exact(&mut piece).unwrap();
        early.extend(piece);
    }
    std::io::Cursor::new(early).chain(stream)
}

#[test]
fn a_slow_reader_gets_all_that_a_stream_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let up = "echo $$ > $TMPDIR/pid.new; mv $TMPDIR/pid.new $TMPDIR/pid";
    let waits = "[ $Http_Path = /wait ] && exec sleep 2";
    let text = format!("#!/bin/sh\n{waits}\n{up}\nexec head -c {LARGE} /dev/zero");
    let path = script(&folder.path().join("h"), &text);
    let watchdog = Watchdog::ready(&[("fprocess", &path), ("mode", "streaming")], &[]);
    let answers: Vec<_> = (0..8).map(|_| begin_slowly(&watchdog)).collect();
    assert_eq!(watchdog.get("/wait").status, 200, "longer than others may hold its pipes");
    for answer in answers {
        assert_eq!(read_answer(answer).body.len(), LARGE);
    }
}

#[test]
fn a_grandchild_that_writes_for_ever_does_not_hold_a_stream() {
    let watchdog = shell("yes & echo $! > $TMPDIR/pid", &[("mode", "streaming"), ("exec_timeout", "20s")]);
    let mut stream = watchdog.tcp();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    std::io::copy(&mut Chunks::of(stream), &mut std::io::sink()).unwrap();
    let pid = std::fs::read_to_string(watchdog.path("pid")).unwrap();
    until("the grandchild gone", || (!exists(&pid)).then_some(()));
}
