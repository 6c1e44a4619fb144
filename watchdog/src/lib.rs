//! Process 1 of a function replica: starts handler processes, bridges HTTP to them, and holds their limits.
//!
//! Owns: the handler processes of one replica, from start to last descendant. It does not become: a scheduler, a
//! router between functions, or anything that talks to Kubernetes, a queue or a database.
//!
//! Reading order: `config` (every variable and flag) → `replica` (one life: start, serve, end) → `server` (one
//! connection, one request) → `mode` (what answers a request) → the small ones.
//!
//! Exit codes: 0 drained or as asked; 1 a failed handler, a lost supervisor, a failed health check; 64 bad
//! configuration, said before anything listens.

mod answer;
mod body;
mod config;
mod confine;
mod control;
mod environ;
mod flags;
mod frame;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod inbound;
mod limiter;
mod lock;
mod log;
mod metrics;
mod mode;
mod output;
mod program;
mod replica;
mod server;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use config::Config;
use flags::Command;

pub use config::Process;

/// `EX_USAGE`: the command line or the environment is wrong.
const BAD_CONFIGURATION: u8 = 64;

/// Where arguments and variables come from; [`Process`] outside tests.
pub trait Source {
    /// The arguments after the program's name.
    fn arguments(&self) -> Vec<OsString>;
    /// One variable; text that is not UTF-8 counts as absent.
    fn variable(&self, name: &str) -> Option<String>;
}

/// Does what the command line asks for.
pub fn run(source: &dyn Source) -> ExitCode {
    match flags::parse(source.arguments()) {
        Ok(Command::Run(flags)) => serve(flags, source),
        Ok(Command::Healthcheck) => check_lock(source),
        Ok(Command::Version) => print(&log::version()),
        Ok(Command::Isolation) => print(&confine::describe()),
        Err(problem) => refuse(&[problem]),
    }
}

fn serve(flags: flags::Flags, source: &dyn Source) -> ExitCode {
    log::line(format_args!("{}", log::version()));
    let supervised = flags.supervised;
    match Config::read(flags, source) {
        Ok(config) => replica::run(config),
        Err(problems) => {
            if supervised {
                control::failed(&problems.join("; "));
            }
            refuse(&problems)
        }
    }
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        log::line(format_args!("{problem}"));
    }
    ExitCode::from(BAD_CONFIGURATION)
}

fn check_lock(source: &dyn Source) -> ExitCode {
    if lock::path(source).exists() {
        return ExitCode::SUCCESS;
    }
    log::raw(b"unable to find lock file.\n");
    ExitCode::FAILURE
}

fn print(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
