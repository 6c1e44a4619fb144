//! HTTP/2 requests that would be others, or several, once written as HTTP/1.1.

use crate::fixture::frames::Frames;
use crate::fixture::{Request, Server, Upstream};

const METHOD: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/function/f");
const AUTHORITY: (&str, &str) = (":authority", "gateway");

const HIDDEN: &str = "GET /function/other HTTP/1.1\r\nHost: h\r\n\r\n";

/// Whether a request with these fields and this body is answered with 200, and what the function saw whole.
fn send(fields: &[(&str, &str)], body: &str) -> (bool, Vec<Request>) {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    let server = Server::before(&upstream);
    server.route("other", &[&other]);
    let mut client = Frames::new(&server);
    client.send(
        &[Frames::raw(1, fields, body.is_empty()), Frames::data(1, body)][..=usize::from(!body.is_empty())]
            .concat(),
    );
    let answered = client.is_answered(1);
    drop(client);
    upstream.finish();
    other.finish();
    assert_eq!(upstream.fault(), None, "{fields:?}");
    assert!(other.requests().is_empty(), "smuggled by {fields:?}");
    let whole = upstream.requests().into_iter().filter(|request| request.whole).collect();
    (answered, whole)
}

/// With a good head, and this besides.
fn with(field: (&str, &str), body: &str) -> (bool, Vec<Request>) {
    send(&[METHOD, SCHEME, PATH, AUTHORITY, field], body)
}

#[test]
fn a_good_request_is_forwarded_once() {
    let (answered, seen) = with(("x-a", "1"), "hello");
    assert!(answered);
    assert_eq!(seen.iter().map(Request::summary).collect::<Vec<_>>(), ["POST / hello"]);
    let (answered, seen) = with(("content-length", "5"), "hello");
    assert!(answered && seen.len() == 1);
}

#[test]
fn headers_that_would_be_others_are_refused() {
    for field in [
        ("x-a", "1\r\nContent-Length: 0\r\n\r\nGET /function/other HTTP/1.1"),
        ("x-a", "1\nhost: other"),
        ("x-a", "1\rhost: other"),
        ("x-a", "1\0"),
        ("x-a\r\nhost", "other"),
        ("x-a: 1\r\nhost", "other"),
        ("x a", "1"),
        ("x:a", "1"),
        ("", "1"),
        ("X-A", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        (":path", "/function/other"),
        (":method", "GET"),
        (":cow", "moo"),
        (":status", "200"),
    ] {
        let (answered, seen) = with(field, "");
        assert!(!answered && seen.is_empty(), "{field:?}: {answered}, {seen:?}");
    }
}

#[test]
fn a_length_that_is_not_the_bodys_is_refused() {
    for (length, body) in [
        ("0", HIDDEN),
        ("3", "hello"),
        ("9", "hello"),
        ("5", ""),
        ("x", "hello"),
        ("+5", "hello"),
        ("-5", "hello"),
    ] {
        let (_, seen) = with(("content-length", length), body);
        assert!(seen.is_empty(), "{length} of {body:?}: {seen:?}");
    }
    let lengths = [METHOD, SCHEME, PATH, AUTHORITY, ("content-length", "5"), ("content-length", "6")];
    assert!(send(&lengths, "hello").1.is_empty());
}

#[test]
fn pseudo_headers_that_would_be_others_are_refused() {
    let bad: [&[(&str, &str)]; 14] = [
        &[METHOD, SCHEME, AUTHORITY],
        &[SCHEME, PATH, AUTHORITY],
        &[METHOD, PATH, AUTHORITY],
        &[METHOD, SCHEME, (":path", ""), AUTHORITY],
        &[METHOD, SCHEME, (":path", "function/f"), AUTHORITY],
        &[METHOD, SCHEME, (":path", "/function/f HTTP/1.1\r\nhost: other\r\n\r\n"), AUTHORITY],
        &[METHOD, SCHEME, (":path", "/function/f /function/other"), AUTHORITY],
        &[METHOD, SCHEME, (":path", "/function/f\r\n"), AUTHORITY],
        &[(":method", "GET /function/other HTTP/1.1\r\n\r\nPOST"), SCHEME, PATH, AUTHORITY],
        &[(":method", ""), SCHEME, PATH, AUTHORITY],
        &[METHOD, SCHEME, PATH, (":authority", "gateway\r\nx-a: 1")],
        &[METHOD, SCHEME, PATH, (":authority", "gateway/function/other?")],
        &[METHOD, SCHEME, PATH, AUTHORITY, ("x-a", "1"), (":path", "/function/f")],
        &[METHOD, SCHEME, PATH, AUTHORITY, ("host", "other")],
    ];
    for fields in bad {
        let (answered, seen) = send(fields, "");
        assert!(!answered && seen.is_empty(), "{fields:?}: {answered}, {seen:?}");
    }
}

#[test]
fn bodies_that_look_like_requests_are_bodies() {
    let (answered, seen) = with(("x-a", "1"), HIDDEN);
    assert!(answered && seen.len() == 1);
    assert_eq!(seen[0].body, HIDDEN.as_bytes());
}

#[test]
fn a_host_is_enough() {
    let (answered, seen) = send(&[METHOD, SCHEME, PATH, ("host", "gateway")], "");
    assert!(answered && seen[0].header("host") == Some("gateway"), "{seen:?}");
}
