//! The contract on the wire: statuses, texts and headers that clients match on.

use faas_testing::{Http, Platform};
use serde_json::{Value, json};

/// A package that answers with its input, pushed as `echo:latest`.
pub(crate) fn with_echo() -> Platform {
    let platform = Platform::start();
    let faas = platform.login();
    faas.run(&["new", "--lang", "bash", "echo"]).success();
    platform.write("echo/handler.sh", "#!/bin/bash\ncat\n");
    faas.run(&["build", "-f", "echo.yml"]).success();
    faas.run(&["push", "-f", "echo.yml"]).success();
    platform
}

fn status(http: &Http, method: &str, path: &str, body: &Value) -> (u16, String) {
    let answer = http.json(method, path, body);
    (answer.status, answer.text())
}

#[test]
fn the_api_asks_for_credentials_and_invocations_do_not() {
    let platform = Platform::start();
    for path in
        ["/system/functions", "/system/info", "/system/secrets", "/system/namespaces", "/system/logs?name=f"]
    {
        let answer = platform.http().get(path);
        assert_eq!((answer.status, answer.text().as_str()), (401, "invalid credentials"), "{path}");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"Restricted\"");
    }
    for wrong in ["Basic YWRtaW46eA==", "Bearer x", "Basic"] {
        let http = platform.http().authorized(wrong.into());
        assert_eq!(http.get("/system/functions").status, 401, "{wrong}");
    }
    assert_eq!(platform.admin().get("/system/functions").text(), "[]");
    assert_eq!(platform.http().get("/healthz").status, 200);
    for path in ["/", "/ui/", "/nothing"] {
        assert_eq!(platform.http().get(path).status, 404, "{path}");
    }
    let queued = platform.http().post("/async-function/f", b"");
    assert_eq!(queued.status, 202, "also of a function that nobody knows");
    let job = format!("/async-function/{}", queued.header("x-call-id"));
    assert_eq!(platform.http().get(&job).status, 401);
    assert_eq!(platform.admin().get(&job).status, 200);
}

#[test]
fn info_names_the_provider_and_both_versions() {
    let platform = Platform::start();
    let info: Value = serde_json::from_slice(&platform.admin().get("/system/info").body).unwrap();
    assert_eq!(info["provider"]["provider"], "faas-local");
    assert_eq!(info["provider"]["orchestration"], "local");
    assert_eq!(info["provider"]["accepts"], json!(["package"]));
    for version in [&info["version"], &info["provider"]["version"]] {
        assert!(
            !version["sha"].as_str().unwrap().is_empty() && !version["release"].as_str().unwrap().is_empty()
        );
    }
}

#[test]
fn functions_are_created_updated_and_deleted_as_the_contract_says() {
    let platform = with_echo();
    let admin = platform.admin();
    let function = json!({"service": "f", "image": "echo:latest", "labels": {"a": "b"}, "annotations": null});
    let missing = "unable update Deployment: f.openfaas-fn, error: deployments.apps \"f\" not found";
    assert_eq!(status(&admin, "PUT", "/system/functions", &function), (404, missing.into()));
    assert_eq!(status(&admin, "POST", "/system/functions", &function), (202, String::new()));
    let seen: Value = serde_json::from_slice(&admin.get("/system/function/f").body).unwrap();
    assert_eq!(seen["labels"], json!({"a": "b", "faas_function": "f"}));
    assert_eq!((&seen["replicas"], &seen["namespace"]), (&json!(1), &json!("openfaas-fn")));
    assert!(seen.get("envVars").is_none() && seen.get("limits").is_none() && seen.get("secrets").is_none());
    let duplicate = "unable create Deployment: deployments.apps \"f\" already exists";
    assert_eq!(status(&admin, "POST", "/system/functions", &function), (409, duplicate.into()));
    assert_eq!(status(&admin, "PUT", "/system/functions", &function).0, 202);
    let delete = json!({"functionName": "f"});
    assert_eq!(status(&admin, "DELETE", "/system/functions", &delete).0, 202);
    assert_eq!(status(&admin, "DELETE", "/system/functions", &delete).0, 404);
    assert_eq!(status(&admin, "DELETE", "/system/functions", &json!({})), (400, String::new()));
    assert_eq!(admin.get("/system/function/f").status, 404);
}

