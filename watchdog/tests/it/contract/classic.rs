//! Contract 4.2: the classic watchdog, mode `fork`.

use std::io::Write as _;

use super::Expect::{Body, Duration, Header, Lacks, Line, Logged, NeverLogged, NoHeader, Status};
use super::Handler::{Run, Shell};
use super::{get, post, send};
use crate::harness::{Watchdog, read_answer};

const FAILS: &str = "cat; echo ' to stderr' >&2; exit 3";

rows! {
    row_4_2_fprocess_splits_on_single_spaces:
        Run("printf [%s] a  'b c'"), [], get("/") => Status(200), Body("[a][]['b][c']");
    row_4_2_exec_timeout_off_by_default: Run("cat"), [], get("/") => Logged("hard: 0s");
    row_4_2_exec_timeout_408: Shell("exec sleep 300"), [exec_timeout = "300ms"], get("/")
        => Status(408), Body("Killed process.");
    row_4_2_write_debug: Run("cat"), [write_debug = "true"], post("the output")
        => Logged("the output"), Logged("Duration: ");
    row_4_2_write_debug_off: Run("cat"), [], post("the output") => NeverLogged("the output", "Wrote 10 Bytes");
    row_4_2_debug_headers: Run("cat"), [debug_headers = "true"], send("POST", "/", "X-Debug-Me: yes\r\n", "")
        => Logged("X-Debug-Me: yes");
    row_4_2_debug_headers_off: Run("cat"), [], send("POST", "/", "X-Debug-Me: yes\r\n", "")
        => NeverLogged("X-Debug-Me", "Wrote 0 Bytes");
    row_4_2_cgi_headers_off: Run("env"), [cgi_headers = "false"], get("/") => Status(200), Lacks("Http_");
    row_4_2_marshal_request: Run("cat"), [marshal_request = "true", content_type = "a/b"],
        send("POST", "/", "X-A: 1\r\n", "hello") => Status(200),
        Body(r#"{"header":{"Connection":["close"],"Content-Length":["5"],"X-A":["1"]},"body":{"raw":"aGVsbG8="}}"#);
    row_4_2_content_type_forced:
        Run("cat"), [content_type = "application/json"], send("POST", "/", "Content-Type: text/plain\r\n", "{}")
        => Header("content-type", "application/json");
    row_4_2_content_type_echoed: Run("cat"), [], send("POST", "/", "Content-Type: text/x-test\r\n", "x")
        => Header("content-type", "text/x-test");
    row_4_2_content_type_absent: Run("cat"), [], post("x") => NoHeader("content-type");
    row_4_2_combine_output: Shell("echo out; echo err >&2"), [], get("/") => Status(200), Body("out\nerr\n");
    row_4_2_combine_output_off: Shell("echo out; echo err >&2"), [combine_output = "false"], get("/")
        => Status(200), Body("out\n"), Logged("stderr: err");
    row_4_2_booleans_are_true_only: Run("env"), [cgi_headers = "1"], get("/") => Status(200), Lacks("Http_");
    row_4_2_method_get: Run("cat"), [], get("/") => Status(200);
    row_4_2_method_post: Run("cat"), [], send("POST", "/", "", "x") => Status(200), Body("x");
    row_4_2_method_put: Run("cat"), [], send("PUT", "/", "", "x") => Status(200), Body("x");
    row_4_2_method_patch: Run("cat"), [], send("PATCH", "/", "", "x") => Status(200), Body("x");
    row_4_2_method_delete: Run("cat"), [], send("DELETE", "/", "", "x") => Status(200), Body("x");
    row_4_2_method_options_405: Run("cat"), [], send("OPTIONS", "/", "", "x") => Status(405), Body("");
    row_4_2_method_head_405: Run("cat"), [], send("HEAD", "/", "", "") => Status(405), Body("");
    row_4_2_method_of_ones_own_405: Run("cat"), [], send("FOO", "/", "", "x") => Status(405), Body("");
    row_4_2_environment_of_the_process: Run("env"), [own = "variable"], get("/") => Line("own=variable");
    row_4_2_http_name_is_canonical_with_the_first_value:
        Run("env"), [], send("GET", "/", "x-my-header: first\r\nX-My-Header: second\r\n", "")
        => Line("Http_X_My_Header=first"), Lacks("second");
    row_4_2_http_method: Run("env"), [], send("PUT", "/", "", "") => Line("Http_Method=PUT");
    row_4_2_http_query: Run("env"), [], get("/a?b=c&d=%20") => Line("Http_Query=b=c&d=%20");
    row_4_2_http_query_only_if_there: Run("env"), [], get("/a?") => Line("Http_Method=GET"), Lacks("Http_Query");
    row_4_2_http_path: Run("env"), [], get("/a%20b/c?d") => Line("Http_Path=/a b/c");
    row_4_2_http_host: Run("env"), [], get("/") => Line("Http_Host=test");
    row_4_2_http_content_length: Run("env"), [], post("12345")
        => Line("Http_ContentLength=5"), Line("Http_Content_Length=5");
    row_4_2_http_transfer_encoding_only_if_there: Run("env"), [], post("x")
        => Line("Http_Method=POST"), Lacks("Http_Transfer_Encoding");
    row_4_2_body_on_stdin: Run("md5sum"), [], post("hello") => Body("5d41402abc4b2a76b9719d911017c592  -\n");
    row_4_2_exit_0_is_200: Run("cat"), [], post("hello") => Status(200), Body("hello"), Duration;
    row_4_2_exit_3_is_500_with_the_output: Shell(FAILS), [], post("seen")
        => Status(500), Body("exit status 3\nseen to stderr\n"), Header("x-faas-fault", "handler; exit status 3");
    row_4_2_a_killed_handler_is_500: Shell("kill -KILL $$"), [], get("/") => Status(500), Body("signal: killed\n");
    row_4_2_log_per_call: Run("cat"), [], post("hello")
        => Logged("Forking fprocess."), Logged("Wrote 5 Bytes - Duration: ");
    row_4_2_ready_is_the_handlers: Run("cat"), [], send("POST", "/_/ready", "", "x") => Status(200), Body("x");
}

refusals! {
    row_4_2_fprocess_required: [] => "Provide a valid process via fprocess environmental variable.";
    row_4_2_fprocess_required_by_name: [mode = "fork", function_process = "cat"]
        => "Provide a valid process via fprocess environmental variable.";
}

fn raw(watchdog: &Watchdog, request: &str) -> crate::harness::Answer {
    let mut stream = watchdog.connect();
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(stream)
}

#[test]
fn row_4_2_http_transfer_encoding_and_a_length_of_minus_one() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = raw(&Watchdog::start(&[("fprocess", "env")]), &format!("{head}1\r\nx\r\n0\r\n\r\n"));
    for line in ["Http_ContentLength=-1", "Http_Content_Length=-1", "Http_Transfer_Encoding=chunked"] {
        assert!(answer.text().lines().any(|found| found == line), "{line}: {}", answer.text());
    }
}

#[test]
fn row_4_2_body_read_error_400() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("read_timeout", "300ms")]);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in ["no chunk at all\r\n", "5\r\nabc"] {
        assert_eq!(raw(&watchdog, &format!("{head}{body}")).status, 400, "{body:?}");
    }
}
