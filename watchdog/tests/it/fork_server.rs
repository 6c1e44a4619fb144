//! `handle(req)`: the classic way, a start per request, beside the fork server and processes that are started in advance.
//! Whatever a handler does, the answers are the same.

mod life;

use faas_package::Signature;

use crate::function::Function;
use crate::harness::{Answer, Watchdog, until};

const INDEX: &str = include_str!("fork_server/index.py");

/// A handler, and what it is asked.
struct Case {
    /// What stands before `handle`.
    before: &'static str,
    /// The lines of `handle(req)`.
    handler: &'static str,
    body: &'static [u8],
    variables: &'static [(&'static str, &'static str)],
}

const fn case(handler: &'static str) -> Case {
    Case { before: "", handler, body: b"gr\xc3\xbc\xc3\x9fe", variables: &[] }
}

const fn with(before: &'static str, handler: &'static str) -> Case {
    Case { before, ..case(handler) }
}

const CASES: &[Case] = &[
    case("return req"),
    case("return None"),
    case("return ''"),
    case("return 7"),
    case("return ['a', None]"),
    case("print('printed')\nreturn req.upper()"),
    case("print('no end', end='')\nreturn None"),
    case("print('\\udcff', 'grüße')\nreturn '\\udcfe'"),
    Case { body: b"\xff\xfe\x00\x80 bytes", ..case("return req") },
    Case { body: b"", ..case("return repr(req)") },
    case("return 'x' * 3_000_000"),
    // Failures.
    case("print('before')\nraise ValueError('no good')"),
    case("try:\n    {}['a']\nexcept KeyError as error:\n    raise RuntimeError('outer') from error"),
    with("def inner():\n    raise ValueError('deep')", "inner()"),
    case("raise BaseException('base')"),
    case("return 1 / 0"),
    with("import sys", "print('before')\nsys.exit(3)"),
    with("import sys", "print('before')\nsys.exit('message')"),
    with("import sys", "sys.exit()"),
    with("import sys", "print('fine')\nsys.exit(0)"),
    with("import sys", "sys.exit(259)"),
    with("import sys", "sys.exit(-1)"),
    with("import sys", "sys.exit([1])"),
    with("import os", "print('lost')\nos._exit(4)"),
    with("import os", "os.kill(os.getpid(), 9)"),
    with("import os", "os.kill(os.getpid(), 15)"),
    with("import os", "os.abort()"),
    // Ways to write.
    with("import subprocess", "print('first', flush=True)\nsubprocess.run(['echo', 'below'])\nreturn 'last'"),
    with("import subprocess", "print('late')\nsubprocess.run(['echo', 'early'])\nreturn 'last'"),
    with("import os", "os.write(1, b'raw \\xff')\nreturn 'last'"),
    with("import sys", "sys.stdout.buffer.write(b'\\xff\\n')\nsys.stdout.flush()\nreturn 'last'"),
    with("import sys", "sys.stdout.write('a\\n')\nprint('b', file=sys.stderr)\nreturn 'c'"),
    Case {
        variables: &[("combine_output", "false")],
        ..with("import sys", "print('logged', file=sys.stderr)\nreturn 'answered'")
    },
    Case {
        variables: &[("combine_output", "false")],
        ..with("import sys", "print('answered')\nraise ValueError('logged')")
    },
    with("from sys import stdout", "stdout.write('kept')\nreturn None"),
    with("from sys import stderr", "stderr.write('kept\\n')\nreturn 'last'"),
    with("import logging\nlogging.basicConfig()", "logging.warning('warned')\nreturn 'last'"),
    with("import sys", "print('closed')\nsys.stdout.close()\nreturn None"),
    with("import io, sys", "sys.stdout = io.TextIOWrapper(sys.stdout.detach())\nprint('wrapped anew')"),
    with("import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), 'latin-1')", "return req"),
    with("import sys", "print('replaced')\nsys.stdout = None"),
    // Ends.
    with(
        "import atexit\nclass Fails:\n    __repr__ = lambda self: 'Fails'\n    def __call__(self): 1 / 0",
        "atexit.register(Fails())\nreturn 'last'",
    ),
    with("import atexit", "atexit.register(print, 'at exit')\nreturn 'last'"),
    with("import atexit\natexit.register(print, 'at exit')", "return 'last'"),
    with("import atexit", "atexit.register(lambda: print('at exit'))\nraise ValueError('x')"),
    with("import threading, time", "threading.Thread(target=later).start()\nreturn 'first'"),
    with("import threading, time", "threading.Thread(target=later, daemon=True).start()\nreturn 'only'"),
    with("import subprocess", "subprocess.Popen(['sh', '-c', 'sleep 0.2; echo late'])\nreturn 'early'"),
    with(
        "import concurrent.futures",
        "with concurrent.futures.ThreadPoolExecutor() as pool:\n    return sum(pool.map(int, '123'))",
    ),
    with("import os, sys", "if os.fork() == 0:\n    os._exit(0)\nos.wait()\nreturn 'the parent'"),
    with(
        "import multiprocessing",
        "with multiprocessing.Pool(2) as pool:\n    return pool.map(abs, [-1, 2])",
    ),
    // The request.
    with("import sys", "return repr(sys.stdin.read())"),
    with("import sys", "return repr(sys.stdin.readline()) + repr(req[:2])"),
    with("import os, stat", "return stat.S_ISFIFO(os.fstat(0).st_mode)"),
    case("return input()"),
    with(
        "import os",
        "return [os.environ.get(name) for name in ('Http_Method', 'Http_X_A', 'Http_Query', 'Http_Path', 'Http_Content_Length', 'Http_Content_Type', 'own')]",
    ),
    with("import os", "return sorted(name for name in os.environ if name.startswith('Http_'))"),
    with("import os", "return os.getpgid(0) == os.getpid()"),
    with("import signal", "return [signal.getsignal(number) for number in (2, 15, 17)]"),
    with(
        "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "return signal.getsignal(signal.SIGCHLD)",
    ),
    with("import os", "return sorted(os.listdir('/proc/self/fd'))[:3]"),
    with(
        "import sys",
        "return [sys.stdout.encoding, sys.stderr.encoding, sys.stdin.encoding, sys.stdout.line_buffering]",
    ),
    with("import sys", "return [sys.stdout.name, sys.stderr.name, sys.stdin.name, sys.stdout.mode]"),
];

