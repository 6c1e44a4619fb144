//! Request lines: methods, targets, versions, and line ends.

use super::{Declined, Entry, Expect, Forwarded, ForwardedThenClosed, Kept, Refused, Repaired, check, entry};

/// With a line of its own and a Host.
fn line(name: &'static str, line: &str, expect: Expect) -> Entry {
    entry(name, format!("{line}\r\nHost: h\r\n\r\n"), expect)
}

#[test]
fn a_request_line_is_three_words_and_a_version_that_is_spoken() {
    let fine = &["GET / "];
    check(&[
        line("1.1", "GET /function/f HTTP/1.1", Forwarded(fine)),
        line("1.0", "GET /function/f HTTP/1.0", ForwardedThenClosed(fine)),
        entry("1.0 without a host", "GET /function/f HTTP/1.0\r\n\r\n", ForwardedThenClosed(fine)),
        entry("0.9", "GET /function/f\r\n\r\n", Refused(400)),
        line("0.9 in name", "GET /function/f HTTP/0.9", Refused(400)),
        line("1.2", "GET /function/f HTTP/1.2", Refused(400)),
        line("1", "GET /function/f HTTP/1", Refused(400)),
        line("1.10", "GET /function/f HTTP/1.10", Refused(400)),
        line("2.0", "GET /function/f HTTP/2.0", Refused(400)),
        line("2", "GET /function/f HTTP/2", Refused(400)),
        line("3.0", "GET /function/f HTTP/3.0", Refused(400)),
        line("in small letters", "GET /function/f http/1.1", Refused(400)),
        line("mixed", "GET /function/f Http/1.1", Refused(400)),
        line("another protocol", "GET /function/f ICAP/1.1", Refused(400)),
        line("space after the version", "GET /function/f HTTP/1.1 ", Refused(400)),
        line("something after the version", "GET /function/f HTTP/1.1 x", Refused(400)),
        line("two versions", "GET /function/f HTTP/1.1 HTTP/1.1", Refused(400)),
        line("two spaces before the target", "GET  /function/f HTTP/1.1", Refused(400)),
        line("two spaces after the target", "GET /function/f  HTTP/1.1", Refused(400)),
        line("tab before the target", "GET\t/function/f HTTP/1.1", Refused(400)),
        line("tab after the target", "GET /function/f\tHTTP/1.1", Refused(400)),
        line("space in the target", "GET /function/f a HTTP/1.1", Refused(400)),
        line("leading space", " GET /function/f HTTP/1.1", Refused(400)),
        line("no target", "GET HTTP/1.1", Refused(400)),
        line("no method", "/function/f HTTP/1.1", Refused(400)),
    ]);
}

#[test]
fn line_ends_are_repaired_only_where_nothing_else_can_be_meant() {
    let fine = &["GET / "];
    check(&[
        entry("bare LF", "GET /function/f HTTP/1.1\nHost: h\n\n", Repaired(fine)),
        entry("bare LF after the line", "GET /function/f HTTP/1.1\nHost: h\r\n\r\n", Repaired(fine)),
        entry("bare LF at the end", "GET /function/f HTTP/1.1\r\nHost: h\r\n\n", Repaired(fine)),
        entry("an empty line before", "\r\nGET /function/f HTTP/1.1\r\nHost: h\r\n\r\n", Repaired(fine)),
        entry("a bare LF before", "\nGET /function/f HTTP/1.1\r\nHost: h\r\n\r\n", Repaired(fine)),
        entry("a bare CR before", "\rGET /function/f HTTP/1.1\r\nHost: h\r\n\r\n", Refused(400)),
        entry("a bare CR after the line", "GET /function/f HTTP/1.1\rHost: h\r\n\r\n", Refused(400)),
        entry("a bare CR in the target", "GET /function/f\rx HTTP/1.1\r\nHost: h\r\n\r\n", Refused(400)),
        entry("a NUL before", "\0GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n", Refused(400)),
    ]);
}

#[test]
fn other_methods_are_declined() {
    let long = "A".repeat(8 << 10);
    check(&[
        line("TRACE", "TRACE /function/f HTTP/1.1", Declined(405)),
        line("PROPFIND", "PROPFIND /function/f HTTP/1.1", Declined(405)),
        line("invented", "COW /function/f HTTP/1.1", Declined(405)),
        line("in small letters", "get /function/f HTTP/1.1", Declined(405)),
        line("prefix", "GETX /function/f HTTP/1.1", Declined(405)),
        line("of HTTP/2", "PRI /function/f HTTP/1.1", Declined(405)),
        line("preface of HTTP/2 that is none", "PRI * HTTP/1.1", Kept),
        line("very long", &format!("{long} /function/f HTTP/1.1"), Kept),
        line("CONNECT to a path", "CONNECT /function/f HTTP/1.1", Kept),
        line("CONNECT to a host", "CONNECT h:80 HTTP/1.1", Kept),
        entry(
            "CONNECT, and what would go through a tunnel",
            "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n\x16\x03\x01",
            Kept,
        ),
        line("no token", "G(T /function/f HTTP/1.1", Refused(400)),
        line("colon", "GET: /function/f HTTP/1.1", Refused(400)),
        line("NUL", "G\0T /function/f HTTP/1.1", Refused(400)),
        line("beyond ASCII", "G\u{e4}T /function/f HTTP/1.1", Refused(400)),
    ]);
}

#[test]
fn a_target_is_a_path() {
    check(&[
        line("asterisk", "OPTIONS * HTTP/1.1", Kept),
        line("asterisk of a GET", "GET * HTTP/1.1", Kept),
        line("authority", "GET h:80 HTTP/1.1", Refused(400)),
        line("authority of a POST", "POST h HTTP/1.1", Kept),
        line("relative", "GET function/f HTTP/1.1", Refused(400)),
        line("relative to here", "GET ./function/f HTTP/1.1", Refused(400)),
        line("query alone", "GET ?x HTTP/1.1", Refused(400)),
        line("absolute", "GET http://h/function/f HTTP/1.1", Forwarded(&["GET / "])),
        line(
            "absolute, with path and query",
            "GET http://h/function/f/a?b=c HTTP/1.1",
            Forwarded(&["GET /a?b=c "]),
        ),
        line(
            "absolute, of a scheme that is not spoken",
            "GET ftp://h/function/f HTTP/1.1",
            Repaired(&["GET / "]),
        ),
        line("absolute, of a file", "GET file:///function/f HTTP/1.1", Refused(400)),
        line("absolute, without a host", "GET http:///function/f HTTP/1.1", Refused(400)),
        line("absolute, with a user", "GET http://u:p@h/function/f HTTP/1.1", Repaired(&["GET / "])),
        line("fragment", "GET /function/f#x HTTP/1.1", Repaired(&["GET / "])),
        line("NUL", "GET /function/f/\0 HTTP/1.1", Refused(400)),
        line("DEL", "GET /function/f/\x7f HTTP/1.1", Refused(400)),
        line("quotes in the query", "GET /function/f?a=\" HTTP/1.1", Repaired(&["GET /?a=\" "])),
    ]);
}
