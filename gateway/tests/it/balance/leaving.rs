//! Callers and replicas that leave.

use super::before;
use crate::fixture::{Client, Server, Upstream, gate, get};

#[test]
fn a_caller_that_leaves_while_it_waits_cancels_its_request() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.read_to_close();
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send(get("/function/f", &[]));
    upstream.wait_requests(1);
    drop(client);
    upstream.wait_closed();
}

#[test]
fn a_caller_that_leaves_while_it_sends_cancels_its_request() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send(
        "POST /function/f HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    );
    upstream.wait_requests(1);
    drop(client);
    upstream.wait_closed();
    assert!(!upstream.request().whole);
}

#[test]
fn a_caller_that_leaves_while_it_reads_cancels_its_request() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.read_all();
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while exchange.write("5\r\nhello\r\n") {}
        exchange.close();
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send(get("/function/f", &[]));
    assert_eq!((client.head().status, client.chunk()), (200, b"hello".to_vec()));
    drop(client);
    upstream.wait_closed();
}

#[test]
fn a_replica_that_leaves_the_route_finishes_what_it_has_and_gets_nothing_new() {
    let (opener, gate) = gate();
    let old = Upstream::scripted(move |exchange| {
        exchange.read_all();
        gate.wait();
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    });
    let new = Upstream::start();
    let server = before(&[&old]);
    let mut held = Client::new(&server);
    held.send(get("/function/f", &[]));
    old.wait_requests(1);
    server.route("f", &[&new]);
    for _ in 0..10 {
        assert_eq!(Client::new(&server).call(get("/function/f", &[])).text(), "ok");
    }
    opener.open();
    assert_eq!(held.answer().text(), "old");
    old.wait_closed();
    assert_eq!(old.requests().len(), 1);
}

#[test]
fn idle_connections_to_a_replica_that_leaves_are_closed() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    assert_eq!(client.call(get("/function/f", &[])).text(), "ok");
    server.routes.apply("f", None);
    upstream.wait_closed();
}

#[test]
fn a_replica_that_is_retired_has_no_idle_connections_when_its_last_request_ends() {
    let upstream = Upstream::start();
    let server = Server::start();
    let address = faas_provider::Address::Tcp(upstream.address);
    let replica = server.routes.set("f", &[address], crate::fixture::terms(|_| ())).remove(0);
    assert_eq!(Client::new(&server).call(get("/function/f", &[])).text(), "ok");
    server.routes.apply("f", None);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(replica.retire());
    upstream.wait_closed();
}
