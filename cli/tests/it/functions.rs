//! `list`, `describe`, `remove`, `logs`, `ready`, `version`, `namespace`.

use std::io::{BufRead as _, BufReader, Read as _};

use crate::harness::{Gateway, User};

const LIST: &str = r#"[
    {"name":"b","image":"b:latest","replicas":1,"invocationCount":12,"createdAt":"2026-01-02T03:04:05Z","new":1},
    {"name":"a","image":"a:latest","createdAt":"2026-01-02T03:04:05Z"}]"#;

#[test]
fn list_prints_the_columns_of_the_peers() {
    let gateway = Gateway::start().on("GET /system/functions", 200, LIST);
    let user = User::at(&gateway);
    let header = "Function                      \tInvocations    \tReplicas\n";
    let a = "a                             \t0              \t0    \n";
    let b = "b                             \t12             \t1    \n";
    assert_eq!(user.run(&["list"]).ok(), format!("{header}{a}{b}"));
    assert_eq!(user.run(&["ls", "--sort", "invocations"]).ok(), format!("{header}{b}{a}"));
    assert_eq!(user.run(&["list", "-q", "-n", "dev"]).ok(), "a\nb\n");
    assert_eq!(gateway.received().pop().unwrap().path, "/system/functions?namespace=dev");
    let json: serde_json::Value = serde_json::from_str(&user.run(&["list", "-j"]).ok()).unwrap();
    assert_eq!(json[0]["new"], 1, "what we do not know is shown too");
}

