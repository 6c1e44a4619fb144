//! Start, stop, restart: what survives and what does not.

use faas_testing::{Platform, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::isolation::deploy;
use crate::wire::with_echo;

#[test]
fn a_drain_ends_with_status_zero_and_no_process_left() {
    let mut platform = Platform::start();
    deploy(&platform, "sleeper", "sleep 0.2; cat", "");
    let http = platform.http();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let http = http.clone();
            std::thread::spawn(move || http.post("/function/sleeper", b"finished").text())
        })
        .collect();
    let metrics = || platform.admin().get("/system/function/sleeper").status == 200;
    wait_for("the calls to be under way", || metrics().then_some(()));
    wait_for("a handler to run", || {
        platform.processes().iter().any(|(_, command)| command.contains("handler.sh")).then_some(())
    });
    assert_eq!(platform.stop(), Some(0));
    let finished =
        calls.into_iter().map(|call| call.join().unwrap()).filter(|text| text == "finished").count();
    assert!(finished > 0, "no call was under way");
    assert_eq!(platform.processes(), []);
}

/// The watchdog hangs, so that it cannot end its handler itself.
#[test]
fn a_second_signal_ends_at_once_and_leaves_no_process() {
    let mut platform = Platform::start();
    deploy(&platform, "sleeper", "sleep 300", "");
    let http = platform.http();
    let call = std::thread::spawn(move || http.try_send("POST", "/function/sleeper", &[], b""));
    let find = |name: &str| {
        let found = platform.processes().into_iter().find(|(_, command)| command.contains(name));
        found.and_then(|(pid, _)| Pid::from_raw(pid))
    };
    wait_for("the handler", || find("handler.sh"));
    let watchdog = wait_for("the watchdog", || find("faas-watchdog"));
    kill_process(watchdog, Signal::STOP).unwrap();
    kill_process(Pid::from_raw(platform.pid().cast_signed()).unwrap(), Signal::TERM).unwrap();
    wait_for("the drain", || (platform.admin_listener().get("/readyz").status == 503).then_some(()));
    platform.stop();
    assert_eq!(platform.processes(), []);
    assert!(call.join().unwrap().is_err(), "the call was cut off");
}

/// Connections that the gateway cannot open are its own affair, and no replica's.
#[test]
fn a_gateway_without_descriptors_says_so_and_goes_on() {
    use rustix::process::{Resource, getrlimit, prlimit};
    use std::io::{Read as _, Write as _};
    let platform = Platform::start();
    deploy(&platform, "slow", "sleep 0.5; cat", "");
    assert_eq!(platform.http().post("/function/slow", b"warm").text(), "warm");
    let connect = || std::net::TcpStream::connect(platform.url.trim_start_matches("http://")).unwrap();
    let mut clients = [(); 4].map(|()| connect());
    let mut heads = || {
        for client in &mut clients {
            client
                .write_all(b"POST /function/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        }
        clients.each_mut().map(|client| {
            let mut head = [0; 4096];
            let length = client.read(&mut head).unwrap();
            String::from_utf8_lossy(&head[..length]).to_lowercase()
        })
    };
    assert!(heads().iter().all(|head| head.starts_with("http/1.1 200")), "before");
    let pid = Pid::from_raw(platform.pid().cast_signed());
    let limit = getrlimit(Resource::Nofile);
    // What is open stays open.
    let none = rustix::process::Rlimit { current: Some(3), maximum: limit.maximum };
    // Connections that are kept end after 3 seconds.
    std::thread::sleep(std::time::Duration::from_secs(6));
    prlimit(pid, Resource::Nofile, none).unwrap();
    let heads_without = heads();
    prlimit(pid, Resource::Nofile, limit).unwrap();
    for head in heads_without {
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert!(head.contains("x-faas-fault: gateway; ") && head.contains("retry-after: 1\r\n"), "{head}");
    }
    assert!(heads().iter().all(|head| head.starts_with("http/1.1 200")), "after");
}

#[test]
fn what_the_platform_writes_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let platform = Platform::start();
    for entry in std::fs::read_dir(platform.data_dir()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.path());
    }
}

