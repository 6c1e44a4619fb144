//! Names and values of headers.

use super::{Forwarded, Refused, check, entry, get};

#[test]
fn a_headers_name_is_a_token() {
    let fine = &["GET / "];
    check(&[
        get("every token character", "x!#$%&'*+-.^_`|~1: 1\r\n", Forwarded(fine)),
        get("space before the colon", "X-A : 1\r\n", Refused(400)),
        get("tab before the colon", "X-A\t: 1\r\n", Refused(400)),
        get("space within", "X A: 1\r\n", Refused(400)),
        get("leading space", " X-A: 1\r\n", Refused(400)),
        get("empty", ": 1\r\n", Refused(400)),
        get("no colon", "X-A\r\n", Refused(400)),
        get("NUL", "X-\0A: 1\r\n", Refused(400)),
        get("control character", "X-\x01A: 1\r\n", Refused(400)),
        get("DEL", "X-\x7fA: 1\r\n", Refused(400)),
        get("beyond ASCII", b"X-\xffA: 1\r\n", Refused(400)),
        get("UTF-8", "X-\u{e4}: 1\r\n", Refused(400)),
        get("slash", "X/A: 1\r\n", Refused(400)),
        get("parenthesis", "X(A: 1\r\n", Refused(400)),
        get("quotes", "\"X-A\": 1\r\n", Refused(400)),
        get("at", "X@A: 1\r\n", Refused(400)),
        get("carriage return", "X-\rA: 1\r\n", Refused(400)),
        get("CR before the name", "\rX-A: 1\r\n", Refused(400)),
        entry("space before the first", "GET /function/f HTTP/1.1\r\n Host: h\r\n\r\n", Refused(400)),
        entry("tab before the first", "GET /function/f HTTP/1.1\r\n\tX: y\r\nHost: h\r\n\r\n", Refused(400)),
    ]);
}

#[test]
fn a_headers_value_has_no_control_characters() {
    let fine = &["GET / "];
    check(&[
        get("empty", "X-A:\r\n", Forwarded(fine)),
        get("tab within", "X-A: a\tb\r\n", Forwarded(fine)),
        get("beyond ASCII", b"X-A: \xe4\xff\r\n", Forwarded(fine)),
        get("NUL", "X-A: a\0b\r\n", Refused(400)),
        get("control character", "X-A: a\x01b\r\n", Refused(400)),
        get("escape", "X-A: a\x1bb\r\n", Refused(400)),
        get("vertical tab", "X-A: a\x0bb\r\n", Refused(400)),
        get("DEL", "X-A: a\x7fb\r\n", Refused(400)),
        get("bare CR", "X-A: a\rb\r\n", Refused(400)),
        get("bare CR before a header", "X-A: a\rContent-Length: 5\r\n", Refused(400)),
        get("CR twice", "X-A: a\r\r\n", Refused(400)),
        get("folded", "X-A: a\r\n b\r\n", Refused(400)),
        get("folded with a tab", "X-A: a\r\n\tb\r\n", Refused(400)),
        get("folded, nothing else", "X-A: a\r\n \r\n", Refused(400)),
        get("folded length", "Content-Length:\r\n 5\r\n", Refused(400)),
        get("folded into a length", "X-A: a\r\n Content-Length: 5\r\n", Refused(400)),
        get("folded by LF alone", "X-A: a\n b\r\n", Refused(400)),
    ]);
}
