//! Call ids of the caller's own, and keys that make two requests one.

use crate::fixture::{Client, post};
use crate::queue::{Queued, function, id};
use faas_queue::Queue as _;

#[test]
fn a_call_id_that_cannot_name_a_job_is_replaced() {
    let queued = Queued::start();
    for (given, kept) in [("a-B_9", true), ("a.b", false), ("", false), ("ä", false)] {
        let answer = queued.post("/async-function/f", &[&format!("X-Call-Id: {given}")], b"");
        assert_eq!(id(&answer).as_str() == given, kept, "{given:?}");
    }
}

#[test]
fn a_call_id_that_is_taken_is_replaced_and_the_job_is_accepted() {
    let queued = Queued::start();
    for body in [vec![1; 10], vec![2; 2 << 20]] {
        let first = id(&queued.post("/async-function/f", &["X-Call-Id: mine"], &body));
        let second = id(&queued.post("/async-function/f", &["X-Call-Id: mine"], &body));
        assert_ne!(first, second);
    }
    assert_eq!(queued.live().len(), 4);
}

#[test]
fn a_repeat_with_the_same_key_is_the_same_job() {
    let queued = Queued::start();
    for (key, body) in [("Idempotency-Key: a", vec![1; 10]), ("Idempotency-Key: b", vec![2; 2 << 20])] {
        let first = id(&queued.post("/async-function/f", &[key], &body));
        let mut client = queued.client();
        assert_eq!(id(&client.call(post("/async-function/f", &[key, "X-Call-Id: other"], &body))), first);
        assert!(client.is_open());
    }
    assert_eq!(queued.live().len(), 2);
    let other = id(&queued.post("/async-function/g", &["Idempotency-Key: a"], b""));
    assert!(queued.live().iter().all(|job| job.id != other), "another function's");
    let empty = [
        id(&queued.post("/async-function/f", &["Idempotency-Key:"], b"")),
        id(&queued.post("/async-function/f", &["Idempotency-Key:"], b"")),
    ];
    assert_ne!(empty[0], empty[1]);
}

#[test]
fn a_key_is_forgotten_no_sooner_than_its_job() {
    let queued = Queued::start();
    let first = id(&queued.post("/async-function/f", &["Idempotency-Key: a"], b""));
    let taken = queued.take();
    queued.wait(queued.queue.settle(&taken.lease, &taken.record, faas_queue::Then::Done)).unwrap();
    assert_eq!(id(&queued.post("/async-function/f", &["Idempotency-Key: a"], b"")), first);
    assert!(queued.wait(queued.queue.take(&function("f"), 1)).unwrap().is_empty(), "it is not run again");
}

/// Whoever knows a key knows the name that is made from it.
#[test]
fn a_key_whose_name_another_function_s_job_has_is_not_202() {
    let queued = Queued::start();
    let taken = id(&queued.post("/async-function/f", &["Idempotency-Key: a"], b""));
    assert_eq!(queued.wait(queued.queue.purge(&function("f"), faas_queue::Shelf::Live)).unwrap(), 1);
    let squatting = queued.post("/async-function/g", &[&format!("X-Call-Id: {taken}")], b"");
    assert_eq!(id(&squatting), taken);
    for body in [vec![1; 10], vec![2; 2 << 20]] {
        let refused = queued.post("/async-function/f", &["Idempotency-Key: a"], &body);
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{refused:?}");
        assert!(refused.header("x-faas-fault").unwrap().starts_with("queue; "), "{refused:?}");
    }
}

const ROUNDS: usize = 20;

#[test]
fn repeats_at_the_same_time_are_one_job() {
    let queued = Queued::start();
    for round in 0..ROUNDS {
        let key = format!("Idempotency-Key: {round}");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let bytes = post("/async-function/f", &[&key], b"x");
            let send = |mut client: Client, bytes: Vec<u8>| id(&client.call(bytes));
            let clients: Vec<_> = (0..8).map(|_| queued.client()).collect();
            let clients = clients.into_iter().map(|client| (client, bytes.clone()));
            let threads: Vec<_> =
                clients.map(|(client, bytes)| scope.spawn(move || send(client, bytes))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|other| *other == ids[0]), "{ids:?}");
    }
    assert_eq!(queued.live().len(), ROUNDS, "of {} posts", ROUNDS * 8);
    let counted = format!("queue_worker_messages_submitted_total{{queue_name=\"faas-request\"}} {ROUNDS}");
    assert!(queued.server.counters().lines().any(|line| line == counted));
}
