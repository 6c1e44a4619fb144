//! The Node runtime behind `mode=worker`: what handlers are given, and what becomes of what they return.

use std::io::Write as _;

use faas_package::{Manifest, Runtime, Signature};

use crate::function::Function;
use crate::harness::{Watchdog, children, peak_memory, read_answer, until};

const FORMS: &str = include_str!("node/forms.js");

fn forms() -> Option<Function> {
    Function::node(FORMS)
}

const ISOLATIONS: [&str; 3] = ["worker", "fork", "exec"];

#[test]
fn every_form_of_answer_is_understood() {
    let Some(function) = forms() else { return };
    for isolation in ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        for (target, status, header, value, body) in [
            ("/", 200, "content-type", Some("text/html; charset=utf-8"), "hello"),
            ("/echo", 200, "content-type", Some("text/plain"), "body"),
            ("/echo", 200, "x-a", Some("b"), "body"),
            ("/status", 201, "content-type", Some("application/json; charset=utf-8"), r#"{"a":1}"#),
            ("/fail", 500, "x-faas-fault", None, "Error: no good"),
            ("/fail-status", 409, "x-faas-fault", None, "conflict"),
            ("/throw", 500, "x-faas-fault", None, "Error: thrown"),
            ("/none", 200, "content-length", Some("0"), ""),
            ("/buffer", 200, "content-type", Some("application/octet-stream"), "bytes"),
            ("/204", 204, "content-type", None, ""),
            ("/split", 500, "x-c", None, "Internal Server Error\n"),
            ("/generator", 200, "transfer-encoding", Some("chunked"), "text bytes"),
            ("/lies", 200, "x-faas-fault", None, ""),
        ] {
            let answer = watchdog.send("POST", target, "Content-Type: text/plain\r\n", b"body");
            assert_eq!((answer.status, answer.text()), (status, body), "{isolation} {target}");
            assert_eq!(answer.header(header), value, "{isolation} {target}");
            let usage = answer.headers("x-faas-usage");
            // What is sent piece by piece has sent its head before that is known.
            let told = usize::from(target != "/generator");
            assert_eq!(usage.len(), told, "{isolation} {target}: {usage:?}");
            assert!(!usage.contains(&"wall=0"), "{isolation} {target}: {usage:?}");
        }
        watchdog.logged("stdout: called /echo");
        watchdog.logged("no good");
        watchdog.logged("thrown");
    }
}

#[test]
fn bodies_arrive_as_their_content_type_says() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[]);
    for (content_type, body, expected) in [
        ("application/json", r#"{"a": 1}"#, "object"),
        ("application/json; charset=utf-8", r#""text""#, "string"),
        ("text/plain", "text", "string"),
        ("application/octet-stream", "bytes", "buffer"),
        ("text/plain", "", "object"),
    ] {
        let header = format!("Content-Type: {content_type}\r\n");
        let answer = watchdog.send("POST", "/type", &header, body.as_bytes());
        assert_eq!(answer.text(), expected, "{content_type} {body}");
    }
    let json = "Content-Type: application/json\r\n";
    assert_eq!(watchdog.send("POST", "/type", json, b"{").status, 400);
    let target = "/request?a=1&a=2&b&__proto__=x";
    let answer = watchdog.send("PUT", target, &format!("X-Custom: y\r\n{json}"), b"[1]");
    let expected = r#"{"method":"PUT","query":{"a":["1","2"],"b":"","__proto__":"x"},"path":"/request","custom":"y","body":[1]}"#;
    assert_eq!(answer.text(), expected);
}

#[test]
fn raw_bodies_are_buffers_and_bodies_are_bounded() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[("RAW_BODY", "true"), ("MAX_BODY_BYTES", "10")]);
    assert_eq!(watchdog.send("POST", "/type", "Content-Type: application/json\r\n", b"{}").text(), "buffer");
    assert_eq!(watchdog.send("POST", "/", "", b"01234567890").status, 413);
    assert_eq!(watchdog.send("POST", "/", "", &vec![7; 5_000_000]).status, 413);
    let chunked = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    assert!(watchdog.exchange(chunked).starts_with("HTTP/1.1 413"));
    assert_eq!(watchdog.send("POST", "/echo", "", b"0123456789").text(), "0123456789");
}

#[test]
fn large_bodies_come_back_unchanged() {
    let Some(function) = forms() else { return };
    for isolation in ISOLATIONS {
        let watchdog = function.ready(&[("RAW_BODY", "true"), ("worker_isolation", isolation)]);
        for size in [1, 262_144, 262_145, 20_000_003] {
            let body: Vec<u8> = (0_u8..=255).cycle().take(size).collect();
            assert!(watchdog.send("POST", "/echo", "", &body).body == body, "{isolation} {size}");
        }
    }
}

#[test]
fn the_callback_of_older_handlers_works() {
    let handler = "module.exports = (event, context, callback) => { \
                   setImmediate(() => event.path === '/bad' ? callback('bad') : callback(undefined, 'done')) }";
    let Some(function) = Function::node(handler) else { return };
    let watchdog = function.ready(&[]);
    assert_eq!(watchdog.post(b"x").text(), "done");
    let answer = watchdog.send("POST", "/bad", "", b"x");
    assert_eq!((answer.status, answer.text()), (500, "bad"));
}

