//! h2spec, the conformance suite for HTTP/2, in strict mode. A program of its own, built where there is Go.

use std::path::Path;
use std::process::{Command, Output};

use faas_gateway::Config;

use crate::fixture::{Server, Upstream};

/// On a port for both versions this is an invalid request of HTTP/1.1: answered in its words, and closed.
const OF_HTTP_1: &str = "Sends invalid connection preface";

#[test]
fn the_conformance_suite_passes() {
    let Some(program) = build() else { return };
    let server = serve(|_| ());
    let text = run(&program, &server, &[]);
    let (passed, skipped, failed) = summary(&text);
    let expected = failures(&text).matches(OF_HTTP_1).count();
    assert!(failed == expected && skipped == 0 && passed > 140, "{}", failures(&text));
}

#[test]
fn the_conformance_suite_passes_over_tls() {
    let Some(program) = build() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = crate::tls::write(folder.path());
    let server = serve(|config| config.tls = Some(files));
    let text = run(&program, &server, &["--tls", "--insecure"]);
    let (passed, skipped, failed) = summary(&text);
    assert!(failed == 0 && skipped == 0 && passed > 140, "{}", failures(&text));
}

/// In front of a function with an answer that is long enough for every case.
fn serve(change: impl FnOnce(&mut Config)) -> Server {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}", "a".repeat(1000));
    let server = Server::with(change);
    // Its thread goes on without it.
    server.route("f", &[&*Box::leak(Box::new(Upstream::answering(answer)))]);
    server
}

fn run(program: &str, server: &Server, more: &[&str]) -> String {
    let port = server.address.port().to_string();
    let mut command = Command::new(program);
    command.args([
        "--strict",
        "--timeout",
        "20",
        "--host",
        "127.0.0.1",
        "--path",
        "/function/f",
        "--port",
        &port,
    ]);
    String::from_utf8_lossy(&command.args(more).output().unwrap().stdout).into_owned()
}

/// The program, or nothing where it cannot be built: without Go, or at first without a network.
fn build() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/tools/go-tool");
    let Output { status, stdout, stderr } = Command::new(script).arg("h2spec").output().unwrap();
    if status.success() {
        return Some(String::from_utf8(stdout).unwrap().trim().to_owned());
    }
    let reason = String::from_utf8_lossy(&stderr);
    assert!(!in_ci(), "{reason}");
    skip(&reason);
    None
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

#[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
fn skip(reason: &str) {
    eprintln!("skipped: h2spec cannot be built: {reason}");
}

/// From `147 tests, 146 passed, 0 skipped, 1 failed`.
fn summary(text: &str) -> (usize, usize, usize) {
    let line =
        text.lines().rfind(|line| line.contains(" tests, ")).unwrap_or_else(|| panic!("no summary: {text}"));
    let count = |what: &str| {
        let part = line.split(", ").find_map(|part| part.trim().strip_suffix(what));
        part.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("no {what} in {line:?}"))
    };
    (count("passed"), count("skipped"), count("failed"))
}

/// What follows the list of all cases: those that failed, and the summary.
fn failures(text: &str) -> &str {
    text.find("Failures:").map_or(text, |at| &text[at..])
}
