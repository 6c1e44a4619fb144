use crate::harness::{Gateway, User};

#[test]
fn create_sends_the_value_and_fails_when_it_is_there() {
    let gateway = Gateway::start()
        .on("POST /system/secrets", 202, "")
        .on("POST /system/secrets", 409, "")
        .on("PUT /system/secrets", 202, "")
        .on("PUT /system/secrets", 404, "");
    let user = User::at(&gateway);
    let out = user.run(&["secret", "create", "api-key", "--from-literal", " v "]).ok();
    assert_eq!(out, "Creating secret: api-key.\nCreated: 202 Accepted\n");
    assert_eq!(gateway.received()[0].json(), serde_json::json!({"name": "api-key", "value": "v"}));

    let error = user.run_with(&["secret", "create", "api-key", "--trim=false"], b"v\n").failed();
    assert!(error.starts_with("secret with the name \"api-key\" already exists\n"), "{error}");
    assert_eq!(gateway.received()[1].json()["value"], "v\n");

    user.write("value", "line\n");
    let out =
        user.run(&["secret", "create", "api-key", "--from-file", "value", "--replace", "-n", "dev"]).ok();
    assert_eq!(out, "Creating secret: api-key.dev\nUpdating secret: api-key\nUpdated: 202 Accepted\n");
    assert_eq!(
        gateway.received()[3].json(),
        serde_json::json!({"name": "api-key", "namespace": "dev", "value": "line", "rawValue": "bGluZQo="})
    );
    let error = user.run(&["secret", "update", "api-key", "--from-literal", "x"]).failed();
    assert_eq!(error, "unable to find secret: api-key\n");
}

#[test]
fn values_and_names_are_checked_before_anything_is_sent() {
    let gateway = Gateway::start();
    let user = User::at(&gateway);
    assert!(user.run(&["secret", "create", "a"]).failed().starts_with("must provide a non-empty value"));
    assert!(
        user.run(&["secret", "create", "A_b", "--from-literal", "x"])
            .failed()
            .starts_with("invalid secret name")
    );
    assert!(gateway.received().is_empty());
}

#[test]
fn list_and_remove() {
    let gateway = Gateway::start()
        .on("GET /system/secrets", 200, r#"[{"name":"b"},{"name":"a","namespace":"x"}]"#)
        .on("GET /system/secrets", 200, "[]")
        .on("DELETE /system/secrets", 202, "")
        .on("DELETE /system/secrets", 404, "");
    let user = User::at(&gateway);
    assert_eq!(user.run(&["secret", "ls"]).ok(), "NAME\na\nb\n");
    assert_eq!(user.run(&["secret", "list"]).ok(), "No secrets found.\n");
    assert_eq!(user.run(&["secret", "rm", "a"]).ok(), "Removed.. OK.\n");
    assert_eq!(user.run(&["secret", "remove", "a"]).failed(), "unable to find secret: a\n");
}

#[test]
fn apply_makes_every_file_a_secret() {
    let gateway = Gateway::start()
        .on("GET /system/secrets", 200, r#"[{"name":"old"}]"#)
        .on("DELETE /system/secrets", 202, "")
        .on("POST /system/secrets", 202, "");
    let user = User::at(&gateway);
    assert_eq!(user.run(&["secret", "apply"]).ok(), "No secrets found in .secrets directory\n");
    for (name, value) in [("old", "1"), ("fresh", "2"), ("none", " ")] {
        user.write(&format!(".secrets/{name}"), value);
    }
    let out = user.run(&["secret", "apply"]).ok();
    assert!(out.contains("Skipping empty secret: none\n"), "{out}");
    assert!(out.contains("Secret old exists, deleting before recreating...\n"), "{out}");
    let lines = gateway.lines();
    assert_eq!(
        lines,
        ["GET /system/secrets", "POST /system/secrets", "DELETE /system/secrets", "POST /system/secrets"]
    );
}

#[test]
fn generated_values_are_random() {
    let user = User::new();
    let (one, two) = (user.run(&["secret", "generate"]).ok(), user.run(&["secret", "gen"]).ok());
    assert_eq!(one.trim().len(), 44, "32 bytes in base64");
    assert_ne!(one, two);
    user.run(&["secret", "generate", "-o", "key", "--length", "3"]).ok();
    assert_eq!(user.read("key").len(), 4);
}
