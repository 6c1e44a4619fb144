//! `new`, `build`, `push`.

use crate::harness::{Gateway, User};

#[test]
fn new_makes_a_folder_and_a_stack_file_and_overwrites_neither() {
    let user = User::new();
    let out = user.run(&["new", "--lang", "python", "hello-python"]).ok();
    assert!(out.starts_with("Folder: hello-python created.\n"), "{out}");
    assert!(
        out.contains("Function created in folder: hello-python\nStack file written: hello-python.yml\n"),
        "{out}"
    );
    assert!(user.read("hello-python/handler.py").contains("def handle(req)"));
    user.read("hello-python/requirements.txt");
    assert_eq!(
        user.read("hello-python.yml"),
        "version: 1.0\nprovider:\n  name: openfaas\n  gateway: http://127.0.0.1:8080\nfunctions:\n  hello-python:\n    \
         lang: python3\n    handler: ./hello-python\n    image: hello-python:latest\n"
    );
    assert_eq!(user.read(".gitignore"), "template\nbuild\n.secrets\n");

    let error = user.run(&["new", "--lang", "python", "hello-python"]).failed();
    assert_eq!(
        error,
        "file: hello-python.yml already exists. Try \"faas new --append hello-python.yml\" instead\n"
    );
    std::fs::remove_file(user.path("hello-python.yml")).unwrap();
    let error = user.run(&["new", "--lang", "python", "hello-python"]).failed();
    assert_eq!(error, "folder: hello-python already exists\n");
    assert!(!user.path("hello-python.yml").exists());
}

#[test]
fn new_can_append_and_takes_prefix_gateway_and_limits() {
    let user = User::new().with("OPENFAAS_PREFIX", "ghcr.io/me");
    user.run(&[
        "new",
        "a",
        "--lang",
        "bash",
        "-g",
        "http://gw:1",
        "--memory-limit",
        "64Mi",
        "--cpu-request",
        "100m",
    ])
    .ok();
    user.run(&["new", "b", "--lang", "node", "--append", "a.yml", "--handler", "src/b", "-p", "r"]).ok();
    let stack = user.read("a.yml");
    assert!(
        stack.contains("gateway: http://gw:1\n") && stack.contains("image: ghcr.io/me/a:latest\n"),
        "{stack}"
    );
    assert!(stack.contains("    limits:\n      memory: 64Mi\n    requests:\n      cpu: 100m\n"), "{stack}");
    assert!(
        stack.ends_with("  b:\n    lang: node\n    handler: ./src/b\n    image: r/b:latest\n"),
        "{stack}"
    );
    user.read("src/b/handler.js");
    assert!(!user.path("b.yml").exists());
}

#[test]
fn new_refuses_limits_that_are_none_before_it_makes_anything() {
    let user = User::new();
    let error = user.run(&["new", "a", "--lang", "bash", "--memory-limit", "lots"]).failed();
    assert!(error.starts_with("--memory-limit: \"lots\" is not a quantity"), "{error}");
    assert!(!user.path("a").exists() && !user.path("a.yml").exists());
    user.run(&["new", "a", "--lang", "bash", "--handler", "my folder: a #1"]).ok();
    user.run(&["build", "-f", "a.yml"]).ok();
}

