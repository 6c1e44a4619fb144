//! One deadline for each invocation: the function's timeout and a second.

use std::future::poll_fn;
use std::time::Duration;

use faas_testing::wait_for;

use super::side;
use crate::fixture::frames::{DATA, Frames, RST_STREAM};
use crate::fixture::http2::{connect, request, within};
use crate::fixture::{Client, Exchange, Server, Upstream, gate, get, terms};

fn brief(script: fn(&mut Exchange)) -> (Upstream, Server) {
    let (upstream, server) = (Upstream::scripted(script), Server::start());
    server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_millis(100))));
    (upstream, server)
}

#[test]
fn a_function_that_does_not_answer_in_time_is_at_fault() {
    let (upstream, server) = brief(Exchange::read_to_close);
    let mut client = Client::new(&server);
    let answer = client.call(get("/function/f", &[]));
    assert_eq!((answer.status, side(&answer), answer.text()), (502, "handler", ""), "{answer:?}");
    upstream.wait_closed();
    assert_eq!(upstream.requests().len(), 1);
    assert!(client.is_open());
}

/// Timers are used again, by whoever comes next.
#[test]
fn each_invocation_of_a_connection_has_its_own_deadline() {
    let (quick, silent) = (Upstream::start(), Upstream::scripted(Exchange::read_to_close));
    // Longer than the others may take.
    let slow = Upstream::scripted(|exchange| {
        if exchange.read_all() {
            std::thread::sleep(Duration::from_millis(1500));
            exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let server = Server::start();
    let brief = || terms(|terms| terms.timeout = Some(Duration::from_millis(100)));
    server.route_with("quick", &[&quick], brief());
    server.route_with("silent", &[&silent], brief());
    server.route("slow", &[&slow]);
    let mut client = Client::new(&server);
    for (function, status) in [("quick", 200), ("slow", 200), ("silent", 502), ("quick", 200)] {
        assert_eq!(client.call(get(&format!("/function/{function}"), &[])).status, status, "{function}");
    }
}

#[test]
fn an_answer_that_does_not_end_in_time_is_cut_off() {
    for head in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let upstream = Upstream::scripted(move |exchange| {
            exchange.write(format!("HTTP/1.1 200 OK\r\n{head}"));
            exchange.read_to_close();
        });
        let server = Server::start();
        server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_millis(100))));
        let mut client = Client::new(&server);
        client.send(get("/function/f", &[]));
        assert!(client.try_answer_to("GET").is_none(), "{head:?}");
        upstream.wait_closed();
    }
}

#[test]
fn a_request_that_does_not_end_in_time_is_cut_off() {
    let (upstream, server) = brief(|exchange| {
        exchange.read_all();
    });
    let mut client = Client::new(&server);
    client.send("POST /function/f HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\nhello");
    let answer = client.answer();
    assert_eq!((answer.status, side(&answer)), (408, "client"), "{answer:?}");
    upstream.wait_closed();
    assert!(!upstream.request().whole);
}

/// What the caller cannot send because nobody reads it is not the caller's fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_function_that_does_not_read_its_request_in_time_is_at_fault() {
    let (gate, held) = gate();
    let upstream = Upstream::scripted(move |exchange| {
        held.wait();
        exchange.close();
    });
    let server = Server::start();
    server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_millis(100))));
    let mut client = connect(&server).await;
    let (response, mut body) = client.send_request(request("POST", "/function/f", &[]), false).unwrap();
    let sending = tokio::spawn(async move {
        while poll_fn(|context| {
            body.reserve_capacity(1 << 20);
            body.poll_capacity(context)
        })
        .await
        .is_some_and(|capacity| {
            capacity.is_ok_and(|capacity| body.send_data(vec![0; capacity].into(), false).is_ok())
        }) {}
    });
    let response = within(response).await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(response.headers()["x-faas-fault"].to_str().unwrap().starts_with("handler;"), "{response:?}");
    gate.open();
    sending.abort();
}

#[test]
fn an_upload_that_goes_on_after_its_answer_ends_with_the_deadline() {
    let (upstream, server) = brief(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        exchange.read_to_close();
    });
    let mut client = Frames::new(&server);
    client.send(&Frames::post(1, "/function/f"));
    assert!(client.is_answered(1));
    wait_for("the gateway to end the upload", || {
        client.try_send(&Frames::piece(1, "a"));
        upstream.look(|all| all.iter().all(|connection| connection.closed)).then_some(())
    });
    assert!(!upstream.request().whole);
}

#[test]
fn the_text_of_a_failure_waits_for_a_slow_window() {
    let (_upstream, server) = brief(|exchange| {
        exchange.read_all();
    });
    let mut client = Frames::new(&server);
    client.send(&Frames::no_window());
    client.send(&Frames::post(1, "/function/f"));
    client.send(&Frames::piece(1, "half"));
    // Far beyond the second that an invocation's answer has after its deadline.
    std::thread::sleep(Duration::from_secs(4));
    client.send(&Frames::window(1, 1 << 16));
    let kind = loop {
        let kind = client.next().unwrap().kind;
        if [DATA, RST_STREAM].contains(&kind) {
            break kind;
        }
    };
    assert_eq!(kind, DATA);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_of_http_2_that_nobody_reads_is_cut_off() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while exchange.write(format!("10000\r\n{}\r\n", "a".repeat(1 << 16))) {}
        exchange.close();
    });
    // What is on its way at the deadline may still be taken for as long as a body may be silent.
    let server = Server::with(|config| config.limits.body_timeout = Duration::from_secs(1));
    server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_millis(100))));
    let mut client = connect(&server).await;
    let (response, _) = client.send_request(request("GET", "/function/f", &[]), true).unwrap();
    let unread = within(response).await.unwrap();
    upstream.wait_closed();
    drop(unread);
}
