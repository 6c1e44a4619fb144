//! What a 202 promises.

use crate::fixture::http2;
use crate::fixture::{Client, Server, Upstream, get, post, request};
use crate::queue::{Queued, id};

#[test]
fn a_job_is_accepted_with_its_names_and_nothing_else() {
    let queued = Queued::start();
    let answer = queued.post("/async-function/f", &[], b"hello");
    assert_eq!((answer.status, answer.text()), (202, ""));
    assert_eq!(answer.header("x-call-id").unwrap().len(), 36);
    assert!(answer.header("x-start-time").unwrap().parse::<u64>().unwrap() > 1_700_000_000_000_000_000);
    assert!(answer.header("x-served-by").unwrap().starts_with("faas/"));
    assert_eq!(answer.header("content-type"), None);
}

#[test]
fn what_was_accepted_is_there_after_a_restart_byte_by_byte() {
    let queued = Queued::start();
    let body: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let headers = [
        "X-Two: 1",
        "X-Two: 2",
        "Authorization: Basic c2VjcmV0",
        "Content-Type: text/x",
        "X-Call-Id: mine",
        "X-Callback-Url: http://a.example/b?c=d",
        "Connection: X-Hop",
        "X-Hop: 1",
        "TE: trailers",
        "X-Start-Time: 1",
        "X-Faas-Queue: 1",
        "Cookie: a=b",
    ];
    let mut client = queued.client();
    let address = client.stream.local_addr().unwrap().to_string();
    let answer = client.call(post("/async-function/f.openfaas-fn/a%20b/c?x=%2F&y", &headers, &body));
    assert_eq!(id(&answer).as_str(), "mine");
    let reopened = queued.reopened();
    let (taken, kept) = reopened.take_all().pop().unwrap();
    assert_eq!(kept, body);
    let job = taken.job;
    assert_eq!(job.function.to_string(), "f.openfaas-fn");
    assert_eq!((job.method.as_str(), job.path.as_str(), job.query.as_str()), ("POST", "/a%20b/c", "x=%2F&y"));
    assert_eq!((job.host.as_str(), job.callback.as_deref()), ("gateway", Some("http://a.example/b?c=d")));
    let headers: Vec<_> = job.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("content-length", "10000"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("authorization", "Basic c2VjcmV0"),
            ("content-type", "text/x"),
            ("x-callback-url", "http://a.example/b?c=d"),
            ("cookie", "a=b"),
            ("x-forwarded-for", address.as_str()),
            ("x-forwarded-host", "gateway"),
        ]
    );
}

#[test]
fn who_is_not_believed_says_nothing_of_itself_to_a_job() {
    const SAID: [&str; 6] = [
        "Forwarded",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "X-Forwarded-For",
        "X-Forwarded-Host",
    ];
    for (trusted, believed) in [("127.0.0.1", SAID.len()), ("10.0.0.0/8", 0)] {
        let queued = Queued::with(faas_queue::Settings::default(), |config| {
            config.trusted_proxies = Some(vec![trusted.parse().unwrap()]);
        });
        let headers = SAID.map(|name| format!("{name}: said"));
        queued.post("/async-function/f", &headers.each_ref().map(String::as_str), b"");
        let headers = queued.take().job.headers;
        let said = headers.iter().filter(|(_, value)| value == "said").count();
        assert_eq!(said, believed, "{headers:?}");
    }
}

#[test]
fn the_path_is_what_follows_the_name() {
    let queued = Queued::start();
    for (sent, path) in [("f", ""), ("f/", "/"), ("f/a/", "/a/"), ("f?q", "")] {
        queued.post(&format!("/async-function/{sent}"), &[], b"");
        assert_eq!(queued.take().job.path, path, "{sent}");
    }
}

const CLIENTS: usize = 8;
const EACH: usize = 50;

