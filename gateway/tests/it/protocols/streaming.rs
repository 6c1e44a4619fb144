//! Each piece of a body arrives before the next one is made.

use crate::fixture::{Client, Server, Upstream, gate, get};

/// Calls a function that answers with this head and then each of these pieces, one per opened gate.
fn streamed(
    head: &'static str,
    accept: &str,
    pieces: &'static [&'static str],
    check: impl Fn(&mut Client, &str),
) {
    let (opener, gate) = gate();
    let upstream = Upstream::scripted(move |exchange| {
        exchange.read_all();
        exchange.write(head);
        for piece in pieces {
            gate.wait();
            exchange.write(piece);
        }
        exchange.close();
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    assert_eq!(client.send(get("/function/f", &[accept])).head().status, 200);
    for piece in pieces {
        opener.open();
        check(&mut client, piece);
    }
}

#[test]
fn chunks_of_an_answer_are_passed_on_as_they_come() {
    for content_type in
        ["text/plain", "text/event-stream", "application/x-ndjson", "application/octet-stream"]
    {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let pieces = &["1\r\na\r\n", "3\r\nb\n\n\r\n", "1\r\nc\r\n", "0\r\n\r\n"];
        streamed(head.leak(), &format!("Accept: {content_type}"), pieces, |client, piece| {
            assert_eq!(client.chunk(), piece.split("\r\n").nth(1).unwrap().as_bytes(), "{content_type}");
        });
    }
}

#[test]
fn pieces_of_a_known_length_are_passed_on_as_they_come() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    streamed(head, "Accept: */*", &["one", "two", "six"], |client, piece| {
        assert_eq!(client.take(3).unwrap(), piece.as_bytes());
    });
}

#[test]
fn pieces_that_end_with_the_connection_are_passed_on_as_they_come() {
    streamed("HTTP/1.1 200 OK\r\n\r\n", "Accept: */*", &["one", "two", "six"], |client, piece| {
        assert_eq!(client.chunk(), piece.as_bytes());
    });
}

#[test]
fn pieces_of_a_request_are_passed_on_as_they_come() {
    let heads = ["Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"];
    for (head, pieces) in
        heads.iter().zip([["one", "two", "six"], ["3\r\none\r\n", "3\r\ntwo\r\n", "3\r\nsix\r\n"]])
    {
        let upstream = Upstream::start();
        let server = Server::before(&upstream);
        let mut client = Client::new(&server);
        client.send(format!("POST /function/f HTTP/1.1\r\nHost: gateway\r\n{head}\r\n"));
        upstream.wait_requests(1);
        for (number, piece) in pieces.iter().enumerate() {
            client.send(piece);
            upstream.wait("a piece of the body", |all| {
                (all[0].requests[0].body.len() == 3 * number + 3).then_some(())
            });
        }
        if head.starts_with("Transfer") {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.answer().status, 200);
        assert_eq!(upstream.request().body, b"onetwosix");
    }
}

#[test]
fn an_answer_may_begin_before_its_request_ends() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut given = 0;
        while !exchange.request.whole {
            if !exchange.read_body(given + 1) {
                break;
            }
            let piece = exchange.request.body.split_off(given);
            given += piece.len();
            exchange.write([format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat());
        }
        exchange.write("0\r\n\r\n");
    });
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    client.send("POST /function/f HTTP/1.1\r\nHost: gateway\r\nContent-Length: 6\r\n\r\n");
    assert_eq!(client.head().status, 200);
    for piece in ["on", "et", "wo"] {
        client.send(piece);
        assert_eq!(client.chunk(), piece.as_bytes());
    }
    assert!(client.chunk().is_empty());
}

#[test]
fn a_head_that_comes_in_pieces_is_one_head() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = Client::new(&server);
    for byte in get("/function/f", &["X-A: 1"]) {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), "ok");
}
