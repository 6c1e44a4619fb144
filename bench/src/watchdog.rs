//! A watchdog alone, as a container starts it: variables, a TCP port, a pipe that takes its log.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ChildStderr, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use faas_testing::{Http, wait_for};
use tempfile::TempDir;

use crate::args::Args;
use crate::child::{Server, as_handler, free_port};

/// No start takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running watchdog, drained when dropped.
pub(crate) struct Watchdog {
    server: Server,
    pub(crate) url: String,
    /// From its start until it could be connected to.
    pub(crate) listening: Duration,
    _temp: TempDir,
}

impl Watchdog {
    /// Starts it in `folder`, listening; its handler may not be.
    pub(crate) fn listen(args: &Args, variables: &[(&str, &str)], folder: &Path) -> anyhow::Result<Self> {
        let temp = tempfile::tempdir()?;
        let mut command = as_handler(&args.bin_dir.join("faas-watchdog"));
        command.env("TMPDIR", temp.path()).env("port", "0").env("metrics_port", free_port()?.to_string());
        // Nobody asks for its health: it need not be bad for a while before it ends.
        command.env("healthcheck_interval", "0s").envs(variables.iter().copied());
        command.current_dir(folder).stderr(Stdio::piped());
        let started = Instant::now();
        let mut server = Server::start(&mut command)?;
        let port = port(server.stderr().context("standard error is piped")?)?;
        TcpStream::connect(("127.0.0.1", port))?;
        let listening = started.elapsed();
        Ok(Self { server, url: format!("http://127.0.0.1:{port}/"), listening, _temp: temp })
    }

    /// Starts it, and waits until its handler has answered.
    pub(crate) fn start(args: &Args, variables: &[(&str, &str)], folder: &Path) -> anyhow::Result<Self> {
        let mut watchdog = Self::listen(args, variables, folder)?;
        let http = Http::new(watchdog.url.trim_end_matches('/'));
        let answers = wait_for("an answer of the watchdog", || {
            let answered = http.try_send("POST", "/", &[], b"hello").is_ok_and(|answer| answer.status == 200);
            (answered || watchdog.server.has_ended()).then_some(answered)
        });
        if !answers {
            bail!("the watchdog has ended");
        }
        Ok(watchdog)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }
}

/// The port that its log names. What it logs after that is read, as a container's engine does, and thrown away.
fn port(log: ChildStderr) -> anyhow::Result<u16> {
    let (lines, said) = mpsc::channel();
    std::thread::spawn(move || {
        let mut log = BufReader::new(log);
        for line in log.by_ref().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
        let _ = std::io::copy(&mut log, &mut std::io::sink());
    });
    let deadline = Instant::now() + PATIENCE;
    let mut text = String::new();
    while let Ok(line) = said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some((_, port)) = line.split_once("Listening on port: ") {
            return port.trim().parse().with_context(|| format!("no port: {line}"));
        }
        text += &line;
        text.push('\n');
    }
    bail!("the watchdog did not listen: {text}")
}
