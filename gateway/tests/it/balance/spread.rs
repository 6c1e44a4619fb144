//! The replica with the least in flight, and no more than it takes.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{before, seen};
use crate::fixture::{Client, Gate, Opener, Server, Upstream, gate, get, terms};

/// Answers each request when its gate is opened for it.
fn holding() -> (Opener, Upstream) {
    let (opener, gate) = gate();
    let gate: Arc<Gate> = Arc::new(gate);
    let upstream = Upstream::scripted(move |exchange| {
        exchange.read_all();
        gate.wait();
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld");
    });
    (opener, upstream)
}

/// Sends a request that will be held, and waits until a replica has it.
fn hold(server: &Server, upstreams: &[&Upstream]) -> Client {
    let before = seen(upstreams);
    let mut client = Client::new(server);
    client.send(get("/function/f", &[]));
    faas_testing::wait_for("a replica to have the request", || (seen(upstreams) > before).then_some(()));
    client
}

#[test]
fn requests_in_flight_are_spread_evenly() {
    let ((open_one, one), (open_other, other)) = (holding(), holding());
    let server = before(&[&one, &other]);
    let clients: Vec<_> = (0..20).map(|_| hold(&server, &[&one, &other])).collect();
    assert_eq!((one.requests().len(), other.requests().len()), (10, 10));
    for _ in 0..10 {
        open_one.open();
        open_other.open();
    }
    for mut client in clients {
        assert_eq!(client.answer().text(), "held");
    }
}

/// None of them gets what the one that is set aside would have got alone.
#[test]
fn the_share_of_a_replica_set_aside_goes_to_all_others() {
    let ((open_one, one), (open_other, other)) = (holding(), holding());
    let mut refusing = Upstream::start();
    refusing.refuse();
    let server = before(&[&refusing, &one, &other]);
    let clients: Vec<_> = (0..30).map(|_| hold(&server, &[&one, &other])).collect();
    let seen = [one.requests().len(), other.requests().len()];
    assert!(seen.iter().all(|&seen| seen >= 8), "of 30: {seen:?}");
    for _ in 0..30 {
        open_one.open();
        open_other.open();
    }
    for mut client in clients {
        assert_eq!(client.answer().text(), "held");
    }
}

#[test]
fn a_busy_replica_is_spared() {
    let ((opener, busy), idle) = (holding(), Upstream::start());
    let server = before(&[&busy, &idle]);
    let mut held = loop {
        let mut client = hold(&server, &[&busy, &idle]);
        if !busy.requests().is_empty() {
            break client;
        }
        assert_eq!(client.answer().text(), "ok");
    };
    for _ in 0..40 {
        assert_eq!(Client::new(&server).call(get("/function/f", &[])).text(), "ok");
    }
    opener.open();
    assert_eq!(held.answer().text(), "held");
}

#[test]
fn a_replica_gets_no_more_than_it_takes() {
    let (opener, upstream) = holding();
    let server = Server::start();
    let two = terms(|terms| terms.max_inflight = NonZeroUsize::new(2));
    server.route_with("f", &[&upstream], two);
    let mut held = [hold(&server, &[&upstream]), hold(&server, &[&upstream])];
    let refused = Client::new(&server).call(get("/function/f", &[]));
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()), "{refused:?}");
    assert!(refused.header("x-faas-fault").is_some(), "{refused:?}");
    assert_eq!(upstream.requests().len(), 2);
    opener.open();
    opener.open();
    for client in &mut held {
        assert_eq!(client.answer().text(), "held");
    }
    opener.open();
    assert_eq!(held[0].call(get("/function/f", &[])).text(), "held");
}

#[test]
fn what_one_replica_does_not_take_another_does() {
    let ((open_one, one), (open_other, other)) = (holding(), holding());
    let server = Server::start();
    server.route_with("f", &[&one, &other], terms(|terms| terms.max_inflight = NonZeroUsize::new(2)));
    let mut held: Vec<_> = (0..4).map(|_| hold(&server, &[&one, &other])).collect();
    assert_eq!((one.requests().len(), other.requests().len()), (2, 2));
    assert_eq!(Client::new(&server).call(get("/function/f", &[])).status, 429);
    for opener in [&open_one, &open_one, &open_other, &open_other] {
        opener.open();
    }
    for client in &mut held {
        assert_eq!(client.answer().text(), "held");
    }
}