#[test]
fn half_a_request_does_not_hold_up_a_drain() {
    use std::io::Write as _;
    let mut platform = Platform::start();
    let mut stream = std::net::TcpStream::connect(platform.url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /function/half").unwrap();
    assert_eq!(platform.http().get("/healthz").status, 200);
    let started = std::time::Instant::now();
    assert_eq!(platform.stop(), Some(0));
    assert!(started.elapsed().as_secs() < 20, "the drain took {:?}", started.elapsed());
}

#[test]
fn a_follower_of_logs_does_not_hold_up_a_drain() {
    let mut platform = Platform::start();
    deploy(&platform, "watched", "cat", "");
    let mut follower = platform.login().command(&["logs", "watched"]);
    let mut follower = follower.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(follower.stdout.take().unwrap()));
    assert!(lines.next().unwrap().unwrap().contains("Version:"));
    assert_eq!(platform.http().post("/function/watched", b"1").status, 200);
    assert!(
        lines.any(|line| line.unwrap().contains("Wrote 1 Bytes")),
        "the log ended before the call was in it"
    );
    assert_eq!(platform.stop(), Some(0));
    assert_eq!(lines.count(), 0);
    assert!(follower.wait().unwrap().success());
}

#[test]
fn functions_secrets_and_packages_survive_a_restart() {
    let mut platform = with_echo();
    let function = json!({"service": "f", "image": "echo", "envVars": {"A": "1"}, "labels": {"x": "y"}});
    assert_eq!(platform.admin().json("POST", "/system/functions", &function).status, 202);
    let scale = json!({"replicas": 2});
    assert_eq!(platform.admin().json("POST", "/system/scale-function/f", &scale).status, 202);
    assert_eq!(
        platform.admin().json("POST", "/system/secrets", &json!({"name": "s", "value": "v"})).status,
        202
    );
    let before = platform.admin().get("/system/function/f").text();
    platform.kill();
    platform.restart();
    assert_eq!(platform.http().post("/function/f", b"back").text(), "back");
    let after = platform.admin().get("/system/function/f").text();
    let field =
        |text: &str, name: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()[name].clone();
    for name in ["replicas", "envVars", "labels", "createdAt", "package", "image"] {
        assert_eq!(field(&before, name), field(&after, name), "{name}");
    }
    assert!(platform.admin().get("/system/secrets").text().contains("\"s\""));
}

#[test]
fn a_hundred_idle_functions_cost_no_process() {
    let platform = with_echo();
    let admin = platform.admin();
    for number in 0..100 {
        let function = json!({"service": format!("f{number}"), "image": "echo"});
        assert_eq!(admin.json("POST", "/system/functions", &function).status, 202);
    }
    for number in 0..100 {
        let path = format!("/system/scale-function/f{number}");
        assert_eq!(admin.json("POST", &path, &json!({"replicas": 0})).status, 202);
    }
    wait_for("all replicas to end", || platform.processes().is_empty().then_some(()));
    assert_eq!(platform.http().post("/function/f57", b"one").text(), "one");
    assert_eq!(admin.get("/system/functions").text().matches("\"name\"").count(), 100);
}

#[test]
fn a_watchdog_that_is_killed_takes_its_handlers_along_and_is_replaced() {
    let platform = Platform::start();
    deploy(&platform, "phoenix", "setsid sleep 300 >/dev/null 2>&1 & cat", "");
    assert_eq!(platform.http().post("/function/phoenix", b"1").text(), "1");
    let processes = platform.processes();
    let watchdog = processes.iter().find(|(_, command)| command.contains("faas-watchdog")).unwrap();
    let pid = rustix::process::Pid::from_raw(watchdog.0).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // Gone and reaped: a process that is still ending has sockets that take a request and lose it.
    wait_for("all it left to be killed", || {
        let gone = |pid: &i32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
        processes.iter().all(|(pid, _)| gone(pid)).then_some(())
    });
    assert_eq!(platform.http().post("/function/phoenix", b"2").text(), "2");
}
