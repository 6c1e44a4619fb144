//! Bad input, and what a person is told.

use std::net::TcpListener;

use faas_testing::{Faas, Options, Platform, wait_for};
use serde_json::json;

#[test]
fn a_malformed_stack_file_is_placed_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let faas = Faas::new(folder.path());
    std::fs::write(folder.path().join("bad.yml"), "provider:\n  name: openfaas\nfunctions: [\n").unwrap();
    let error = faas.run(&["build", "-f", "bad.yml"]).failure();
    assert!(error.contains("bad.yml:"), "{error}");
    std::fs::write(folder.path().join("typed.yml"), "provider:\n  name: openfaas\nfunctions:\n  f: 12\n")
        .unwrap();
    let error = faas.run(&["build", "-f", "typed.yml"]).failure();
    assert!(error.contains("typed.yml:4"), "{error}");
}

#[test]
fn an_unknown_language_is_told_those_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let error = Faas::new(folder.path()).run(&["new", "--lang", "cobol", "f"]).failure();
    for language in ["bash", "dockerfile", "node", "python3", "python3-http"] {
        assert!(error.contains(language), "{error}");
    }
    let error = Faas::new(folder.path()).run(&["new", "--lang", "bash", "Upper_Case"]).failure();
    assert!(error.contains("function name can only contain a-z, 0-9 and dashes"), "{error}");
}

#[test]
fn a_gateway_that_is_down_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Faas::new(folder.path()).with("OPENFAAS_URL", &url).run(&["list"]).failure();
    assert!(error.contains(&format!("cannot connect to OpenFaaS on URL: {url}")), "{error}");
}

#[test]
fn a_queue_worker_is_told_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let worker = |variables: &[(&str, &str)]| {
        let faas = Faas::new(folder.path());
        let faas = variables.iter().fold(faas, |faas, (name, value)| faas.with(name, value));
        faas.run(&["queue-worker", "--admin", "127.0.0.1:0"]).failure()
    };
    let error = worker(&[]);
    assert!(error.contains("gateway_url=http://gateway:8080"), "{error}");
    let error = worker(&[("gateway_url", "http://127.0.0.1:1")]);
    assert!(error.contains("nats_host=nats"), "{error}");
}

#[test]
fn a_wrong_password_is_not_saved() {
    let platform = Platform::start();
    let faas = platform.faas();
    let error = faas.run_with(&["login", "--password-stdin"], b"wrong").failure();
    assert!(error.contains("unable to login, either username or password is incorrect"), "{error}");
    assert!(!platform.folder.path().join(".openfaas/config.yml").exists());
}

#[test]
fn a_second_start_changes_nothing() {
    let platform = Platform::start();
    let faas = platform.faas();
    let password = platform.password();
    let data_dir = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", "data"];
    let error = faas.run(&data_dir).failure();
    assert!(error.contains("in use by another faas serve"), "{error}");
    let taken = platform.url.trim_start_matches("http://");
    let port = ["serve", "--listen", taken, "--admin", "127.0.0.1:0", "--data-dir", "other"];
    let error = faas.run(&port).failure();
    assert!(error.contains(&format!("cannot listen on {taken}")), "{error}");
    assert!(!platform.folder.path().join("other").exists(), "a start that failed made a data directory");
    assert_eq!(platform.password(), password);
}

#[test]
fn an_image_is_refused_with_what_to_do() {
    let platform = Platform::start();
    let faas = platform.login();
    faas.run(&["new", "--lang", "dockerfile", "boxed"]).success();
    let error = faas.run(&["deploy", "-f", "boxed.yml"]).failure();
    assert!(error.contains("Kubernetes"), "{error}");
    let answer = platform.admin().json(
        "POST",
        "/system/functions",
        &json!({"service": "f", "image": "ghcr.io/x/f:1"}),
    );
    let text = "image ghcr.io/x/f:1 is not known here: push it with \"faas push\", or use a provider that runs images";
    assert_eq!((answer.status, answer.text().as_str()), (400, text));
}

#[test]
fn a_handler_that_does_not_import_says_so_in_every_template() {
    let platform = Platform::start();
    let faas = platform.login();
    for (template, file) in
        [("python3", "handler.py"), ("python3-http", "handler.py"), ("node", "handler.js")]
    {
        faas.run(&["new", "--lang", template, template]).success();
        platform.write(&format!("{template}/{file}"), "import not_there\n");
        faas.run(&["up", "-f", &format!("{template}.yml")]).success();
        let answer = platform.http().post(&format!("/function/{template}"), b"");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("x-faas-fault").starts_with("handler"), "{:?}", answer.headers);
        let says_why = |text: String| text.contains("Error").then_some(());
        wait_for("the error in the logs", || {
            says_why(faas.run(&["logs", template, "--tail=false"]).success())
        });
        let described = faas.run(&["describe", template]).success();
        assert!(described.contains("Not Ready") && says_why(described.clone()).is_some(), "{described}");
    }
}

#[test]
fn an_absent_interpreter_is_named_at_deploy() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_string_lossy().into_owned();
    let platform = Platform::start_with(Options { variables: vec![("PATH".into(), path)] });
    let faas = platform.login();
    faas.run(&["new", "--lang", "python3", "lonely"]).success();
    let error = faas.run(&["up", "-f", "lonely.yml"]).failure();
    assert!(error.contains("python3"), "{error}");
    assert!(error.contains("looked for"), "{error}");
}
