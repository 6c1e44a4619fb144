//! Headers that say who called and which call it is: what the function is told, and what the caller.

use std::net::IpAddr;

use crate::fixture::{Answer, Client, Request, Server, Upstream, get};

const GIVEN: [&str; 2] = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: given.example"];

/// A call with these headers through a gateway that believes `trusted`.
fn call(trusted: Option<&str>, headers: &[&str]) -> (Request, Answer, String) {
    let upstream = Upstream::start();
    let server =
        Server::with(|config| config.trusted_proxies = trusted.map(|range| vec![range.parse().unwrap()]));
    server.route("f", &[&upstream]);
    let mut client = Client::new(&server);
    let address = client.stream.local_addr().unwrap().to_string();
    let answer = client.call(get("/function/f", headers));
    assert_eq!(answer.status, 200);
    (upstream.request(), answer, address)
}

#[test]
fn who_called_is_told() {
    for trusted in [None, Some("127.0.0.1"), Some("10.0.0.0/8")] {
        let (seen, _, address) = call(trusted, &[]);
        assert_eq!(seen.header("x-forwarded-for"), Some(address.as_str()), "{trusted:?}");
        assert_eq!(seen.header("x-forwarded-host"), Some("gateway"), "{trusted:?}");
        assert_eq!(seen.header("host"), Some("gateway"), "{trusted:?}");
    }
}

#[test]
fn what_was_given_is_kept_from_those_who_are_believed() {
    for trusted in [None, Some("127.0.0.0/8"), Some("127.0.0.1")] {
        let (seen, ..) = call(trusted, &GIVEN);
        assert_eq!(seen.header("x-forwarded-for"), Some("192.0.2.1"), "{trusted:?}");
        assert_eq!(seen.header("x-forwarded-host"), Some("given.example"), "{trusted:?}");
    }
}

#[test]
fn what_was_given_is_replaced_from_all_others() {
    for trusted in ["10.0.0.0/8", "127.0.0.2", "::1"] {
        let twice =
            [GIVEN, ["x-forwarded-for: 192.0.2.2, 127.0.0.1", "x-forwarded-host: other.example"]].concat();
        let (seen, _, address) = call(Some(trusted), &twice);
        assert_eq!(seen.header("x-forwarded-for"), Some(address.as_str()), "{trusted}");
        assert_eq!(seen.header("x-forwarded-host"), Some("gateway"), "{trusted}");
    }
}

#[test]
fn each_client_is_believed_or_not_by_its_own_address() {
    let upstream = Upstream::start();
    let server = Server::with(|config| config.trusted_proxies = Some(vec!["127.0.0.2".parse().unwrap()]));
    server.route("f", &[&upstream]);
    for (source, believed) in [("127.0.0.2", true), ("127.0.0.3", false)] {
        let source: IpAddr = source.parse().unwrap();
        Client::from(source, &server).unwrap().call(get("/function/f", &GIVEN));
        let seen = upstream.requests().pop().unwrap();
        assert_eq!(seen.header("x-forwarded-for") == Some("192.0.2.1"), believed, "{source}");
    }
}

#[test]
fn a_call_has_one_id_and_both_sides_know_it() {
    let (seen, answer, _) = call(None, &["X-Call-Id: mine"]);
    assert_eq!((seen.header("x-call-id"), answer.header("x-call-id")), (Some("mine"), Some("mine")));
    let (seen, answer, _) = call(None, &[]);
    assert_eq!(seen.header("x-call-id").map(str::len), Some(36));
    assert_eq!(seen.header("x-call-id"), answer.header("x-call-id"));
}

#[test]
fn a_call_has_one_start_that_nobody_else_sets() {
    let (seen, answer, _) = call(None, &["X-Start-Time: 1"]);
    let started: u64 = seen.header("x-start-time").unwrap().parse().unwrap();
    assert!(started > 1_700_000_000_000_000_000, "nanoseconds: {started}");
    assert_eq!(seen.header("x-start-time"), answer.header("x-start-time"));
}

#[test]
fn the_gateway_names_itself_where_nobody_else_is_named() {
    let (seen, answer, _) = call(None, &[]);
    let served_by = answer.header("x-served-by").unwrap();
    assert!(served_by.starts_with("faas/"), "{served_by}");
    assert_eq!(seen.header("user-agent"), Some(served_by));
    let (seen, ..) = call(None, &["User-Agent: curl/8"]);
    assert_eq!(seen.header("user-agent"), Some("curl/8"));
}

#[test]
fn callers_do_not_see_what_a_function_must_not_say() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Faas-Usage: wall=1, cpu=1, memory=1\r\nX-Call-Id: another\r\n\
         X-Served-By: me\r\nX-Start-Time: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nConnection: X-Hop\r\n\
         X-Hop: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok",
    );
    let server = Server::before(&upstream);
    let answer = Client::new(&server).call(get("/function/f", &["X-Call-Id: mine"]));
    for gone in ["x-faas-usage", "keep-alive", "proxy-authenticate", "x-hop"] {
        assert!(answer.all(gone).is_empty(), "{gone}: {answer:?}");
    }
    assert_eq!(answer.header("x-call-id"), Some("mine"));
    assert_ne!(answer.header("x-start-time"), Some("1"));
    assert_ne!(answer.header("x-served-by"), Some("me"));
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
}
