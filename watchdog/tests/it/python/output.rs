//! What handlers print, and what their subprocesses get: the log, never the protocol.

use faas_package::Signature;

use crate::function::Function;
use crate::harness::{Watchdog, until};

const PRINTING: &str = "
import subprocess, sys
print('imported')
print('imported badly', file=sys.stderr)

def handle(event, context):
    name = event.path[1:]
    print('out of', name)
    print('err of', name, file=sys.stderr)
    print('no end of', name, end='')
    return ''
";

#[test]
fn printed_lines_carry_the_id_of_their_call() {
    let Some(function) = Function::python(Signature::Http, PRINTING) else { return };
    for handler in [PRINTING.to_owned(), PRINTING.replace("def handle", "async def handle")] {
        std::fs::write(function.home.path().join("function/handler.py"), handler).unwrap();
        let watchdog = function.ready(&[("log_callid", "true"), ("worker_count", "1")]);
        for name in ["a", "b"] {
            watchdog.send("GET", &format!("/{name}"), &format!("X-Call-Id: id-{name}\r\n"), b"");
            for (text, stream) in [("out of", "stdout"), ("err of", "stderr"), ("no end of", "stdout")] {
                assert_eq!(watchdog.logged(&format!(" {stream}: {text} {name}")), format!(" [id-{name}]"));
            }
        }
    }
}

#[test]
fn what_is_printed_at_import_is_logged_and_answers_nobody() {
    for (signature, handler, expected) in [
        (Signature::Http, PRINTING.to_owned(), ""),
        (
            Signature::Openfaas,
            PRINTING.replace("handle(event, context):", "handle(req):\n    return 'text'"),
            "text\n",
        ),
    ] {
        let Some(function) = Function::python(signature, &handler) else { return };
        for isolation in super::ISOLATIONS {
            let watchdog = function.ready(&[("worker_isolation", isolation)]);
            for _ in 0..2 {
                assert_eq!(watchdog.get("/").text(), expected, "{signature} {isolation}");
            }
            watchdog.logged(" stdout: imported");
            watchdog.logged(" stderr: imported badly");
        }
    }
}

#[test]
fn lines_can_be_json() {
    let Some(function) = Function::python(Signature::Http, PRINTING) else { return };
    let watchdog = function.ready(&[("log_format", "json")]);
    watchdog.send("GET", "/a", "X-Call-Id: id-a\r\n", b"");
    for (message, stream, call_id) in [
        ("imported", "stdout", None),
        ("imported badly", "stderr", None),
        ("out of a", "stdout", Some("id-a")),
        ("err of a", "stderr", Some("id-a")),
        ("no end of a", "stdout", Some("id-a")),
    ] {
        let entry =
            until(message, || entries(&watchdog).into_iter().find(|entry| entry["message"] == message));
        assert_eq!((entry["stream"].as_str(), entry["call_id"].as_str()), (Some(stream), call_id), "{entry}");
        assert!(entry["time"].as_str().unwrap().ends_with('Z'), "{entry}");
    }
}

fn entries(watchdog: &Watchdog) -> Vec<serde_json::Value> {
    watchdog.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn long_lines_are_cut_as_log_buffer_size_says() {
    let handler = "import subprocess\ndef handle(event, context):\n    \
                   print('a' * 250)\n    subprocess.run(['sh', '-c', 'printf %250s | tr \" \" b; echo'])\n    return ''";
    let Some(function) = Function::python(Signature::Http, handler) else { return };
    let watchdog = function.ready(&[("log_buffer_size", "100"), ("prefix_logs", "false")]);
    watchdog.get("/");
    for letter in ['a', 'b'] {
        let lengths = || -> Vec<usize> {
            let log = watchdog.log();
            let lines = log.lines().filter(|line| line.starts_with(letter));
            lines.map(str::len).collect()
        };
        until("all of it logged", || (lengths().iter().sum::<usize>() == 250).then_some(()));
        assert_eq!(lengths(), [100, 100, 50], "{letter}");
    }
}

#[test]
fn many_lines_stay_whole_and_in_order() {
    let handler = "def handle(event, context):\n    for i in range(5000): print('line', i)\n    return ''";
    let Some(function) = Function::python(Signature::Http, handler) else { return };
    let watchdog = function.ready(&[]);
    watchdog.get("/");
    watchdog.logged("stdout: line 4999");
    let log = watchdog.log();
    let lines = log.lines().filter_map(|line| line.split_once("stdout: line ")?.1.parse::<u32>().ok());
    assert!(lines.eq(0..5000), "{log}");
}

#[test]
fn subprocesses_are_logged_and_cannot_read_the_protocol() {
    let handler = "import os, subprocess\nLIST = 'cat; echo from below; ls -l /proc/self/fd >&2'\n\
                   def handle(event, context):\n    \
                   subprocess.run(['sh', '-c', LIST], close_fds=False)\n    \
                   return os.readlink('/proc/self/fd/0')";
    let Some(function) = Function::python(Signature::Http, handler) else { return };
    for isolation in super::ISOLATIONS {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        let answer = watchdog.send("POST", "/", "", &vec![7; 300_000]);
        assert_eq!(answer.text(), "/dev/null", "{isolation}");
        watchdog.logged("stdout: from below");
        watchdog.logged("stderr: total 0");
        assert!(!watchdog.log().contains("-> socket:"), "{}", watchdog.log());
    }
}

#[test]
fn output_that_is_no_text_is_logged_all_the_same() {
    let handler = "import os\ndef handle(event, context):\n    print('\\udcff lone')\n    os.write(1, b'gr\\xc3\\xbc\\xc3\\x9fe\\n')\n    return ''";
    let Some(function) = Function::python(Signature::Http, handler) else { return };
    let watchdog = function.ready(&[]);
    assert_eq!(watchdog.get("/").status, 200);
    watchdog.logged(r"stdout: \udcff lone");
    watchdog.logged("stdout: grüße");
}
