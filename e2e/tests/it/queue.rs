//! Asynchronous invocations as a user meets them: from the command line to the callback.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use faas_testing::{Options, Platform, wait_for};
use serde_json::Value;

use crate::isolation::deploy;

fn with(variables: &[(&str, &str)]) -> Platform {
    let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Platform::start_with(Options { variables })
}

/// The state of a job, as the command line shows it.
fn state(platform: &Platform, call_id: &str) -> String {
    let answer = platform.admin().get(&format!("/async-function/{call_id}"));
    let job: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    job["state"].as_str().unwrap_or_default().to_owned()
}

fn post(platform: &Platform, function: &str, headers: &[(&str, &str)]) -> String {
    let answer = platform.http().send("POST", &format!("/async-function/{function}"), headers, b"payload");
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.header("x-call-id").to_owned()
}

#[test]
fn a_job_is_waited_for_at_the_command_line() {
    let platform = Platform::start();
    deploy(&platform, "shout", "tr a-z A-Z", "");
    let faas = platform.login();
    assert_eq!(faas.run_with(&["invoke", "shout", "--async", "--wait"], b"hello").success(), "HELLO");
    let id = post(&platform, "shout", &[]);
    wait_for("the job to end", || (state(&platform, &id) == "done").then_some(()));
    let shown = faas.run(&["queue", "show", &id]).success();
    assert!(shown.contains("done") && shown.contains("200"), "{shown}");
}

#[test]
fn what_fails_is_retried_becomes_a_dead_letter_and_can_be_retried_by_hand() {
    let variables =
        [("max_retry_attempts", "2"), ("initial_retry_wait", "100ms"), ("max_retry_wait", "100ms")];
    let platform = with(&variables);
    deploy(&platform, "broken", "exit 1", "");
    let faas = platform.login();
    let id = post(&platform, "broken", &[]);
    wait_for("a dead letter", || (state(&platform, &id) == "dead").then_some(()));
    let job: Value =
        serde_json::from_slice(&platform.admin().get(&format!("/async-function/{id}")).body).unwrap();
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(2), "{job}");
    platform.write("broken/handler.sh", "#!/bin/bash\ncat\n");
    faas.run(&["up", "-f", "broken.yml"]).success();
    faas.run(&["queue", "retry", "broken", &id]).success();
    wait_for("the job to end", || (state(&platform, &id) == "done").then_some(()));
}

#[test]
fn an_answer_is_called_back_where_that_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/done", listener.local_addr().unwrap());
    let platform = with(&[("callback_allowed", "127.0.0.0/8")]);
    deploy(&platform, "echo", "cat", "");
    let id = post(&platform, "echo", &[("x-callback-url", &url)]);
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut request = String::new();
    while !request.ends_with("payload") {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{request}");
        request.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    let lower = request.to_lowercase();
    for expected in
        ["post /done", &format!("x-call-id: {id}"), "x-function-status: 200", "x-function-name: echo"]
    {
        assert!(lower.contains(expected), "{expected}: {request}");
    }
    wait_for("the job to end", || (state(&platform, &id) == "done").then_some(()));
}

#[test]
fn a_callback_to_this_machine_is_refused_and_the_job_says_so() {
    let platform = with(&[("max_retry_attempts", "1")]);
    deploy(&platform, "echo", "cat", "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let id = post(&platform, "echo", &[("x-callback-url", &url)]);
    wait_for("the job to end", || (state(&platform, &id) == "done").then_some(()));
    let answer = platform.admin().get(&format!("/async-function/{id}")).text();
    assert!(answer.contains("callbacks may not go there"), "{answer}");
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn a_slow_functions_jobs_hold_up_nobody_else() {
    let platform = Platform::start();
    deploy(&platform, "slow", "sleep 300", "");
    deploy(&platform, "quick", "cat", "");
    let slow: Vec<_> = (0..500).map(|_| post(&platform, "slow", &[])).collect();
    wait_for("a slow one to run", || slow.iter().any(|id| state(&platform, id) == "running").then_some(()));
    let id = post(&platform, "quick", &[]);
    wait_for("the quick one to end", || (state(&platform, &id) == "done").then_some(()));
    let ended = slow.iter().filter(|id| state(&platform, id) == "done").count();
    assert_eq!(ended, 0, "of {} slow ones", slow.len());
    let faas = platform.login();
    faas.run(&["queue", "purge", "slow", "--live", "--yes"]).success();
}
