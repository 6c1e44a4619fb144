//! How long a client may take. The times here are a second; what waits for them is bounded by far more.

use std::thread;
use std::time::Duration;

use crate::fixture::frames::Frames;
use crate::fixture::http2::{connect, get as get2, request, within};
use crate::fixture::{Client, Server, Upstream, get};

/// Pauses between pieces, well below the second.
const PAUSE: Duration = Duration::from_millis(200);

/// Everything that has a time has a second.
fn impatient() -> (Upstream, Server) {
    in_front(quick())
}

/// Three seconds, where somebody has to be in time.
fn patient() -> (Upstream, Server) {
    in_front(with_times(3))
}

fn in_front(server: Server) -> (Upstream, Server) {
    let upstream = Upstream::start();
    server.route("f", &[&upstream]);
    (upstream, server)
}

fn quick() -> Server {
    with_times(1)
}

fn with_times(seconds: u64) -> Server {
    Server::with(|config| {
        let limits = &mut config.limits;
        let times = [&mut limits.head_timeout, &mut limits.idle_timeout, &mut limits.body_timeout];
        for time in times {
            *time = Duration::from_secs(seconds);
        }
    })
}

/// Sends a byte at a time until the gateway has had enough; gives what it said.
fn dribble(client: &mut Client, bytes: &str) -> String {
    let mut stream = client.stream.try_clone().unwrap();
    let bytes = bytes.to_owned();
    let writing = thread::spawn(move || {
        for byte in bytes.bytes() {
            if std::io::Write::write_all(&mut stream, &[byte]).is_err() {
                return true;
            }
            thread::sleep(PAUSE);
        }
        false
    });
    let said = client.until_close();
    assert!(writing.join().unwrap(), "the whole head was taken");
    String::from_utf8(said).unwrap()
}

#[test]
fn a_head_that_dribbles_in_is_cut_off() {
    let (upstream, server) = impatient();
    let head = format!("GET /function/f HTTP/1.1\r\nX-A: {}", "a".repeat(100));
    let mut client = Client::new(&server);
    let said = dribble(&mut client, &head);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said:?}");
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_later_head_that_dribbles_in_is_cut_off() {
    let (upstream, server) = impatient();
    let mut client = Client::new(&server);
    assert_eq!(client.call(get("/function/f", &[])).text(), "ok");
    let said = dribble(&mut client, &format!("GET /function/f HTTP/1.1\r\nX-A: {}", "a".repeat(100)));
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said:?}");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_preface_of_http_2_that_dribbles_in_is_cut_off() {
    let (_upstream, server) = impatient();
    dribble(&mut Client::new(&server), &"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".repeat(4)[..23]);
}

#[test]
fn silent_and_idle_connections_are_closed() {
    let (_upstream, server) = patient();
    let mut silent = Client::new(&server);
    let mut half = Client::new(&server);
    half.send("GET /func");
    let mut idle = Client::new(&server);
    for _ in 0..3 {
        thread::sleep(PAUSE);
        assert_eq!(idle.call(get("/function/f", &[])).text(), "ok");
    }
    idle.assert_closed();
    silent.until_close();
    half.until_close();
}

#[test]
fn a_body_that_falls_silent_is_cut_off() {
    for (coding, begun) in [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")]
    {
        let (upstream, server) = impatient();
        let mut client = Client::new(&server);
        client.send(format!("POST /function/f HTTP/1.1\r\nHost: gateway\r\n{coding}\r\n\r\n{begun}"));
        let said = String::from_utf8(client.until_close()).unwrap();
        assert!(
            said.starts_with("HTTP/1.1 408") && said.contains("x-faas-fault: client;"),
            "{coding}: {said:?}"
        );
        upstream.wait_closed();
        assert!(!upstream.request().whole);
    }
}

#[test]
fn a_body_that_is_slow_but_never_silent_is_taken() {
    let (upstream, server) = patient();
    let mut client = Client::new(&server);
    client.send("POST /function/f HTTP/1.1\r\nHost: gateway\r\nContent-Length: 20\r\n\r\n");
    for _ in 0..20 {
        thread::sleep(PAUSE);
        client.send("a");
    }
    assert_eq!(client.answer().text(), "ok");
    assert_eq!(upstream.request().body, "a".repeat(20).as_bytes());
}

#[test]
fn a_function_may_think_for_longer_than_a_client_may_be_silent() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.read_all();
        thread::sleep(16 * PAUSE);
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
        thread::sleep(16 * PAUSE);
        exchange.write("0\r\n\r\n");
    });
    let server = quick();
    server.route("f", &[&upstream]);
    let mut client = Client::new(&server);
    assert_eq!(client.call(get("/function/f", &[])).text(), "ok");
    assert!(client.is_open());
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_is_cut_off() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while exchange.write(format!("10000\r\n{}\r\n", "a".repeat(1 << 16))) {}
        exchange.close();
    });
    let server = quick();
    server.route("f", &[&upstream]);
    let mut client = Client::new(&server);
    client.send(get("/function/f", &[]));
    upstream.wait_closed();
}

#[test]
fn an_idle_connection_of_http_2_is_closed() {
    let (_upstream, server) = impatient();
    let mut client = Frames::new(&server);
    client.send(&Frames::get(1, "/function/f"));
    assert!(client.is_answered(1));
    while client.next().is_some() {}
}

#[test]
fn pings_keep_no_connection_open() {
    let (_upstream, server) = impatient();
    let mut client = Frames::new(&server);
    client.send(&Frames::get(1, "/function/f"));
    assert!(client.is_answered(1));
    let mut pinging = client.try_clone();
    let pinging = thread::spawn(move || {
        while pinging.try_send(&Frames::ping(1)) {
            thread::sleep(PAUSE);
        }
    });
    let ended = (0..50).any(|_| client.next().is_none());
    assert!(ended, "50 frames later the connection is still open");
    pinging.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_of_http_2_that_falls_silent_is_cut_off_alone() {
    let (upstream, server) =
        in_front(Server::with(|config| config.limits.body_timeout = Duration::from_secs(1)));
    let mut client = connect(&server).await;
    let (response, mut body) = client.send_request(request("POST", "/function/f", &[]), false).unwrap();
    body.send_data("hello".into(), false).unwrap();
    match within(response).await {
        Ok(answer) => assert_eq!(answer.status(), 408),
        Err(error) => assert!(error.is_reset(), "{error}"),
    }
    upstream.wait_closed();
    assert!(!upstream.request().whole);
    drop(body);
    assert_eq!(get2(&mut client, "/function/f").await.body, b"ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_whose_function_thinks_is_not_idle() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.read_all();
        thread::sleep(16 * PAUSE);
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let server = quick();
    server.route("f", &[&upstream]);
    let mut client = connect(&server).await;
    assert_eq!(get2(&mut client, "/function/f").await.body, b"ok");
}

#[test]
fn an_upgraded_connection_may_be_silent() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cow\r\n\r\n");
        let bytes = exchange.read_raw();
        exchange.write(bytes);
        exchange.close();
    });
    let server = quick();
    server.route("f", &[&upstream]);
    let mut client = Client::new(&server);
    let answer = client.send(get("/function/f", &["Connection: Upgrade", "Upgrade: cow"])).head();
    assert_eq!(answer.status, 101);
    thread::sleep(16 * PAUSE);
    client.send("moo");
    assert_eq!(client.until_close(), b"moo");
}
