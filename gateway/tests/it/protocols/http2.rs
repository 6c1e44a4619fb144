//! Clients of HTTP/2 with prior knowledge, in front of functions that speak HTTP/1.1.

use bytes::Bytes;

use crate::fixture::http2::{answer, connect, get, next, request, send, within};
use crate::fixture::{Client, Server, Upstream, gate, get as get1};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_requests_share_a_connection() {
    let (opener, gate) = gate();
    let upstream = Upstream::scripted(move |exchange| {
        exchange.read_all();
        gate.wait();
        let target = exchange.request.target.clone();
        exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()));
    });
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    let mut answers = Vec::new();
    for number in 0..10 {
        let request = request("GET", &format!("/function/f/{number}"), &[]);
        answers.push(client.send_request(request, true).unwrap().0);
    }
    upstream.wait_requests(10);
    (0..10).for_each(|_| opener.open());
    for (number, response) in answers.into_iter().enumerate() {
        assert_eq!(answer(response).await.body, format!("/{number}").as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bodies_pass_both_ways() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.read_all();
        let body = exchange.request.body.clone();
        exchange.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        exchange.write(body);
    });
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    let sent: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let (response, mut body) = client.send_request(request("POST", "/function/f", &[]), false).unwrap();
    send(&mut body, sent.clone().into(), true).await;
    assert!(answer(response).await.body == sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pieces_are_passed_on_as_they_come() {
    let (opener, gate) = gate();
    let upstream = Upstream::scripted(move |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            gate.wait();
            exchange.write("3\r\none\r\n");
        }
        exchange.write("0\r\n\r\n");
    });
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    let (response, _) = client.send_request(request("GET", "/function/f", &[]), true).unwrap();
    let mut body = within(response).await.unwrap().into_body();
    for _ in 0..3 {
        opener.open();
        assert_eq!(next(&mut body).await.unwrap(), "one");
    }
    assert!(next(&mut body).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn trailers_pass_both_ways() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    let headers = [("te", "trailers"), ("trailer", "x-sent")];
    let (response, mut body) = client.send_request(request("POST", "/function/f", &headers), false).unwrap();
    body.send_data(Bytes::from_static(b"hi"), false).unwrap();
    body.send_trailers([("x-sent".parse().unwrap(), "8".parse().unwrap())].into_iter().collect()).unwrap();
    let answer = answer(response).await;
    assert_eq!(answer.trailers.expect("trailers")["x-sum"], "7");
    assert_eq!(upstream.request().trailers, [("x-sent".to_owned(), "8".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_that_is_reset_cancels_its_request_alone() {
    let upstream = Upstream::scripted(|exchange| {
        if exchange.request.target == "/held" {
            exchange.read_to_close();
        } else {
            exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    let (response, mut body) = client.send_request(request("POST", "/function/f/held", &[]), false).unwrap();
    upstream.wait_requests(1);
    body.send_reset(h2::Reason::CANCEL);
    drop((response, body));
    upstream.wait("the request to be cancelled", |all| all[0].closed.then_some(()));
    assert_eq!(get(&mut client, "/function/f").await.body, b"ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_function_sees_a_request_of_http_1() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
    );
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    let headers = [("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "b")];
    let (response, _) = client.send_request(request("GET", "/function/f/a?b=c", &headers), true).unwrap();
    let answer = answer(response).await;
    assert_eq!((answer.head.status.as_u16(), answer.body.as_slice()), (200, &b"ok"[..]));
    assert!(!answer.head.headers.contains_key("keep-alive") && answer.head.headers.contains_key("x-call-id"));
    let seen = upstream.request();
    assert_eq!(
        (seen.target.as_str(), seen.header("host"), seen.header("x-a")),
        ("/a?b=c", Some("gateway"), Some("b"))
    );
    assert_eq!(seen.header("x-forwarded-host"), Some("gateway"));
    // Pairs that came apart are one header again (RFC 9113, 8.2.3).
    assert_eq!(seen.header("cookie"), Some("a=1; b=2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn both_versions_share_a_port_and_the_api() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    assert_eq!(get(&mut client, "/function/f").await.head.status, 200);
    assert_eq!(get(&mut client, "/healthz").await.head.status, 200);
    assert_eq!(get(&mut client, "/function/f/../g").await.head.status, 301);
    assert_eq!(Client::new(&server).call(get1("/function/f", &[])).status, 200);
}

#[test]
fn a_preface_that_comes_in_pieces_is_one() {
    let server = Server::start();
    let mut client = Client::new(&server);
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        client.send([*byte]);
    }
    // SETTINGS, from the server's side.
    assert_eq!(client.take(4).unwrap()[3], 4);
}
