//! Replicas that refuse, close, reset and die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{before, seen, side};
use crate::fixture::{Client, Exchange, Server, Upstream, get, post, request, terms};

/// Reads each request and goes away.
fn closing() -> Upstream {
    Upstream::scripted(|exchange| {
        exchange.read_all();
        exchange.close();
    })
}

/// Reads each request and breaks the connection.
fn resetting() -> Upstream {
    Upstream::scripted(|exchange| {
        exchange.read_all();
        exchange.reset();
    })
}

#[test]
fn a_replica_that_refuses_is_passed_over_until_it_listens() {
    let (mut refusing, other) = (Upstream::start(), Upstream::start());
    refusing.refuse();
    let server = before(&[&refusing, &other]);
    let mut client = Client::new(&server);
    for _ in 0..30 {
        assert_eq!(client.call(post("/function/f", &[], b"hello")).status, 200);
    }
    refusing.listen();
    faas_testing::wait_for("the replica to get a request again", || {
        assert_eq!(client.call(get("/function/f", &[])).status, 200);
        (!refusing.requests().is_empty()).then_some(())
    });
}

#[test]
fn a_replica_that_breaks_connections_is_spared_until_it_answers() {
    const CALLS: usize = 200;
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let breaking = Upstream::scripted(move |exchange| {
        exchange.read_all();
        if is_well.load(Ordering::Relaxed) {
            exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        } else {
            exchange.reset();
        }
    });
    let other = Upstream::start();
    let server = before(&[&breaking, &other]);
    let mut client = Client::new(&server);
    let failed = (0..CALLS).filter(|_| client.call(post("/function/f", &[], b"x")).status == 502).count();
    // Half of them would be its share.
    assert!((1..=CALLS / 10).contains(&failed), "{failed} of {CALLS}");
    assert_eq!(breaking.requests().len(), failed);
    well.store(true, Ordering::Relaxed);
    faas_testing::wait_for("the replica to get a request again", || {
        assert_eq!(client.call(post("/function/f", &[], b"x")).status, 200);
        (breaking.requests().len() > failed).then_some(())
    });
}

#[test]
fn where_all_replicas_refuse_the_platform_is_at_fault() {
    let (mut one, mut other) = (Upstream::start(), Upstream::start());
    one.refuse();
    other.refuse();
    let server = Server::start();
    // Whether it waits for another replica until then is its own affair.
    let brief = terms(|terms| terms.timeout = Some(Duration::from_millis(100)));
    server.route_with("f", &[&one, &other], brief);
    for _ in 0..2 {
        let answer = Client::new(&server).call(get("/function/f", &[]));
        assert!([502, 503].contains(&answer.status), "{answer:?}");
        assert_eq!(side(&answer), "platform", "{answer:?}");
    }
    // Nobody is given up for good.
    one.listen();
    faas_testing::wait_for("an answer", || {
        (Client::new(&server).call(get("/function/f", &[])).status == 200).then_some(())
    });
}

#[test]
fn a_connection_that_was_closed_while_idle_fails_nobody() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.read_all();
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        exchange.close();
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    for _ in 0..30 {
        assert_eq!(client.call(get("/function/f", &[])).status, 200);
        upstream.wait_closed();
        assert_eq!(client.call(post("/function/f", &[], b"hello")).status, 200);
        upstream.wait_closed();
    }
    assert_eq!(upstream.requests().len(), 60);
}

#[test]
fn what_may_be_repeated_is_tried_on_another_replica() {
    for failing in [closing as fn() -> Upstream, resetting] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let (failing, good) =
                (failing(), Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
            let server = before(&[&failing, &good]);
            for _ in 0..200 {
                let mut client = Client::new(&server);
                client.send(request(method, "/function/f", &[], b""));
                assert_eq!(client.answer_to(method).status, 200, "{method}");
                if !failing.requests().is_empty() {
                    break;
                }
            }
            assert!(!failing.requests().is_empty(), "{method}");
        }
    }
}

#[test]
fn what_may_be_repeated_is_tried_once_more_and_on_another_replica() {
    let upstreams = [closing(), closing(), closing()];
    let all: Vec<_> = upstreams.iter().collect();
    let server = before(&all);
    let answer = Client::new(&server).call(get("/function/f", &[]));
    assert_eq!((answer.status, side(&answer)), (502, "platform"), "{answer:?}");
    assert_eq!(seen(&all), 2);
    assert!(all.iter().all(|upstream| upstream.requests().len() < 2));
}

#[test]
fn what_may_have_had_an_effect_is_sent_once() {
    let once = [
        request("POST", "/function/f", &[], b""),
        post("/function/f", &[], b"hello"),
        request("PATCH", "/function/f", &["Content-Length: 5"], b"hello"),
        request("PUT", "/function/f", &["Content-Length: 5"], b"hello"),
        request("DELETE", "/function/f", &["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    ];
    for failing in [closing as fn() -> Upstream, resetting] {
        for bytes in &once {
            let (first, second) = (failing(), failing());
            let server = before(&[&first, &second]);
            let answer = Client::new(&server).call(bytes);
            assert_eq!((answer.status, side(&answer)), (502, "platform"), "{answer:?}");
            assert_eq!(seen(&[&first, &second]), 1, "{}", String::from_utf8_lossy(bytes));
        }
    }
}

/// Two replicas that begin to answer with these bytes and then go.
fn beginning(bytes: &'static str, end: fn(&mut Exchange)) -> [Upstream; 2] {
    [(); 2].map(|()| {
        Upstream::scripted(move |exchange| {
            exchange.read_all();
            exchange.write(bytes);
            end(exchange);
        })
    })
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    let [one, other] = beginning("HTTP/1.1 200 OK\r\nContent-Len", Exchange::close);
    let answer = Client::new(&before(&[&one, &other])).call(get("/function/f", &[]));
    assert_eq!((answer.status, side(&answer)), (502, "platform"));
    assert_eq!(seen(&[&one, &other]), 1);
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        for end in [Exchange::close, Exchange::reset] {
            let [one, other] = beginning(bytes, end);
            let server = before(&[&one, &other]);
            let mut client = Client::new(&server);
            client.send(get("/function/f", &[]));
            assert!(client.try_answer_to("GET").is_none(), "whole: {bytes:?}");
            assert_eq!(seen(&[&one, &other]), 1, "{bytes:?}");
        }
    }
}

#[test]
fn a_replica_that_is_killed_while_it_reads_fails_the_request() {
    let mut upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send("POST /function/f HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\nhello");
    upstream.wait("half the body", |all| (all.first()?.requests.first()?.body.len() == 5).then_some(()));
    upstream.kill();
    let answer = client.answer();
    assert_eq!((answer.status, side(&answer)), (502, "platform"), "{answer:?}");
}

#[test]
fn a_replica_that_is_killed_while_it_answers_cuts_the_answer_off() {
    let mut upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        exchange.read_to_close();
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send(get("/function/f", &[]));
    assert_eq!((client.head().status, client.chunk()), (200, b"hello".to_vec()));
    upstream.kill();
    assert!(client.try_chunk().is_none());
    let failed = "faas_invocation_failures_total{fault=\"platform\",function_name=\"f.openfaas-fn\"} 1";
    faas_testing::wait_for("the failure to be counted", || {
        server.counters().lines().any(|line| line == failed).then_some(())
    });
}
