//! Functions that speak HTTP/2 without TLS, as gRPC needs it.

use bytes::Bytes;
use faas_provider::Address;

use crate::fixture::http2::{Echo, answer, connect, next, request, send, within};
use crate::fixture::{Client, Server, post, terms};

const CALL: [(&str, &str); 2] = [("te", "trailers"), ("content-type", "application/grpc")];

fn before(echo: &Echo) -> Server {
    let server = Server::start();
    server.routes.set("f", &[Address::Tcp(echo.address)], terms(|terms| terms.h2c = true));
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_comes_with_te_and_ends_with_its_status() {
    let echo = Echo::start();
    let server = before(&echo);
    let mut client = connect(&server).await;
    let (response, mut body) =
        client.send_request(request("POST", "/function/f/pkg.Service/Method", &CALL), false).unwrap();
    send(&mut body, Bytes::from_static(b"\0\0\0\0\x05hello"), true).await;
    let answer = answer(response).await;
    assert_eq!((answer.head.status.as_u16(), answer.body.as_slice()), (200, &b"\0\0\0\0\x05hello"[..]));
    assert_eq!(answer.head.headers["content-type"], "application/grpc");
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
    let seen = echo.requests().remove(0);
    assert_eq!((seen.version, seen.uri.path()), (http::Version::HTTP_2, "/pkg.Service/Method"));
    assert_eq!(seen.headers["te"], "trailers");
    assert!(seen.headers.contains_key("x-call-id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_pass_both_ways_in_turn() {
    let echo = Echo::start();
    let server = before(&echo);
    let mut client = connect(&server).await;
    let (response, mut sending) =
        client.send_request(request("POST", "/function/f/s", &CALL), false).unwrap();
    let mut receiving = within(response).await.unwrap().into_body();
    for message in ["one", "two", "three"] {
        send(&mut sending, message.into(), false).await;
        assert_eq!(next(&mut receiving).await.unwrap(), message);
    }
    sending.send_trailers([("x-sent".parse().unwrap(), "8".parse().unwrap())].into_iter().collect()).unwrap();
    assert!(next(&mut receiving).await.is_none());
    let trailers = within(receiving.trailers()).await.unwrap().expect("trailers");
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-sent"]),
        (&"0".parse().unwrap(), &"8".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_status_alone_is_an_answer() {
    let echo = Echo::start();
    let server = before(&echo);
    let mut client = connect(&server).await;
    let (response, _) = client.send_request(request("POST", "/function/f/fails", &CALL), true).unwrap();
    let answer = answer(response).await;
    assert_eq!(answer.head.headers["grpc-status"], "13");
    assert!(answer.body.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_calls_at_once() {
    let echo = Echo::start();
    let server = before(&echo);
    let mut client = connect(&server).await;
    let mut calls = Vec::new();
    for _ in 0..50 {
        let call = client.send_request(request("POST", "/function/f/s", &CALL), false).unwrap();
        calls.push(call);
    }
    for (response, mut body) in calls {
        send(&mut body, Bytes::from(vec![7; 10_000]), true).await;
        assert_eq!(answer(response).await.body.len(), 10_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_that_is_given_up_is_given_up_at_the_function() {
    let echo = Echo::start();
    let server = before(&echo);
    let mut client = connect(&server).await;
    let (response, mut sending) =
        client.send_request(request("POST", "/function/f/s", &CALL), false).unwrap();
    let receiving = within(response).await.unwrap().into_body();
    sending.send_reset(h2::Reason::CANCEL);
    drop((sending, receiving));
    faas_testing::wait_for("the call to be given up", || (echo.resets() == 1).then_some(()));
}

#[test]
fn clients_of_http_1_are_served_as_well() {
    let echo = Echo::start();
    let server = before(&echo);
    let mut client = Client::new(&server);
    for _ in 0..3 {
        assert_eq!(client.call(post("/function/f/s", &[], b"hello")).text(), "hello");
    }
}
