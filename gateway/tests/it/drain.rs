//! Leaving without losing a request.

use std::net::TcpStream;
use std::time::Duration;

use crate::fixture::frames::{Frames, GOAWAY};
use crate::fixture::http2::{connect, request, within};
use crate::fixture::{Answer, Client, LIMIT, Opener, Server, Upstream, gate, get, post};

/// Some seconds of notice before the listener stops.
fn noticed() -> Server {
    Server::with(|config| config.drain_notice = Duration::from_secs(3))
}

/// In front of a function that answers when its gate is opened.
fn holding() -> (Opener, Upstream, Server) {
    let (opener, gate) = gate();
    let upstream = Upstream::scripted(move |exchange| {
        exchange.read_all();
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe");
        gate.wait();
        exchange.write("ld");
    });
    let server = noticed();
    server.route("f", &[&upstream]);
    (opener, upstream, server)
}

#[test]
fn clients_are_told_to_come_back_elsewhere_while_they_are_still_served() {
    let upstream = Upstream::start();
    let server = noticed();
    server.route("f", &[&upstream]);
    let mut before = Client::new(&server);
    assert!(!before.call(get("/function/f", &[])).closes());
    server.shutdown.drain.cancel();
    let mut after = faas_testing::wait_for("an answer that closes its connection", || {
        let mut after = Client::new(&server);
        let answer = after.call(post("/function/f", &[], b"hello"));
        assert_eq!(answer.text(), "ok", "{answer:?}");
        answer.closes().then_some(after)
    });
    after.assert_closed();
    assert!(server.ended(LIMIT));
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn a_request_in_flight_ends_whole() {
    let (opener, upstream, server) = holding();
    let mut client = Client::new(&server);
    client.send(get("/function/f", &[]));
    assert_eq!(client.head().status, 200);
    upstream.wait_requests(1);
    server.shutdown.drain.cancel();
    faas_testing::wait_for("the listener to stop", || {
        TcpStream::connect(server.address).is_err().then_some(())
    });
    assert!(!server.ended(Duration::ZERO));
    opener.open();
    assert_eq!(client.take(4).unwrap(), b"held");
    client.assert_closed();
    assert!(server.ended(LIMIT));
}

#[test]
fn idle_connections_are_closed() {
    let upstream = Upstream::start();
    let server = noticed();
    server.route("f", &[&upstream]);
    let mut silent = Client::new(&server);
    let mut idle = Client::new(&server);
    assert_eq!(idle.call(get("/function/f", &[])).text(), "ok");
    server.shutdown.drain.cancel();
    idle.assert_closed();
    silent.assert_closed();
    assert!(server.ended(LIMIT));
}

#[test]
fn half_a_request_holds_up_nothing() {
    let server = noticed();
    let mut client = Client::new(&server);
    client.send("GET /function/f HTTP/1.1\r\nHost:");
    server.shutdown.drain.cancel();
    client.assert_closed();
    assert!(server.ended(LIMIT));
}

#[test]
fn no_request_is_lost_while_the_notice_lasts() {
    let upstream = Upstream::start();
    let server = noticed();
    server.route("f", &[&upstream]);
    let (mut client, mut answered, mut noticed) = (Client::new(&server), 0, 0);
    while TcpStream::connect(server.address).is_ok() && noticed < 100 {
        // A kept connection may have been closed while it was idle; then the request was not taken.
        let sent = client.try_send(get("/function/f", &[])).ok();
        let answer = sent.and_then(|()| client.try_answer_to("GET"));
        answered += usize::from(answer.is_some());
        noticed += usize::from(answer.as_ref().is_some_and(Answer::closes));
        if answered == 5 {
            server.shutdown.drain.cancel();
        }
        if answer.is_none_or(|answer| answer.closes()) {
            let Ok(next) = Client::try_new(&server) else { break };
            client = next;
        }
    }
    assert!(noticed > 1, "new connections are not served while the notice lasts");
    assert_eq!(upstream.requests().len(), answered);
}

#[test]
fn an_abort_waits_for_nobody() {
    let (_opener, upstream, server) = holding();
    let mut client = Client::new(&server);
    client.send(get("/function/f", &[]));
    upstream.wait_requests(1);
    server.shutdown.drain.cancel();
    server.shutdown.abort.cancel();
    assert!(server.ended(LIMIT));
    assert!(client.try_answer_to("GET").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn clients_of_http_2_are_told_to_go_away_and_end_what_they_have() {
    let (opener, upstream, server) = holding();
    let mut client = connect(&server).await;
    let (response, _) = client.send_request(request("GET", "/function/f", &[]), true).unwrap();
    let mut body = within(response).await.unwrap().into_body();
    upstream.wait_requests(1);
    server.shutdown.drain.cancel();
    // Told by GOAWAY, the client takes no more requests.
    let told = async {
        while std::future::poll_fn(|context| client.poll_ready(context)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(told).await;
    opener.open();
    let mut whole = Vec::new();
    while let Some(data) = within(body.data()).await {
        whole.extend(data.unwrap());
    }
    assert_eq!(whole, b"held");
    assert!(server.ended(LIMIT));
}

#[test]
fn idle_clients_of_http_2_are_told_to_go_away() {
    let upstream = Upstream::start();
    let server = noticed();
    server.route("f", &[&upstream]);
    let mut client = Frames::new(&server);
    client.send(&Frames::get(1, "/function/f"));
    assert!(client.is_answered(1));
    server.shutdown.drain.cancel();
    let mut frames = std::iter::from_fn(|| client.next());
    assert!(frames.any(|frame| frame.kind == GOAWAY), "the connection ended without a word");
    assert!(server.ended(LIMIT));
}
