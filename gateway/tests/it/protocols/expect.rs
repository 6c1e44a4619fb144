//! `Expect: 100-continue`.

use crate::fixture::{Client, Server, Upstream};

fn head(function: &str) -> String {
    format!(
        "POST /function/{function} HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
}

#[test]
fn a_caller_is_told_to_go_on_before_it_sends_its_body() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    assert_eq!(client.send(head("f")).head().status, 100);
    let answer = client.call("hello");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(upstream.request().body, b"hello");
    assert_eq!(upstream.request().header("expect"), None);
    assert!(client.is_open());
}

#[test]
fn a_caller_that_does_not_wait_is_served_as_well() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    let answer = client.call(head("f") + "hello");
    // Told to go on at most once, whether or not it has gone on already.
    assert!(answer.status == 200 && answer.informational.len() < 2, "{answer:?}");
    assert!(client.is_open());
}

#[test]
fn a_caller_of_a_function_that_is_absent_is_not_told_to_go_on() {
    let server = Server::start();
    let mut client = Client::new(&server);
    assert!([404, 503].contains(&client.send(head("absent")).head().status));
}
