//! `Transfer-Encoding`, alone and beside `Content-Length`.

use super::{Entry, Forwarded, Refused, Repaired, RepairedThenClosed, check, entry, get, post};

/// With a chunked body.
const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

fn coded(name: &'static str, codings: &str, expect: super::Expect) -> Entry {
    post(name, codings, HELLO, expect)
}

#[test]
fn chunked_alone_is_a_transfer_coding() {
    let hello = &["POST / hello"];
    check(&[
        coded("chunked", "Transfer-Encoding: chunked\r\n", Forwarded(hello)),
        coded("in capitals", "Transfer-Encoding: CHUNKED\r\n", Forwarded(hello)),
        coded("space around", "Transfer-Encoding:   chunked  \r\n", Forwarded(hello)),
        coded("tab around", "Transfer-Encoding:\tchunked\t\r\n", Forwarded(hello)),
        coded("vertical tab before", "Transfer-Encoding: \x0bchunked\r\n", Refused(400)),
        coded("vertical tab after", "Transfer-Encoding: chunked\x0b\r\n", Refused(400)),
        coded("form feed after", "Transfer-Encoding: chunked\x0c\r\n", Refused(400)),
        coded("trailing comma", "Transfer-Encoding: chunked,\r\n", Refused(400)),
        coded("leading comma", "Transfer-Encoding: ,chunked\r\n", Refused(400)),
        coded("parameter", "Transfer-Encoding: chunked;q=1\r\n", Refused(400)),
        coded("quoted", "Transfer-Encoding: \"chunked\"\r\n", Refused(400)),
        coded("twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Refused(400)),
        coded("twice in a list", "Transfer-Encoding: chunked, chunked\r\n", Refused(400)),
        coded("gzip before", "Transfer-Encoding: gzip, chunked\r\n", Refused(400)),
        coded(
            "gzip before, a line each",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            Refused(400),
        ),
        coded("gzip after", "Transfer-Encoding: chunked, gzip\r\n", Refused(400)),
        coded(
            "gzip after, a line each",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
            Refused(400),
        ),
        coded("identity", "Transfer-Encoding: identity\r\n", Refused(400)),
        coded("identity before", "Transfer-Encoding: identity, chunked\r\n", Refused(400)),
        coded("identity after", "Transfer-Encoding: chunked, identity\r\n", Refused(400)),
        coded("empty", "Transfer-Encoding:\r\n", Refused(400)),
        coded("empty, then chunked", "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", Refused(400)),
        coded("xchunked", "Transfer-Encoding: xchunked\r\n", Refused(400)),
        coded("chunkedx", "Transfer-Encoding: chunkedx\r\n", Refused(400)),
        coded("chunk", "Transfer-Encoding: chunk\r\n", Refused(400)),
        coded("space within", "Transfer-Encoding: chun ked\r\n", Refused(400)),
        coded("unknown", "Transfer-Encoding: cow\r\n", Refused(400)),
        coded("space before the colon", "Transfer-Encoding : chunked\r\n", Refused(400)),
        coded("tab before the colon", "Transfer-Encoding\t: chunked\r\n", Refused(400)),
        coded("folded", "Transfer-Encoding:\r\n chunked\r\n", Refused(400)),
        coded("folded with a tab", "Transfer-Encoding:\r\n\tchunked\r\n", Refused(400)),
        coded("after a bare CR", "X: y\rTransfer-Encoding: chunked\r\n", Refused(400)),
        coded("after a NUL", "X: y\0Transfer-Encoding: chunked\r\n", Refused(400)),
        coded("after a bare LF", "X: y\nTransfer-Encoding: chunked\r\n", Repaired(hello)),
        get("of a GET", "Transfer-Encoding: chunked\r\n\r\n0\r\n", Forwarded(&["GET / "])),
    ]);
}

#[test]
fn one_dot_zero_has_no_transfer_codings() {
    let request = |headers: &str| format!("POST /function/f HTTP/1.0\r\nHost: h\r\n{headers}\r\n{HELLO}");
    check(&[
        entry("chunked", request("Transfer-Encoding: chunked\r\n"), Refused(400)),
        entry(
            "kept alive",
            request("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"),
            Refused(400),
        ),
        entry(
            "beside a length",
            request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            Refused(400),
        ),
        entry("identity", request("Transfer-Encoding: identity\r\n"), Refused(400)),
    ]);
}

#[test]
fn beside_a_coding_no_length_is_forwarded_and_nothing_after_it_read() {
    let (length, coding) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    let hello = RepairedThenClosed(&["POST / hello"]);
    let hidden = "0\r\n\r\nGET /function/other HTTP/1.1\r\nHost: h\r\n\r\n";
    let nothing = || RepairedThenClosed(&["POST / "]);
    check(&[
        post("length first", &format!("{length}{coding}"), HELLO, hello),
        post("coding first", &format!("{coding}{length}"), HELLO, RepairedThenClosed(&["POST / hello"])),
        post(
            "length twice, around",
            &format!("{length}{coding}{length}"),
            HELLO,
            RepairedThenClosed(&["POST / hello"]),
        ),
        post("no number, first", &format!("Content-Length: x\r\n{coding}"), HELLO, Refused(400)),
        post(
            "no number, last",
            &format!("{coding}Content-Length: x\r\n"),
            HELLO,
            RepairedThenClosed(&["POST / hello"]),
        ),
        post("unknown coding", &format!("{length}Transfer-Encoding: cow\r\n"), "hello", Refused(400)),
        post("unknown coding first", &format!("Transfer-Encoding: cow\r\n{length}"), "hello", Refused(400)),
        post("CL.TE", &format!("Content-Length: {}\r\n{coding}", hidden.len()), hidden, nothing()),
        post(
            "CL.TE, coding first",
            &format!("{coding}Content-Length: {}\r\n", hidden.len()),
            hidden,
            nothing(),
        ),
        post("TE.CL", &format!("Content-Length: 3\r\n{coding}"), hidden, nothing()),
        post("TE.TE", &format!("{coding}Transfer-Encoding: x\r\n"), hidden, Refused(400)),
        post("TE.TE, unknown first", &format!("Transfer-Encoding: x\r\n{coding}"), hidden, Refused(400)),
    ]);
}
