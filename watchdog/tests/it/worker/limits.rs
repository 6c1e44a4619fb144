//! How many processes and calls there are at a time.

use super::Runtime;
use crate::harness::{Watchdog, children, read_answer, until};
use crate::python::processes;

/// Says with a file that it has a call; answers once a file `go` is there.
const WAITING: &str = "
import time
hello()
while True:
    call, line, body = request()
    open(os.environ['TMPDIR'] + '/begun-%d' % os.getpid(), 'w').close()
    while not os.path.exists(os.environ['TMPDIR'] + '/go'): time.sleep(0.002)
    answer(call, str(os.getpid()).encode())
";

fn begin(watchdog: &Watchdog, count: usize) -> Vec<Box<dyn crate::harness::Stream>> {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    (0..count).map(|_| watchdog.begin(request)).collect()
}

/// Waits until so many processes have a call.
fn busy(watchdog: &Watchdog, count: usize) {
    let begun = || {
        let files = std::fs::read_dir(watchdog.folder.path()).unwrap().flatten();
        files.filter(|file| file.file_name().to_string_lossy().starts_with("begun-")).count()
    };
    until(&format!("{count} busy processes"), || (begun() == count).then_some(()));
}

fn answers(calls: Vec<Box<dyn crate::harness::Stream>>) -> Vec<String> {
    let mut pids: Vec<String> = calls.into_iter().map(|call| read_answer(call).text().to_owned()).collect();
    pids.sort();
    pids.dedup();
    pids
}

#[test]
fn a_number_of_processes_is_kept() {
    let runtime = Runtime::new(WAITING);
    let watchdog = runtime.ready(&[("worker_count", "3")]);
    let kept = processes(&watchdog, 3);
    let calls = begin(&watchdog, 12);
    busy(&watchdog, 3);
    std::fs::write(watchdog.path("go"), "").unwrap();
    assert_eq!(answers(calls), kept, "all of them work");
    assert_eq!(children(watchdog.pid()), kept);
}

#[test]
fn without_a_number_there_is_one_and_up_to_four_while_calls_wait() {
    let runtime = Runtime::new(WAITING);
    // The variable's last setting holds, and an empty one counts as unset.
    let watchdog = runtime.ready(&[("worker_count", "")]);
    assert_eq!(children(watchdog.pid()).len(), 1);
    for (waiting, expected) in [(1, 1), (2, 2), (9, 4)] {
        let _ = std::fs::remove_file(watchdog.path("go"));
        let calls = begin(&watchdog, waiting);
        busy(&watchdog, expected);
        std::fs::write(watchdog.path("go"), "").unwrap();
        assert_eq!(answers(calls).len(), expected);
    }
    assert_eq!(children(watchdog.pid()).len(), 4);
}

#[test]
fn as_many_calls_as_allowed_run_and_the_rest_are_turned_away() {
    let runtime = Runtime::new(WAITING);
    let watchdog = runtime.ready(&[("max_inflight", "2"), ("worker_count", "1")]);
    assert_eq!(watchdog.get("/_/ready").status, 200);
    let calls = begin(&watchdog, 2);
    let refused =
        until("room for two only", || Some(watchdog.get("/_/ready")).filter(|answer| answer.status == 429));
    assert_eq!(refused.status, 429);
    let answer = watchdog.get("/");
    let body = "Concurrent request limit exceeded. Max concurrent requests: 2\n";
    assert_eq!((answer.status, answer.text()), (429, body));
    std::fs::write(watchdog.path("go"), "").unwrap();
    assert_eq!(answers(calls).len(), 1);
    assert_eq!(watchdog.get("/").status, 200);
}

#[test]
fn a_caller_who_does_not_read_holds_no_process_past_its_time() {
    let text = "
hello()
while True:
    call, line, body = request()
    if 'large' not in line:
        answer(call, str(os.getpid()).encode())
        continue
    answer(call, b'', flags=0)
    while True:
        for _ in range(4): frame(BODY, 0, call, b'x' * 65536)
        take()
";
    let runtime = Runtime::new(text);
    let watchdog = runtime.ready(&[("worker_count", "1"), ("exec_timeout", "500ms")]);
    let before = children(watchdog.pid());
    let _greedy = watchdog.begin(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    until("another call is answered, by another process", || {
        let answer = watchdog.get("/");
        (answer.status == 200 && !before.contains(&answer.text().to_owned())).then_some(())
    });
}

#[test]
fn more_is_acknowledged_than_was_sent() {
    let text = "
hello()
call, line, body = request()
frame(ACK, 0, call, struct.pack('!I', 0xffffffff))
while True: take()
";
    let runtime = Runtime::new(text);
    let watchdog = runtime.ready(&[("worker_count", "1")]);
    let answer = watchdog.post(&vec![b'x'; 1_000_000]);
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("an ACK for more than was sent"), "{}", answer.text());
}
