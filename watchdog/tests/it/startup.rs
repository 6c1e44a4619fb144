//! What is said and refused before anything listens; contract 4.1.

use crate::harness::{Watchdog, binary, outcome};

#[test]
fn versions_are_printed() {
    for flag in ["-version", "-v", "--version"] {
        let (code, out, _) = outcome(binary().arg(flag));
        assert!(code == Some(0) && out.starts_with("Version: v") && out.contains("\tSHA: "), "{out}");
    }
}

#[test]
fn isolation_is_described() {
    let (code, out, _) = outcome(binary().arg("--isolation"));
    assert!(code == Some(0) && (out == "none\n" || out.starts_with("landlock ABI ")), "{out}");
}

#[test]
fn bad_configuration_is_refused_with_its_message() {
    for (variables, message) in [
        (&[][..], "Provide a valid process via fprocess environmental variable."),
        (
            &[("mode", "http"), ("upstream_url", "unix:/s")],
            "provide a \"function_process\" or \"fprocess\" environmental variable for your function",
        ),
        (&[("fprocess", "cat"), ("mode", "afterburn")], "unknown watchdog mode: afterburn"),
        (&[("fprocess", "cat"), ("port", "http")], "port: \"http\" is not a port number"),
    ] {
        let (code, _, log) = outcome(binary().envs(variables.iter().copied()));
        assert!(code == Some(64) && log.contains(message) && !log.contains("Listening"), "{code:?} {log}");
    }
    let (code, _, log) = outcome(binary().arg("--nonsense").env("fprocess", "cat"));
    assert!(code == Some(64) && log.contains("unknown flag \"--nonsense\""), "{code:?} {log}");
}

#[test]
fn an_absent_program_is_named() {
    let (code, _, log) = outcome(binary().env("fprocess", "no-such-program -x"));
    assert!(code == Some(1) && log.contains("fprocess \"no-such-program\" was not found"), "{code:?} {log}");
}

#[test]
fn the_start_is_logged_as_the_contract_says() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("exec_timeout", "1m30s"), ("read_timeout", "5")]);
    let log = watchdog.log();
    for line in
        ["Version: v", "Timeouts: read: 5s write: 30s hard: 1m30s health: 30s.", "Writing lock-file to: "]
    {
        assert!(log.contains(line), "{line}: {log}");
    }
    let prefix = log.lines().next().unwrap().split_once(" Version").unwrap().0;
    assert!(
        prefix.len() == 19 && prefix.chars().filter(|&c| matches!(c, '/' | ':')).count() == 4,
        "{prefix}"
    );
}

#[test]
fn the_health_check_looks_for_the_lock_file() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let check = || outcome(binary().arg("-run-healthcheck").env("TMPDIR", watchdog.folder.path()));
    assert_eq!(check().0, Some(0));
    std::fs::remove_file(watchdog.path(".lock")).unwrap();
    assert_eq!(check(), (Some(1), String::new(), "unable to find lock file.\n".to_owned()));
}

#[test]
fn health_follows_the_lock_file() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let healthy = watchdog.get("/_/health");
    assert_eq!((healthy.status, healthy.text()), (200, "OK"));
    assert_eq!(watchdog.send("POST", "/_/health", "", b"").status, 405);
    std::fs::remove_file(watchdog.path(".lock")).unwrap();
    assert_eq!(watchdog.get("/_/health").status, 503);
}

#[test]
fn metrics_are_shown_on_their_port() {
    // The port is chosen here since the watchdog takes 0 for off; another process could snatch it, hence the retries.
    let start = || {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        (port, Watchdog::start(&[("fprocess", "cat"), ("metrics_port", &port.to_string())]))
    };
    let (port, watchdog) = start();
    assert_eq!(watchdog.post(b"x").status, 200);
    let text = crate::harness::until("the request counted", || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head = "GET /metrics HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let answer = crate::harness::read_answer(stream);
        Some(answer.text().to_owned()).filter(|text| text.contains("http_requests_total"))
    });
    assert!(text.contains("http_requests_total{code=\"200\",method=\"post\"} 1"), "{text}");
}
