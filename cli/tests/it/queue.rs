use crate::harness::{Gateway, User};

const JOB: &str = "/async-function/6f1c2a44";

fn job(state: &str, more: &str) -> String {
    format!(
        r#"{{"callId":"6f1c2a44","functionName":"f","namespace":"dev","state":"{state}",
            "acceptedAt":"2026-01-02T03:04:05Z"{more}}}"#
    )
}

const ATTEMPTS: &str = r#","attempts":[{"at":"2026-01-02T03:04:06Z","seconds":0.25,"status":500,
    "failure":"status 500"},{"at":"2026-01-02T03:04:16Z","seconds":1,"status":200}]"#;

#[test]
fn what_each_function_has_is_a_table() {
    let gateway = Gateway::start().on(
        "GET /system/queue",
        200,
        r#"[{"functionName":"f","namespace":"dev","waiting":12,"running":3,"dead":1,
             "oldest":"2020-01-01T00:00:00Z","rate":2.25},
            {"functionName":"longer","namespace":"openfaas-fn","waiting":0,"running":0,"dead":4,"rate":0}]"#,
    );
    let user = User::at(&gateway);
    let table = user.run(&["queue", "list", "-n", "dev"]).ok();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "FUNCTION  NAMESPACE    WAITING  RUNNING  DEAD  OLDEST  RATE");
    assert!(lines[1].starts_with("f         dev          12       3        1     "), "{table}");
    assert!(lines[1].ends_with("d   2.2/s"), "{table}");
    assert_eq!(lines[2], "longer    openfaas-fn  0        0        4     -       0.0/s");
    assert_eq!(gateway.lines(), ["GET /system/queue?namespace=dev"]);
    let json: serde_json::Value = serde_json::from_str(&user.run(&["queue", "ls", "--json"]).ok()).unwrap();
    assert_eq!(json[1]["dead"], 4);
}

#[test]
fn the_jobs_of_one_function_are_a_table() {
    let answer = format!("[{}]", job("dead", ATTEMPTS));
    let gateway = Gateway::start().on("GET /system/queue/jobs", 200, &answer);
    let table = User::at(&gateway).run(&["queue", "list", "f.dev", "--dead", "--limit", "5"]).ok();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["CALL", "ID", "STATE", "AGE", "ATTEMPTS", "LAST", "NEXT"]
    );
    assert!(
        lines[1].starts_with("6f1c2a44  dead   ") && lines[1].ends_with("  2         200   -"),
        "{table}"
    );
    assert_eq!(gateway.lines(), ["GET /system/queue/jobs?function=f.dev&state=dead&limit=5"]);
}

#[test]
fn a_job_is_shown_with_all_that_is_known() {
    let more = format!(
        r#"{ATTEMPTS},"callback":{{"url":"http://a/b","attempts":[{{"at":"2026-01-02T03:04:20Z","seconds":0.5,
           "failure":"connection refused"}}]}},"result":{{"status":200,"headers":{{}},"size":3,"body":"aGkK"}}"#
    );
    let gateway = Gateway::start().on(&format!("GET {JOB}"), 200, &job("done", &more));
    let user = User::at(&gateway);
    let shown = user.run(&["queue", "show", "6f1c2a44"]).ok();
    assert_eq!(
        shown,
        "Call id:     6f1c2a44\nFunction:    f.dev\nState:       done\nAccepted:    2026-01-02T03:04:05Z\n\
         Attempts:    2026-01-02T03:04:06Z  500 (status 500)  0.250s\n             2026-01-02T03:04:16Z  200  1.000s\n\
         Callback:    http://a/b\nDeliveries:  2026-01-02T03:04:20Z  connection refused  0.500s\n\
         Result:      200, 3 B\nBody:        hi\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&user.run(&["queue", "show", "6f1c2a44", "--json"]).ok()).unwrap();
    assert_eq!(json["state"], "done");
    let sent = gateway.received().pop().unwrap();
    assert_eq!(sent.headers["authorization"], "Basic YWRtaW46c2VjcmV0");
}

#[test]
fn a_job_is_cancelled() {
    let gateway = Gateway::start().on(&format!("DELETE {JOB}"), 202, "");
    assert_eq!(User::at(&gateway).run(&["queue", "cancel", "6f1c2a44"]).ok(), "Cancelled: 6f1c2a44\n");
    let gateway = Gateway::start().on(&format!("DELETE {JOB}"), 409, "job 6f1c2a44 has ended already");
    let error = User::at(&gateway).run(&["queue", "cancel", "6f1c2a44"]).failed();
    assert_eq!(
        error,
        "job 6f1c2a44 has ended already\nhint: \"faas queue list FUNCTION\" shows what there is\n"
    );
}

