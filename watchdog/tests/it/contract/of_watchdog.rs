//! Contract 4.3: of-watchdog's variables, its endpoints, and mode `static`.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::Expect::{Body, Header, Logged, Status};
use super::Handler::{Nothing, Python, Run};
use super::{get, post, send};
use crate::harness::{Watchdog, until};

const MISSING: &str =
    "provide a \"function_process\" or \"fprocess\" environmental variable for your function";

rows! {
    row_4_3_function_process_wins:
        Run("cat"), [mode = "streaming", function_process = "echo function_process"], get("/")
        => Body("function_process\n");
    row_4_3_fprocess_splits_on_single_spaces:
        Run("printf [%s] a  'b c'"), [mode = "streaming"], get("/") => Body("[a][]['b][c']");
    row_4_3_exec_timeout_30s_by_default: Run("cat"), [mode = "serializing"], post("") => Logged("hard: 30s");
    row_4_3_exec_timeout_0_is_none: Run("cat"), [mode = "serializing", exec_timeout = "0"], post("x")
        => Logged("hard: 0s"), Status(200), Body("x");
    row_4_3_exec_timeout_takes_seconds: Run("cat"), [mode = "streaming", exec_timeout = "7"], post("")
        => Logged("hard: 7s");
    row_4_3_booleans_true: Run("cat"), [mode = "streaming", suppress_lock = "true"], get("/_/health")
        => Status(503);
    row_4_3_booleans_1: Run("cat"), [mode = "streaming", suppress_lock = "1"], get("/_/health") => Status(503);
    row_4_3_booleans_other: Run("cat"), [mode = "streaming", suppress_lock = "yes"], get("/_/health")
        => Status(200);
    row_4_3_jwt_auth_debug_alone_is_harmless:
        Run("cat"), [mode = "streaming", jwt_auth_debug = "1"], post("x") => Status(200), Body("x");
    row_4_3_health_streaming: Run("cat"), [mode = "streaming"], get("/_/health") => Status(200), Body("OK");
    row_4_3_health_serializing: Run("cat"), [mode = "serializing"], get("/_/health") => Status(200), Body("OK");
    row_4_3_health_static: Nothing, [mode = "static"], get("/_/health") => Status(200), Body("OK");
    row_4_3_health_http: Python, [], get("/_/health") => Status(200), Body("OK");
    row_4_3_ready_streaming: Run("cat"), [mode = "streaming"], get("/_/ready") => Status(200), Body("");
    row_4_3_ready_serializing: Run("cat"), [mode = "serializing"], get("/_/ready") => Status(200), Body("");
    row_4_3_ready_static: Nothing, [mode = "static"], get("/_/ready") => Status(200), Body("");
    row_4_3_ready_http: Python, [], get("/_/ready") => Status(200), Body("");
    row_4_3_ready_other_methods_405: Run("cat"), [mode = "streaming"], send("POST", "/_/ready", "", "")
        => Status(405);
    row_4_3_ready_path: Python, [ready_path = "/not-ready"], get("/_/ready")
        => Status(418), Body("warming up");
    row_4_3_mode_streaming: Run("cat"), [mode = "streaming"], post("x")
        => Status(200), Header("content-type", "application/octet-stream"), Header("transfer-encoding", "chunked");
    row_4_3_mode_serializing: Run("cat"), [mode = "serializing"], post("x")
        => Status(200), Header("content-type", "application/octet-stream"), Header("content-length", "1");
    row_4_3_mode_http: Python, [], post("x") => Status(201), Header("x-own", "yes");
    row_4_3_static_path_by_default: Nothing, [mode = "static"], get("/_/health")
        => Logged("Serving files at: /home/app/public");
}

refusals! {
    row_4_3_mode_inproc: [fprocess = "cat", mode = "inproc"] => "unknown watchdog mode: inproc";
    row_4_3_mode_afterburn: [fprocess = "cat", mode = "afterburn"] => "unknown watchdog mode: afterburn";
    row_4_3_mode_unknown: [fprocess = "cat", mode = "Streaming"] => "unknown watchdog mode: Streaming";
    row_4_3_process_required_streaming: [mode = "streaming"] => MISSING;
    row_4_3_process_required_serializing: [mode = "serializing"] => MISSING;
    row_4_3_process_required_http: [mode = "http", upstream_url = "unix:/s"] => MISSING;
    row_4_3_upstream_url_required: [mode = "http", fprocess = "cat"]
        => "for mode=http provide an \"upstream_url\" or \"http_upstream_url\" environmental variable";
    row_4_3_write_timeout_0_streaming: [mode = "streaming", fprocess = "cat", write_timeout = "0"]
        => "write_timeout must be over zero in mode=streaming";
    row_4_3_write_timeout_0_http: [mode = "http", fprocess = "cat", upstream_url = "unix:/s", write_timeout = "0"]
        => "write_timeout must be over zero in mode=http";
    row_4_3_jwt_auth_refused: [mode = "serializing", fprocess = "cat", jwt_auth = "1"]
        => "jwt_auth is not supported by this watchdog: unset it";
}

