//! Processes for each request: what they share, how they end, what is left of them.

use faas_package::Signature;

use crate::function::Function;
use crate::harness::{descriptors, exists, peak_memory, soak, until};
use crate::python::processes;

fn function(handler: &str) -> Option<Function> {
    Function::python(Signature::Openfaas, handler)
}

const BOTH: [&str; 2] = ["fork", "exec"];

#[test]
fn what_was_loaded_is_shared_and_what_a_request_does_is_not() {
    let handler = "import os, random\ncounter = 0\nloaded = os.getpid()\ndef handle(req):\n    global counter\n    \
                   counter += 1\n    return f'{counter} {loaded} {os.getpid()} {random.random()}'";
    let Some(function) = function(handler) else { return };
    let watchdog = function.ready(&[]);
    let answers: Vec<String> = (0..5).map(|_| watchdog.post(b"").text().to_owned()).collect();
    let part = |index: usize| -> Vec<&str> {
        let mut parts: Vec<&str> =
            answers.iter().map(|answer| answer.split_whitespace().nth(index).unwrap()).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    };
    assert_eq!((part(0), part(1).len()), (vec!["1"], 1), "{answers:?}");
    assert_eq!((part(2).len(), part(3).len()), (5, 5), "processes and random numbers differ: {answers:?}");
}

#[test]
fn a_handler_with_threads_is_loaded_for_each_request() {
    let handler = "import os, threading, queue\nloaded = os.getpid()\nasked, told = queue.Queue(), queue.Queue()\n\
                   threading.Thread(target=lambda: told.put(asked.get()), daemon=True).start()\n\
                   def handle(req):\n    asked.put(req)\n    return f'{told.get(timeout=10)} {loaded == os.getpid()} {loaded}'";
    let Some(function) = function(handler) else { return };
    let watchdog = function.ready(&[]);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let answer = watchdog.post(b"hello");
        let (text, pid) = answer.text().trim().rsplit_once(' ').unwrap();
        assert_eq!(text, "hello True", "the thread works");
        assert!(!seen.contains(&pid.to_owned()), "{pid} is new");
        seen.push(pid.to_owned());
    }
}

#[test]
fn a_handler_may_take_longer_than_a_second() {
    let Some(function) = function("import time\ndef handle(req):\n    time.sleep(1.3)\n    return 'slept'")
    else {
        return;
    };
    for isolation in BOTH {
        assert_eq!(
            function.ready(&[("worker_isolation", isolation)]).post(b"x").text(),
            "slept\n",
            "{isolation}"
        );
    }
}

const CHILD: &str = "import os, subprocess, time\ndef handle(req):\n    \
                     child = subprocess.Popen(['sleep', '60'])\n    \
                     open(req + '.new', 'w').write('%d %d' % (os.getpid(), child.pid))\n    \
                     os.rename(req + '.new', req)\n    time.sleep(60)";

#[test]
fn a_handler_over_its_time_is_killed_with_its_group() {
    let Some(function) = function(CHILD) else { return };
    for isolation in BOTH {
        let watchdog = function.ready(&[("worker_isolation", isolation), ("exec_timeout", "2s")]);
        let file = watchdog.path("pids");
        let answer = watchdog.post(file.to_str().unwrap().as_bytes());
        assert_eq!((answer.status, answer.text()), (408, "Killed process."), "{isolation}");
        assert_eq!(answer.header("x-faas-fault"), Some("handler; no answer within 2s"));
        gone_soon(&file, isolation);
    }
}

#[test]
fn a_client_that_leaves_takes_the_handler_with_it() {
    let Some(function) = function(CHILD) else { return };
    for isolation in BOTH {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        let file = watchdog.path("pids");
        let name = file.to_str().unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        let call = watchdog.begin(head.as_bytes());
        until("it runs", || file.exists().then_some(()));
        drop(call);
        gone_soon(&file, isolation);
    }
}

/// Within a fraction of the ten seconds that a handler in a shared process may have.
fn gone_soon(file: &std::path::Path, what: &str) {
    let start = std::time::Instant::now();
    let pids = std::fs::read_to_string(file).unwrap();
    until("both gone", || (!pids.split(' ').any(exists)).then_some(()));
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{what}: {:?}", start.elapsed());
}

