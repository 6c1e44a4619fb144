//! Every variable and flag, read once. The only place that touches the environment.
//!
//! Where a peer silently falls back on a bad value we fall back too, and say so in `warnings`. What makes starting
//! pointless is collected and returned at once, before anything listens.
//!
//! Two dialects: the classic watchdog's (`mode` unset or `fork`), where only `true` is true and `exec_timeout` is off
//! unless set; and of-watchdog's, where `1` is true as well and `exec_timeout` is 30s.

mod forking;
mod logs;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use faas_api::parse_duration;

pub(crate) use self::forking::Forking;
pub(crate) use self::logs::Logs;
pub(crate) use self::worker::{Isolation, Worker};
use crate::Source;
use crate::flags::Flags;
use crate::lock;
use crate::mode::http::upstream::Upstream;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that decides how this replica runs.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) mode: Mode,
    /// The command, unsplit.
    pub(crate) process: String,
    /// PATH, for finding the command's program.
    pub(crate) search_path: Option<String>,
    pub(crate) listen: Listen,
    /// For the head of a request, and for the next part of its body. Zero: none.
    pub(crate) read_timeout: Duration,
    /// For running requests, once drained.
    pub(crate) write_timeout: Duration,
    /// How long health is bad before the listener closes.
    pub(crate) healthcheck_interval: Duration,
    /// For one invocation. Zero: none.
    pub(crate) exec_timeout: Duration,
    /// Invocations at a time. Zero: any number.
    pub(crate) max_inflight: usize,
    /// The lock file, which health looks for; nobody writes it when `suppress_lock` is set.
    pub(crate) lock: PathBuf,
    pub(crate) suppress_lock: bool,
    /// For large output.
    pub(crate) temp: PathBuf,
    /// Absent when turned off.
    pub(crate) metrics_port: Option<u16>,
    /// How long a supervised start may take.
    pub(crate) ready_timeout: Duration,
    pub(crate) flags: Flags,
    pub(crate) warnings: Vec<String>,
}

/// Where requests come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    Port(u16),
    Socket(PathBuf),
}

/// How requests reach the handler. The Go library's `inproc` and what nobody knows are refused.
#[derive(Debug)]
pub(crate) enum Mode {
    Fork(Fork),
    Http(Http),
    Serializing(Forking),
    Streaming(Forking),
    /// The folder whose files are served; there is no handler.
    Static(PathBuf),
    Worker(Worker),
}

/// One process per request.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one variable of the contract")]
pub(crate) struct Fork {
    pub(crate) write_debug: bool,
    pub(crate) debug_headers: bool,
    pub(crate) cgi_headers: bool,
    pub(crate) marshal_request: bool,
    pub(crate) combine_output: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) logs: Logs,
}

/// One process that serves HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) upstream: Upstream,
    pub(crate) buffer_body: bool,
    pub(crate) logs: Logs,
    pub(crate) ready_path: Option<String>,
}

/// This process's own arguments and environment.
#[derive(Debug)]
pub struct Process;

impl Source for Process {
    fn arguments(&self) -> Vec<OsString> {
        std::env::args_os().skip(1).collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        std::env::var(name).ok()
    }
}

impl Config {
    /// Reads everything, or says everything that is wrong.
    pub(crate) fn read(flags: Flags, source: &dyn Source) -> Result<Self, Vec<String>> {
        let mut read = Reader { source, ones: false, warnings: Vec::new(), problems: Vec::new() };
        let mode = read.mode();
        let process = read.process(mode.as_ref());
        let write_timeout = read.duration("write_timeout", DEFAULT_TIMEOUT);
        let exec_default = if read.ones { DEFAULT_TIMEOUT } else { Duration::ZERO };
        let port = read.port("port", 8080);
        let config = Self {
            process,
            search_path: read.text("PATH"),
            listen: flags.socket.clone().map_or(Listen::Port(port), Listen::Socket),
            read_timeout: read.duration("read_timeout", DEFAULT_TIMEOUT),
            write_timeout,
            healthcheck_interval: read.duration("healthcheck_interval", write_timeout),
            exec_timeout: read.duration("exec_timeout", exec_default),
            max_inflight: read.number("max_inflight", 0),
            lock: lock::path(source),
            suppress_lock: read.switch("suppress_lock", false),
            temp: lock::temp_folder(source),
            // Under a supervisor there are many of us on one machine.
            metrics_port: Some(read.port("metrics_port", if flags.supervised { 0 } else { 8081 }))
                .filter(|&port| port != 0),
            ready_timeout: read.duration("ready_timeout", DEFAULT_TIMEOUT),
            mode: read.checked(mode, write_timeout)?,
            flags,
            warnings: read.warnings,
        };
        Ok(config)
    }
}

