//! Load from wrk, on one thread.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// What wrk did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u32,
    pub(crate) per_second: f64,
}

/// A way to send load.
#[derive(Debug, Clone)]
pub(crate) struct Wrk {
    pub(crate) program: PathBuf,
    pub(crate) connections: u32,
    pub(crate) duration: Duration,
    /// Lua; none sends `GET`.
    pub(crate) script: Option<PathBuf>,
}

impl Wrk {
    /// Loads `url`; an answer other than a success is an error.
    pub(crate) fn run(&self, url: &str) -> anyhow::Result<Load> {
        let mut command = Command::new(&self.program);
        command.arg("-t1").arg(format!("-c{}", self.connections));
        command.arg(format!("-d{}s", self.duration.as_secs().max(1))).args(["--timeout", "10s"]);
        if let Some(script) = self.script.as_deref() {
            command.args([Path::new("-s"), script]);
        }
        let output = command.arg(url).output().context("failed to run wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        let bad = ["Non-2xx or 3xx responses", "Socket errors"];
        ensure!(!bad.iter().any(|word| text.contains(word)), "wrk met errors at {url}: {text}");
        parse(&text).with_context(|| format!("wrk printed {text:?}"))
    }
}

fn parse(text: &str) -> Option<Load> {
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "))?.0.parse().ok()?;
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?;
    Some(Load { requests, per_second: rate.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrks_words_are_understood() {
        let text = "Running 1s test @ http://x/\n  1 threads and 2 connections\n  \
                    29058 requests in 1.10s, 3.63MB read\nRequests/sec:  26422.77\nTransfer/sec:      3.30MB\n";
        assert_eq!(parse(text), Some(Load { requests: 29_058, per_second: 26_422.77 }));
        assert_eq!(parse("unable to connect"), None);
    }
}
