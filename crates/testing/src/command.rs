//! The command line as a user runs it: in a folder, with a home of its own and nothing else in its environment.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::platform::binary;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; -1 for a signal.
    pub code: i32,
}

impl Output {
    /// Panics unless the command succeeded; returns its standard output.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Panics unless the command failed with code 1; returns its standard error.
    #[track_caller]
    pub fn failure(self) -> String {
        assert_eq!(self.code, 1, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }
}

/// Runs `faas`.
#[derive(Debug, Clone)]
pub struct Faas {
    /// The working folder, also the home.
    pub folder: PathBuf,
    variables: Vec<(String, String)>,
}

impl Faas {
    /// With `folder` as working folder and home.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), variables: Vec::new() }
    }

    /// Sets a variable for every command.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command with this environment, not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("faas"));
        command.args(arguments).current_dir(&self.folder).env_clear();
        command.env("HOME", &self.folder).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    /// Runs a command to its end with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("faas starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A command that reads nothing closes it.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().expect("faas ends");
        Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }
}
