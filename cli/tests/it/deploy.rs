use serde_json::json;

use crate::harness::{Gateway, User};

const STACK: &str = "version: 1.0
provider:
  name: openfaas
functions:
  f:
    lang: bash
    handler: ./f
    image: f:1
    environment:
      content_type: application/json
      debug: true
    environment_file: [env.yml]
    labels: {team: a, n: 1.10}
    secrets: [s]
    timeout: 5m
    limits: {memory: 64Mi}
";

fn user(gateway: &Gateway) -> User {
    let user = User::at(gateway);
    user.write("stack.yml", STACK);
    user.write("env.yml", "environment:\n  debug: 0755\n");
    user.write("f/handler.sh", "cat\n");
    user
}

#[test]
fn a_function_is_built_uploaded_and_put_then_posted() {
    let gateway = Gateway::for_packages()
        .on("PUT /system/packages/", 201, "")
        .on("PUT /system/functions", 404, "")
        .on("POST /system/functions", 202, "");
    let user = user(&gateway);
    let out = user.run(&["deploy", "-e", "extra=1", "--label", "team=b"]).ok();
    assert!(out.starts_with("Deploying: f.\nPackage: sha256:"), "{out}");
    assert!(
        out.ends_with(&format!("\n\nDeployed. 202 Accepted.\nURL: {}/function/f\n\n", gateway.url)),
        "{out}"
    );
    assert_eq!(
        gateway.lines(),
        [
            "GET /system/info",
            "HEAD /system/packages/DIGEST",
            "PUT /system/packages/DIGEST",
            "PUT /system/functions",
            "POST /system/functions"
        ]
    );
    let put = gateway.request("PUT /system/functions");
    assert_eq!(put.headers["authorization"], "Basic YWRtaW46c2VjcmV0");
    let package = out.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap();
    assert_eq!(
        put.json(),
        json!({
            "service": "f", "image": "f:1", "package": package, "runtime": "bash", "timeout": "5m",
            "envVars": {"content_type": "application/json", "debug": "0755", "extra": "1"},
            "labels": {"team": "b", "n": "1.10"}, "annotations": {}, "secrets": ["s"], "limits": {"memory": "64Mi"},
        })
    );
    assert_eq!(gateway.request("POST /system/functions").json(), put.json());
}

#[test]
fn what_is_there_is_neither_built_nor_uploaded_again() {
    let gateway =
        Gateway::for_packages().on("HEAD /system/packages/", 200, "").on("PUT /system/functions", 202, "");
    let user = user(&gateway);
    let old = std::time::SystemTime::now() - std::time::Duration::from_mins(1);
    for name in ["f", "f/handler.sh", "stack.yml"] {
        std::fs::File::open(user.path(name)).unwrap().set_modified(old).unwrap();
    }
    assert!(user.run(&["deploy"]).ok().contains("Package: "));
    assert!(!user.run(&["deploy", "-n", "dev"]).ok().contains("Package: "));
    assert!(!gateway.lines().iter().any(|line| line.starts_with("PUT /system/packages")));
    assert_eq!(gateway.received().pop().unwrap().json()["namespace"], "dev");

    user.write("f/handler.sh", "date\n");
    assert!(user.run(&["deploy"]).ok().contains("Package: "), "a changed handler is built again");
}

#[test]
fn a_missing_login_is_told_before_anything_is_built() {
    let gateway = Gateway::start().on("GET /system/info", 401, "invalid credentials");
    let user = user(&gateway);
    for command in ["deploy", "up"] {
        let error = user.run(&[command]).failed();
        assert_eq!(
            error,
            "unauthorized access, run \"faas login\" to setup authentication for this server\n"
        );
    }
    assert!(!user.path("build").exists());
}

