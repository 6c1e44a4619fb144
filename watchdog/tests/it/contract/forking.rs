//! Contract 4.3: modes `serializing` and `streaming`, a process for each request.

use std::io::{Read as _, Write as _};

use super::Expect::{Body, Duration, Has, Header, Lacks, Line, Logged, NeverLogged, Status};
use super::Handler::{Run, Shell};
use super::{get, post, send};
use crate::fork::shell;
use crate::harness::{Watchdog, exists, read_answer, until};

const BOTH: &str = "echo out; echo err >&2";
const FAILS: &str = "cat; echo why >&2; exit 3";
const LONG: &str = "echo 0123456789 >&2";

rows! {
    row_4_3_serializing_200: Run("cat"), [mode = "serializing"], post("hello")
        => Status(200), Body("hello"), Duration;
    row_4_3_serializing_500_with_the_error: Shell(FAILS), [mode = "serializing"], post("lost")
        => Status(500), Body("exit status 3"), Logged("stderr: why"), Duration,
        Header("x-faas-fault", "handler; exit status 3");
    row_4_3_serializing_over_its_time: Shell("exec sleep 300"), [mode = "serializing", exec_timeout = "300ms"],
        get("/") => Status(500), Body("signal: killed"), Duration;
    row_4_3_serializing_content_type: Run("cat"), [mode = "serializing", content_type = "text/css"],
        send("POST", "/", "Content-Type: text/plain\r\n", "x") => Header("content-type", "text/css");
    row_4_3_serializing_stderr_is_logged: Shell(BOTH), [mode = "serializing"], get("/")
        => Status(200), Body("out\n"), Logged(" stderr: err");
    row_4_3_serializing_any_method: Run("cat"), [mode = "serializing"], send("OPTIONS", "/", "", "x")
        => Status(200), Body("x");
    row_4_3_serializing_query: Run("env"), [mode = "serializing"], get("/?a=b") => Line("Http_Query=a=b");
    row_4_3_serializing_environment: Run("env"), [mode = "serializing", own = "variable"],
        send("PUT", "/a%20b", "X-My-Header: v\r\n", "12345") => Line("Http_Method=PUT"), Line("Http_Path=/a b"),
        Line("Http_X_My_Header=v"), Line("own=variable"), Lacks("Http_Query");
    row_4_3_serializing_no_length_nor_host: Run("env"), [mode = "serializing"], post("12345")
        => Has("Http_Method"), Lacks("Http_Content"), Lacks("Http_Host");
    row_4_3_prefix_logs_off_serializing: Shell(BOTH), [mode = "serializing", prefix_logs = "false"], get("/")
        => NeverLogged("stderr: ", "err");
    row_4_3_log_buffer_size_serializing: Shell(LONG), [mode = "serializing", log_buffer_size = "4"], get("/")
        => Logged("stderr: 0123"), Logged("stderr: 4567"), Logged("stderr: 89");
    row_4_3_log_buffer_size_unlimited: Shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2"),
        [mode = "streaming", log_buffer_size = "-1"], get("/") => Logged("xend");

    row_4_3_streaming_200: Run("cat"), [mode = "streaming"], post("hello") => Status(200), Body("hello");
    row_4_3_streaming_a_failure_cannot_change_the_status: Shell(FAILS), [mode = "streaming"], post("kept")
        => Status(200), Body("kept"), Logged("the handler failed: exit status 3"), Logged("stderr: why");
    row_4_3_streaming_content_type: Run("cat"), [mode = "streaming", content_type = "text/css"],
        send("POST", "/", "Content-Type: text/plain\r\n", "x") => Header("content-type", "text/css");
    row_4_3_streaming_stderr_is_logged: Shell(BOTH), [mode = "streaming"], get("/")
        => Status(200), Body("out\n"), Logged(" stderr: err");
    row_4_3_streaming_any_method: Run("cat"), [mode = "streaming"], send("OPTIONS", "/", "", "x")
        => Status(200), Body("x");
    row_4_3_streaming_environment: Run("env"), [mode = "streaming", own = "variable"],
        send("PUT", "/a%20b?c", "X-My-Header: v\r\n", "12345") => Line("Http_Method=PUT"), Line("Http_Path=/a b"),
        Line("Http_X_My_Header=v"), Line("own=variable"), Line("Http_Query=c");
    row_4_3_streaming_no_length_nor_host: Run("env"), [mode = "streaming"], post("12345")
        => Has("Http_Method"), Lacks("Http_Content"), Lacks("Http_Host");
    row_4_3_prefix_logs_off_streaming: Shell(BOTH), [mode = "streaming", prefix_logs = "false"], get("/")
        => NeverLogged("stderr: ", "err");
    row_4_3_log_buffer_size_streaming: Shell(LONG), [mode = "streaming", log_buffer_size = "4"], get("/")
        => Logged("stderr: 0123"), Logged("stderr: 4567"), Logged("stderr: 89");
}

#[test]
fn row_4_3_transfer_encoding_in_both() {
    for mode in ["serializing", "streaming"] {
        let watchdog = Watchdog::start(&[("fprocess", "env"), ("mode", mode)]);
        let mut stream = watchdog.connect();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}1\r\nx\r\n0\r\n\r\n").as_bytes()).unwrap();
        let answer = read_answer(stream);
        let line = "Http_Transfer_Encoding=chunked";
        assert!(answer.text().lines().any(|found| found == line), "{mode}: {}", answer.text());
    }
}

#[test]
fn row_4_3_serializing_reads_the_whole_body_first() {
    let watchdog = shell("echo >> $TMPDIR/up; cat", &[("mode", "serializing")]);
    let mut stream = watchdog.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nx";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(watchdog.post(b"another").text(), "another");
    let started = || std::fs::read(watchdog.path("up")).unwrap().len();
    assert_eq!(started(), 1, "nothing was started for the first");
    stream.write_all(b"y").unwrap();
    assert_eq!(read_answer(stream).text(), "xy");
    assert_eq!(started(), 2);
}

#[test]
fn row_4_3_serializing_holds_64_mib_at_most() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("mode", "serializing")]);
    let declared = watchdog.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 67108865\r\n\r\n");
    assert!(declared.starts_with("HTTP/1.1 413 "), "{declared}");
    let body = vec![7; 64 * 1024 * 1024];
    assert!(watchdog.post(&body).body == body);
}

#[test]
fn row_4_3_streaming_pipes_live() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("mode", "streaming")]);
    let mut stream = watchdog.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nx";
    stream.write_all(head.as_bytes()).unwrap();
    let mut early = Vec::new();
    while !early.ends_with(b"1\r\nx\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        early.extend(byte);
    }
    stream.write_all(b"y").unwrap();
    assert_eq!(read_answer(early.chain(stream)).text(), "xy");
}

#[test]
fn row_4_3_streaming_sends_the_status_first() {
    let watchdog = shell("exec sleep 300", &[("mode", "streaming")]);
    let mut stream = watchdog.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
}

#[test]
fn row_4_3_streaming_over_its_time_is_killed_and_broken_off() {
    let text = "echo begun; sleep 300 & echo $! > $TMPDIR/pid; wait";
    let watchdog = shell(text, &[("mode", "streaming"), ("exec_timeout", "2s")]);
    let answer = watchdog.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\nbegun\n\r\n"),
        "no last chunk: {answer}"
    );
    watchdog.logged("answer broken off: not done within 2s");
    let pid = std::fs::read_to_string(watchdog.path("pid")).unwrap();
    until("its child gone", || (!exists(&pid)).then_some(()));
    assert_eq!(watchdog.get("/_/health").status, 200);
}
