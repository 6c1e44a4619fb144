//! Processes that die, hang, or fail to start: each costs its own calls only.

use std::time::{Duration, Instant};

use super::Runtime;
use crate::harness::{children, exists, read_answer, until};
use crate::python::processes;

/// Answers in order of the calls' bodies: `die`, `hang`, or `wait` until a file `go` is there.
const CALLS: &str = "
import threading

def serve(call, body):
    if body == b'die':
        os._exit(3)
    if body == b'kill':
        os.kill(os.getpid(), 9)
    if body == b'hang':
        threading.Event().wait(60)
    while body == b'wait' and not os.path.exists(os.environ['TMPDIR'] + '/go'):
        threading.Event().wait(0.002)
    answer(call, str(os.getpid()).encode())

hello('concurrency: ' + os.environ.get('at_a_time', '1'))
while True:
    call, line, body = request()
    open(os.environ['TMPDIR'] + '/begun-' + line.split()[1][1:], 'w').close()
    threading.Thread(target=serve, args=(call, body), daemon=True).start()
";

fn post(target: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[test]
fn a_process_that_dies_costs_its_own_calls_and_is_replaced() {
    let runtime = Runtime::new(CALLS);
    let watchdog = runtime.ready(&[("worker_count", "2")]);
    let before = processes(&watchdog, 2);
    for (body, fault) in [("die", "handler exited with status 3"), ("kill", "handler was killed by signal 9")]
    {
        let waiting = watchdog.begin(&post(&format!("other-{body}"), "wait"));
        until("it runs", || watchdog.path(&format!("begun-other-{body}")).exists().then_some(()));
        let answer = watchdog.post(body.as_bytes());
        assert_eq!((answer.status, answer.text()), (502, format!("{fault}\n").as_str()));
        assert_eq!(answer.header("x-faas-fault"), Some(format!("handler; {fault}").as_str()));
        std::fs::write(watchdog.path("go"), "").unwrap();
        assert_eq!(read_answer(waiting).status, 200);
        std::fs::remove_file(watchdog.path("go")).unwrap();
    }
    until("two processes, not both from the start", || {
        let now = children(watchdog.pid());
        (now.len() == 2 && now != before).then_some(())
    });
}

#[test]
fn calls_that_wait_their_turn_are_served_by_the_next_process() {
    let runtime = Runtime::new(CALLS);
    let watchdog = runtime.ready(&[]);
    let old = watchdog.post(b"").text().to_owned();
    let first = watchdog.begin(&post("first", "wait"));
    until("it runs", || watchdog.path("begun-first").exists().then_some(()));
    let dying = watchdog.begin(&post("dying", "die"));
    let others: Vec<_> = (0..5).map(|_| watchdog.begin(&post("other", ""))).collect();
    std::fs::write(watchdog.path("go"), "").unwrap();
    assert_eq!(read_answer(first).text(), old);
    assert_eq!(read_answer(dying).status, 502);
    for other in others {
        assert_eq!(read_answer(other).status, 200);
    }
    assert_ne!(watchdog.post(b"").text(), old);
}

#[test]
fn a_call_over_its_time_gets_504_and_its_process_is_replaced_when_the_others_have_ended() {
    let runtime = Runtime::new(CALLS);
    let watchdog = runtime.ready(&[("at_a_time", "2"), ("exec_timeout", "20s")]);
    let old = watchdog.post(b"").text().to_owned();
    let other = watchdog.begin(&post("other", "wait"));
    until("it runs", || watchdog.path("begun-other").exists().then_some(()));
    let start = Instant::now();
    let late = watchdog.send("POST", "/", "X-Timeout: 300ms\r\n", b"hang");
    assert_eq!((late.status, late.text()), (504, "no answer within 300ms\n"));
    assert_eq!(late.header("x-faas-fault"), Some("handler; no answer within 300ms"));
    assert!(start.elapsed() < Duration::from_secs(5));
    until("another process", || (watchdog.post(b"").text() != old).then_some(()));
    assert!(exists(&old), "the other call goes on");
    std::fs::write(watchdog.path("go"), "").unwrap();
    assert_eq!(read_answer(other).text(), old);
    until("the old process gone", || (!exists(&old)).then_some(()));
}

#[test]
fn exec_timeout_bounds_what_callers_may_ask_for() {
    let runtime = Runtime::new(CALLS);
    let watchdog = runtime.ready(&[("exec_timeout", "300ms")]);
    let late = watchdog.send("POST", "/", "X-Timeout: 1h\r\n", b"hang");
    assert_eq!((late.status, late.text()), (504, "no answer within 300ms\n"));
    assert_eq!(watchdog.post(b"").status, 200);
}

#[test]
fn time_spent_waiting_for_a_turn_counts() {
    let runtime = Runtime::new(CALLS);
    let watchdog = runtime.ready(&[]);
    let old = watchdog.post(b"").text().to_owned();
    let first = watchdog.begin(&post("first", "wait"));
    until("it runs", || watchdog.path("begun-first").exists().then_some(()));
    assert_eq!(watchdog.send("POST", "/", "X-Timeout: 200ms\r\n", b"").status, 504);
    std::fs::write(watchdog.path("go"), "").unwrap();
    assert_eq!(read_answer(first).text(), old);
    assert_eq!(watchdog.post(b"").text(), old, "nobody was killed for it");
}

#[test]
fn a_client_that_leaves_costs_no_process() {
    let runtime = Runtime::new(CALLS);
    let watchdog = runtime.ready(&[]);
    let old = watchdog.post(b"").text().to_owned();
    let leaving = watchdog.begin(&post("leaving", "wait"));
    until("it runs", || watchdog.path("begun-leaving").exists().then_some(()));
    let waiting = watchdog.begin(&post("waiting", ""));
    drop(leaving);
    drop(waiting);
    std::fs::write(watchdog.path("go"), "").unwrap();
    assert_eq!(watchdog.post(b"").text(), old);
    assert!(!watchdog.path("begun-waiting").exists() || watchdog.post(b"").status == 200);
}

#[test]
fn a_start_that_fails_answers_503_and_ends_the_replica() {
    let text =
        "import time\nwhile not os.path.exists(os.environ['TMPDIR'] + '/go'): time.sleep(0.002)\nsys.exit(1)";
    let runtime = Runtime::new(text);
    let mut watchdog = runtime.supervised(&[]);
    until("it listens", || watchdog.path("s").exists().then_some(()));
    watchdog.logged("Listening on socket");
    assert_eq!(watchdog.get("/_/ready").status, 503);
    let waiting: Vec<_> = (0..3).map(|_| watchdog.begin(&post("x", "y"))).collect();
    std::fs::write(watchdog.path("go"), "").unwrap();
    for call in waiting {
        let answer = read_answer(call);
        assert_eq!((answer.status, answer.text()), (503, "handler exited with status 1\n"));
        assert_eq!(answer.header("x-faas-fault"), Some("handler; handler exited with status 1"));
    }
    assert_eq!(watchdog.said(), "failed: handler exited with status 1\n");
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn a_replacement_that_does_not_start_ends_the_replica() {
    let runtime = Runtime::new(
        "mark = os.environ['TMPDIR'] + '/started'\nif os.path.exists(mark): sys.exit(7)\nopen(mark, 'w').close()\nhello()\nrequest()\nos._exit(3)",
    );
    let mut watchdog = runtime.ready(&[]);
    assert_eq!(watchdog.get("/").text(), "handler exited with status 3\n");
    assert_eq!(watchdog.said(), "failed: handler exited with status 7\n");
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn replacements_that_fail_together_end_the_replica_too() {
    let runtime = Runtime::new(
        "gone = os.environ['TMPDIR'] + '/gone'\nif os.path.exists(gone): sys.exit(7)\nhello()\nrequest()\nopen(gone, 'w').close()\nos._exit(3)",
    );
    let mut watchdog = runtime.ready(&[("worker_count", "2")]);
    let calls: Vec<_> = (0..2).map(|_| watchdog.begin(&post("x", "y"))).collect();
    for call in calls {
        // The second may come when there is nobody left.
        assert!([502, 503].contains(&read_answer(call).status));
    }
    assert_eq!(watchdog.said(), "failed: handler exited with status 7\n");
    assert_eq!(watchdog.exit().code(), Some(1));
}

#[test]
fn restarts_are_counted() {
    // The port is chosen here since the watchdog takes 0 for off.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let runtime = Runtime::new(CALLS);
    let watchdog = runtime.ready(&[("metrics_port", &port.to_string())]);
    for body in ["die", "", "kill", "", "die"] {
        watchdog.post(body.as_bytes());
    }
    assert_eq!(watchdog.post(b"").status, 200);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
        .unwrap();
    let text = read_answer(stream).text().to_owned();
    for line in [
        "faas_handler_restarts_total 3",
        "faas_handler_start_seconds_count 4",
        "faas_handler_wait_seconds_count 6",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}
