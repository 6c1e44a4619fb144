//! `async def` handlers: many calls in one process.

use std::sync::Barrier;

use faas_package::Signature;

use crate::function::Function;
use crate::harness::{children, read_answer, until};

const ASYNC: &str = "
import asyncio, os, sys
waiting = None
running = 0

async def handle(event, context):
    global waiting, running
    if event.path == '/meet':
        if waiting is None:
            waiting = asyncio.Event()
            await asyncio.wait_for(waiting.wait(), 20)
            return 'first'
        waiting.set()
        waiting = None
        return 'second'
    if event.path == '/wait':
        running += 1
        print('waits')
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print('cancelled')
            raise
        finally:
            running -= 1
    if event.path == '/print':
        name = event.query['name']
        for i in range(3):
            print(name, i)
            await asyncio.sleep(0.002)
        return name
    if event.path == '/running':
        return str(running)
    if event.path == '/stream':
        return parts()
    if event.path == '/bad-stream':
        return bad_parts()
    if event.path == '/block':
        open(event.query['file'], 'w').close()
        while not os.path.exists(event.query['file'] + '2'):
            pass
        return ''
    if event.path == '/raise':
        raise ValueError('no good')
    if event.path == '/exit':
        sys.exit(3)
    if event.path == '/read':
        return event.stream.read(2) + b'|' + event.stream.read()
    if event.path == '/dict':
        return {'statusCode': 418, 'body': 'tea', 'headers': {'X-A': 'b'}}
    return event.body

async def parts():
    for i in range(1000):
        yield b'%04d' % i * 250
        await asyncio.sleep(0)

async def bad_parts():
    yield 'begun'
    raise ValueError('half way')
";

fn function() -> Option<Function> {
    Function::python(Signature::Http, ASYNC)
}

#[test]
fn calls_that_wait_for_each_other_meet_in_one_process() {
    let Some(function) = function() else { return };
    let watchdog = function.ready(&[("worker_count", "1")]);
    let mut answers: Vec<String> = std::thread::scope(|scope| {
        let calls = [0, 1].map(|_| scope.spawn(|| watchdog.get("/meet").text().to_owned()));
        calls.map(|call| call.join().unwrap()).into()
    });
    answers.sort();
    assert_eq!(answers, ["first", "second"]);
}

#[test]
fn answers_have_every_form() {
    let Some(function) = function() else { return };
    for isolation in super::ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        let large: Vec<u8> = (0_u8..=255).cycle().take(3_000_000).collect();
        for body in [&b""[..], b"\xff\x00", &large] {
            assert!(watchdog.post(body).body == body, "{isolation} {}", body.len());
        }
        let expected: String = (0..1000).map(|index| format!("{index:04}").repeat(250)).collect();
        assert!(watchdog.get("/stream").text() == expected, "{isolation}");
        assert_eq!(watchdog.send("POST", "/read", "", b"abcd").text(), "ab|cd");
        let tea = watchdog.get("/dict");
        assert_eq!((tea.status, tea.text(), tea.header("x-a")), (418, "tea", Some("b")));
        for (target, logged) in [("/raise", "ValueError: no good"), ("/exit", "SystemExit: 3")] {
            assert_eq!(watchdog.get(target).status, 500, "{target}");
            watchdog.logged(logged);
        }
        let text = watchdog.exchange(b"GET /bad-stream HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    }
}

#[test]
fn bodies_are_bounded() {
    let Some(function) = function() else { return };
    let watchdog = function.ready(&[("MAX_BODY_BYTES", "500kb")]);
    for (size, status) in [(512_000, 200), (512_001, 413), (5_000_000, 413), (1, 200)] {
        assert_eq!(watchdog.post(&vec![7; size]).status, status, "{size}");
    }
}

#[test]
fn a_call_whose_caller_leaves_is_cancelled_and_the_process_lives() {
    let Some(function) = function() else { return };
    let watchdog = function.ready(&[("worker_count", "1")]);
    let worker = children(watchdog.pid());
    for _ in 0..3 {
        let call = watchdog.begin(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        until("it runs", || (watchdog.get("/running").text() == "1").then_some(()));
        drop(call);
        until("it is over", || (watchdog.get("/running").text() == "0").then_some(()));
    }
    watchdog.logged("stdout: cancelled");
    assert_eq!(children(watchdog.pid()), worker);
}

#[test]
fn a_call_that_is_given_up_before_it_began_leaves_nothing_behind() {
    let Some(function) = function() else { return };
    let watchdog = function.ready(&[("worker_count", "1"), ("worker_concurrency", "2")]);
    for round in 0..4 {
        let file = watchdog.path(&format!("blocks{round}"));
        let target =
            format!("GET /block?file={} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", file.display());
        let blocking = watchdog.begin(target.as_bytes());
        until("it blocks", || file.exists().then_some(()));
        drop(watchdog.begin(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"));
        // Another connection's answer comes after the close was seen.
        watchdog.get("/_/health");
        std::fs::write(watchdog.path(&format!("blocks{round}2")), "").unwrap();
        assert_eq!(read_answer(blocking).status, 200);
    }
    // Two calls fit: none that was given up may hold a place.
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                both.wait();
                assert_eq!(watchdog.get("/meet").status, 200);
            });
        }
    });
    assert_eq!(watchdog.get("/running").text(), "0");
}

#[test]
fn a_call_over_its_time_is_cancelled_and_the_others_end_well() {
    let Some(function) = function() else { return };
    let watchdog = function.ready(&[("worker_count", "1")]);
    let worker = children(watchdog.pid());
    let meeting = watchdog.begin(b"GET /meet HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let late = watchdog.send("GET", "/wait", "X-Timeout: 2s\r\n", b"");
    assert_eq!(late.status, 504);
    watchdog.logged("stdout: cancelled");
    // The process of the late call takes no more, but ends what it has.
    until("another process", || {
        children(watchdog.pid()).iter().any(|pid| !worker.contains(pid)).then_some(())
    });
    assert_eq!(watchdog.get("/running").status, 200);
    drop(meeting);
    until("only the new one", || (!children(watchdog.pid()).contains(&worker[0])).then_some(()));
}

#[test]
fn lines_of_interleaved_calls_have_their_own_ids() {
    let Some(function) = function() else { return };
    let watchdog = function.ready(&[("worker_count", "1"), ("log_callid", "true")]);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let watchdog = &watchdog;
            let header = format!("X-Call-Id: id-{name}\r\n");
            scope.spawn(move || {
                assert_eq!(watchdog.send("GET", &format!("/print?name={name}"), &header, b"").text(), name);
            });
        }
    });
    for name in ["a", "b", "c"] {
        for index in 0..3 {
            assert_eq!(watchdog.logged(&format!("stdout: {name} {index}")), format!(" [id-{name}]"));
        }
    }
}
