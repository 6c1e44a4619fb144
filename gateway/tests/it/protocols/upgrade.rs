//! WebSocket and other protocols: after 101 bytes pass both ways, before it none.

use std::time::Duration;

use faas_testing::wait_for;

use crate::fixture::{Client, Exchange, Server, Upstream, get, terms};

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn handshake(protocol: &str) -> Vec<u8> {
    let upgrade = format!("Upgrade: {protocol}");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    get(
        "/function/f/chat?a=b",
        &["Connection: keep-alive, Upgrade", &upgrade, key, "Sec-WebSocket-Version: 13"],
    )
}

/// A frame of text, as a client masks it.
fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let masked = text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let length = u8::try_from(text.len()).unwrap();
    [0x81, 0x80 | length].into_iter().chain(mask).chain(masked).collect()
}

/// Gives back what comes, until the caller is gone.
fn echo(exchange: &mut Exchange) {
    loop {
        let bytes = exchange.read_raw();
        if bytes.is_empty() || !exchange.write(bytes) {
            return exchange.close();
        }
    }
}

#[test]
fn frames_pass_both_ways_after_a_handshake() {
    // The function's first frame comes in one segment with its 101.
    let upstream = Upstream::scripted(|exchange| {
        exchange.write([SWITCHED.as_bytes(), b"\x81\x05hello"].concat());
        echo(exchange);
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    let answer = client.send(handshake("websocket")).head();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(answer.header("upgrade").is_some_and(|it| it.eq_ignore_ascii_case("websocket")), "{answer:?}");
    assert!(answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("upgrade")), "{answer:?}");
    assert_eq!(client.take(7).unwrap(), b"\x81\x05hello");
    for text in ["a", "bc", "the third", &"x".repeat(120)] {
        client.send(frame(text));
        assert_eq!(client.take(frame(text).len()).unwrap(), frame(text));
    }
    let seen = upstream.requests().remove(0);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/chat?a=b"));
    assert_eq!(seen.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(seen.header("upgrade").is_some_and(|it| it.eq_ignore_ascii_case("websocket")), "{seen:?}");
}

#[test]
fn any_protocol_may_be_upgraded_to() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cow\r\n\r\n");
        echo(exchange);
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    let answer = client.send(handshake("cow")).head();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("cow")));
    client.send("moo");
    assert_eq!(client.take(3).unwrap(), b"moo");
}

#[test]
fn a_megabyte_passes_both_ways_at_once() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write(SWITCHED);
        echo(exchange);
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    assert_eq!(client.send(handshake("websocket")).head().status, 101);
    let sent: Vec<u8> = (0..1 << 20).map(|number: u32| number.to_le_bytes()[1]).collect();
    let mut writer = client.stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &copy));
    assert!(client.take(sent.len()).unwrap() == sent);
    writing.join().unwrap().unwrap();
}

#[test]
fn bytes_that_come_before_the_101_reach_nobody() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write(SWITCHED);
        exchange.read_to_close();
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    // In one segment: a request may hide in them.
    client.send([handshake("websocket"), get("/function/f/hidden", &[])].concat());
    let said = client.until_close();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&said));
    upstream.wait_closed();
    assert_eq!(upstream.requests().len(), 1);
    assert!(upstream.look(|all| all[0].bytes.ends_with(b"\r\n\r\n")));
}

#[test]
fn a_refused_upgrade_leaves_http() {
    for refusal in ["200 OK", "426 Upgrade Required", "403 Forbidden"] {
        let upstream = Upstream::answering(format!("HTTP/1.1 {refusal}\r\nContent-Length: 2\r\n\r\nno"));
        let server = Server::before(&upstream);
        let mut client = Client::new(&server);
        let answer = client.call(handshake("websocket"));
        assert_eq!((format!("{}", answer.status), answer.text()), (refusal[..3].to_owned(), "no"));
        assert!(client.is_open(), "{refusal}");
        assert_eq!(client.call(get("/function/f", &[])).text(), "no");
    }
}

#[test]
fn bytes_that_come_before_a_refusal_are_never_forwarded_raw() {
    for refusal in ["200 OK", "426 Upgrade Required"] {
        let upstream = Upstream::answering(format!("HTTP/1.1 {refusal}\r\nContent-Length: 2\r\n\r\nno"));
        let server = Server::before(&upstream);
        let mut client = Client::new(&server);
        client.send([handshake("websocket"), frame("early")].concat());
        assert_eq!(client.answer().text(), "no");
        // What is no request is refused as such.
        client.until_close();
        upstream.finish();
        assert_eq!(upstream.requests().len(), 1);
        assert!(upstream.look(|all| all.iter().all(|it| it.bytes.ends_with(b"\r\n\r\n"))));
    }
}

#[test]
fn a_101_that_nobody_asked_for_is_no_answer() {
    let upstream = Upstream::answering(SWITCHED);
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    assert_eq!(client.call(get("/function/f", &[])).status, 502);
}

#[test]
fn a_caller_that_leaves_takes_the_function_with_it() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write(SWITCHED);
        echo(exchange);
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    assert_eq!(client.send(handshake("websocket")).head().status, 101);
    drop(client);
    upstream.wait_closed();
}

#[test]
fn a_function_that_leaves_takes_the_caller_with_it() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write([SWITCHED.as_bytes(), b"\x88\x00"].concat());
        exchange.close();
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    assert_eq!(client.send(handshake("websocket")).head().status, 101);
    assert_eq!(client.until_close(), b"\x88\x00");
}

/// Answers of sizes of which one at least fills what the kernel takes, but not what the gateway may keep: the 101 that
/// follows it is made, and never goes out.
#[test]
fn an_upgrade_whose_answer_cannot_be_sent_ends() {
    let upstream = Upstream::scripted(|exchange| {
        let target = exchange.request.target.clone();
        match target.trim_start_matches('/').parse() {
            Ok(kibibytes) => exchange.write(big(kibibytes)),
            Err(_) => exchange.write(SWITCHED) && !exchange.read_raw().is_empty(),
        };
    });
    let server = Server::with(|config| {
        config.limits.body_timeout = Duration::from_secs(4);
        config.limits.idle_timeout = Duration::from_secs(4);
    });
    server.route_with("f", &[&upstream], terms(|terms| terms.timeout = Some(Duration::from_secs(4))));
    let clients: Vec<_> = (1..=20)
        .map(|number| {
            let mut client = Client::new(&server);
            let first = get(&format!("/function/f/{}", number * 512), &[]);
            client.send([first, handshake("websocket")].concat());
            client
        })
        .collect();
    let count = |upgrade| {
        upstream.requests().iter().filter(|request| (request.target == "/chat?a=b") == upgrade).count()
    };
    wait_for("every first request", || (count(false) == clients.len()).then_some(()));
    wait_for("the end of every connection", || {
        server.counters().lines().any(|line| line == "faas_gateway_connections 0").then_some(())
    });
    let upgrades = count(true);
    assert!(upgrades > 0 && upgrades < clients.len(), "{upgrades} of {}", clients.len());
}

fn big(kibibytes: usize) -> Vec<u8> {
    let length = kibibytes << 10;
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes(), vec![b'a'; length]].concat()
}
