use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Stack {
    Stack::parse(text, "stack.yml").unwrap()
}

fn function(settings: &str) -> Function {
    let text = format!("provider: {{name: openfaas}}\nfunctions:\n  f:\n{settings}");
    parse(&text).functions.remove(0)
}

fn message(text: &str) -> String {
    Stack::parse(text, "a.yml").unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_read() {
    let stack = parse(
        "version: 1.0\nprovider:\n  name: openfaas\n  gateway: http://gw:8080\nfunctions:\n  b:\n    lang: python3\n    \
         handler: ./b\n    image: b:latest\n    secrets: [one]\n    limits: {memory: 128Mi, cpu: 1, nvidia.com/gpu: 2}\n    skip_build: yes\n    \
         timeout: 5m\n    isolation: fork\n    surprise: [1, {2: 3}]\n  a:\nconfiguration:\n  copy: [common]\n  templates:\n  \
         - name: go\n    source: https://example.com/x#1.0\n",
    );
    assert_eq!(stack.provider.gateway, "http://gw:8080");
    let names: Vec<_> = stack.functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["b", "a"], "the file's order");
    let b = &stack.functions[0];
    assert_eq!((b.lang.as_str(), b.limits.cpu.as_str(), b.skip_build), ("python3", "1", true));
    assert_eq!(b.limits.gpus().collect::<Vec<_>>(), [("nvidia.com/gpu", "2")]);
    assert_eq!((b.timeout.as_str(), b.isolation), ("5m", Some(Isolation::Fork)));
    assert_eq!(stack.configuration.templates[0].source, "https://example.com/x#1.0");
    assert_eq!(stack.configuration.copy, ["common"]);
}

#[test]
fn scalars_keep_their_exact_text() {
    for text in ["true", "15m", "1", "1.10", "0755", "1e3", "0x1F", "yes", ".5", "+1", "2001-01-01", "a b"] {
        let f = function(&format!("    environment: {{K: {text}}}\n    labels:\n      l: {text}\n"));
        assert_eq!((f.environment["K"].as_str(), f.labels["l"].as_str()), (text, text));
    }
    let f = function("    environment: {A: null, B: ~, C: , D: \"null\", E: '1', F: \"\"}\n");
    let values: Vec<_> = f.environment.values().map(String::as_str).collect();
    assert_eq!(values, ["", "", "", "null", "1", ""]);
    assert_eq!(function("    environment: {1: x, true: y}\n").environment.len(), 2);
    assert!(function("    environment:\n    secrets:\n    lang: ~\n").environment.is_empty());
}

#[test]
fn aliases_and_merge_keys_work() {
    let text = "provider: {name: openfaas}\nx-env: &env {A: 1.10, B: 2}\nx-more: &more {C: 3, A: 9}\nx-base: &base {lang: bash, \
                environment: *env}\nfunctions:\n  f:\n    <<: *base\n    handler: ./f\n  g:\n    <<: [*base]\n    lang: node\n    \
                environment: {<<: [*env, *more], B: x}\n";
    let stack = parse(text);
    let (f, g) = (&stack.functions[0], &stack.functions[1]);
    assert_eq!((f.lang.as_str(), f.handler.as_str(), f.environment["A"].as_str()), ("bash", "./f", "1.10"));
    let values: Vec<_> = g.environment.values().map(String::as_str).collect();
    assert_eq!((g.lang.as_str(), values), ("node", vec!["1.10", "x", "3"]));
}

#[test]
fn faults_name_their_place_and_what_was_expected() {
    let stack = |rest: &str| format!("provider: {{name: openfaas}}\nfunctions:\n  f:\n    {rest}\n");
    for (text, expect) in [
        (
            stack("environment: [a]"),
            "a.yml:4:18: functions.f.environment: invalid type: sequence, expected a mapping of names to text",
        ),
        (stack("lang: {}"), "a.yml:4:11: functions.f.lang: invalid type: map, expected a string"),
        (
            stack("secrets: x"),
            "a.yml:4:14: functions.f.secrets: invalid type: string \"x\", expected a sequence",
        ),
        (
            stack("timeout: soon"),
            "a.yml:4:14: functions.f.timeout: \"soon\" is not a duration: expected a Go duration",
        ),
        (
            stack("skip_build: maybe"),
            "a.yml:4:17: functions.f.skip_build: invalid value: \"maybe\", expected true or false",
        ),
        (
            stack("isolation: vm"),
            "a.yml:4:16: functions.f.isolation: unknown variant `vm`, expected one of `worker`, `fork`, `exec`",
        ),
        (stack("lang: a\n    lang: b"), "a.yml:4:5: functions.f: duplicate field `lang`"),
        (stack("x: 1\n  f: {}"), "a.yml:3:3: functions: function \"f\" stands here twice"),
        (
            "functions: []".to_owned(),
            "a.yml:1:12: functions: invalid type: sequence, expected a mapping of function names",
        ),
        ("a: [1\nb: 2\n".to_owned(), "a.yml:2:2: did not find expected ',' or ']'"),
        ("functions:\n\tf: {}\n".to_owned(), "a.yml:2:1: found character that cannot start any token"),
        ("text".to_owned(), "a.yml:1:1: invalid type: string \"text\", expected a mapping with the keys"),
        (
            String::new(),
            "a.yml: ['openfaas'] is the only valid \"provider.name\" for the OpenFaaS CLI, but you gave: ",
        ),
        (
            "version: 2.0".to_owned(),
            "a.yml: [1.0] are the only valid versions for the stack file - found: 2.0",
        ),
        (
            "version: 1.0".to_owned(),
            "a.yml: ['openfaas'] is the only valid \"provider.name\" for the OpenFaaS CLI, but you gave: ",
        ),
    ] {
        let found = message(&text);
        assert!(found.starts_with(expect), "{text:?}\n  gave   {found}\n  wanted {expect}");
    }
}

#[test]
fn environment_files_are_maps_under_environment() {
    let map = parse_environment_file("environment:\n  A: 1.0\n  B: true\n", "env.yml").unwrap();
    assert_eq!((map["A"].as_str(), map["B"].as_str()), ("1.0", "true"));
    assert!(
        parse_environment_file("environment: 1", "env.yml")
            .unwrap_err()
            .to_string()
            .starts_with("env.yml:1:14: ")
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "(provider:|functions:|  f:|\\n|[ \\-:{}\\[\\]&*!|>'\"%@`#~a-z]|\\PC){0,60}") {
        let _ = Stack::parse(&text, "stack.yml");
    }

    #[test]
    fn plain_words_are_kept_in_environment(word in "[A-Za-z0-9_./+][A-Za-z0-9_./+-]{0,30}") {
        prop_assume!(!["null", "Null", "NULL"].contains(&word.as_str()));
        let f = function(&format!("    environment:\n      K: {word}\n"));
        prop_assert_eq!(f.environment["K"].as_str(), word.as_str());
    }
}
