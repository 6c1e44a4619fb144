//! Trailers of HTTP/1.1, both ways.

use crate::fixture::{Client, Server, Upstream, get};

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";

#[test]
fn an_answers_trailers_reach_a_caller_that_takes_them() {
    let upstream = Upstream::answering(ANSWER);
    let server = Server::before(&upstream);
    let answer = Client::new(&server).call(get("/function/f", &["TE: trailers", "Connection: TE"]));
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.trailers.len(), 1, "{answer:?}");
    assert!(answer.trailers[0].0.eq_ignore_ascii_case("x-sum") && answer.trailers[0].1 == "7", "{answer:?}");
}

#[test]
fn an_answers_trailers_disturb_nobody_who_does_not_take_them() {
    let upstream = Upstream::answering(ANSWER);
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    for _ in 0..3 {
        assert_eq!(client.call(get("/function/f", &[])).text(), "ok");
    }
}

#[test]
fn a_requests_trailers_reach_the_function() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let head =
        "POST /function/f HTTP/1.1\r\nHost: gateway\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = Client::new(&server);
    assert_eq!(client.call(format!("{head}2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")).status, 200);
    assert_eq!(upstream.request().body, b"hi");
    assert_eq!(upstream.request().trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert!(client.is_open());
}