#[test]
fn bad_deployments_get_the_contracts_text() {
    let platform = with_echo();
    let admin = platform.admin();
    for (body, text) in [
        (json!({"image": "echo"}), "validation failed: service: is required"),
        (
            json!({"service": "A_b", "image": "echo"}),
            "validation failed: service: (A_b) is invalid, must be a valid DNS entry",
        ),
        (json!({"service": "f"}), "validation failed: image: is required"),
        (json!({"service": "f", "image": "echo", "namespace": "none"}), "namespace not valid"),
        (
            json!({"service": "f", "image": "echo", "secrets": ["key"]}),
            "unable to fetch secrets: Required secret 'key' was not found in the cluster",
        ),
    ] {
        assert_eq!(status(&admin, "POST", "/system/functions", &body), (400, text.into()));
    }
    for (body, prefix) in [
        (json!({"service": 1}), "failed to unmarshal request: "),
        (
            json!({"service": "f", "image": "echo", "limits": {"memory": "lots"}}),
            "failed create Deployment spec: ",
        ),
        (json!({"service": "f", "image": "echo", "timeout": "soon"}), "validation failed: timeout: "),
        (
            json!({"service": "f", "image": "echo", "envVars": {"A=": "x"}}),
            "validation failed: envVars: (A=) ",
        ),
        (
            json!({"service": "f", "image": "echo", "envVars": {"A": "\u{0}"}}),
            "validation failed: envVars: (A) ",
        ),
    ] {
        let (code, text) = status(&admin, "POST", "/system/functions", &body);
        assert!(code == 400 && text.starts_with(prefix), "{code} {text}");
    }
    assert_eq!(admin.get("/system/functions").text(), "[]");
}

