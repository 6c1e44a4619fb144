//! `Host`: one, and the one that the target names.

use super::{Entry, Expect, Forwarded, Refused, Repaired, check, entry};
use crate::fixture::{Client, Server, Upstream};

/// A GET with these header lines alone.
fn hosts(name: &'static str, headers: &str, expect: Expect) -> Entry {
    entry(name, format!("GET /function/f HTTP/1.1\r\n{headers}\r\n"), expect)
}

#[test]
fn there_is_one_host() {
    let fine = &["GET / "];
    check(&[
        hosts("one", "Host: h\r\n", Forwarded(fine)),
        hosts("with a port", "Host: h:8080\r\n", Forwarded(fine)),
        hosts("an address", "Host: [::1]:80\r\n", Forwarded(fine)),
        hosts("none", "", Refused(400)),
        hosts("none, but others", "X-Forwarded-Host: h\r\nConnection: Host\r\n", Refused(400)),
        hosts("two", "Host: h\r\nHost: other\r\n", Refused(400)),
        hosts("two, equal", "Host: h\r\nHost: h\r\n", Refused(400)),
        hosts("two, one empty", "Host: h\r\nHost:\r\n", Refused(400)),
        hosts("empty", "Host:\r\n", Repaired(fine)),
        hosts("space within", "Host: h other\r\n", Refused(400)),
        hosts("slash", "Host: h/function/other\r\n", Refused(400)),
        hosts("user", "Host: u@h\r\n", Refused(400)),
        hosts("no port", "Host: h:x\r\n", Refused(400)),
        hosts("list", "Host: h, other\r\n", Refused(400)),
        entry(
            "two, of an absolute target",
            "GET http://h/function/f HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            Refused(400),
        ),
        entry("none, of an absolute target", "GET http://h/function/f HTTP/1.1\r\n\r\n", Refused(400)),
        entry("two, of 1.0", "GET /function/f HTTP/1.0\r\nHost: h\r\nHost: other\r\n\r\n", Refused(400)),
    ]);
}

#[test]
fn an_absolute_targets_host_counts() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let request = "GET http://target.example/function/f HTTP/1.1\r\nHost: header.example\r\n\r\n";
    assert_eq!(Client::new(&server).call(request).status, 400);
    assert!(upstream.requests().is_empty());
    let request = "GET http://target.example/function/f HTTP/1.1\r\nHost: Target.example\r\n\r\n";
    assert_eq!(Client::new(&server).call(request).status, 200);
    let seen = upstream.request();
    assert_eq!(seen.header("host"), Some("target.example"));
    assert_eq!(seen.header("x-forwarded-host"), Some("target.example"));
}
