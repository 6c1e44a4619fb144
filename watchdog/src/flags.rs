//! The command line: OpenFaaS's two flags, and ours for running under `faas serve`.

use std::ffi::OsString;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Run(Flags),
    /// `-run-healthcheck`: is the lock file there?
    Healthcheck,
    Version,
    /// Print what confinement this kernel offers.
    Isolation,
}

/// How to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Standard input is the supervisor's end of a socket pair: readiness goes out, its end ends us.
    pub(crate) supervised: bool,
    /// Listen here instead of on a TCP port.
    pub(crate) socket: Option<PathBuf>,
    /// Working directory of watchdog and handlers.
    pub(crate) directory: Option<PathBuf>,
    /// A `cgroup.procs` file to enter.
    pub(crate) cgroup: Option<PathBuf>,
    /// `RLIMIT_DATA`, in bytes.
    pub(crate) data_limit: Option<u64>,
    /// What handlers may read and execute. With `write` both empty, handlers are not confined.
    pub(crate) read: Vec<PathBuf>,
    /// What handlers may do anything to.
    pub(crate) write: Vec<PathBuf>,
}

/// Reads the arguments. The error is the whole message.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Command, String> {
    let mut flags = Flags::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_string_lossy().as_ref() {
            "-run-healthcheck" | "--run-healthcheck" => return Ok(Command::Healthcheck),
            "-version" | "--version" | "-v" => return Ok(Command::Version),
            "--isolation" => return Ok(Command::Isolation),
            "--supervised" => flags.supervised = true,
            name => flags.set(name, arguments.next())?,
        }
    }
    Ok(Command::Run(flags))
}

impl Flags {
    fn set(&mut self, name: &str, value: Option<OsString>) -> Result<(), String> {
        let path = || value.clone().map(PathBuf::from).ok_or_else(|| format!("{name} needs a path"));
        match name {
            "--socket" => self.socket = Some(path()?),
            "--directory" => self.directory = Some(path()?),
            "--cgroup" => self.cgroup = Some(path()?),
            "--read" => self.read.push(path()?),
            "--write" => self.write.push(path()?),
            "--data-limit" => self.data_limit = Some(parse_bytes(value)?),
            _ => return Err(format!("unknown flag {name:?}")),
        }
        Ok(())
    }
}

fn parse_bytes(value: Option<OsString>) -> Result<u64, String> {
    let text = value.unwrap_or_default();
    let text = text.to_string_lossy();
    text.parse().map_err(|_| format!("--data-limit needs a number of bytes, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn commands_are_told_apart() {
        for (line, expect) in [
            ("", Command::Run(Flags::default())),
            ("-run-healthcheck", Command::Healthcheck),
            ("--run-healthcheck", Command::Healthcheck),
            ("-version", Command::Version),
            ("-v", Command::Version),
            ("--isolation", Command::Isolation),
        ] {
            assert_eq!(parse_text(line), Ok(expect), "{line:?}");
        }
    }

    #[test]
    fn every_flag_of_a_supervised_run_is_read() {
        let line = "--supervised --socket /s --directory /d --cgroup /c --data-limit 7 --read /a --read /b --write /w";
        let expect = Flags {
            supervised: true,
            socket: Some("/s".into()),
            directory: Some("/d".into()),
            cgroup: Some("/c".into()),
            data_limit: Some(7),
            read: vec!["/a".into(), "/b".into()],
            write: vec!["/w".into()],
        };
        assert_eq!(parse_text(line), Ok(Command::Run(expect)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, message) in [
            ("--sock /s", "unknown flag \"--sock\""),
            ("--socket", "--socket needs a path"),
            ("--data-limit 1M", "--data-limit needs a number of bytes, not \"1M\""),
            ("--data-limit", "--data-limit needs a number of bytes, not \"\""),
        ] {
            assert_eq!(parse_text(line), Err(message.to_owned()), "{line:?}");
        }
    }
}
