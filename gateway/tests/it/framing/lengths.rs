//! `Content-Length`.

use super::{Forwarded, Refused, Repaired, check, get, post};
use crate::fixture::{Client, Server, Upstream};

#[test]
fn only_one_plain_number_is_a_length() {
    let hello = &["POST / hello"];
    check(&[
        post("one", "Content-Length: 5\r\n", "hello", Forwarded(hello)),
        post("zero", "Content-Length: 0\r\n", "", Forwarded(&["POST / "])),
        post("none", "", "", Forwarded(&["POST / "])),
        post("leading zeros", "Content-Length: 0005\r\n", "hello", Repaired(hello)),
        post("space around", "Content-Length:   5  \r\n", "hello", Forwarded(hello)),
        post("tab around", "Content-Length:\t5\t\r\n", "hello", Forwarded(hello)),
        post("equal twice", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello", Repaired(hello)),
        post("different twice", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello!", Refused(400)),
        post("different, shorter last", "Content-Length: 6\r\nContent-Length: 5\r\n", "hello!", Refused(400)),
        post(
            "equal numbers, written differently",
            "Content-Length: 5\r\nContent-Length: 05\r\n",
            "hello",
            Repaired(hello),
        ),
        post("one with a sign of two", "Content-Length: 5\r\nContent-Length: +5\r\n", "hello", Refused(400)),
        post("one empty of two", "Content-Length: 5\r\nContent-Length:\r\n", "hello", Refused(400)),
        post("equal list", "Content-Length: 5, 5\r\n", "hello", Refused(400)),
        post("different list", "Content-Length: 5, 6\r\n", "hello", Refused(400)),
        post("list with nothing", "Content-Length: 5,\r\n", "hello", Refused(400)),
        post("plus", "Content-Length: +5\r\n", "hello", Refused(400)),
        post("minus", "Content-Length: -5\r\n", "hello", Refused(400)),
        post("minus zero", "Content-Length: -0\r\n", "", Refused(400)),
        post("hexadecimal", "Content-Length: 0x5\r\n", "hello", Refused(400)),
        post("letters", "Content-Length: five\r\n", "hello", Refused(400)),
        post("fraction", "Content-Length: 5.0\r\n", "hello", Refused(400)),
        post("exponent", "Content-Length: 5e0\r\n", "hello", Refused(400)),
        post("underscore", "Content-Length: 1_0\r\n", "hellohello", Refused(400)),
        post("quoted", "Content-Length: \"5\"\r\n", "hello", Refused(400)),
        post("two numbers", "Content-Length: 5 5\r\n", "hello", Refused(400)),
        post("empty", "Content-Length:\r\n", "", Refused(400)),
        post("blank", "Content-Length: \t \r\n", "", Refused(400)),
        post("vertical tab", "Content-Length: \x0b5\r\n", "hello", Refused(400)),
        post("past 64 bits", "Content-Length: 18446744073709551616\r\n", "hello", Refused(400)),
        post(
            "past 64 bits, 5 after wrapping",
            "Content-Length: 18446744073709551621\r\n",
            "hello",
            Refused(400),
        ),
        post("far past 64 bits", &format!("Content-Length: {}\r\n", "9".repeat(200)), "hello", Refused(400)),
        get("different twice, without a body", "Content-Length: 0\r\nContent-Length: 1\r\n", Refused(400)),
    ]);
}

#[test]
fn a_body_that_ends_too_soon_is_no_request() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    upstream.wait_requests(1);
    client.finish();
    client.until_close();
    upstream.wait_closed();
    assert!(!upstream.request().whole);
}
