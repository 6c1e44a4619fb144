//! What is said and refused before anything listens, beyond the rows of the contract.

use crate::harness::{Watchdog, binary, outcome};

#[test]
fn isolation_is_described() {
    let (code, out, _) = outcome(binary().arg("--isolation"));
    assert!(code == Some(0) && (out == "none\n" || out.starts_with("landlock ABI ")), "{out}");
}

#[test]
fn an_unknown_flag_is_refused() {
    let (code, _, log) = outcome(binary().arg("--nonsense").env("fprocess", "cat"));
    assert!(code == Some(64) && log.contains("unknown flag \"--nonsense\""), "{code:?} {log}");
}

#[test]
fn a_quote_that_is_never_closed_is_refused() {
    let (code, _, log) = outcome(binary().env("fprocess", "'cat"));
    assert!(code == Some(1) && log.contains("the ' is never closed") && !log.contains("Listening"), "{log}");
}

#[test]
fn a_command_that_begins_with_a_quote_may_hold_blanks() {
    let watchdog = Watchdog::start(&[("fprocess", "'sh' -c 'printf [%s] \"$@\"' x \"a b\" c")]);
    assert_eq!(watchdog.get("/").text(), "[a b][c]");
}

#[test]
fn an_absent_program_is_named() {
    let (code, _, log) = outcome(binary().env("fprocess", "no-such-program -x"));
    assert!(code == Some(1) && log.contains("fprocess \"no-such-program\" was not found"), "{code:?} {log}");
}