#[test]
fn a_grandchild_that_keeps_the_output_open_does_not_hold_the_answer() {
    let handler = "import subprocess\ndef handle(req):\n    return subprocess.Popen(['sleep', '60']).pid";
    let Some(function) = function(handler) else { return };
    for isolation in BOTH {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        let answer = watchdog.post(b"");
        let pid = answer.text().trim().to_owned();
        assert_eq!(answer.status, 200);
        until(&format!("{isolation}: the grandchild gone"), || (!exists(&pid)).then_some(()));
    }
}

#[test]
fn a_fork_server_that_is_killed_costs_the_calls_under_way_and_leaves_nobody_behind() {
    let Some(function) = function(&format!("{CHILD}\n")) else { return };
    let watchdog = function.ready(&[]);
    let server = processes(&watchdog, 1);
    let file = watchdog.path("pids");
    let answer = std::thread::scope(|scope| {
        let call = scope.spawn(|| watchdog.post(file.to_str().unwrap().as_bytes()));
        until("it runs", || file.exists().then_some(()));
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(server[0].parse().unwrap()).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        call.join().unwrap()
    });
    assert_eq!((answer.status, answer.text()), (502, "handler was killed by signal 9\n"));
    assert_eq!(answer.header("x-faas-fault"), Some("handler; handler was killed by signal 9"));
    gone_soon(&file, "fork");
    let failed = watchdog.post(b"/nonexistent/file");
    assert!(failed.status == 500 && failed.text().contains("FileNotFoundError"), "{failed:?}");
    assert_ne!(processes(&watchdog, 1), server, "a new fork server, and nobody else");
}

#[test]
fn sixty_four_at_a_time() {
    let handler = "import os\ndef handle(req):\n    return req + os.environ['Http_X_Number']";
    let Some(function) = function(handler) else { return };
    for isolation in BOTH {
        let watchdog = function.ready(&[("worker_isolation", isolation)]);
        std::thread::scope(|scope| {
            for index in 0..64 {
                let watchdog = &watchdog;
                scope.spawn(move || {
                    // Large heads too: descriptors must stay with their own requests.
                    let filler = "x".repeat(if index % 2 == 0 { 0 } else { 100_000 });
                    let headers = format!("X-Number: {index}\r\nX-Filler: {filler}\r\n");
                    let answer = watchdog.send("POST", "/", &headers, b"number ");
                    assert_eq!(answer.text(), format!("number {index}\n"), "{isolation}");
                });
            }
        });
    }
}

#[test]
fn neither_processes_nor_descriptors_stay_behind() {
    let Some(function) = function("def handle(req):\n    return req") else { return };
    for isolation in ["worker", "fork", "exec"] {
        let watchdog = function.ready(&[("worker_isolation", isolation), ("worker_count", "1")]);
        watchdog.post(b"x");
        let kept = usize::from(isolation != "exec");
        let server = processes(&watchdog, kept);
        let open = || {
            let servers = server.iter().map(|pid| descriptors(pid.parse().unwrap()));
            servers.chain([descriptors(watchdog.pid())]).collect::<Vec<_>>()
        };
        let before = until("all quiet", || {
            let first = open();
            (first == open()).then_some(first)
        });
        let rounds = if isolation == "exec" { 60 } else { soak(500) };
        for _ in 0..rounds {
            assert_eq!(watchdog.post(b"x").status, 200);
        }
        until(&format!("{isolation}: descriptors as before"), || {
            open().iter().zip(&before).all(|(now, before)| now <= before).then_some(())
        });
        assert_eq!(processes(&watchdog, kept), server, "{isolation}");
    }
}

#[test]
fn values_of_requests_are_kept_by_no_process_that_lives_on() {
    let Some(function) = function("def handle(req):\n    return req") else { return };
    for isolation in ["worker", "fork"] {
        let watchdog = function.ready(&[("worker_isolation", isolation), ("worker_count", "1")]);
        let server: u32 = processes(&watchdog, 1)[0].parse().unwrap();
        let call = |index: usize| {
            let value = format!("{index:05}").repeat(3200);
            assert_eq!(watchdog.send("POST", "/", &format!("X-Large: {value}\r\n"), b"x").status, 200);
        };
        (0..50).for_each(call);
        let before = peak_memory(server);
        (50..450).for_each(call);
        let grown = peak_memory(server) - before;
        assert!(grown < 2_000_000, "{isolation}: {grown} bytes after 400 values of 16 KB");
    }
}
