//! Contract 1.3: which methods reach a function.

use crate::fixture::{Client, Server, Upstream, request};

#[test]
fn seven_methods_are_passed_on_as_they_are() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    for method in methods {
        client.send(request(method, "/function/f", &["Content-Length: 2"], b"hi"));
        assert_eq!(client.answer_to(method).status, 200, "{method}");
    }
    let seen: Vec<_> = upstream.requests().iter().map(|request| request.method.clone()).collect();
    assert_eq!(seen, methods);
    assert!(upstream.requests().iter().all(|request| request.body == b"hi"));
}

#[test]
fn all_others_are_refused_as_the_callers_fault() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    for method in ["TRACE", "PROPFIND", "COW", "get", "LINK", "QUERY", "M-SEARCH"] {
        let answer = Client::new(&server).call(request(method, "/function/f", &[], b""));
        assert_eq!(answer.status, 405, "{method}");
        let fault = answer.header("x-faas-fault").unwrap_or_default();
        assert!(fault.starts_with("client"), "{method}: {answer:?}");
    }
    assert!(upstream.requests().is_empty());
}