#[test]
fn dead_jobs_are_tried_again() {
    let gateway = Gateway::start().on("POST /system/queue/redrive", 200, r#"{"jobs":2}"#).on(
        "POST /system/queue/redrive",
        200,
        r#"{"jobs":1}"#,
    );
    let user = User::at(&gateway);
    assert_eq!(user.run(&["queue", "retry", "f", "-n", "dev"]).ok(), "2 jobs of f will be tried again\n");
    assert_eq!(user.run(&["queue", "retry", "f", "6f1c2a44"]).ok(), "1 job of f will be tried again\n");
    let sent: Vec<_> = gateway.received().iter().map(|request| request.json().to_string()).collect();
    assert_eq!(
        sent,
        [r#"{"functionName":"f","namespace":"dev"}"#, r#"{"callId":"6f1c2a44","functionName":"f"}"#]
    );
}

#[test]
fn nothing_is_forgotten_without_a_yes() {
    let gateway = Gateway::start().on("POST /system/queue/purge", 200, r#"{"jobs":12}"#);
    let user = User::at(&gateway);
    for line in [&["queue", "purge", "f", "-n", "dev", "--live"][..], &["queue", "purge", "f.dev", "--live"]]
    {
        assert_eq!(
            user.run(line).failed(),
            "12 jobs of f.dev would be forgotten\nhint: add --yes to do it\n"
        );
    }
    let sent: Vec<_> = gateway.received().iter().map(|request| request.json().to_string()).collect();
    assert_eq!(
        sent,
        [
            r#"{"dryRun":true,"functionName":"f","namespace":"dev","state":"live"}"#,
            r#"{"dryRun":true,"functionName":"f.dev","state":"live"}"#
        ]
    );
    let line = ["queue", "purge", "f", "-n", "dev", "--live", "--yes"];
    assert_eq!(user.run(&line).ok(), "12 jobs of f forgotten\n");
    let sent = gateway.received().last().unwrap().json().to_string();
    assert_eq!(sent, r#"{"functionName":"f","namespace":"dev","state":"live"}"#);
    let error = user.run(&["queue", "purge", "f", "--yes"]).failed();
    assert!(error.contains("--dead"), "{error}");
    assert!(user.run(&["queue", "purge", "f", "--dead", "--live"]).failed().contains("cannot be used with"));
}

#[test]
fn without_a_queue_each_command_says_so() {
    let gateway = Gateway::start();
    let user = User::at(&gateway);
    for line in [
        &["queue", "list"][..],
        &["queue", "show", "x"],
        &["queue", "cancel", "x"],
        &["queue", "retry", "f"],
        &["queue", "purge", "f", "--dead"],
    ] {
        let error = user.run(line).failed();
        assert!(error.starts_with("this gateway has no queue\nhint: "), "{line:?}: {error}");
    }
}

#[test]
fn a_missing_login_is_told() {
    let gateway = Gateway::start().on("GET /system/queue", 401, "invalid credentials");
    let error = User::at(&gateway).run(&["queue", "list"]).failed();
    assert!(error.contains("run \"faas login\""), "{error}");
}

/// A gateway that accepts, with an id.
fn accepting() -> Gateway {
    Gateway::start().with_header("X-Call-Id: 6f1c2a44").on("POST /async-function/f.dev", 202, "")
}

#[test]
fn an_accepted_invocation_prints_its_call_id() {
    let gateway = accepting();
    let ran = User::at(&gateway).run(&["invoke", "f", "-n", "dev", "--async"]);
    assert_eq!(ran.stderr, "Function submitted asynchronously.\n");
    assert_eq!(ran.ok(), "6f1c2a44\n");
}

#[test]
fn waiting_ends_with_the_result() {
    let result = r#","result":{"status":200,"headers":{},"size":5,"body":"aGkAdGg="}"#;
    let gateway = accepting()
        .on(&format!("GET {JOB}"), 200, &job("queued", ""))
        .on(&format!("GET {JOB}"), 503, "failed to use NATS: try again in a moment")
        .on(&format!("GET {JOB}"), 200, &job("running", ""))
        .on(&format!("GET {JOB}"), 200, &job("done", result));
    let ran = User::at(&gateway).run(&["invoke", "f", "-n", "dev", "--async", "--wait"]);
    assert_eq!(ran.stderr, "Function submitted asynchronously, waiting for call 6f1c2a44\n");
    assert_eq!(ran.ok(), "hi\0th");
    let asked = gateway.received().into_iter().filter(|request| request.method == "GET");
    let credentials = asked.map(|request| request.headers.contains_key("authorization"));
    assert_eq!(credentials.collect::<Vec<_>>(), [true; 4]);
}

#[test]
fn waiting_fails_as_the_invocation_did() {
    let result = r#","result":{"status":500,"headers":{},"size":5,"body":"b29wcwo="}"#;
    let lost = r#","result":{"status":200,"headers":{},"size":5000}"#;
    for (state, more, error) in [
        ("done", result, "server returned unexpected status code: 500 - oops\n"),
        ("cancelled", "", "call 6f1c2a44 was cancelled\n"),
        (
            "dead",
            r#","attempts":[{"at":"2026-01-02T03:04:06Z","seconds":1,"failure":"connection refused"}]"#,
            "server returned unexpected status code: none - connection refused\n\
             hint: it was tried 1 times and is kept: \"faas queue retry f.dev 6f1c2a44\" tries again\n",
        ),
        (
            "done",
            lost,
            "the answer of 5.0 kB was not kept\nhint: a callback gets it whole: -H \"X-Callback-Url: URL\"\n",
        ),
    ] {
        let gateway = accepting().on(&format!("GET {JOB}"), 200, &job(state, more));
        let ran = User::at(&gateway).run(&["invoke", "f", "-n", "dev", "--async", "--wait"]);
        assert_eq!(ran.stdout, "", "{state}");
        let failed = ran.failed();
        assert_eq!(failed.split_once('\n').unwrap().1, error, "{state}");
    }
    let gone = accepting().on(&format!("GET {JOB}"), 404, "there is no job 6f1c2a44, or none any more");
    let ran = User::at(&gone).run(&["invoke", "f", "-n", "dev", "--async", "--wait"]);
    assert!(ran.failed().contains("there is no job 6f1c2a44"));
    assert_eq!(gone.received().len(), 2, "it is not asked again");
    assert!(User::new().run(&["invoke", "f", "--wait"]).failed().contains("--async"));
}
