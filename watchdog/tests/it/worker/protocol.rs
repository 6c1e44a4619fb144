//! Frames that may not be, and frames that are just allowed.

use super::Runtime;
use crate::harness::{Watchdog, exists, until};

/// Calls `/bad`, and checks that another process serves the next call.
fn replaced(watchdog: &Watchdog, bad: impl Fn(&Watchdog)) {
    let before = watchdog.get("/").text().to_owned();
    bad(watchdog);
    let after = watchdog.get("/").text().to_owned();
    assert_ne!(before, after);
    until("the old process gone", || (!exists(&before)).then_some(()));
}

#[test]
fn a_process_that_breaks_the_protocol_is_killed_and_its_call_gets_502() {
    for (text, reason) in [
        ("frame(9, 0, call)", "a frame of unknown kind 9"),
        ("frame(0, 0, call)", "a frame of unknown kind 0"),
        ("SOCKET.sendall(b'HTTP/1.1 200 OK\\r\\n')", "a frame of unknown kind 72"),
        ("frame(BODY, 0, call, length=3 << 20)", "a frame of 3145728 bytes"),
        ("frame(LOG, 0, 0, length=0xffffffff)", "a frame of 4294967295 bytes"),
        ("hello()", "Hello where it cannot stand"),
        ("frame(RUN, 0, call)", "Run where it cannot stand"),
        ("frame(HEAD, END, call, b'ab')", "a frame that is cut short"),
        ("frame(HEAD, END, call, b'\\0\\0\\0\\x09200')", "a frame that is cut short"),
        ("frame(HEAD, END | USAGE, call, b'fifteen bytes..')", "a frame that is cut short"),
        ("frame(ACK, 0, call, b'abc')", "a frame that is cut short"),
        ("frame(EXIT, 0, call, b'abc')", "an EXIT that is cut short"),
        ("frame(BODY, END, call, b'x')", "BODY before HEAD"),
        ("frame(HEAD, END, call, head(b''))", "an answer whose status is not 200 to 999"),
        ("frame(HEAD, END, call, head(b'100'))", "an answer whose status is not 200 to 999"),
        ("frame(HEAD, 0, call, head(b'1000'))", "an answer whose status is not 200 to 999"),
        ("frame(HEAD, END, call, head(b'200\\nno colon'))", "an answer with a header that is none"),
        ("frame(HEAD, END, call, head(b'200\\na: b\\rc: d'))", "an answer with a header that is none"),
        ("frame(HEAD, END, call, head(b'200\\n'))", "an answer with a header that is none"),
        ("answer(call, b'x' * 262145)", "262145 bytes of body where 262144 may be on their way"),
    ] {
        let runtime = Runtime::misbehaving(text);
        let watchdog = runtime.ready(&[]);
        replaced(&watchdog, |watchdog| {
            let answer = watchdog.get("/bad");
            let reason = format!("handler broke the worker protocol: {reason}");
            assert_eq!((answer.status, answer.text()), (502, format!("{reason}\n").as_str()), "{text}");
            assert_eq!(answer.header("x-faas-fault"), Some(format!("handler; {reason}").as_str()), "{text}");
        });
    }
}