#[test]
fn extra_paths_stay_inside_the_build_folder() {
    let user = User::new();
    user.write(
        "stack.yml",
        "provider: {name: openfaas}\nfunctions:\n  f: {lang: bash, handler: ./f, image: f}\n",
    );
    user.write("f/handler.sh", "cat\n");
    user.write("common/one.txt", "one");
    let absolute = user.path("common");
    user.run(&["build", "--copy-extra", absolute.to_str().unwrap()]).ok();
    assert_eq!(
        (user.read("common/one.txt"), user.read("build/f/common/one.txt")),
        ("one".into(), "one".into())
    );
    let above = format!("../work/{}", "common/one.txt");
    user.run(&["build", "--copy-extra", &above]).ok();
    assert_eq!(user.read("build/f/common/one.txt"), "one");
    assert!(!user.path("build/work").exists());
    user.write("../other/x", "");
    for outside in ["../other", "/etc/hostname", "build"] {
        let error = user.run(&["build", "--copy-extra", outside]).failed();
        assert!(error.contains("forbidden path appears to be outside"), "{outside}: {error}");
    }
    std::os::unix::fs::symlink("/etc/hostname", user.path("f/link")).unwrap();
    let error = user.run(&["build", "--copy-extra", "common"]).failed();
    assert!(error.contains("is a link to /etc/hostname, outside"), "{error}");
    std::fs::remove_file(user.path("f/link")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", user.path("common/link")).unwrap();
    let error = user.run(&["build", "--copy-extra", "common"]).failed();
    assert!(error.contains("common/link is a link to something outside"), "{error}");
}

#[test]
fn nothing_is_looked_for_where_nothing_is_to_be_installed() {
    let user = User::new().with("PATH", "/nowhere");
    user.run(&["new", "--lang", "node", "n"]).ok();
    user.run(&["build", "-f", "n.yml"]).ok();
    user.run(&["new", "--lang", "python3", "p"]).ok();
    user.write("p/requirements.txt", "# none\n");
    user.run(&["build", "-f", "p.yml", "--disable-stack-pull", "--overwrite", "--debug"]).ok();
}

#[test]
fn a_stack_file_without_functions_says_so() {
    let user = User::new();
    user.write("s.yml", "provider: {name: openfaas}\nfunctions: {}\n");
    assert_eq!(user.run(&["build", "-f", "s.yml"]).failed(), "s.yml: there are no functions\n");
    assert_eq!(user.run(&["remove", "-f", "s.yml"]).failed(), "there are no functions in the YAML file\n");
}

#[test]
fn new_lists_its_languages() {
    let user = User::new();
    let list = "Languages available as templates:\n- bash\n- dockerfile\n- node\n- python3\n- python3-http\n";
    assert_eq!(user.run(&["new", "--list"]).ok(), list);
    let error = user.run(&["new", "--lang", "cobol", "x"]).failed();
    assert_eq!(
        error,
        "unknown language \"cobol\": the languages are bash, dockerfile, node, python3, python3-http\n"
    );
    assert_eq!(
        user.run(&["new", "--lang", "bash", "Bad_Name"]).failed(),
        "function name can only contain a-z, 0-9 and dashes\n"
    );
    user.write("template/cobol/template.yml", "language: cobol\nwelcome_message: Hello there\n");
    user.write("template/cobol/function/handler.cob", "x");
    assert!(user.run(&["new", "--lang", "cobol", "x"]).ok().contains("Notes:\nHello there\n"));
    assert!(user.run(&["template", "list"]).ok().contains("cobol         ./template/cobol\n"));
}

#[test]
fn the_same_handler_gives_the_same_package() {
    let build = || {
        let user = User::new();
        user.run(&["new", "--lang", "bash", "f"]).ok();
        let out = user.run(&["build", "-f", "f.yml"]).ok();
        for line in [
            "[0] > Building f.\n",
            "Building: f:latest with bash template. Please wait..\n",
            "Image: f:latest built.\n",
            "[0] Worker done.\n",
            "Total build time: ",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
        assert!(user.path("build/f.zip").exists());
        out.lines().find_map(|line| line.strip_prefix("Package: sha256:")).unwrap().to_owned()
    };
    assert_eq!(build(), build());
}

#[test]
fn a_build_that_cannot_be_says_why() {
    let user = User::new();
    user.write(
        "stack.yml",
        "provider: {name: openfaas}\nfunctions:\n  f: {lang: python3, handler: ./nowhere, image: f}\n",
    );
    let error = user.run(&["build"]).failed();
    assert!(error.starts_with("function f: the handler folder \"./nowhere\" was not found\n"), "{error}");
    user.write(
        "stack.yml",
        "provider: {name: openfaas}\nfunctions:\n  f: {lang: dockerfile, handler: ./f, image: f}\n",
    );
    user.write("f/Dockerfile", "FROM scratch\n");
    let error = user.with("PATH", "/nowhere").run(&["build"]).failed();
    assert!(
        error.starts_with("cannot build an image: neither docker nor buildah was found in PATH\n"),
        "{error}"
    );
}

#[test]
fn malformed_yaml_names_file_line_and_column() {
    let user = User::new();
    user.write("bad.yml", "provider:\n  name: openfaas\nfunctions:\n  f:\n    secrets: [x\n    lang: y\n");
    for command in ["build", "deploy", "remove", "list"] {
        let error = user.run(&[command, "-f", "bad.yml"]).failed();
        assert!(error.starts_with("bad.yml:6:9: did not find expected ',' or ']'"), "{error}");
    }
    user.write("bad.yml", "functions:\n  f:\n    image: ${IMAGE\n");
    let error = user.run(&["list", "-f", "bad.yml"]).failed();
    assert_eq!(error, "bad.yml:3:12: expected \"}\" to end the \"${\" that begins here\n");
    let error = user.run(&["list", "-f", "none.yml"]).failed();
    assert!(error.starts_with("failed to read none.yml: No such file"), "{error}");
}

#[test]
fn push_uploads_packages_under_their_tag() {
    let gateway = Gateway::for_packages().on("PUT /system/packages/", 201, "");
    let user = User::at(&gateway);
    user.run(&["new", "--lang", "bash", "f"]).ok();
    let out = user.run(&["push", "-f", "f.yml", "-n", "dev"]).ok();
    assert_eq!(out, "[0] > Pushing f [f:latest]\n[0] < Pushing f [f:latest] done.\n[0] Worker done.\n");
    let query = "?image=f%3Alatest&namespace=dev";
    let put = format!("PUT /system/packages/DIGEST{query}");
    assert_eq!(gateway.lines(), ["GET /system/info", "HEAD /system/packages/DIGEST", put.as_str()]);
    let sent = gateway.received().pop().unwrap();
    assert_eq!(sent.body, std::fs::read(user.path("build/f.zip")).unwrap());
}

#[test]
fn push_of_a_known_package_sends_only_the_tag() {
    let gateway =
        Gateway::for_packages().on("HEAD /system/packages/", 200, "").on("PUT /system/packages/", 200, "");
    let user = User::at(&gateway);
    user.run(&["new", "--lang", "bash", "f"]).ok();
    user.run(&["push", "-f", "f.yml"]).ok();
    let sent = gateway.received().pop().unwrap();
    assert_eq!(
        (sent.method.as_str(), sent.body.len(), sent.headers["content-length"].as_str()),
        ("PUT", 0, "0")
    );
}

#[test]
fn push_of_an_image_without_a_registry_is_refused() {
    let user = User::new();
    user.write(
        "stack.yml",
        "provider: {name: openfaas}\nfunctions:\n  f: {lang: dockerfile, handler: ./f, image: f}\n",
    );
    let error = user.run(&["push"]).failed();
    assert!(
        error.starts_with("Unable to push one or more of your functions to Docker Hub:\n- f:latest\n"),
        "{error}"
    );
}
