use crate::harness::User;

#[test]
fn help_is_data_and_a_wrong_flag_is_exit_code_1() {
    let user = User::new();
    insta::assert_snapshot!(user.run(&["--help"]).ok());
    assert_eq!(user.run(&[]).ok(), user.run(&["--help"]).ok());
    let error = user.run(&["list", "--nope"]).failed();
    assert!(error.starts_with("error: unexpected argument '--nope' found"), "{error}");
    user.run(&["no-such-command"]).failed();
}

#[test]
fn completion_is_made_for_the_name_it_was_called_by() {
    for shell in ["bash", "zsh"] {
        let script = User::new().called("faas-cli").run(&["completion", "--shell", shell]).ok();
        assert!(script.contains("faas-cli") && script.contains("deploy"), "{shell}");
    }
}

#[test]
fn an_empty_store_says_so() {
    let ran = User::new().run(&["store", "list"]);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("FUNCTION  AUTHOR  DESCRIPTION\n", "no functions\n")
    );
}