#[test]
fn a_refusal_is_told_and_the_next_function_is_still_tried() {
    let gateway = Gateway::start()
        .on("GET /system/info", 200, "{}")
        .on("PUT /system/functions", 400, "validation failed: service: is required\n")
        .on("PUT /system/functions", 202, "");
    let user = User::at(&gateway);
    user.write("stack.yml", "provider: {name: openfaas}\nfunctions:\n  b: {image: b}\n  a: {image: a}\n");
    let ran = user.run(&["deploy"]);
    assert!(
        ran.stdout.starts_with("Deploying: b.\nDeploying: a.\n\nDeployed. 202 Accepted.\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        ran.failed(),
        "Unexpected status: 400, message: validation failed: service: is required\nfunction 'b' failed to deploy with status code: 400\n"
    );
}

#[test]
fn an_image_needs_no_stack_file_and_peers_need_no_packages() {
    let gateway = Gateway::start().on("GET /system/info", 200, "{}").on("PUT /system/functions", 200, "");
    let user = User::at(&gateway);
    let line = [
        "deploy",
        "--image",
        "ghcr.io/x/y:1",
        "--name",
        "y",
        "--fprocess",
        "cat",
        "--memory-limit",
        "1Gi",
        "--constraint",
        "a=b",
    ];
    let out = user.run(&line).ok();
    assert!(
        out.contains("Function y already exists, attempting rolling-update.\n\nDeployed. 200 OK.\n"),
        "{out}"
    );
    assert_eq!(
        gateway.request("PUT /system/functions").json(),
        json!({"service": "y", "image": "ghcr.io/x/y:1", "envProcess": "cat", "labels": {}, "annotations": {},
               "limits": {"memory": "1Gi"}, "constraints": ["a=b"]})
    );
    assert_eq!(
        user.run(&["deploy"]).failed(),
        "to deploy a function give --yaml/-f or a --image and --name flag\n"
    );
}

#[test]
fn replace_removes_first_and_excludes_update() {
    let gateway = Gateway::start()
        .on("GET /system/info", 200, "{}")
        .on("DELETE /system/functions", 404, "")
        .on("POST /system/functions", 202, "");
    let user = User::at(&gateway);
    let line = ["deploy", "--image", "i", "--name", "f", "--replace"];
    assert!(user.run(&line).failed().starts_with("cannot specify --update and --replace at the same time\n"));
    user.run(&[line.as_slice(), &["--update=false"]].concat()).ok();
    assert_eq!(gateway.lines(), ["GET /system/info", "DELETE /system/functions", "POST /system/functions"]);
}

#[test]
fn dockerfile_functions_need_a_provider_of_images() {
    let gateway = Gateway::for_packages();
    let user = User::at(&gateway);
    user.write(
        "stack.yml",
        "provider: {name: openfaas}\nfunctions:\n  f: {lang: dockerfile, handler: ./f, image: f}\n",
    );
    let error = user.run(&["deploy"]).failed();
    assert!(error.starts_with("function f: lang dockerfile makes an image, and images need Kubernetes: faas-local runs packages only\n"), "{error}");
    assert_eq!(gateway.lines(), ["GET /system/info"]);
}

#[test]
fn another_handler_or_language_of_the_same_name_is_another_package() {
    let gateway =
        Gateway::for_packages().on("HEAD /system/packages/", 200, "").on("PUT /system/functions", 202, "");
    let user = User::at(&gateway);
    user.write("f/handler.sh", "cat\n");
    user.write("g/handler.sh", "date\n");
    let deploy = |handler: &str| {
        let stack = format!(
            "provider: {{name: openfaas}}\nfunctions:\n  f: {{lang: bash, handler: {handler}, image: f}}\n"
        );
        user.write("stack.yml", &stack);
        user.run(&["deploy"]).ok();
        gateway.received().pop().unwrap().json()["package"].clone()
    };
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(1);
    for name in ["g", "g/handler.sh"] {
        std::fs::File::open(user.path(name)).unwrap().set_modified(old).unwrap();
    }
    let first = deploy("./f");
    assert_ne!(deploy("./g"), first);
    assert_eq!(deploy("./f"), first);

    user.write("common/x", "");
    user.run(&["build", "--copy-extra", "common"]).ok();
    let with_extra = deploy("./f");
    assert_ne!(with_extra, first, "what build was told holds");
    assert!(!user.run(&["deploy"]).ok().contains("Package: "));
    user.run(&["build"]).ok();
    assert_eq!(deploy("./f"), first);
}

#[test]
fn a_function_that_cannot_be_built_does_not_keep_the_next_from_being_deployed() {
    let gateway =
        Gateway::for_packages().on("HEAD /system/packages/", 200, "").on("PUT /system/functions", 202, "");
    let user = User::at(&gateway);
    user.write("stack.yml", "provider: {name: openfaas}\nfunctions:\n  a: {lang: bash, handler: ./none, image: a}\n  f: {lang: bash, handler: ./f, image: f}\n");
    user.write("f/handler.sh", "cat\n");
    let ran = user.run(&["deploy"]);
    assert!(ran.stdout.contains("Deployed. 202 Accepted.\n"), "{}", ran.stdout);
    assert!(ran.failed().contains("function a: the handler folder \"./none\" was not found\n"));
}

#[test]
fn up_asks_for_each_function_first_and_builds_what_the_provider_takes() {
    let gateway = Gateway::for_packages()
        .on("HEAD /system/packages/", 200, "")
        .on("PUT /system/packages/", 200, "")
        .on("PUT /system/functions", 202, "");
    let user = User::at(&gateway);
    user.write("f/handler.sh", "cat\n");
    user.write("template/bash/Dockerfile", "FROM scratch\n");
    let head = "provider: {name: openfaas}\nfunctions:\n  f: {lang: bash, handler: ./f, image: r/f}\n";
    user.write("stack.yml", &format!("{head}  d: {{lang: dockerfile, handler: ./f, image: d}}\n"));
    let error = user.run(&["up"]).failed();
    assert!(error.starts_with("function d: lang dockerfile makes an image"), "{error}");
    assert!(!user.path("build").exists());
    user.write("stack.yml", head);
    user.run(&["up", "--timeout", "0s"]).ok();
    assert!(user.path("build/f.zip").exists());
    for flag in ["--watch", "--publish"] {
        assert_eq!(user.run(&["up", flag]).failed(), format!("{flag} is not there yet\n"));
    }
}

#[test]
fn the_template_tells_an_image_its_process() {
    let gateway = Gateway::start().on("GET /system/info", 200, "{}").on("PUT /system/functions", 202, "");
    let user = User::at(&gateway);
    user.write("stack.yml", "provider: {name: openfaas}\nfunctions:\n  f: {lang: custom, image: r/f}\n");
    let error = user.run(&["deploy"]).failed();
    assert!(
        error.starts_with("template directory may be missing or invalid: unknown language \"custom\": ")
            && error.contains("hint: put the template into ./template/custom, or "),
        "{error}"
    );
    user.run(&["deploy", "--read-template=false"]).ok();
    user.write("template/custom/template.yml", "fprocess: run it\n");
    user.run(&["deploy"]).ok();
    assert_eq!(gateway.received().pop().unwrap().json()["envProcess"], "run it");
}

#[test]
fn up_builds_pushes_and_deploys() {
    let gateway = Gateway::for_packages()
        .on("HEAD /system/packages/", 404, "")
        .on("HEAD /system/packages/", 200, "")
        .on("PUT /system/packages/", 201, "")
        .on("PUT /system/functions", 202, "");
    let out = user(&gateway).run(&["up"]).ok();
    for part in ["Image: f:1 built.\n", "[0] < Pushing f [f:1] done.\n", "Deployed. 202 Accepted.\n"] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert!(
        gateway.lines().contains(&"PUT /system/packages/DIGEST?image=f%3A1".to_owned()),
        "{:?}",
        gateway.lines()
    );
}

#[test]
fn functions_are_chosen_and_variables_replaced() {
    let gateway = Gateway::start().on("GET /system/info", 200, "{}").on("PUT /system/functions", 202, "");
    let user = User::at(&gateway).with("TAG", "7");
    user.write("stack.yml", "provider: {name: openfaas}\nfunctions:\n  api: {image: 'r/api:${TAG:-1}'}\n  web: {image: 'r/web:${NONE:-1}'}\n");
    let out = user.run(&["deploy", "--filter", "w*"]).ok();
    assert!(out.starts_with("Deploying: web.") && !out.contains("api"), "{out}");
    user.run(&["deploy", "--regex", "^api$"]).ok();
    assert_eq!(gateway.received().pop().unwrap().json()["image"], "r/api:7");
    let error = user.run(&["deploy", "--filter", "none"]).failed();
    assert_eq!(error, "no functions matching --filter/--regex were found in the YAML file\n");
}

#[test]
fn a_stack_file_may_come_from_a_url() {
    let gateway = Gateway::start()
        .on("GET /s.yml", 200, "provider: {name: openfaas}\nfunctions:\n  f: {image: r/f}\n")
        .on("GET /system/info", 200, "{}")
        .on("PUT /system/functions", 202, "");
    let user = User::at(&gateway);
    let url = format!("{}/s.yml", gateway.url);
    let ran = user.run(&["deploy", "-f", &url]);
    assert!(ran.stderr.contains(&format!("Parsed: {url}\n")), "{}", ran.stderr);
    ran.ok();
    assert!(
        user.run(&["deploy", "-f", &format!("{}/none.yml", gateway.url)])
            .failed()
            .starts_with("failed to download ")
    );
}
