//! One deadline for each invocation: the function's timeout and a second.

use std::time::Duration;

use super::side;
use crate::fixture::http2::{connect, request, within};
use crate::fixture::{Client, Exchange, Server, Upstream, get, terms};

fn brief(script: fn(&mut Exchange)) -> (Upstream, Server) {
    let (upstream, server) = (Upstream::scripted(script), Server::start());
    server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_millis(100))));
    (upstream, server)
}

#[test]
fn a_function_that_does_not_answer_in_time_is_at_fault() {
    let (upstream, server) = brief(Exchange::read_to_close);
    let mut client = Client::new(&server);
    let answer = client.call(get("/function/f", &[]));
    assert_eq!((answer.status, side(&answer), answer.text()), (502, "handler", ""), "{answer:?}");
    upstream.wait_closed();
    assert_eq!(upstream.requests().len(), 1);
    assert!(client.is_open());
}

#[test]
fn an_answer_that_does_not_end_in_time_is_cut_off() {
    for head in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let upstream = Upstream::scripted(move |exchange| {
            exchange.write(format!("HTTP/1.1 200 OK\r\n{head}"));
            exchange.read_to_close();
        });
        let server = Server::start();
        server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_millis(100))));
        let mut client = Client::new(&server);
        client.send(get("/function/f", &[]));
        assert!(client.try_answer_to("GET").is_none(), "{head:?}");
        upstream.wait_closed();
    }
}

#[test]
fn a_request_that_does_not_end_in_time_is_cut_off() {
    let (upstream, server) = brief(|exchange| {
        exchange.read_all();
    });
    let mut client = Client::new(&server);
    client.send("POST /function/f HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.answer().status, 502);
    upstream.wait_closed();
    assert!(!upstream.request().whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_of_http_2_that_nobody_reads_is_cut_off() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while exchange.write(format!("10000\r\n{}\r\n", "a".repeat(1 << 16))) {}
        exchange.close();
    });
    // What is on its way at the deadline may still be taken for as long as a body may be silent.
    let server = Server::with(|config| config.limits.body_timeout = Duration::from_secs(1));
    server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_millis(100))));
    let mut client = connect(&server).await;
    let (response, _) = client.send_request(request("GET", "/function/f", &[]), true).unwrap();
    let unread = within(response).await.unwrap();
    upstream.wait_closed();
    drop(unread);
}
