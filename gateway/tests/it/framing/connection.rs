//! Headers for one hop: `Connection`, what it names, and the others.

use super::{Forwarded, ForwardedThenClosed, check, get, post};
use crate::fixture::{Client, Request, Server, Upstream, get as request};

/// What the function saw of a GET with these headers.
fn seen(headers: &[&str]) -> Request {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let answer = Client::new(&server).call(request("/function/f", headers));
    let seen = upstream.request();
    assert_eq!(answer.status, 200, "{answer:?}");
    seen
}

#[test]
fn what_connection_names_is_dropped() {
    let seen = seen(&[
        "Connection: X-Hop, x-other ,, ",
        "Connection: X-Third",
        "X-Hop: 1",
        "X-Other: 1",
        "X-Third: 1",
        "X-Kept: 1",
    ]);
    for gone in ["connection", "x-hop", "x-other", "x-third"] {
        assert!(seen.all(gone).is_empty(), "{gone}: {seen:?}");
    }
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[test]
fn what_the_gateway_says_cannot_be_dropped_by_naming_it() {
    // What is the caller's own, such as `Authorization`, is dropped like everything that `Connection` names.
    let names = "Host, X-Call-Id, X-Start-Time, X-Forwarded-For, X-Forwarded-Host, User-Agent";
    let seen = seen(&[
        &format!("Connection: {names}, Authorization"),
        "Authorization: Basic YTpi",
        "X-Call-Id: mine",
    ]);
    for name in names.split(", ") {
        assert!(seen.header(&name.to_lowercase()).is_some(), "{name}: {seen:?}");
    }
    assert_eq!(seen.header("host"), Some("gateway"));
    assert_eq!(seen.header("x-call-id"), Some("mine"));
    assert_eq!(seen.header("authorization"), None);
}

#[test]
fn a_body_keeps_its_length_though_connection_names_it() {
    check(&[
        post(
            "length",
            "Connection: Content-Length\r\nContent-Length: 5\r\n",
            "hello",
            Forwarded(&["POST / hello"]),
        ),
        post(
            "coding",
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            Forwarded(&["POST / hello"]),
        ),
    ]);
}

#[test]
fn headers_for_one_hop_are_dropped() {
    // The recorder takes no other `TE` than `trailers`.
    let hop = [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authenticate: Basic",
        "Proxy-Authorization: Basic YTpi",
        "Upgrade: h2c",
        "TE: trailers, deflate",
    ];
    let seen = seen(&hop);
    for header in &hop[..5] {
        let name = header.split(':').next().unwrap().to_lowercase();
        assert!(seen.all(&name).is_empty(), "{name}: {seen:?}");
    }
}

#[test]
fn an_upgrade_to_http2_is_not_offered() {
    let upgrade =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    check(&[get("h2c", upgrade, Forwarded(&["GET / "]))]);
}

#[test]
fn connection_says_whether_it_lives_on() {
    let fine = &["GET / "];
    check(&[
        get("close", "Connection: close\r\n", ForwardedThenClosed(fine)),
        get("close in capitals", "Connection: CLOSE\r\n", ForwardedThenClosed(fine)),
        get("close in a list", "Connection: x, close\r\n", ForwardedThenClosed(fine)),
        get(
            "close before keep-alive",
            "Connection: close\r\nConnection: keep-alive\r\n",
            ForwardedThenClosed(fine),
        ),
        get("keep-alive", "Connection: keep-alive\r\n", Forwarded(fine)),
        get("anything else", "Connection: cow\r\n", Forwarded(fine)),
    ]);
}

#[test]
fn an_expectation_is_not_forwarded() {
    // RFC 9110, 10.1.1 lets a server ignore one that it does not know.
    let expecting = |name, expect: &str| get(name, format!("Expect: {expect}\r\n"), Forwarded(&["GET / "]));
    check(&[
        expecting("100", "100-continue"),
        expecting("in capitals", "100-Continue"),
        expecting("unknown", "cow"),
        expecting("two", "100-continue, cow"),
    ]);
}