impl Case {
    fn source(&self) -> String {
        let body = self.handler.replace('\n', "\n    ");
        let later = "def later():\n    time.sleep(0.1)\n    print('later')\n";
        format!("{}\n{later}\ndef handle(req):\n    {body}\n", self.before)
    }
}

/// The classic way, in the same folder.
fn classic(function: &Function, variables: &[(&str, &str)]) -> Watchdog {
    std::fs::write(function.home.path().join("index.py"), INDEX).unwrap();
    let own = [("fprocess", "python3 -B index.py")];
    Watchdog::ready(&[&own, variables].concat(), &["--directory", function.home.path().to_str().unwrap()])
}

fn ask(watchdog: &Watchdog, body: &[u8]) -> Answer {
    let headers = "X-A: b\r\nContent-Type: text/x-test\r\n";
    watchdog.send("POST", "/p%20q?c=d", headers, body)
}

/// Without the frames of the program that calls the handler.
fn from_the_handler_on(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut shown = String::new();
    let mut skipping = false;
    for line in text.split_inclusive('\n') {
        let frame = line.starts_with("  File \"");
        skipping = line.contains("/index.py\", line ") || (skipping && line.starts_with("    ") && !frame);
        if !skipping {
            shown += line;
        }
    }
    shown
}

fn compare(case: &Case) -> Vec<String> {
    let Some(function) = Function::python(Signature::Openfaas, &case.source()) else { return Vec::new() };
    let variables = [case.variables, &[("own", "variable"), ("prefix_logs", "false")]].concat();
    let expected = ask(&classic(&function, &variables), case.body);
    let mut differences = Vec::new();
    for isolation in ["fork", "exec"] {
        let watchdog = function.ready(&[&variables[..], &[("worker_isolation", isolation)]].concat());
        for round in 1..=2 {
            let answer = ask(&watchdog, case.body);
            let shown = |answer: &Answer| {
                let names = ["content-type", "x-faas-fault"];
                let headers = names.map(|name| answer.header(name).map(str::to_owned));
                (answer.status, headers, from_the_handler_on(&answer.body))
            };
            let (expected, found) = (shown(&expected), shown(&answer));
            if expected != found {
                let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
                let cut = |text: String| text.chars().take(600).collect::<String>();
                let (expected, found) = (cut(expected), cut(found));
                differences.push(format!(
                    "{isolation} {round}: {}\n{}\nclassic {expected}\nfound   {found}\n",
                    case.before, case.handler
                ));
            }
        }
    }
    differences
}

