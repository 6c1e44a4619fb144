//! How large a head may be.

use crate::fixture::http2::{answer, connect, request};
use crate::fixture::{Client, Server, Upstream, get};

fn small() -> (Upstream, Server) {
    let upstream = Upstream::start();
    let server = Server::with(|config| {
        config.limits.head_bytes = 16 << 10;
        config.limits.uri_bytes = 1 << 10;
    });
    server.route("f", &[&upstream]);
    (upstream, server)
}

/// The status of a refusal that ends the connection.
fn refused(request: Vec<u8>) -> u16 {
    let (upstream, server) = small();
    let mut client = Client::new(&server);
    // It may be closed before all of it was taken.
    let _ = client.try_send(request);
    let status = client.answer().status;
    client.assert_closed();
    assert!(upstream.requests().is_empty());
    status
}

#[test]
fn a_head_has_a_hundred_headers_at_most() {
    let headers: Vec<_> = (0..200).map(|number| format!("X-{number}: 1")).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    let (upstream, server) = small();
    assert_eq!(Client::new(&server).call(get("/function/f", &headers[..99])).status, 200);
    assert_eq!(
        upstream
            .request()
            .headers
            .iter()
            .filter(|(name, _)| name.len() < 5 && name.starts_with("x-"))
            .count(),
        99
    );
    assert_eq!(refused(get("/function/f", &headers[..100])), 431);
    assert_eq!(refused(get("/function/f", &headers)), 431);
}

#[test]
fn a_head_has_so_many_bytes_at_most() {
    let (_upstream, server) = small();
    let header = |bytes: usize| format!("X-A: {}", "a".repeat(bytes));
    assert_eq!(Client::new(&server).call(get("/function/f", &[&header(12 << 10)])).status, 200);
    assert_eq!(refused(get("/function/f", &[&header(20 << 10)])), 431);
    assert_eq!(refused(get("/function/f", &[&header(200 << 10)])), 431);
}

#[test]
fn a_head_that_never_ends_is_refused() {
    let (upstream, server) = small();
    let mut client = Client::new(&server);
    client.send("GET /function/f HTTP/1.1\r\nHost: gateway\r\nX-A: ");
    // Far past the limit, but bounded.
    for _ in 0..64 {
        if client.try_send([b'a'; 16 << 10]).is_err() {
            break;
        }
    }
    let rest = client.until_close();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&rest));
    assert!(upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_head_of_http_2_has_as_many_headers_and_64_kilobytes() {
    let upstream = Upstream::start();
    let server = Server::before(&upstream);
    let mut client = connect(&server).await;
    let many: Vec<_> = (0..101).map(|number| (format!("x-{number}"), "1".to_owned())).collect();
    let large = |bytes: usize| vec![("x-a".to_owned(), "a".repeat(bytes))];
    for (fields, status) in
        [(many[..100].to_vec(), 200), (many.clone(), 431), (large(60 << 10), 200), (large(70 << 10), 431)]
    {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (response, _) = client.send_request(request("GET", "/function/f", &fields), true).unwrap();
        assert_eq!(answer(response).await.head.status, status, "{} headers", fields.len());
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_target_has_so_many_bytes_at_most() {
    let (upstream, server) = small();
    let path = |bytes: usize| format!("/function/f/{}", "a".repeat(bytes));
    assert_eq!(Client::new(&server).call(get(&path(900), &[])).status, 200);
    assert_eq!(Client::new(&server).call(get(&path(1100), &[])).status, 414);
    assert_eq!(Client::new(&server).call(get(&format!("/function/f?{}", path(1100)), &[])).status, 414);
    assert_eq!(upstream.requests().len(), 1);
    let mut client = connect(&server).await;
    let (response, _) = client.send_request(request("GET", &path(1100), &[]), true).unwrap();
    assert_eq!(answer(response).await.head.status, 414);
}
