//! Load from wrk, on one thread.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::child::find;

/// What wrk did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u32,
    pub(crate) per_second: f64,
    /// From a request's first byte to its answer's last, the median.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
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
    /// `GET` from so many connections, if wrk is installed.
    pub(crate) fn find(connections: u32, duration: Duration) -> Option<Self> {
        Some(Self { program: find("wrk")?, connections, duration, script: None })
    }

    /// Loads `url`; an answer other than a success is an error.
    pub(crate) fn run(&self, url: &str) -> anyhow::Result<Load> {
        let mut command = Command::new(&self.program);
        command.args(["-t1", "--latency"]).arg(format!("-c{}", self.connections));
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
    let time_after = |name: &str, line: &str| parse_time(line.trim().strip_prefix(name)?.trim_start());
    let percentile = |name| text.lines().find_map(|line| time_after(name, line));
    let per_second = rate.trim().parse().ok()?;
    Some(Load { requests, per_second, p50: percentile("50%")?, p99: percentile("99%")? })
}

/// `532.00us`, `5.31ms`, `1.02s`, `1.50m`.
fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|letter: char| letter.is_ascii_alphabetic())?);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrks_words_are_understood() {
        let text = "Running 1s test @ http://x/\n  1 threads and 2 connections\n  \
                    Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                    Latency   305.12us  412.10us   9.35ms   96.50%\n  Latency Distribution\n     \
                    50%  226.00us\n     75%  300.00us\n     90%  412.00us\n     99%    1.51s \n  \
                    29058 requests in 1.10s, 3.63MB read\nRequests/sec:  26422.77\nTransfer/sec:      3.30MB\n";
        let (p50, p99) = (Duration::from_micros(226), Duration::from_millis(1510));
        assert_eq!(parse(text), Some(Load { requests: 29_058, per_second: 26_422.77, p50, p99 }));
        assert_eq!(parse("unable to connect"), None);
    }

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("532.00us", Some(Duration::from_micros(532))),
            ("5.31ms", Some(Duration::from_micros(5310))),
            ("1.50s", Some(Duration::from_millis(1500))),
            ("1.50m", Some(Duration::from_secs(90))),
            ("1.50", None),
            ("1.50x", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }
}