#[test]
fn every_accepted_job_is_there_whatever_connection_it_came_on() {
    let queued = Queued::start();
    let send = |client: usize, mut connection: Client| {
        let mut ids = Vec::new();
        for number in 0..EACH {
            let body = format!("{client}-{number}");
            ids.push(id(&connection.call(post("/async-function/f", &[], body.as_bytes()))));
        }
        ids
    };
    let connections: Vec<_> = (0..CLIENTS).map(|_| queued.client()).collect();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let clients = connections.into_iter().enumerate();
        let threads: Vec<_> =
            clients.map(|(client, connection)| scope.spawn(move || send(client, connection))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), CLIENTS * EACH);
    let kept: Vec<_> = queued.live().into_iter().map(|found| found.id).collect();
    assert_eq!(kept.len(), ids.len(), "of {} accepted", ids.len());
    assert!(ids.iter().all(|id| kept.contains(id)));
}

#[test]
fn a_function_that_wants_the_callers_method_is_put_to_and_patched() {
    let (queued, upstream) = (Queued::start(), Upstream::start());
    let original = [("com.openfaas.async.method".to_owned(), "original".to_owned())].into();
    let terms = crate::fixture::terms(|terms| terms.queue = Some(std::sync::Arc::new(original)));
    queued.server.route_with("f", &[&upstream], terms);
    for method in ["PUT", "PATCH", "POST"] {
        let answer =
            queued.client().call(request(method, "/async-function/f/a", &["Content-Length: 1"], b"x"));
        assert_eq!(answer.status, 202, "{method}");
        assert_eq!(queued.take().job.method, method);
    }
    assert_eq!(queued.client().call(request("DELETE", "/async-function/f/a", &[], b"")).status, 405);
}

#[test]
fn functions_annotations_for_the_queue_go_with_the_job() {
    let queued = Queued::start();
    let upstream = Upstream::start();
    let own = [("com.openfaas.retry.attempts".to_owned(), "3".to_owned())].into();
    let terms = crate::fixture::terms(|terms| terms.queue = Some(std::sync::Arc::new(own)));
    queued.server.route_with("f", &[&upstream], terms);
    queued.post("/async-function/f", &[], b"");
    assert_eq!(queued.take().job.annotations["com.openfaas.retry.attempts"], "3");
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_function_that_is_not_there_is_the_workers_affair_unless_told_otherwise() {
    let queued = Queued::start();
    assert_eq!(queued.post("/async-function/f.dev", &[], b"").status, 202);
    let queued = Queued::with(faas_queue::Settings::default(), |config| config.async_check_function = true);
    // The provider of these tests cannot look anything up.
    let answer = queued.post("/async-function/f", &[], b"");
    assert!([404, 503].contains(&answer.status), "{answer:?}");
    let upstream = Upstream::start();
    queued.server.route("f", &[&upstream]);
    assert_eq!(queued.post("/async-function/f", &[], b"").status, 202);
}

#[test]
fn http_2_is_accepted_too() {
    let queued = Queued::start();
    let sent = queued.wait(async {
        let mut client = http2::connect(&queued.server).await;
        let head = http2::request("POST", "/async-function/f?q=1", &[("cookie", "a=1"), ("cookie", "b=2")]);
        let (response, mut body) = client.send_request(head, false).unwrap();
        body.send_data(bytes::Bytes::from_static(b"hello"), true).unwrap();
        http2::within(response).await.unwrap()
    });
    assert_eq!(sent.status(), 202);
    let taken = queued.take();
    assert!(taken.job.headers.contains(&("cookie".to_owned(), "a=1; b=2".to_owned())), "{:?}", taken.job);
    assert!(!taken.job.host.is_empty());
    assert_eq!(queued.wait(super::read(taken.body)), b"hello");
}

#[test]
fn without_a_queue_there_is_no_such_route() {
    let server = Server::start();
    let mut client = Client::new(&server);
    for bytes in [
        post("/async-function/f", &[], b"x"),
        get("/async-function/id", &[]),
        request("DELETE", "/async-function/id", &[], b""),
        get("/system/queue", &[]),
    ] {
        let answer = client.call(bytes);
        assert_eq!((answer.status, answer.text()), (404, ""));
    }
}
