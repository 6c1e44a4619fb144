//! What invocations that the queue's worker makes are told besides.

use std::num::NonZeroUsize;

use crate::fixture::{Client, Server, Upstream, get, terms};

#[test]
fn the_worker_is_told_how_many_a_function_takes() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let server = Server::start();
    let limited = terms(|terms| terms.max_inflight = NonZeroUsize::new(3));
    server.route_with("f", &[&upstreams[0], &upstreams[1]], limited);
    server.route("g", &[&upstreams[0]]);
    let mut client = Client::new(&server);
    for (path, headers, told) in [
        ("/function/f", &["X-Faas-Queue: 1"][..], Some("6")),
        ("/function/f.openfaas-fn/x", &["X-Faas-Queue: 1"], Some("6")),
        ("/function/f", &[], None),
        ("/function/g", &["X-Faas-Queue: 1"], None),
        ("/function/none", &["X-Faas-Queue: 1"], None),
    ] {
        let answer = client.call(get(path, headers));
        assert_eq!(answer.header("x-faas-capacity"), told, "{path} {headers:?}");
    }
    let seen = upstreams.iter().flat_map(Upstream::requests);
    assert!(seen.into_iter().all(|request| request.header("x-faas-queue").is_none()));
}

#[test]
fn a_refused_worker_is_told_too() {
    let server = Server::start();
    let (opener, gate) = crate::fixture::gate();
    let upstream = Upstream::scripted(move |exchange| {
        exchange.read_all();
        gate.wait();
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Faas-Capacity: 99\r\n\r\n");
    });
    server.route_with("f", &[&upstream], terms(|terms| terms.max_inflight = Some(NonZeroUsize::MIN)));
    let mut first = Client::new(&server);
    first.send(get("/function/f", &["X-Faas-Queue: 1"]));
    upstream.wait_requests(1);
    let refused = Client::new(&server).call(get("/function/f", &["X-Faas-Queue: 1"]));
    assert_eq!((refused.status, refused.header("x-faas-capacity")), (429, Some("1")));
    opener.open();
    assert_eq!(first.answer().header("x-faas-capacity"), Some("1"), "not what the function says");
}
