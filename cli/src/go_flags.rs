//! Boolean flags as Go programs take them: `--verbose`, `--verbose=true`, `--verbose=false`.
//!
//! Scripts written for the peers' client use all three. A flag that is off unless given is rewritten before clap sees
//! it, so that its help stays plain.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// Rewrites `--flag=true` to `--flag`, and leaves out `--flag=false`, up to a `--`.
pub(crate) fn rewrite(arguments: Vec<OsString>, root: &Command) -> Vec<OsString> {
    let (mut command, mut ended) = (root, false);
    let keep = |argument: OsString| {
        ended |= argument == "--";
        if ended {
            return Some(argument);
        }
        command = argument.to_str().and_then(|name| command.find_subcommand(name)).unwrap_or(command);
        rewrite_one(argument, command)
    };
    arguments.into_iter().filter_map(keep).collect()
}

fn rewrite_one(argument: OsString, command: &Command) -> Option<OsString> {
    let text = argument.to_str().unwrap_or_default();
    let Some((flag, value)) = text.split_once('=').filter(|(flag, _)| is_switch(flag, command)) else {
        return Some(argument);
    };
    match parse_bool(value) {
        Ok(true) => Some(flag.into()),
        Ok(false) => None,
        // Clap says what is wrong with it.
        Err(_) => Some(argument),
    }
}

/// Whether this command has such a flag, as typed, that takes no value.
fn is_switch(flag: &str, command: &Command) -> bool {
    let is_it = |argument: &Arg| match flag.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_short().is_some_and(|short| flag == format!("-{short}")),
    };
    let mut switches =
        command.get_arguments().filter(|argument| matches!(argument.get_action(), ArgAction::SetTrue));
    switches.any(is_it)
}

/// The spellings that Go accepts; the parser of flags that are on unless said otherwise.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn booleans_may_be_spelled_out() {
        let line = ["faas", "list", "--verbose=true", "-q=false", "--sort=name", "--", "--quiet=true"];
        let line = line.map(OsString::from).to_vec();
        let expect = ["faas", "list", "--verbose", "--sort=name", "--", "--quiet=true"];
        assert_eq!(rewrite(line, &Cli::command()), expect.map(OsString::from));
    }

    #[test]
    fn one_name_may_be_a_switch_in_one_command_only() {
        for (line, expect) in [
            (["faas", "logs", "f", "--name=true"], ["faas", "logs", "f", "--name"]),
            (["faas", "deploy", "f", "--name=true"], ["faas", "deploy", "f", "--name=true"]),
        ] {
            assert_eq!(
                rewrite(line.map(OsString::from).to_vec(), &Cli::command()),
                expect.map(OsString::from)
            );
        }
    }
}