#[test]
fn an_answer_that_goes_wrong_after_its_head_does_not_look_whole() {
    for text in [
        "answer(call, b'begun', 0)\nframe(9, 0, call)",
        "answer(call, b'begun', 0)\nframe(BODY, 0, call, b'x' * 600000)",
        "answer(call, b'begun', 0)\nos._exit(3)",
        "answer(call, b'begun', 0)\nframe(HEAD, 0, call, head(b'200'))",
    ] {
        let runtime = Runtime::misbehaving(text);
        let watchdog = runtime.ready(&[]);
        replaced(&watchdog, |watchdog| {
            let text = watchdog.exchange(b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(!text.ends_with("0\r\n\r\n"), "{text}");
        });
    }
}

#[test]
fn what_is_about_no_call_is_ignored() {
    for text in [
        "frame(BODY, END, call + 1000, b'x')",
        "frame(HEAD, END, call + 1000, head(b'500'))",
        "frame(ABORT, 0, 0xffffffff, b'why')",
        "frame(ACK, 0, 0, b'\\0\\0\\0\\1')",
        "frame(EXIT, 0, call + 1, bytes(20))",
        "frame(LOG, 0, call + 1, b'said for nobody')",
        "frame(BODY, 255, call + 1000, bytes(16))",
    ] {
        let runtime = Runtime::misbehaving(&format!("{text}\nanswer(call, str(os.getpid()).encode())"));
        let watchdog = runtime.ready(&[]);
        let before = watchdog.get("/").text().to_owned();
        assert_eq!(watchdog.get("/bad").text(), before, "{text}");
        assert_eq!(watchdog.get("/").text(), before, "{text}");
    }
}

#[test]
fn frames_after_the_end_of_a_call_are_ignored() {
    let runtime =
        Runtime::misbehaving("answer(call, b'whole')\nanswer(call, b'again')\nframe(ABORT, 0, call)");
    let watchdog = runtime.ready(&[]);
    for _ in 0..3 {
        assert_eq!(watchdog.get("/bad").text(), "whole");
    }
}

#[test]
fn an_abort_before_the_head_is_500_and_after_it_breaks_the_answer_off() {
    let runtime = Runtime::misbehaving(
        "if body == b'late': answer(call, b'begun', 0)\nframe(ABORT, 0, call, b'no time\\nfor this')",
    );
    let watchdog = runtime.ready(&[]);
    let before = watchdog.get("/").text().to_owned();
    let answer = watchdog.get("/bad");
    assert_eq!((answer.status, answer.text()), (500, "no time?for this\n"));
    assert_eq!(answer.header("x-faas-fault"), Some("handler; no time?for this"));
    let text = watchdog.exchange(b"POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nlate");
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    assert_eq!(watchdog.get("/").text(), before, "the process lives");
}

#[test]
fn empty_frames_of_body_cost_nothing_however_many() {
    let runtime = Runtime::misbehaving(
        "answer(call, b'a', 0)\nfor _ in range(200000): frame(BODY, 0, call)\nframe(BODY, END, call, b'b')",
    );
    assert_eq!(runtime.ready(&[]).get("/bad").text(), "ab");
}

#[test]
fn a_full_window_passes_without_an_acknowledgement() {
    let runtime =
        Runtime::misbehaving("frame(HEAD, 0, call, head(b'200'))\nframe(BODY, END, call, b'x' * 262144)");
    assert_eq!(runtime.ready(&[]).get("/bad").body.len(), 262_144);
}

#[test]
fn a_body_is_sent_only_as_far_as_it_is_acknowledged() {
    // It counts what comes before it acknowledges, and after.
    let text = "size, counts = len(body), []\n\
                SOCKET.settimeout(1)\n\
                try:\n    while True: size += len(take()[3])\nexcept TimeoutError:\n    counts.append(size)\n\
                frame(ACK, 0, call, struct.pack('!I', 1000))\n\
                try:\n    while True: size += len(take()[3])\nexcept TimeoutError:\n    counts.append(size)\n\
                SOCKET.settimeout(None)\n\
                answer(call, str(counts).encode())";
    let runtime = Runtime::misbehaving(text);
    let answer = runtime.ready(&[]).send("POST", "/bad", "", &vec![7; 1_000_000]);
    assert_eq!(answer.text(), "[262144, 263144]");
}

#[test]
fn starts_that_come_to_nothing_are_told() {
    for (text, reason) in [
        (
            "frame(HELLO, 0, 0, b'version: 2')\ntake()",
            "handler broke the worker protocol: the runtime speaks version \"2\" of the worker protocol: expected \"1\"",
        ),
        (
            "frame(HELLO, 0, 0, b'speaks: frames')\ntake()",
            "handler broke the worker protocol: the runtime speaks version \"\" of the worker protocol: expected \"1\"",
        ),
        (
            "hello('speaks: smoke')\ntake()",
            "handler broke the worker protocol: the runtime says \"speaks: smoke\", which the worker protocol does not know",
        ),
        (
            "hello('concurrency: 0')\ntake()",
            "handler broke the worker protocol: the runtime says \"concurrency: 0\", which the worker protocol does not know",
        ),
        ("frame(HEAD, END, 1, head(b'200'))\ntake()", "handler broke the worker protocol: Head before HELLO"),
        ("frame(9, 0, 0)\ntake()", "handler broke the worker protocol: a frame of unknown kind 9"),
        ("SOCKET.close()\nos._exit(3)", "handler exited with status 3"),
        ("os.kill(os.getpid(), 9)", "handler was killed by signal 9"),
        ("take()", "not ready in 500ms"),
    ] {
        let runtime = Runtime::new(text);
        let limit = if text == "take()" { "500ms" } else { "20s" };
        let mut watchdog = runtime.supervised(&[("ready_timeout", limit)]);
        assert_eq!(watchdog.said(), format!("failed: {reason}\n"), "{text}");
        assert_eq!(watchdog.exit().code(), Some(1), "{text}");
    }
}

#[test]
fn lines_before_hello_are_logged_and_unknown_names_are_for_later() {
    let runtime = Runtime::new("frame(LOG, 1, 0, b'first\\nsecond')\nhello('later: x')\ntake()");
    let watchdog = runtime.ready(&[]);
    watchdog.logged(" stderr: first");
    watchdog.logged(" stderr: second");
}