/// Reads variables, and gathers what is to be said about them.
struct Reader<'a> {
    source: &'a dyn Source,
    /// of-watchdog's dialect: `1` is true, too.
    ones: bool,
    warnings: Vec<String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn mode(&mut self) -> Option<Mode> {
        match self.text("mode").as_deref() {
            None | Some("fork") => Some(Mode::Fork(self.fork())),
            Some("http") => {
                self.ones = true;
                self.http().map(Mode::Http)
            }
            Some("serializing") => self.forking().map(Mode::Serializing),
            Some("streaming") => self.forking().map(Mode::Streaming),
            Some("static") => Some(Mode::Static(self.static_path())),
            Some("worker") => {
                self.ones = true;
                self.worker().map(Mode::Worker)
            }
            Some(other) => {
                self.problems.push(format!("unknown watchdog mode: {other}"));
                None
            }
        }
    }

    fn fork(&mut self) -> Fork {
        Fork {
            write_debug: self.switch("write_debug", false),
            debug_headers: self.switch("debug_headers", false),
            cgi_headers: self.switch("cgi_headers", true),
            marshal_request: self.switch("marshal_request", false),
            combine_output: self.switch("combine_output", true),
            content_type: self.text("content_type"),
            logs: self.logs(),
        }
    }

    fn http(&mut self) -> Option<Http> {
        let buffer_body = self.either("http_buffer_req_body", "buffer_http");
        let logs = self.logs();
        Some(Http { upstream: self.upstream()?, buffer_body, logs, ready_path: self.text("ready_path") })
    }

    fn either(&self, one: &str, other: &str) -> bool {
        self.switch(one, false) || self.switch(other, false)
    }

    fn upstream(&mut self) -> Option<Upstream> {
        let Some(url) = self.text("http_upstream_url").or_else(|| self.text("upstream_url")) else {
            let message =
                "for mode=http provide an \"upstream_url\" or \"http_upstream_url\" environmental variable";
            self.problems.push(message.to_owned());
            return None;
        };
        url.parse().map_err(|error| self.problems.push(format!("upstream_url {url:?}: {error}"))).ok()
    }

    fn process(&mut self, mode: Option<&Mode>) -> String {
        let (process, missing) = match mode {
            Some(Mode::Static(_)) => return String::new(),
            Some(Mode::Http(_) | Mode::Serializing(_) | Mode::Streaming(_) | Mode::Worker(_)) => (
                self.text("function_process").or_else(|| self.text("fprocess")),
                "provide a \"function_process\" or \"fprocess\" environmental variable for your function",
            ),
            _ => (self.text("fprocess"), "Provide a valid process via fprocess environmental variable."),
        };
        if process.is_none() && mode.is_some() {
            self.problems.push(missing.to_owned());
        }
        process.unwrap_or_default()
    }

    /// The checks that span variables; then the mode, or all problems.
    fn checked(&mut self, mode: Option<Mode>, write_timeout: Duration) -> Result<Mode, Vec<String>> {
        if self.ones && write_timeout.is_zero() {
            let mode = self.text("mode").unwrap_or_default();
            self.problems.push(format!("write_timeout must be over zero in mode={mode}"));
        }
        for name in ["jwt_auth", "jwt_auth_local"] {
            if matches!(self.text(name).as_deref(), Some("true" | "1")) {
                self.problems.push(format!("{name} is not supported by this watchdog: unset it"));
            }
        }
        match mode {
            Some(mode) if self.problems.is_empty() => Ok(mode),
            _ => Err(std::mem::take(&mut self.problems)),
        }
    }

    /// Empty counts as unset, as the peers have it.
    fn text(&self, name: &str) -> Option<String> {
        self.source.variable(name).filter(|value| !value.is_empty())
    }

    fn switch(&self, name: &str, default: bool) -> bool {
        self.text(name).map_or(default, |value| value == "true" || (self.ones && value == "1"))
    }

    fn duration(&mut self, name: &str, default: Duration) -> Duration {
        let Some(text) = self.text(name) else { return default };
        parse_duration(&text).unwrap_or_else(|error| {
            let default = faas_api::format_duration(default);
            self.warnings.push(format!("{name}: {error}; using {default}"));
            parse_duration(&default).unwrap_or_default()
        })
    }

    fn number(&mut self, name: &str, default: usize) -> usize {
        let Some(text) = self.text(name) else { return default };
        text.parse().unwrap_or_else(|_| {
            self.warnings.push(format!("{name}: {text:?} is not a number; using {default}"));
            default
        })
    }

    fn port(&mut self, name: &str, default: u16) -> u16 {
        let Some(text) = self.text(name) else { return default };
        text.parse().unwrap_or_else(|_| {
            self.problems.push(format!("{name}: {text:?} is not a port number"));
            default
        })
    }
}

#[cfg(test)]
mod tests;
