//! Boolean flags as Go programs take them: `--verbose`, `--verbose=true`, `--verbose=false`.
//!
//! Scripts written for the peers' client use all three. A flag that is off unless given is rewritten before clap sees
//! it, so that its help stays plain.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::{ArgAction, Command};

/// Rewrites `--flag=true` to `--flag`, and leaves out `--flag=false`, up to a `--`.
pub(crate) fn rewrite(arguments: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let mut flags = BTreeSet::new();
    collect(command, &mut flags);
    let mut ended = false;
    let keep = |argument: OsString| {
        ended |= argument == "--";
        if ended { Some(argument) } else { rewrite_one(argument, &flags) }
    };
    arguments.into_iter().filter_map(keep).collect()
}

fn rewrite_one(argument: OsString, flags: &BTreeSet<String>) -> Option<OsString> {
    let text = argument.to_str().unwrap_or_default();
    let Some((flag, value)) = text.split_once('=').filter(|(flag, _)| flags.contains(*flag)) else {
        return Some(argument);
    };
    match parse_bool(value) {
        Ok(true) => Some(flag.into()),
        Ok(false) => None,
        // Clap says what is wrong with it.
        Err(_) => Some(argument),
    }
}

/// Names of all flags that take no value, as typed.
fn collect(command: &Command, flags: &mut BTreeSet<String>) {
    for argument in
        command.get_arguments().filter(|argument| matches!(argument.get_action(), ArgAction::SetTrue))
    {
        flags.extend(argument.get_long().map(|name| format!("--{name}")));
        flags.extend(argument.get_short().map(|name| format!("-{name}")));
    }
    for subcommand in command.get_subcommands() {
        collect(subcommand, flags);
    }
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
    fn no_flag_is_a_switch_in_one_command_and_takes_a_value_in_another() {
        fn values(command: &Command, out: &mut BTreeSet<String>) {
            let taking = command.get_arguments().filter(|argument| argument.get_action().takes_values());
            for argument in taking {
                out.extend(argument.get_long().map(|name| format!("--{name}")));
            }
            command.get_subcommands().for_each(|subcommand| values(subcommand, out));
        }
        let (mut switches, mut taking) = (BTreeSet::new(), BTreeSet::new());
        collect(&Cli::command(), &mut switches);
        values(&Cli::command(), &mut taking);
        let both: Vec<_> = switches.intersection(&taking).collect();
        assert!(both.is_empty(), "{both:?}");
    }
}