#[test]
fn row_4_3_ready_without_its_lock_file_503() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("mode", "streaming")]);
    std::fs::remove_file(watchdog.path(".lock")).unwrap();
    assert_eq!((watchdog.get("/_/ready").status, watchdog.get("/_/health").status), (503, 503));
}

#[test]
fn row_4_3_ready_while_shutting_down_503() {
    let variables = [("fprocess", "cat"), ("mode", "streaming"), ("healthcheck_interval", "1h")];
    let watchdog = Watchdog::start(&variables);
    watchdog.signal(rustix::process::Signal::TERM);
    watchdog.logged("SIGTERM: no new connections in 1h0m0s");
    assert_eq!((watchdog.get("/_/ready").status, watchdog.post(b"x").status), (503, 200));
}

#[test]
fn row_4_3_ready_at_the_limit_429() {
    use std::io::Write as _;
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("mode", "streaming"), ("max_inflight", "1")]);
    let mut running = watchdog.connect();
    running.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx").unwrap();
    until("no room", || (watchdog.get("/_/ready").status == 429).then_some(()));
    assert_eq!((watchdog.get("/").status, watchdog.get("/_/health").status), (429, 200));
    drop(running);
    until("room again", || (watchdog.get("/_/ready").status == 200).then_some(()));
}

/// A folder with a page, a folder of its own, and a way out.
pub(crate) fn site(more: &[(&str, &str)]) -> Watchdog {
    let folder = tempfile::tempdir().unwrap();
    let public = folder.path().join("public");
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    std::fs::create_dir_all(public.join("sub/bare")).unwrap();
    write(&public.join("index.html"), "<p>grüße");
    write(&public.join("data.json"), "{}");
    write(&public.join("a b.txt"), "0123456789");
    write(&public.join("sub/index.html"), "below");
    write(&folder.path().join("secret"), "secret");
    symlink(folder.path().join("secret"), public.join("link")).unwrap();
    let path = public.to_str().unwrap();
    let mut watchdog = Watchdog::start(&[&[("mode", "static"), ("static_path", path)], more].concat());
    watchdog.keep = Some(folder);
    watchdog
}

#[test]
fn row_4_3_static_path_and_mode_static() {
    let watchdog = site(&[]);
    for (target, kind, body) in [
        ("/", "text/html; charset=utf-8", "<p>grüße"),
        ("/index.html?query", "text/html; charset=utf-8", "<p>grüße"),
        ("/data.json", "application/json", "{}"),
        ("/a%20b.txt", "text/plain; charset=utf-8", "0123456789"),
        ("/sub/", "text/html; charset=utf-8", "below"),
        ("/link", "application/octet-stream", "secret"),
    ] {
        let answer = watchdog.get(target);
        assert_eq!((answer.status, answer.text()), (200, body), "{target}");
        assert_eq!(answer.header("content-type"), Some(kind), "{target}");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()), "{target}");
    }
    for (target, place) in [("/sub", "sub/"), ("/sub/bare?a=b", "bare/?a=b"), ("//sub", "sub/")] {
        let folder = watchdog.get(target);
        assert_eq!((folder.status, folder.header("location")), (301, Some(place)), "{target}");
    }
}

#[test]
fn row_4_3_static_answers_get_and_head_only() {
    let watchdog = site(&[]);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"] {
        let answer = watchdog.send(method, "/", "", b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")), "{method}");
    }
    assert_eq!(watchdog.head("/a%20b.txt").header("content-length"), Some("10"));
}

#[test]
fn row_4_3_static_serves_ranges_and_only_what_changed() {
    let watchdog = site(&[]);
    let range = |range: &str| watchdog.send("GET", "/a%20b.txt", &format!("Range: bytes={range}\r\n"), b"");
    for (asked, told, body) in
        [("2-4", "bytes 2-4/10", "234"), ("7-", "bytes 7-9/10", "789"), ("-2", "bytes 8-9/10", "89")]
    {
        let answer = range(asked);
        assert_eq!((answer.status, answer.text()), (206, body), "{asked}");
        assert_eq!(answer.header("content-range"), Some(told), "{asked}");
    }
    assert_eq!(range("10-12").status, 416);
    let modified = watchdog.get("/").header("last-modified").unwrap().to_owned();
    let again = watchdog.send("GET", "/", &format!("If-Modified-Since: {modified}\r\n"), b"");
    assert_eq!((again.status, again.text()), (304, ""));
}

#[test]
fn row_4_3_static_shows_nothing_beside_its_folder() {
    let watchdog = site(&[]);
    for target in [
        "/nothing",
        "/sub/bare/",
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/sub/%2e%2e%2f%2e%2e%2fsecret",
        "/..%5csecret",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/data.json/",
        "/data.json/x",
        "/index.html%00",
        "/%ff",
    ] {
        let answer = watchdog.get(target);
        assert_eq!((answer.status, answer.text()), (404, "404 page not found\n"), "{target}");
    }
    assert_eq!(watchdog.get("/").status, 200);
}
