use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Gateway, User, refused};

#[test]
fn login_checks_the_password_and_saves_it() {
    let gateway = Gateway::start().on("GET /system/functions", 200, "[]");
    let user = User::new();
    let out =
        user.run_with(&["login", "-g", &gateway.url, "-u", "admin", "--password-stdin"], b"secret\n").ok();
    assert_eq!(
        out,
        format!(
            "Calling the OpenFaaS server to validate the credentials...\ncredentials saved for admin {}\n",
            gateway.url
        )
    );
    assert_eq!(gateway.request("GET /system/functions").headers["authorization"], "Basic YWRtaW46c2VjcmV0");
    let file = user.home().join(".openfaas/config.yml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    user.run(&["list", "-g", &format!("{}/", gateway.url.to_uppercase().replace("HTTP", "http"))]).ok();
    let last = gateway.received().pop().unwrap();
    assert_eq!(last.headers["authorization"], "Basic YWRtaW46c2VjcmV0");
    assert!(last.headers["user-agent"].starts_with("faas-cli/"));

    assert_eq!(
        user.run(&["logout", "-g", &gateway.url]).ok(),
        format!("credentials removed for {}\n", gateway.url)
    );
    let again = user.run(&["logout", "-g", &gateway.url]).failed();
    assert_eq!(again, format!("no auth config found for {}\n", gateway.url));
}

#[test]
fn a_wrong_password_is_not_saved() {
    let gateway = Gateway::start().on("GET /system/functions", 401, "invalid credentials");
    let user = User::new();
    let error = user.run(&["login", "-g", &gateway.url, "-p", "wrong"]).failed();
    assert!(error.contains("WARNING! Using --password is insecure, consider using: cat ~/faas_pass.txt | faas login -u user --password-stdin"));
    assert!(error.ends_with("unable to login, either username or password is incorrect\n"), "{error}");
    assert!(!user.home().join(".openfaas").exists());
    assert_eq!(user.run(&["logout"]).failed(), "config file not found\n");
}

#[test]
fn a_password_comes_from_one_place() {
    let user = User::new();
    let both = user.run(&["login", "-p", "x", "-s"]).failed();
    assert_eq!(both, "--password and --password-stdin are mutually exclusive\n");
    let none = user.run_with(&["login", "--password-stdin"], b" \n").failed();
    assert_eq!(none, "must provide a non-empty password via --password or --password-stdin\n");
}

#[test]
fn a_gateway_that_is_down_is_named() {
    let user = User::new();
    let url = refused();
    for command in [
        vec!["list"],
        vec!["describe", "f"],
        vec!["logs", "f"],
        vec!["invoke", "f"],
        vec!["secret", "list"],
        vec!["ns", "list"],
    ] {
        let error = user.run(&[command.as_slice(), &["-g", &url]].concat()).failed();
        assert!(
            error.starts_with(&format!("cannot connect to OpenFaaS on URL: {url}\n")),
            "{command:?}: {error}"
        );
    }
    let error = user.run(&["deploy", "--image", "i", "--name", "f", "-g", &url]).failed();
    assert!(error.contains("Is OpenFaaS deployed? Do you need to specify the --gateway flag?"), "{error}");
}

#[test]
fn messages_name_the_command_as_it_was_called() {
    let gateway = Gateway::start().on("GET ", 401, "invalid credentials");
    for name in ["faas", "faas-cli"] {
        let error = User::new().called(name).run(&["list", "-g", &gateway.url]).failed();
        assert_eq!(
            error,
            format!("unauthorized access, run \"{name} login\" to setup authentication for this server\n")
        );
    }
    let error = User::new().run(&["namespace", "list", "-g", &gateway.url]).failed();
    assert!(
        error.starts_with("unauthorized action, please setup authentication for this server\n"),
        "{error}"
    );
}

#[test]
fn requests_are_shown_on_demand_without_the_credential() {
    let gateway = Gateway::start().on("GET /system/functions", 200, "[]");
    let ran = User::at(&gateway).with("FAAS_DEBUG", "1").run(&["list"]);
    assert!(ran.stderr.contains(&format!("GET {}/system/functions\n", gateway.url)), "{}", ran.stderr);
    assert!(ran.stderr.contains("Authorization: [REDACTED]") && !ran.stderr.contains("YWRtaW4"));
}

#[test]
fn ci_keeps_credentials_in_the_working_folder() {
    let gateway = Gateway::start().on("GET /system/functions", 200, "[]");
    let user = User::new().with("CI", "true");
    user.run(&["login", "-g", &gateway.url, "-p", "x"]).ok();
    assert!(user.path(".openfaas/config.yml").exists());
}