#[test]
fn modules_and_installed_packages_are_found() {
    let installed = [
        ("node_modules/greeting/package.json", r#"{"name": "greeting", "main": "index.js"}"#),
        ("node_modules/greeting/index.js", "module.exports = 'hello'"),
    ];
    let manifest = Manifest::new(Runtime::Node, Signature::Http, "handler");
    for files in [
        &[
            ("handler.js", "module.exports = async () => require('greeting') + require('./own'); "),
            ("own.js", "module.exports = '!'"),
        ][..],
        &[("handler.mjs", "import greeting from 'greeting'; export default async () => greeting + '!'")],
        &[("handler.mjs", "const { default: g } = await import('greeting'); export default () => g + '!'")],
        &[
            ("handler.cjs", "module.exports = async () => require('greeting') + '!'"),
            ("handler.mjs", "throw new Error('the second')"),
        ],
        &[("handler/index.js", "module.exports = async () => require('greeting') + '!'")],
        &[
            ("handler.js", "import greeting from 'greeting'; export default async () => greeting + '!'"),
            ("package.json", r#"{"type": "module"}"#),
        ],
    ] {
        let Some(function) = Function::new(&manifest, files, &installed) else { return };
        assert_eq!(function.ready(&[]).get("/").text(), "hello!", "{files:?}");
    }
}

#[test]
fn a_handler_that_does_not_load_ends_the_start_with_its_reason() {
    for (handler, expected) in [
        ("require('missing-module')", "Cannot find module 'missing-module'"),
        ("module.exports = 7", "exports no function"),
    ] {
        let Some(function) = Function::node(handler) else { return };
        let mut watchdog = function.supervised(&[]);
        assert_eq!(watchdog.said(), "failed: handler exited with status 1\n");
        watchdog.logged(expected);
        assert_eq!(watchdog.exit().code(), Some(1));
    }
}

#[test]
fn calls_run_at_the_same_time_and_the_end_waits_for_them() {
    let handler = "let meet\nmodule.exports = async (event) => {\n\
                   if (event.path === '/first') { console.log('waits'); await new Promise((go) => { meet = go }); return 'first' }\n\
                   meet(); return 'second' }";
    let Some(function) = Function::node(handler) else { return };
    let mut watchdog = function.ready(&[("worker_count", "1"), ("healthcheck_interval", "3s")]);
    let first = watchdog.begin(b"GET /first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    watchdog.logged("stdout: waits");
    watchdog.signal(rustix::process::Signal::TERM);
    watchdog.logged("SIGTERM: no new connections");
    assert_eq!(watchdog.get("/second").text(), "second");
    assert_eq!(read_answer(first).text(), "first");
    assert_eq!(watchdog.exit().code(), Some(0));
}

#[test]
fn printed_lines_carry_the_id_of_their_call() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[("log_callid", "true")]);
    for name in ["a", "b"] {
        watchdog.send("GET", &format!("/{name}"), &format!("X-Call-Id: id-{name}\r\n"), b"");
        assert_eq!(watchdog.logged(&format!(" stdout: called /{name}")), format!(" [id-{name}]"));
    }
}

#[test]
fn a_failure_costs_no_process_and_a_kill_costs_one_call() {
    let Some(function) = forms() else { return };
    let watchdog = function.ready(&[("worker_count", "1")]);
    let before = children(watchdog.pid());
    for target in ["/throw", "/fail", "/split"] {
        assert_eq!(watchdog.get(target).status, 500);
    }
    assert_eq!(watchdog.get("/pid").text(), before[0]);
    let pid = rustix::process::Pid::from_raw(before[0].parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("another process", || (children(watchdog.pid()) != before).then_some(()));
    until("it serves", || (watchdog.get("/").status == 200).then_some(()));
}

#[test]
fn a_gibibyte_streams_up_and_down_in_flat_memory() {
    let handler = "
const { Readable } = require('stream');
function* zeros(pieces) { for (let i = 0; i < pieces; i++) yield Buffer.alloc(1 << 20); }
module.exports = async (event) => {
  let size = 0;
  for await (const part of event.body) size += part.length;
  return event.path === '/down' ? Readable.from(zeros(1024)) : String(size);
};
module.exports.stream = true;
";
    let Some(function) = Function::node(handler) else { return };
    let watchdog = function.ready(&[("worker_count", "1"), ("exec_timeout", "0")]);
    let worker: u32 = children(watchdog.pid())[0].parse().unwrap();
    assert_eq!(watchdog.post(&vec![0; 1_000_000]).text(), "1000000");
    let before = [watchdog.pid(), worker].map(peak_memory);
    assert_eq!(upload(&watchdog, 1 << 30), (1_u64 << 30).to_string());
    assert!(download(&watchdog) > 1 << 30);
    let after = [watchdog.pid(), worker].map(peak_memory);
    // The collector of Node takes its time.
    for (grown, most) in [(after[0] - before[0], 16 << 20), (after[1] - before[1], 128 << 20)] {
        assert!(grown < most, "{before:?} to {after:?}");
    }
}

fn upload(watchdog: &Watchdog, size: usize) -> String {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n");
    let mut stream = watchdog.begin(head.as_bytes());
    let piece = vec![0; 1 << 20];
    for _ in 0..size / piece.len() {
        stream.write_all(&piece).unwrap();
    }
    read_answer(stream).text().to_owned()
}

/// The bytes that came, those of the framing included.
fn download(watchdog: &Watchdog) -> u64 {
    let mut stream = watchdog.begin(b"GET /down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
}
