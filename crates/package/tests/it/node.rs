use std::io::{Read as _, Write as _};

use faas_package::{Manifest, Runtime, Signature};

use crate::replica::{Package, interpreter};

const HANDLER: &str = "
'use strict'
module.exports = async (event, context) => {
  console.log('called', event.path)
  switch (event.path) {
    case '/echo': return context.status(200).headers({ 'Content-Type': 'text/plain', 'X-A': 'b' }).succeed(event.body)
    case '/type': return Buffer.isBuffer(event.body) ? 'buffer' : typeof event.body
    case '/request': return { method: event.method, query: event.query, path: event.path, custom: event.headers['x-custom'], body: event.body }
    case '/status': return context.status(201).succeed({ a: 1 })
    case '/fail': return context.fail(new Error('no good'))
    case '/fail-status': return context.status(409).fail('conflict')
    case '/throw': throw new Error('thrown')
    case '/none': return undefined
    case '/buffer': return Buffer.from('bytes')
    case '/204': return context.status(204).succeed('')
    case '/split': return context.headers({ 'X-A': 'b\\r\\nX-C: d' }).succeed('')
  }
  return 'hello'
}
";

#[test]
fn every_form_of_answer_is_understood() {
    let Some(package) = Package::node(HANDLER) else { return };
    let server = package.serve(&[]);
    for (target, status, header, body) in [
        ("/", "200", "content-type: text/html; charset=utf-8", "hello"),
        ("/echo", "200", "content-type: text/plain\r\nx-a: b", "body"),
        ("/status", "201", "content-type: application/json", r#"{"a":1}"#),
        ("/fail", "500", "", "Error: no good"),
        ("/fail-status", "409", "", "conflict"),
        ("/throw", "500", "", "Error: thrown"),
        ("/none", "200", "content-length: 0", ""),
        ("/buffer", "200", "content-type: application/octet-stream", "bytes"),
        ("/204", "204", "", ""),
        ("/split", "500", "", "Internal Server Error\n"),
    ] {
        let answer = server.exchange(&format!("POST {target} HTTP/1.1"), b"body");
        assert_eq!((answer.status(), answer.body.as_str()), (status, body), "{target}");
        assert!(answer.head.contains(header), "{target}: {}", answer.head);
    }
    server.terminate();
    let (status, stdout, stderr) = server.ended();
    assert!(status.success(), "{status}");
    assert!(stdout.contains("called /echo\n"), "{stdout}");
    assert!(stderr.contains("no good") && stderr.contains("thrown"), "{stderr}");
}

#[test]
fn bodies_arrive_as_their_content_type_says() {
    let Some(package) = Package::node(HANDLER) else { return };
    let server = package.serve(&[]);
    for (content_type, body, expected) in [
        ("application/json", r#"{"a": 1}"#, "object"),
        ("application/json; charset=utf-8", r#""text""#, "string"),
        ("text/plain", "text", "string"),
        ("application/octet-stream", "bytes", "buffer"),
        ("text/plain", "", "object"),
    ] {
        let head = format!("POST /type HTTP/1.1\r\nContent-Type: {content_type}");
        assert_eq!(server.exchange(&head, body.as_bytes()).body, expected, "{content_type} {body}");
    }
    let answer = server.exchange("POST /type HTTP/1.1\r\nContent-Type: application/json", b"{");
    assert_eq!(answer.status(), "400", "{answer:?}");
    let answer = server.exchange(
        "PUT /request?a=1&a=2&b&__proto__=x HTTP/1.1\r\nX-Custom: y\r\nContent-Type: application/json",
        b"[1]",
    );
    let expected = r#"{"method":"PUT","query":{"a":["1","2"],"b":"","__proto__":"x"},"path":"/request","custom":"y","body":[1]}"#;
    assert_eq!(answer.body, expected);
}

#[test]
fn raw_bodies_are_buffers_and_bodies_are_bounded() {
    let Some(package) = Package::node(HANDLER) else { return };
    let server = package.serve(&[("RAW_BODY", "true"), ("MAX_BODY_BYTES", "10")]);
    assert_eq!(
        server.exchange("POST /type HTTP/1.1\r\nContent-Type: application/json", b"{}").body,
        "buffer"
    );
    assert_eq!(server.exchange("POST / HTTP/1.1", b"01234567890").status(), "413");
    let chunked =
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    assert_eq!(server.raw(chunked).status(), "413");
    assert_eq!(server.exchange("POST /echo HTTP/1.1", b"0123456789").body, "0123456789");
}

#[test]
fn the_callback_of_older_handlers_works() {
    let handler = "module.exports = (event, context, callback) => { \
                   setImmediate(() => event.path === '/bad' ? callback('bad') : callback(undefined, 'done')) }";
    let Some(package) = Package::node(handler) else { return };
    let server = package.serve(&[]);
    assert_eq!(server.exchange("POST / HTTP/1.1", b"x").body, "done");
    let answer = server.exchange("POST /bad HTTP/1.1", b"x");
    assert_eq!((answer.status(), answer.body.as_str()), ("500", "bad"));
}

#[test]
fn modules_and_installed_packages_are_found() {
    let Some(node) = interpreter(Runtime::Node) else { return };
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
        let package = Package::new(&node, &manifest, files, &installed);
        let server = package.serve(&[]);
        assert_eq!(server.exchange("GET / HTTP/1.1", b"").body, "hello!", "{files:?}");
    }
}

#[test]
fn a_handler_that_does_not_load_ends_before_it_listens() {
    for (handler, expected) in [
        ("require('missing-module')", "Cannot find module 'missing-module'"),
        ("module.exports = 7", "exports no function"),
    ] {
        let Some(package) = Package::node(handler) else { return };
        let (status, _, stderr) = package.serve(&[]).ended();
        assert_eq!(status.code(), Some(1));
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn the_end_waits_for_open_connections() {
    let Some(package) = Package::node(HANDLER) else { return };
    let server = package.serve(&[]);
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    server.terminate();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches("hello").count(), 2, "{rest}");
    drop(stream);
    assert!(server.ended().0.success());
}
