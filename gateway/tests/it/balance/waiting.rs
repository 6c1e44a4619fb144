//! Invocations that wait for a replica: how many there are, and what is shown of them.

use faas_api::{Scaling, Terms};
use faas_provider::Route;
use faas_testing::wait_for;

use super::side;
use crate::fixture::{Client, Server, Upstream, get};

/// As many as the fixture's configuration lets wait.
const MOST: usize = 16;

#[test]
fn so_many_wait_and_are_answered_once_there_is_a_replica() {
    let server = Server::start();
    // One is wanted, and not there yet.
    let (terms, scaling) = (Terms::default(), Scaling::default());
    server.routes.apply("f", Some(Route { replicas: Vec::new(), wanted: 1, terms, scaling, failure: None }));
    let call = || {
        let mut client = Client::new(&server);
        client.send(get("/function/f", &[]));
        client
    };
    let mut waiting: Vec<_> = (0..MOST).map(|_| call()).collect();
    let shown = |in_flight: usize, waiting: usize| {
        wait_for("the load to be shown", || {
            let load: serde_json::Value = serde_json::from_str(&server.load()).unwrap();
            let load = &load["f.openfaas-fn"];
            (load["in_flight"] == in_flight && load["waiting"] == waiting).then_some(())
        });
        let text = server.counters();
        for (name, value) in
            [("gateway_function_invocation_inflight", in_flight), ("faas_invocations_waiting", waiting)]
        {
            let line = format!("{name}{{function_name=\"f.openfaas-fn\"}} {value}");
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    };
    shown(MOST, MOST);
    let refused = call().answer();
    let retry_after = refused.header("retry-after");
    assert_eq!((refused.status, side(&refused), retry_after), (503, "platform", Some("1")), "{refused:?}");
    let upstream = Upstream::start();
    server.route("f", &[&upstream]);
    for client in &mut waiting {
        assert_eq!(client.answer().status, 200);
    }
    shown(0, 0);
}
