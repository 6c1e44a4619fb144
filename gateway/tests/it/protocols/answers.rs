//! Answers' framing, and the order of answers.

use crate::fixture::http2::{answer, connect, request as request2};
use crate::fixture::{Client, Server, Upstream, get, request};

/// One answer of a function, and what a client of HTTP/1.1 sees of it, on a connection that lives on.
fn check(method: &str, answer: &'static str, status: u16, body: &str) {
    let upstream = Upstream::answering(answer);
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    for _ in 0..2 {
        client.send(request(method, "/function/f", &[], b""));
        let seen = client.answer_to(method);
        assert_eq!((seen.status, seen.text()), (status, body), "{method} {answer:?}: {seen:?}");
    }
    assert!(client.is_open(), "{method} {answer:?}");
}

#[test]
fn answers_without_bodies_have_none() {
    check("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "");
    check("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "");
    check("HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", 404, "");
    check("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    check("POST", "HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    check("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304, "");
    check("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n", 304, "");
    check("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "");
}

#[test]
fn a_head_says_how_long_the_body_would_be() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send(request("HEAD", "/function/f", &[], b""));
    assert_eq!(client.answer_to("HEAD").header("content-length"), Some("12345"));
    assert!(client.is_open());
}

#[test]
fn every_way_in_which_a_function_ends_its_body_is_an_end() {
    check("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
    check(
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        200,
        "hello",
    );
    for head in ["HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.0 200 OK\r\n\r\nhello"] {
        let upstream = Upstream::scripted(move |exchange| {
            exchange.read_all();
            exchange.write(head);
            exchange.close();
        });
        let server = Server::before(&upstream);
        let mut client = Client::new(&server);
        assert_eq!(client.call(get("/function/f", &[])).text(), "hello");
        assert_eq!(client.call(get("/function/f", &[])).text(), "hello");
    }
}

#[test]
fn statuses_below_200_come_before_the_answer() {
    check("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok");
    check(
        "GET",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200,
        "ok",
    );
}

#[test]
fn statuses_are_passed_on_as_they_are() {
    check("GET", "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 302, "");
    check("GET", "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", 500, "oops");
    check("GET", "HTTP/1.1 599 Whatever\r\nContent-Length: 0\r\n\r\n", 599, "");
}

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_none() {
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/7.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "hello\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    ] {
        let upstream = Upstream::answering(bad);
        let server = Server::before(&upstream);
        let answer = Client::new(&server).call(request("POST", "/function/f", &["Content-Length: 0"], b""));
        assert_eq!(answer.status, 502, "{bad:?}: {answer:?}");
        assert!(answer.header("x-faas-fault").is_some(), "{bad:?}: {answer:?}");
        assert_eq!(upstream.requests().len(), 1, "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_tells_its_length_twice_tells_it_once() {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (fields, length) in [
        (format!("Content-Length: 3\r\n{CHUNKED}"), None),
        (format!("Content-Length: 7\r\n{CHUNKED}"), None),
        (format!("Content-Length: 5\r\nContent-Length: 5\r\n{CHUNKED}"), None),
        ("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello".to_owned(), Some("5")),
    ] {
        let upstream = Upstream::answering(format!("HTTP/1.1 200 OK\r\n{fields}"));
        let server = Server::before(&upstream);
        let seen = Client::new(&server).call(get("/function/f", &[]));
        assert_eq!((seen.status, seen.text()), (200, "hello"), "{fields:?}: {seen:?}");
        assert_eq!(seen.all("content-length"), length.into_iter().collect::<Vec<_>>(), "{fields:?}");
        let mut client = connect(&server).await;
        let (response, _) = client.send_request(request2("GET", "/function/f", &[]), true).unwrap();
        assert_eq!(answer(response).await.body, b"hello", "{fields:?}");
    }
}

#[test]
fn what_a_function_sends_after_its_answer_is_nobodys() {
    let two =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbogus";
    let upstream = Upstream::answering(two);
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    for _ in 0..5 {
        assert_eq!(client.call(get("/function/f", &[])).text(), "ok");
    }
}

#[test]
fn clients_of_1_0_get_what_they_understand() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let server = Server::before(&upstream);
    for headers in ["", "Connection: keep-alive\r\n"] {
        let mut client = Client::new(&server);
        let answer = client.call(format!("GET /function/f HTTP/1.0\r\nHost: gateway\r\n{headers}\r\n"));
        assert_eq!((answer.header("transfer-encoding"), answer.text()), (None, "hello"), "{headers:?}");
        client.assert_closed();
    }
}

#[test]
fn clients_of_1_0_keep_their_connection_if_they_ask_for_it() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let request = |headers: &str| format!("GET /function/f HTTP/1.0\r\nHost: gateway\r\n{headers}\r\n");
    let mut client = Client::new(&server);
    assert_eq!(client.call(request("")).text(), "ok");
    client.assert_closed();
    let mut client = Client::new(&server);
    for _ in 0..3 {
        let answer = client.call(request("Connection: keep-alive\r\n"));
        assert_eq!(answer.text(), "ok");
        assert!(
            answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("keep-alive")),
            "{answer:?}"
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.read_all();
        let text = exchange.request.target.clone() + std::str::from_utf8(&exchange.request.body).unwrap();
        exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
    });
    let server = Server::before(&upstream);
    let requests: Vec<u8> = (0..20)
        .flat_map(|number| match number % 2 {
            0 => get(&format!("/function/f/{number}"), &[]),
            _ => request("POST", &format!("/function/f/{number}"), &["Content-Length: 2"], b"hi"),
        })
        .collect();
    let mut client = Client::new(&server);
    client.send(requests);
    for number in 0..20 {
        let expected = if number % 2 == 0 { format!("/{number}") } else { format!("/{number}hi") };
        assert_eq!(client.answer().text(), expected);
    }
}

#[test]
fn a_body_in_chunks_reaches_the_function_whatever_the_method() {
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
        let upstream = Upstream::start();
        let server = Server::before(&upstream);
        let head =
            format!("{method} /function/f HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = Client::new(&server).call(format!("{head}5\r\nhello\r\n0\r\n\r\n"));
        assert_eq!((answer.status, upstream.request().body.as_slice()), (200, &b"hello"[..]), "{method}");
    }
}
