//! Chunked bodies.

use super::{Cut, Entry, Expect, Forwarded, Repaired, check, post};
use crate::fixture::{Client, Server, Upstream};

const HEAD: &str = "POST /function/f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunked(name: &'static str, body: &str, expect: Expect) -> Entry {
    post(name, "Transfer-Encoding: chunked\r\n", body, expect)
}

fn cut(name: &'static str, body: &str) -> Entry {
    chunked(name, body, Cut(400))
}

#[test]
fn a_chunks_size_is_hexadecimal_digits() {
    let (hello, nothing) = (&["POST / hello"], &["POST / "]);
    check(&[
        chunked("several chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Forwarded(hello)),
        chunked("capital digits", "A\r\nhellohello\r\n0\r\n\r\n", Forwarded(&["POST / hellohello"])),
        chunked("small digits", "a\r\nhellohello\r\n0\r\n\r\n", Forwarded(&["POST / hellohello"])),
        chunked("leading zeros", "00005\r\nhello\r\n0\r\n\r\n", Forwarded(hello)),
        chunked("last one of many zeros", "5\r\nhello\r\n0000\r\n\r\n", Forwarded(hello)),
        chunked("none", "0\r\n\r\n", Forwarded(nothing)),
        chunked("space after", "5 \r\nhello\r\n0\r\n\r\n", Repaired(hello)),
        chunked("tab after", "5\t\r\nhello\r\n0\r\n\r\n", Repaired(hello)),
        chunked("extension", "5;a=b\r\nhello\r\n0\r\n\r\n", Forwarded(hello)),
        chunked("quoted extension", "5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n", Forwarded(hello)),
        cut("no digits", "\r\nhello\r\n0\r\n\r\n"),
        cut("extension alone", ";a\r\nhello\r\n0\r\n\r\n"),
        cut("space before", " 5\r\nhello\r\n0\r\n\r\n"),
        cut("tab before", "\t5\r\nhello\r\n0\r\n\r\n"),
        cut("space within", "0 5\r\nhello\r\n0\r\n\r\n"),
        cut("0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        cut("plus", "+5\r\nhello\r\n0\r\n\r\n"),
        cut("minus", "-5\r\nhello\r\n0\r\n\r\n"),
        cut("letter", "g\r\nhello\r\n0\r\n\r\n"),
        cut("underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        cut("fraction", "5.0\r\nhello\r\n0\r\n\r\n"),
        cut("past 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        cut("far past 64 bits", "fffffffffffffffffffff5\r\nhello\r\n0\r\n\r\n"),
        cut("NUL after", "5\0\r\nhello\r\n0\r\n\r\n"),
        cut("second one", "5\r\nhello\r\nx\r\n\r\n"),
    ]);
}

#[test]
fn a_chunks_lines_end_in_cr_and_lf() {
    check(&[
        cut("LF after the size", "5\nhello\r\n0\r\n\r\n"),
        cut("CR after the size", "5\rhello\r\n0\r\n\r\n"),
        cut("LF after the extension", "5;a\nhello\r\n0\r\n\r\n"),
        cut("LF in the extension, and a request", "5;\nGET /function/other HTTP/1.1\r\nhello\r\n0\r\n\r\n"),
        cut("CR in the extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        cut("LF after the data", "5\r\nhello\n0\r\n\r\n"),
        cut("CR after the data", "5\r\nhello\r0\r\n\r\n"),
        cut("nothing after the data", "5\r\nhello0\r\n\r\n"),
        cut("data longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
        cut("data shorter than its size", "8\r\nhello\r\n0\r\n\r\n"),
        cut("LF after the last size", "5\r\nhello\r\n0\n\r\n"),
        cut("very long extension", &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(64 << 10))),
        cut(
            "extensions, long together",
            &format!("{}0\r\n\r\n", format!("1;{}\r\nx\r\n", "a".repeat(4000)).repeat(20)),
        ),
    ]);
}

#[test]
fn bad_trailers_are_not_forwarded() {
    let hello = &["POST / hello"];
    let with = |trailers: &str| format!("5\r\nhello\r\n0\r\n{trailers}\r\n");
    check(&[
        chunked("a good one", &with("X-Trailer: 1\r\n"), Forwarded(hello)),
        chunked("a length", &with("Content-Length: 7\r\n"), Repaired(hello)),
        chunked("a coding", &with("Transfer-Encoding: chunked\r\n"), Repaired(hello)),
        chunked("a host", &with("Host: other\r\n"), Repaired(hello)),
        chunked("credentials", &with("Authorization: Basic YTpi\r\nX-Call-Id: 1\r\n"), Repaired(hello)),
        cut("space before the colon", &with("X-Trailer : 1\r\n")),
        cut("no colon", &with("X-Trailer\r\n")),
        cut("no name", &with(": 1\r\n")),
        cut("NUL", &with("X-Trailer: a\0b\r\n")),
        cut("bare CR", &with("X-Trailer: a\rb\r\n")),
        cut("folded", &with("X-Trailer: a\r\n b\r\n")),
        cut("very many", &with(&"X-Trailer: 1\r\n".repeat(2000))),
        cut("a very long one", &with(&format!("X-Trailer: {}\r\n", "a".repeat(64 << 10)))),
    ]);
}

#[test]
fn a_chunked_body_that_ends_too_soon_is_no_request() {
    for body in ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n"] {
        let upstream = Upstream::start();
        let server = Server::before(&upstream);
        let mut client = Client::new(&server);
        client.send(format!("{HEAD}{body}"));
        upstream.wait_requests(1);
        client.finish().until_close();
        upstream.wait_closed();
        assert!(!upstream.request().whole, "{body:?}");
    }
}
