use crate::harness::{Gateway, User};

#[test]
fn standard_input_goes_in_and_the_answer_comes_out() {
    let gateway = Gateway::start().on("POST /function/hello.openfaas-fn", 200, "hi\0there");
    let user = User::at(&gateway);
    assert_eq!(user.run_with(&["invoke", "hello"], b"hello").ok(), "hi\0there");
    let request = gateway.received().pop().unwrap();
    assert_eq!(request.body, b"hello");
    assert_eq!(request.headers["content-type"], "text/plain");
    assert!(request.headers["user-agent"].contains(" (openfaas; linux; "));
    assert!(!request.headers.contains_key("authorization"), "the gateway's password stays here");
}

#[test]
fn method_headers_query_and_namespace_are_passed_on() {
    let gateway = Gateway::start().on("GET /function/hello.dev?a=b%20c&a=d", 200, "ok");
    let line = [
        "invoke",
        "hello",
        "-n",
        "dev",
        "-m",
        "get",
        "-H",
        "X-A: b",
        "--query",
        "a=b c",
        "--query",
        "a=d",
        "--content-type",
        "x/y",
    ];
    assert_eq!(User::at(&gateway).run(&line).ok(), "ok");
    let request = gateway.received().pop().unwrap();
    assert_eq!((request.headers["x-a"].as_str(), request.headers["content-type"].as_str()), ("b", "x/y"));
}

#[test]
fn a_large_body_streams_through() {
    let gateway = Gateway::start().on("POST /function/big", 200, "ok");
    let body = vec![7; 5_000_000];
    User::at(&gateway).run_with(&["invoke", "big"], &body).ok();
    assert_eq!(gateway.received().pop().unwrap().body, body);
}

#[test]
fn a_failure_is_exit_code_1_with_the_body() {
    let gateway = Gateway::start().on("POST /function/f", 500, "exit status 1\nTraceback\n");
    let ran = User::at(&gateway).run(&["invoke", "f"]);
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.failed(), "server returned unexpected status code: 500 - exit status 1\nTraceback\n");
}

#[test]
fn async_invocations_are_confirmed() {
    let gateway = Gateway::start().on("POST /async-function/f.openfaas-fn", 202, "");
    let ran = User::at(&gateway).run(&["invoke", "f", "--async"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "Function submitted asynchronously.\n"));
    assert_eq!(ran.code, 0);
}

#[test]
fn without_a_queue_async_says_so() {
    let gateway = Gateway::start();
    let error = User::at(&gateway).run(&["invoke", "f", "--async"]).failed();
    assert!(error.ends_with("hint: this gateway has no queue: invoke without --async\n"), "{error}");
}

#[test]
fn a_body_can_be_signed() {
    let gateway = Gateway::start().on("POST /function/f", 200, "");
    let user = User::at(&gateway);
    user.run_with(&["invoke", "f", "--sign", "X-Sig", "--key", "Jefe"], b"what do ya want for nothing?").ok();
    let signature = gateway.received().pop().unwrap().headers["x-sig"].clone();
    assert_eq!(signature, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    let error = user.run(&["invoke", "f", "--sign", "X-Sig"]).failed();
    assert_eq!(error, "signing requires both --sign <header-value> and --key <key-value>\n");
    assert!(user.run(&["invoke", "f", "-m", "FLY"]).failed().starts_with("invalid --method \"FLY\""));
}