#[test]
fn invocations_carry_and_return_the_contracts_headers() {
    let platform = with_echo();
    let (admin, http) = (platform.admin(), platform.http());
    let function = json!({"service": "env", "image": "echo", "envProcess": "env"});
    assert_eq!(status(&admin, "POST", "/system/functions", &function).0, 202);
    let answer = http.send("POST", "/function/env/a%20b/c?x=1&y=%2F", &[("X-My-Header", "v")], b"hello");
    let environment = answer.text();
    for line in [
        "Http_Method=POST",
        "Http_Path=/a b/c",
        "Http_Query=x=1&y=%2F",
        "Http_X_My_Header=v",
        "Http_ContentLength=5",
        "OPENFAAS_NAME=env",
        "OPENFAAS_NAMESPACE=openfaas-fn",
    ] {
        assert!(environment.lines().any(|found| found == line), "{line}: {environment}");
    }
    for variable in
        ["Http_X_Call_Id=", "Http_X_Start_Time=", "Http_X_Forwarded_For=127.0.0.1:", "Http_X_Forwarded_Host="]
    {
        assert!(environment.contains(variable), "{variable}: {environment}");
    }
    assert_eq!(answer.header("x-served-by"), format!("faas/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(answer.header("x-call-id").len(), 36);
    assert!(answer.header("x-start-time").parse::<u64>().is_ok());
    assert!(answer.header("x-duration-seconds").parse::<f64>().is_ok());
    let chosen = http.send("GET", "/function/env", &[("X-Call-Id", "mine")], b"");
    assert_eq!(chosen.header("x-call-id"), "mine");
    assert!(chosen.text().contains("Http_X_Call_Id=mine"));
}

#[test]
fn unknown_functions_and_odd_paths_are_the_callers_fault() {
    let platform = with_echo();
    let http = platform.http();
    let answer = http.post("/function/none", b"");
    let text = "error finding function none.openfaas-fn: server returned non-200 status code (404) for function, none, body: ";
    assert_eq!((answer.status, answer.text().as_str()), (404, text));
    assert_eq!(answer.header("x-openfaas-internal"), "", "a queue must not retry it");
    assert_eq!(http.post("/function/.openfaas-fn", b"").status, 404);
    assert_eq!(http.send("TRACE", "/function/none", &[], b"").status, 405);
    let answer = http.get("/function//x/../none?q=1");
    assert_eq!((answer.status, answer.header("location")), (301, "/function/none?q=1"));
    assert_eq!(platform.admin().send("PATCH", "/system/functions", &[], b"").status, 405);
}

#[test]
fn secrets_answer_as_the_contract_says() {
    let platform = Platform::start();
    let admin = platform.admin();
    let secret = json!({"name": "key", "value": "v"});
    assert_eq!(status(&admin, "PUT", "/system/secrets", &secret), (404, String::new()));
    assert_eq!(status(&admin, "POST", "/system/secrets", &secret).0, 202);
    assert_eq!(status(&admin, "POST", "/system/secrets", &secret), (409, String::new()));
    assert_eq!(admin.get("/system/secrets").text(), r#"[{"name":"key","namespace":"openfaas-fn"}]"#);
    assert_eq!(status(&admin, "PUT", "/system/secrets", &json!({"name": "key", "rawValue": "AAE="})).0, 202);
    assert_eq!(status(&admin, "POST", "/system/secrets", &json!({"name": "../x", "value": "v"})).0, 422);
    assert_eq!(status(&admin, "POST", "/system/secrets", &json!({"value": "v"})).0, 400);
    assert_eq!(status(&admin, "DELETE", "/system/secrets", &secret).0, 202);
    assert_eq!(status(&admin, "DELETE", "/system/secrets", &secret), (404, String::new()));
    assert_eq!(admin.get("/system/secrets?namespace=none").status, 400);
}

#[test]
fn namespaces_answer_as_the_contract_says() {
    let platform = with_echo();
    let admin = platform.admin();
    let dev = json!({"name": "dev", "labels": {"openfaas": "1"}});
    let label = "request does not have openfaas=1 label";
    assert_eq!(status(&admin, "POST", "/system/namespace/", &json!({"name": "dev"})), (400, label.into()));
    assert_eq!(status(&admin, "POST", "/system/namespace/", &dev).0, 201);
    assert_eq!(
        status(&admin, "POST", "/system/namespace/dev", &dev),
        (409, "namespace dev already exists".into())
    );
    assert_eq!(admin.get("/system/namespaces").text(), r#"["dev","openfaas-fn"]"#);
    assert_eq!(admin.get("/system/namespace/none").text(), "namespace none not found");
    assert_eq!(status(&admin, "PUT", "/system/namespaces/dev", &dev).0, 202);
    assert_eq!(status(&admin, "PUT", "/system/namespace/other", &dev).0, 400);
    let digest = pushed(&platform);
    for namespace in ["", "dev"] {
        let function = json!({"service": "f", "package": digest, "namespace": namespace, "envVars": {"IN": namespace},
            "envProcess": "env"});
        assert_eq!(status(&admin, "POST", "/system/functions", &function), (202, String::new()));
    }
    assert!(platform.http().get("/function/f.dev").text().contains("IN=dev\n"));
    assert!(platform.http().get("/function/f").text().contains("IN=\n"));
    assert_eq!(admin.send("DELETE", "/system/namespace/dev", &[], b"").status, 202);
    assert_eq!(platform.http().get("/function/f.dev").status, 404);
    assert_eq!(platform.http().get("/function/f").status, 200);
    assert_eq!(admin.send("DELETE", "/system/namespace/openfaas-fn", &[], b"").status, 400);
}

/// The digest of the package that [`with_echo`] pushed.
fn pushed(platform: &Platform) -> String {
    let function = json!({"service": "probe", "image": "echo"});
    assert_eq!(status(&platform.admin(), "POST", "/system/functions", &function).0, 202);
    let seen: Value = serde_json::from_slice(&platform.admin().get("/system/function/probe").body).unwrap();
    seen["package"].as_str().unwrap().to_owned()
}

#[test]
fn scaling_takes_any_number_and_wakes_from_zero() {
    let platform = with_echo();
    let admin = platform.admin();
    assert_eq!(status(&admin, "POST", "/system/functions", &json!({"service": "f", "image": "echo"})).0, 202);
    for replicas in [3_u64, 0] {
        let scale = json!({"serviceName": "f", "replicas": replicas});
        assert_eq!(status(&admin, "POST", "/system/scale-function/f", &scale), (202, String::new()));
        let seen: Value = serde_json::from_slice(&admin.get("/system/function/f").body).unwrap();
        assert_eq!(seen["replicas"].as_u64().unwrap_or(0), replicas);
    }
    assert_eq!(platform.http().post("/function/f", b"awake").text(), "awake");
    let bad = "Cannot parse request. Please pass valid JSON.";
    for body in [json!([1]), json!({}), json!({"replicas": -1})] {
        assert_eq!(status(&admin, "POST", "/system/scale-function/f", &body), (400, bad.into()));
    }
    assert_eq!(status(&admin, "POST", "/system/scale-function/none", &json!({"replicas": 1})).0, 404);
    assert_eq!(admin.get("/system/scale-function/f").status, 405);
}

#[test]
fn logs_are_lines_of_json_with_all_fields() {
    let platform = with_echo();
    let admin = platform.admin();
    assert_eq!(status(&admin, "POST", "/system/functions", &json!({"service": "f", "image": "echo"})).0, 202);
    assert_eq!(platform.http().post("/function/f", b"12345").status, 200);
    let text = faas_testing::wait_for("the call in the log", || {
        let answer = admin.get("/system/logs?name=f&tail=-1&follow=0");
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        answer.text().contains("Wrote 5 Bytes").then(|| answer.text())
    });
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["name"], &line["namespace"]), (&json!("f"), &json!("openfaas-fn")));
        assert!(
            line["text"].as_str().unwrap().ends_with('\n')
                && line["instance"].as_str().unwrap().starts_with("f-")
        );
    }
    let bad = admin.get("/system/logs?name=f&tail=many");
    assert_eq!((bad.status, bad.text().as_str()), (422, "could not parse the log request"));
    assert_eq!(admin.get("/system/logs").status, 422);
    assert_eq!(admin.get("/system/logs?name=none").status, 501);
}

#[test]
fn an_upload_that_lies_or_hurts_leaves_nothing() {
    let platform = Platform::start();
    let admin = platform.admin();
    let zip = package(&[("faas.json", MANIFEST), ("function/../../x", "x")]);
    let cut = &package(&[("faas.json", MANIFEST), ("function/handler.sh", "cat")])[..100];
    for (body, digest) in
        [(&zip[..], digest(&zip)), (cut, digest(cut)), (b"lie", format!("sha256:{}", "0".repeat(64)))]
    {
        let answer = admin.send("PUT", &format!("/system/packages/{digest}"), &[], body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(admin.send("HEAD", &format!("/system/packages/{digest}"), &[], b"").status, 404);
    }
    for folder in ["packages", "incoming"] {
        assert_eq!(std::fs::read_dir(platform.data_dir().join(folder)).unwrap().count(), 0, "{folder}");
    }
    assert_eq!(admin.send("PUT", "/system/packages/sha256:xyz", &[], b"").status, 400);
    let good = package(&[("faas.json", MANIFEST), ("function/handler.sh", "cat")]);
    let path = format!("/system/packages/{}", digest(&good));
    assert_eq!(admin.send("PUT", &path, &[], &good).status, 201);
    assert_eq!(admin.send("PUT", &path, &[], &good).status, 200);
    assert_eq!(admin.send("PUT", &format!("{path}?image=good"), &[], b"").status, 200);
    assert_eq!(status(&admin, "POST", "/system/functions", &json!({"service": "g", "image": "good"})).0, 202);
    assert_eq!(platform.http().post("/function/g", b"in").text(), "in");
}

const MANIFEST: &str = r#"{"version": 1, "runtime": "bash", "handler": "handler.sh", "signature": "stdin"}"#;

pub(crate) fn package(entries: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    faas_api::Digest::from_bytes(&sha2::Sha256::digest(bytes).into()).to_string()
}
