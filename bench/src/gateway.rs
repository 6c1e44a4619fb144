//! A gateway alone, as a process of its own: this program, see `role`.

pub(crate) mod role;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command};

use anyhow::{Context as _, ensure};
use faas_testing::{Http, Nats};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::child::Server;
use crate::process::{Memory, memory};
use crate::routes::{self, Function};

/// Where it listens; the line that it prints.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A running gateway, drained when dropped.
pub(crate) struct Gateway {
    pub(crate) addresses: Addresses,
    // In this order: the end of its input ends it as well.
    server: Server,
    orders: ChildStdin,
    _folder: TempDir,
}

impl Gateway {
    /// Starts one with these functions.
    pub(crate) fn start(functions: &[Function]) -> anyhow::Result<Self> {
        Self::start_with(functions, None)
    }

    /// With this NATS as the queue.
    pub(crate) fn start_with(functions: &[Function], nats: Option<&Nats>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("routes");
        routes::write(&file, functions)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--gateway").arg(&file);
        command.args(nats.into_iter().flat_map(|nats| ["--nats", &nats.url, &nats.monitor]));
        let mut server = Server::start_talking(&mut command)?;
        let (orders, output) = server.talk().context("its input and output are piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let addresses = serde_json::from_str(&line).with_context(|| format!("a gateway said {line:?}"))?;
        Ok(Self { addresses, server, orders, _folder: folder })
    }

    /// The URL of a function.
    pub(crate) fn url(&self, function: &str) -> String {
        format!("http://{}/function/{function}", self.addresses.gateway)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Changes the routes of so many functions a second from now on.
    pub(crate) fn churn(&mut self, per_second: u32) -> anyhow::Result<()> {
        Ok(writeln!(self.orders, "churn {per_second}")?)
    }

    /// What a Prometheus does now and then.
    pub(crate) fn scrape(&self) -> anyhow::Result<String> {
        let answer = Http::new(&format!("http://{}", self.addresses.admin)).get("/metrics");
        ensure!(answer.status == 200, "a scrape: {}", answer.status);
        Ok(answer.text())
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        memory(self.pid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_understood_by_the_other_side() {
        let text = r#"{"gateway":"127.0.0.1:1","admin":"127.0.0.1:2"}"#;
        let addresses: Addresses = serde_json::from_str(text).unwrap();
        assert_eq!(addresses.admin.port(), 2);
        assert_eq!(serde_json::to_string(&addresses).unwrap(), text);
    }
}