#[test]
fn an_answer_that_is_no_json_is_told() {
    let gateway = Gateway::start().on("GET /system/functions", 200, "<html>");
    let error = User::at(&gateway).run(&["list"]).failed();
    assert!(
        error.starts_with(&format!("cannot parse result from OpenFaaS on URL: {}\n", gateway.url)),
        "{error}"
    );
    let gateway = Gateway::start().on("GET /system/functions", 500, "broken\n");
    assert_eq!(
        User::at(&gateway).run(&["list"]).failed(),
        "server returned unexpected status code: 500 - broken\n"
    );
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let many: Vec<_> =
        (0..20_000).map(|n| format!(r#"{{"name":"f{n}","createdAt":"2026-01-02T03:04:05Z"}}"#)).collect();
    let gateway = Gateway::start().on("GET /system/functions", 200, &format!("[{}]", many.join(",")));
    let mut child = User::at(&gateway).command(&["list"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("Function"));
    assert!(child.wait().unwrap().success());
    let mut stderr = String::new();
    child.stderr.unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn describe_says_why_a_function_is_not_ready() {
    let status = r#"{"name":"a","image":"a:latest","replicas":1,"createdAt":"2026-01-02T03:04:05Z","envVars":{"K":"v"},
        "conditions":[{"type":"Ready","status":"False","reason":"HandlerFailed","message":"ImportError: no x",
                       "lastTransitionTime":"2026-01-02T03:04:05Z"}]}"#;
    let gateway =
        Gateway::start().on("GET /system/function/a", 200, status).on("GET /system/functions", 200, LIST);
    let user = User::at(&gateway);
    let out = user.run(&["describe", "a", "-n", "dev"]).ok();
    for line in [
        "Name:                a",
        "Status:              Not Ready",
        "Reason:              HandlerFailed: ImportError: no x",
        "Function Process:    <default>",
        "Environment:         K: v",
    ] {
        assert!(out.contains(&format!("{line}\n")), "{line}\n{out}");
    }
    assert!(out.contains(&format!("{}/function/a.dev\n", gateway.url)), "{out}");
    gateway.request("GET /system/function/a?namespace=dev&usage=1");
    let gateway = Gateway::start()
        .on(
            "GET /system/function/b.dev",
            200,
            r#"{"name":"b","namespace":"dev","createdAt":"2026-01-02T03:04:05Z"}"#,
        )
        .on("GET /system/functions?namespace=dev", 200, LIST);
    let user = User::at(&gateway);
    let out = user.run(&["describe", "b.dev"]).ok();
    assert!(out.contains("Invocations:         12\n"), "{out}");
    assert_eq!(user.run(&["describe", "nobody"]).failed(), "no such function: nobody\n");
}

#[test]
fn remove_takes_a_name_or_the_stack_file() {
    let gateway = Gateway::start()
        .on("DELETE /system/functions", 202, "")
        .on("DELETE /system/functions", 404, "x")
        .on("DELETE /system/functions", 202, "");
    let user = User::at(&gateway);
    assert_eq!(user.run(&["remove", "a"]).ok(), "Deleting: a.\nRemoving old function.\n");
    assert_eq!(gateway.received()[0].json(), serde_json::json!({"functionName": "a"}));
    assert_eq!(user.run(&["rm", "a", "-n", "dev"]).failed(), "No existing function to remove\n");
    assert_eq!(gateway.received()[1].json(), serde_json::json!({"functionName": "a", "namespace": "dev"}));

    let stack = "provider: {name: openfaas}\nfunctions:\n  z: {image: z}\n  y: {image: y, namespace: dev}\n";
    user.write("s.yml", stack);
    let out = user.run(&["delete", "-f", "s.yml"]).ok();
    assert_eq!(out, "Deleting: z.\nRemoving old function.\nDeleting: y.dev\nRemoving old function.\n");
    let error = user.run(&["remove"]).failed();
    assert!(error.starts_with("please provide the name of a function to delete\n"), "{error}");
}

#[test]
fn a_stack_file_whose_functions_cannot_all_be_removed_fails_after_trying_all() {
    let gateway =
        Gateway::start().on("DELETE /system/functions", 404, "").on("DELETE /system/functions", 202, "");
    let user = User::at(&gateway);
    user.write("stack.yml", "provider: {name: openfaas}\nfunctions:\n  a: {image: a}\n  b: {image: b}\n");
    let ran = user.run(&["remove"]);
    assert_eq!(gateway.received().len(), 2);
    assert_eq!(ran.failed(), "No existing function to remove\nnot removed: a\n");
}

#[test]
fn logs_are_printed_line_by_line() {
    let lines = r#"{"name":"a","namespace":"n","instance":"a-1","timestamp":"2026-01-02T03:04:05.123456789Z","text":"one\n"}
{"name":"a","namespace":"n","instance":"a-1","timestamp":"2026-01-02T03:04:06Z","text":"two"}
"#;
    let gateway = Gateway::start().on("GET /system/logs", 200, lines);
    let user = User::at(&gateway);
    assert_eq!(user.run(&["logs", "a"]).ok(), "2026-01-02T03:04:05Z one\n2026-01-02T03:04:06Z two\n");
    gateway.request("GET /system/logs?name=a&follow=true&tail=-1");
    assert_eq!(
        user.run(&["logs", "a", "--tail=false", "--time-format=", "--instance"]).ok(),
        "(a-1) one\n(a-1) two\n"
    );
}

#[test]
fn logs_of_no_function_say_so() {
    let gateway = Gateway::start().on("GET /system/logs", 404, "function nope.openfaas-fn not found");
    assert_eq!(User::at(&gateway).run(&["logs", "nope"]).failed(), "no such function: nope\n");
}

#[test]
fn ready_waits_for_gateway_and_function() {
    let gateway = Gateway::start().on("GET /healthz", 500, "").on("GET /healthz", 200, "").on(
        "GET /system/function/a",
        200,
        r#"{"name":"a","createdAt":"2026-01-02T03:04:05Z"}"#,
    );
    let user = User::at(&gateway);
    let out = user.run(&["ready", "--interval", "1ms"]).ok();
    assert_eq!(out, "[1/60] Waiting for gateway\n[2/60] Waiting for gateway\nOpenFaaS gateway is ready\n");
    let ran = user.run(&["ready", "a", "--attempts", "2", "--interval", "1ms"]);
    assert_eq!(ran.stdout, "[1/2] Waiting for function a\n[2/2] Waiting for function a\n");
    assert_eq!(ran.failed(), "function a not ready after: 2ms\n");
}

#[test]
fn version_needs_no_gateway() {
    let ran = User::new().run(&["version", "-g", &crate::harness::refused()]);
    assert!(ran.stdout.starts_with("CLI:\n commit:"), "{}", ran.stdout);
    assert!(ran.stderr.starts_with("cannot connect"), "{}", ran.stderr);
    assert_eq!(ran.code, 0);
    let info = r#"{"provider":{"provider":"faas-local","orchestration":"local","version":{"sha":"p","release":"1"}},"version":{"sha":"g","release":"2"}}"#;
    let gateway = Gateway::start().on("GET /system/info", 200, info);
    let out = User::at(&gateway).run(&["version"]).ok();
    assert!(out.contains("Gateway\n uri:") && out.contains(" orchestration: local\n"), "{out}");
    let short = User::new().run(&["version", "--short-version"]).ok();
    assert_eq!(short.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn namespaces_are_marked_as_ours() {
    let gateway = Gateway::start()
        .on("GET /system/namespaces", 200, r#"["openfaas-fn","dev"]"#)
        .on("POST /system/namespace/", 201, "")
        .on("PUT /system/namespace/dev", 202, "")
        .on("GET /system/namespace/dev", 200, r#"{"name":"dev","labels":{"openfaas":"1"}}"#)
        .on("DELETE /system/namespace/dev", 202, "");
    let user = User::at(&gateway);
    assert_eq!(user.run(&["namespace", "list"]).ok(), "Namespaces:\n - dev\n - openfaas-fn\n");
    assert_eq!(
        user.run(&["ns", "create", "dev", "-l", "a=b"]).ok(),
        "Creating Namespace: dev\nNamespace Created: dev\n"
    );
    assert_eq!(
        gateway.request("POST /system/namespace/").json(),
        serde_json::json!({"name": "dev", "labels": {"a": "b", "openfaas": "1"}, "annotations": {"openfaas": "1"}})
    );
    user.run(&["ns", "update", "dev"]).ok();
    assert!(user.run(&["ns", "get", "dev"]).ok().contains("Labels:       openfaas: 1\n"));
    assert_eq!(user.run(&["ns", "remove", "dev"]).ok(), "Deleting Namespace: dev\nNamespace Removed: dev\n");
    user.run(&["ns", "remove", "gone"]).failed();
}
