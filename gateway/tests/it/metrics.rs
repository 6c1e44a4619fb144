//! What a scrape shows of functions.

use std::collections::HashSet;

use faas_testing::wait_for;

use crate::fixture::{Client, Server, Upstream, get};

#[test]
fn a_function_is_counted_from_its_first_invocation_on_and_while_it_is_there() {
    let good = Upstream::start();
    let bad = Upstream::answering("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
    let server = Server::before(&good);
    server.route("g", &[&bad]);
    server.route("never", &[&good]);
    // Each on a connection of its own: they are spread over the workers.
    let clients = ["f", "f", "f", "g"].map(|function| {
        let mut client = Client::new(&server);
        client.call(get(&format!("/function/{function}"), &[]));
        client
    });
    let expected = [
        "gateway_function_invocation_started{function_name=\"f.openfaas-fn\"} 3",
        "gateway_function_invocation_total{code=\"200\",function_name=\"f.openfaas-fn\"} 3",
        "gateway_functions_seconds_bucket{code=\"200\",function_name=\"f.openfaas-fn\",le=\"+Inf\"} 3",
        "gateway_functions_seconds_count{code=\"200\",function_name=\"f.openfaas-fn\"} 3",
        "gateway_function_invocation_inflight{function_name=\"f.openfaas-fn\"} 0",
        "gateway_function_invocation_total{code=\"500\",function_name=\"g.openfaas-fn\"} 1",
        "faas_upstream_first_byte_seconds_count 4",
    ];
    // An invocation is counted just after its caller has its answer.
    let text = wait_for("everything to be counted", || {
        let text = server.counters();
        expected.iter().all(|line| text.lines().any(|found| found == *line)).then_some(text)
    });
    drop(clients);
    let of = |text: &str, function: &str| text.matches(&format!("\"{function}.openfaas-fn\"")).count();
    assert!(!text.contains("invocation_started{function_name=\"never."), "{text}");
    assert!(of(&text, "never") > 0 && of(&text, "f") > of(&text, "never"), "{text}");
    let types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert_eq!(types.iter().collect::<HashSet<_>>().len(), types.len(), "{types:?}");

    server.routes.apply("f", None);
    let text = server.counters();
    assert_eq!((of(&text, "f"), of(&text, "g") > 0), (0, true), "{text}");
}