#[test]
fn answers_are_those_of_the_classic_way() {
    let differences: Vec<String> = CASES.iter().flat_map(compare).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn what_a_forked_process_took_is_told() {
    let handler = "import time\nloaded = sum(i * i for i in range(4_000_000))\ndef handle(req):\n    \
                   end = time.process_time() + 0.2\n    while time.process_time() < end: pass";
    let Some(function) = Function::python(Signature::Openfaas, handler) else { return };
    let usage = function.ready(&[]).post(b"").header("x-faas-usage").unwrap().to_owned();
    let cpu: f64 = usage.split("cpu=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((0.2..0.5).contains(&cpu), "{usage}");
    let memory: u64 = usage.split("memory=").nth(1).unwrap().parse().unwrap();
    assert!((1_000_000..1_000_000_000).contains(&memory), "{usage}");
    // Nobody reaps a process that was started in advance before its answer is made: nothing is known yet.
    let answer = function.ready(&[("worker_isolation", "exec")]).post(b"");
    assert_eq!((answer.status, answer.header("x-faas-usage")), (200, None));
}

/// Where the classic way answers with what bytes look like in Python, here they are the answer.
#[test]
fn bytes_are_answered_as_they_are() {
    let handler = "def handle(req):\n    print('first')\n    return b'\\xff\\x00'";
    let Some(function) = Function::python(Signature::Openfaas, handler) else { return };
    for isolation in ["worker", "fork", "exec"] {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        assert_eq!(watchdog.post(b"").body, b"first\n\xff\x00\n", "{isolation}");
    }
}

/// The classic way would translate them.
#[test]
fn line_ends_are_not_translated() {
    let Some(function) = Function::python(Signature::Openfaas, "def handle(req):\n    return req") else {
        return;
    };
    for isolation in ["worker", "fork", "exec"] {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        assert_eq!(watchdog.post(b"a\r\nb\rc\n").body, b"a\r\nb\rc\n\n", "{isolation}");
    }
}

#[test]
fn what_a_long_lived_process_prints_and_returns_is_the_answer_too() {
    let handler = "import os, sys\ndef handle(req):\n    print('out')\n    print('err', file=sys.stderr)\n    \
                   if req == 'raise': raise ValueError('no good')\n    \
                   if req == 'exit': sys.exit(3)\n    \
                   return os.environ.pop('Http_X_A', None)";
    let Some(function) = Function::python(Signature::Openfaas, handler) else { return };
    let combined = function.ready(&[("worker_isolation", "worker")]);
    let headers = "X-A: b\r\nX-A: c\r\nContent-Type: text/x-test\r\n";
    let answer = combined.send("POST", "/", headers, b"");
    assert_eq!((answer.status, answer.text()), (200, "out\nerr\nb\n"), "the first value, as ever");
    assert_eq!(answer.header("content-type"), Some("text/x-test"));
    assert_eq!(combined.post(b"").text(), "out\nerr\n", "nothing is left of the first request");
    assert_eq!(combined.post(b"exit").text(), "exit status 3\nout\nerr\n");
    let failed = combined.post(b"raise");
    assert!(failed.status == 500 && failed.text().starts_with("exit status 1\nout\nerr\nTraceback"));
    assert!(failed.text().ends_with("ValueError: no good\n"), "{}", failed.text());
    let apart = function.ready(&[("worker_isolation", "worker"), ("combine_output", "false")]);
    assert_eq!(apart.post(b"").text(), "out\n");
    assert_eq!(apart.logged(" stderr: "), "err");
    until("it is still there", || (apart.post(b"").status == 200).then_some(()));
}
