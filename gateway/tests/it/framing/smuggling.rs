//! Requests hidden in others, and bytes that are sent too early.

use super::{Declined, Entry, Expect, Forwarded, Kept, Refused, RepairedThenClosed, check, entry, post};

const HIDDEN: &str = "GET /function/other HTTP/1.1\r\nHost: h\r\n\r\n";

fn hiding(name: &'static str, headers: &str, expect: Expect) -> Entry {
    post(name, headers, HIDDEN, expect)
}

#[test]
fn a_body_is_a_body_whatever_it_looks_like() {
    let length = HIDDEN.len();
    let chunk = format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n");
    let body = &["POST / GET /function/other HTTP/1.1\r\nHost: h\r\n\r\n"];
    check(&[
        hiding("of known length", &format!("Content-Length: {length}\r\n"), Forwarded(body)),
        post("in a chunk", "Transfer-Encoding: chunked\r\n", &chunk, Forwarded(body)),
        entry(
            "of a GET",
            format!("GET /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"),
            Forwarded(&["GET / GET /function/other HTTP/1.1\r\nHost: h\r\n\r\n"]),
        ),
        entry(
            "of a method that is declined",
            format!("COW /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"),
            Declined(405),
        ),
        entry(
            "of a function that is absent",
            format!("POST /function/absent HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"),
            Declined(404),
        ),
        entry(
            "of CONNECT",
            format!("CONNECT h:80 HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"),
            Kept,
        ),
    ]);
}

#[test]
fn nothing_is_read_after_a_request_that_was_refused() {
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", HIDDEN.len() + 5);
    check(&[
        hiding("two lengths", "Content-Length: 0\r\nContent-Length: 44\r\n", Refused(400)),
        hiding("no length at all", "Content-Length: x\r\n", Refused(400)),
        hiding("a coding that is unknown", "Transfer-Encoding: cow\r\n", Refused(400)),
        hiding("a coding before chunked", "Transfer-Encoding: cow, chunked\r\n", Refused(400)),
        hiding("a folded length", "Content-Length:\r\n 44\r\n", Refused(400)),
        hiding("a length with a space before its colon", "Content-Length : 44\r\n", Refused(400)),
        hiding("two hosts", "Host: other\r\n", Refused(400)),
        post("both", &both, &format!("0\r\n\r\n{HIDDEN}"), RepairedThenClosed(&["POST / "])),
        entry("no host", format!("GET /function/f HTTP/1.1\r\n\r\n{HIDDEN}"), Refused(400)),
    ]);
}

#[test]
fn headers_hidden_in_a_value_stay_there() {
    check(&[
        super::get("escaped line end", "X-A: a%0d%0aContent-Length: 44\r\n", Forwarded(&["GET / "])),
        super::get("written line end", "X-A: a\\r\\nContent-Length: 44\r\n", Forwarded(&["GET / "])),
        entry(
            "in the path",
            "GET /function/f/%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0a HTTP/1.1\r\nHost: h\r\n\r\n",
            Expect::Repaired(&["GET /%20HTTP/1.1%0D%0AHost:%20x%0D%0A%0D%0A "]),
        ),
        entry(
            "in the query",
            "GET /function/f?a=%0d%0aHost:x HTTP/1.1\r\nHost: h\r\n\r\n",
            Forwarded(&["GET /?a=%0d%0aHost:x "]),
        ),
    ]);
}

#[test]
fn what_follows_a_request_for_an_upgrade_is_not_forwarded_raw() {
    // The recorder answers 200, so the connection stays HTTP: what follows is another request, or is not read at all.
    for protocol in ["websocket", "cow"] {
        let upgrade = format!(
            "GET /function/f/first HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        check(&[entry(
            "another request",
            format!("{upgrade}GET /function/f/second HTTP/1.1\r\nHost: h\r\n\r\n"),
            Forwarded(&["GET /first ", "GET /second "]),
        )]);
    }
}
