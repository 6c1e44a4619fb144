//! What of-watchdog's modes with one process per request have in common: `serializing` and `streaming`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use faas_process::Spawner;
use hyper::http::request::Parts;

use super::lines::Lines;
use crate::config::{self, Config};
use crate::environ;
use crate::program::Program;

/// Forks handlers.
#[derive(Debug)]
pub(crate) struct Forking {
    pub(super) settings: config::Forking,
    program: Program,
    pub(super) spawner: Spawner,
    pub(super) exec_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) temp: PathBuf,
}

impl Forking {
    pub(super) fn new(
        config: &Config,
        settings: config::Forking,
        program: Program,
        spawner: Spawner,
    ) -> Self {
        Self {
            settings,
            program,
            spawner,
            exec_timeout: config.exec_timeout,
            read_timeout: config.read_timeout,
            temp: config.temp.clone(),
        }
    }

    /// The handler's command, with the request in its environment.
    pub(super) fn command(&self, head: &Parts) -> Command {
        let mut command = self.program.command();
        if self.settings.cgi_headers {
            command.envs(environ::of_watchdog_variables(head));
        }
        command
    }

    /// How its standard error is logged.
    pub(super) fn errors(&self) -> Lines {
        let (prefixed, longest) = (self.settings.prefix_logs, self.settings.log_line);
        Lines { name: "stderr", to_stdout: false, prefixed, longest }
    }
}
