//! Bodies of all lengths, and of none that was told.

use std::io::Write as _;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::fixture::{post, request};
use crate::queue::{Queued, id};

const MIB: usize = 1 << 20;
/// What this process may grow by while long bodies pass.
const GROWTH_KIB: u64 = 48 << 10;

fn chunked(pieces: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces {
        write!(body, "{:x}\r\n", piece.len()).unwrap();
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

#[test]
fn a_body_in_chunks_is_one_body() {
    let queued = Queued::start();
    let long = vec![b'x'; MIB];
    for pieces in [vec![], vec![&b"he"[..], b"l", b"lo"], vec![&long[..], b"and", &long[..]]] {
        let bytes = request("POST", "/async-function/f", &["Transfer-Encoding: chunked"], &chunked(&pieces));
        let mut client = queued.client();
        id(&client.call(bytes));
        assert!(client.is_open());
        assert!(queued.wait(super::read(queued.take().body)) == pieces.concat(), "{} pieces", pieces.len());
    }
}

#[test]
fn a_caller_is_told_to_go_on_only_if_its_body_will_be_taken() {
    let queued = Queued::start();
    let head = |length: usize, headers: &str| {
        format!(
            "POST /async-function/f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{headers}Content-Length: {length}\r\n\r\n"
        )
    };
    let mut client = queued.client();
    assert_eq!(client.send(head(5, "")).head().status, 100);
    id(&client.call("hello"));
    let job = queued.take();
    assert!(job.job.headers.iter().all(|(name, _)| name != "expect"));
    for (length, headers, status) in [(1 << 30, "", 413), (5, "X-Callback-Url: nowhere\r\n", 400)] {
        assert_eq!(queued.client().send(head(length, headers)).head().status, status);
    }
}

#[test]
fn a_body_that_breaks_off_is_no_job() {
    let queued = Queued::start();
    for (head, part) in [("Content-Length: 10", &b"hello"[..]), ("Transfer-Encoding: chunked", b"a\r\nhello")]
    {
        let mut client = queued.client();
        client.send(request("POST", "/async-function/f", &[head], part)).finish();
        let answer = client.try_answer_to("POST");
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{answer:?}");
    }
    let long =
        [request("POST", "/async-function/f", &["Content-Length: 9000000"], b""), vec![0; MIB]].concat();
    let mut client = queued.client();
    client.send(long).finish();
    assert!(client.try_answer_to("POST").is_none_or(|answer| answer.status == 400));
    drop(client);
    assert!(queued.live().is_empty());
}

#[test]
fn a_body_that_is_silent_is_408() {
    let queued = Queued::with(faas_queue::Settings::default(), |config| {
        config.limits.body_timeout = Duration::from_secs(1);
    });
    for length in [10, 9_000_000] {
        let head = format!("Content-Length: {length}");
        let answer = queued.client().call(request("POST", "/async-function/f", &[&head], b"hello"));
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(answer.header("x-faas-fault").unwrap().starts_with("client; "));
    }
    assert!(queued.live().is_empty());
}

#[test]
fn bodies_past_the_memory_for_them_are_refused_and_others_are_not() {
    let queued = Queued::with(faas_queue::Settings::default(), |config| {
        // Of each half, one that streams is all of it.
        config.limits.async_memory_bytes = 2 * (700 << 10);
    });
    let head = request("POST", "/async-function/f", &["Content-Length: 9000000"], b"");
    let mut holding = queued.client();
    holding.send(&head).send(vec![0; MIB]);
    faas_testing::wait_for("a body on its way to the disk", || {
        std::fs::read_dir(queued.folder.path().join("bodies")).unwrap().next().map(drop)
    });
    let refused = queued.client().call(&head);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(refused.header("x-faas-fault").unwrap().starts_with("gateway; "));
    id(&queued.post("/async-function/f", &[], b"short"));
    holding.send(vec![0; 9_000_000 - MIB]);
    id(&holding.answer());
    assert_eq!(queued.live().len(), 2);
}

#[test]
fn a_body_has_its_place_in_memory_until_the_queue_has_answered() {
    const BODY: usize = 90_000;
    const CLIENTS: usize = 6;
    let queued = Queued::with(faas_queue::Settings::default(), |config| {
        // One of them fits each half.
        config.limits.async_memory_bytes = 2 * 100_000;
    });
    // Nothing can be written meanwhile; the queue waits for that some seconds.
    let lock = rusqlite::Connection::open(queued.folder.path().join("queue.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (sender, answers) = mpsc::channel();
    for _ in 0..CLIENTS {
        let (mut client, sender) = (queued.client(), sender.clone());
        thread::spawn(move || sender.send(client.call(post("/async-function/f", &[], &vec![b'x'; BODY]))));
        // Two that come at once take parts of one half, and neither fits.
        thread::sleep(Duration::from_millis(100));
    }
    for _ in 2..CLIENTS {
        let refused = answers.recv_timeout(Duration::from_secs(4)).unwrap();
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{refused:?}");
        assert!(refused.header("x-faas-fault").unwrap().starts_with("gateway; "), "{refused:?}");
    }
    lock.execute_batch("ROLLBACK").unwrap();
    for _ in 0..2 {
        id(&answers.recv().unwrap());
    }
    let counted = format!("faas_queue_refused_total{{reason=\"memory\"}} {}", CLIENTS - 2);
    assert!(queued.server.counters().lines().any(|line| line == counted));
}

#[test]
fn a_long_body_keeps_its_length() {
    let queued = Queued::start();
    for bytes in [5, 2 * MIB] {
        id(&queued.post("/async-function/f", &[], &vec![0; bytes]));
        let length = ("content-length".to_owned(), bytes.to_string());
        assert!(queued.take().job.headers.contains(&length), "{bytes}");
    }
}

#[test]
fn long_bodies_pass_in_flat_memory() {
    // In a process of its own: what other tests take is theirs.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "queue::bodies::long_bodies"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by the test above"]
fn long_bodies() {
    let queued = Queued::start();
    // Once before, so that buffers that are kept are there.
    stream(&queued, 4 * MIB);
    let before = crate::bulk::peak_kib();
    stream(&queued, 100 * MIB);
    refuse_a_gigabyte(&queued);
    let grown = crate::bulk::peak_kib() - before;
    assert!(grown < GROWTH_KIB, "grew by {grown} KiB");
    assert_eq!(queued.live().len(), 2);
}

fn stream(queued: &Queued, bytes: usize) {
    let mut client = queued.client();
    client.send(format!("POST /async-function/f HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n"));
    let piece = vec![b'a'; MIB];
    for _ in 0..bytes / MIB {
        client.send(&piece);
    }
    id(&client.answer());
}

/// Whose length is told, and whose is not.
fn refuse_a_gigabyte(queued: &Queued) {
    let told = format!("Content-Length: {}", 1 << 30);
    for (head, piece) in
        [(told.as_str(), vec![b'a'; MIB]), ("Transfer-Encoding: chunked", chunk(&vec![b'a'; MIB]))]
    {
        let mut client = queued.client();
        client.send(request("POST", "/async-function/f", &[head], b""));
        let sent = (0..1024).take_while(|_| client.try_send(&piece).is_ok()).count();
        assert!(sent < 1024, "all of it was taken");
        // Its answer may be lost where the connection was reset while this was still sending.
        let answer = client.try_answer_to("POST");
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 413), "{answer:?}");
    }
}

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

#[test]
fn a_body_past_the_limit_is_413_whether_its_length_is_told_or_not() {
    let queued = Queued::with(faas_queue::Settings::default(), |config| {
        config.limits.async_body_bytes = 1_000;
    });
    id(&queued.post("/async-function/f", &[], &[b'a'; 1_000]));
    let answer = queued.post("/async-function/f", &[], &[b'a'; 1_001]);
    assert_eq!(answer.status, 413);
    let text = "Error queuing request: request body too large (1001 bytes), maximum: 1000 bytes";
    assert_eq!(answer.text(), text);
    let long = chunked(&[&[b'a'; 600], &[b'a'; 600]]);
    let answer =
        queued.client().call(request("POST", "/async-function/f", &["Transfer-Encoding: chunked"], &long));
    assert_eq!(answer.text(), "Error queuing request: request body too large, maximum: 1000 bytes");
    assert_eq!((answer.status, queued.live().len()), (413, 1));
}

#[test]
fn the_queues_own_limit_is_413_too() {
    let settings = faas_queue::Settings { most_body: 1_000, ..faas_queue::Settings::default() };
    let queued = Queued::with(settings, |_| ());
    for length in [1_001, 2 * MIB] {
        // No more than it takes: who is cut off while it sends may not see the answer.
        let request = post("/async-function/f", &[], &vec![0; length]);
        let answer = queued.client().send(&request[..request.len().min(5_000)]).head();
        assert_eq!(answer.status, 413, "{length}");
    }
}
