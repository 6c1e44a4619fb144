//! Processes made by hand, one after the other: what no watchdog can beat.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::child::as_handler;
use crate::load::Load;
use crate::runs::{self, Run};
use crate::samples::Samples;

/// As many threads as there would be connections, each starting one `cat` after the other and feeding it `body`.
pub(crate) fn spawn_loop(cat: &Path, body: &[u8], threads: u32, duration: Duration) -> anyhow::Result<Run> {
    runs::watch(&[std::process::id()], || {
        let started = Instant::now();
        let times = std::thread::scope(|scope| {
            let start = || scope.spawn(move || spawn_until(cat, body, started + duration));
            let loops: Vec<_> = (0..threads).map(|_| start()).collect();
            let ended = loops.into_iter().map(|one| one.join().unwrap_or_else(|_| Ok(Vec::new())));
            ended.collect::<anyhow::Result<Vec<_>>>()
        })?;
        let seconds = started.elapsed().as_secs_f64();
        let requests = u32::try_from(times.iter().map(Vec::len).sum::<usize>())?;
        let times: Samples = times.into_iter().flatten().collect();
        Ok(Load { requests, per_second: f64::from(requests) / seconds, p50: times.p50(), p99: times.p99() })
    })
}

fn spawn_until(cat: &Path, body: &[u8], deadline: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut answer = Vec::new();
    loop {
        let begin = Instant::now();
        if begin >= deadline {
            return Ok(times);
        }
        // The standard library takes posix_spawn for this.
        let mut child = as_handler(cat).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("stdin is piped")?.write_all(body)?;
        answer.clear();
        child.stdout.take().context("stdout is piped")?.read_to_end(&mut answer)?;
        ensure!(child.wait()?.success() && answer == body, "cat failed");
        times.push(begin.elapsed());
    }
}

/// `os.fork` in a loop of `python`, at most so many children at a time.
pub(crate) fn fork_loop(python: &Path, at_once: u32, duration: Duration) -> anyhow::Result<Load> {
    let mut command = as_handler(python);
    command.args(["-s", "-c", include_str!("../programs/fork_loop.py")]);
    command.args([at_once.to_string(), duration.as_secs_f64().to_string()]);
    let output = command.stdin(Stdio::null()).output().context("failed to run python's fork loop")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "the fork loop failed: {}", String::from_utf8_lossy(&output.stderr));
    parse(&text).with_context(|| format!("the fork loop printed {text:?}"))
}

/// How many, and three times in seconds: all, median, 99th percentile.
fn parse(text: &str) -> Option<Load> {
    let (count, times) = text.trim_end().split_once(' ')?;
    let times = times.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>().ok()?;
    let [all, p50, p99] = times.try_into().ok()?;
    let requests = count.parse().ok()?;
    let time = |seconds| Duration::try_from_secs_f64(seconds).ok();
    Some(Load { requests, per_second: f64::from(requests) / all, p50: time(p50)?, p99: time(p99)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fork_loops_line_is_understood() {
        let (p50, p99) = (Duration::from_millis(1), Duration::from_millis(2));
        assert_eq!(parse("30 2.0 0.001 0.002\n"), Some(Load { requests: 30, per_second: 15.0, p50, p99 }));
        assert_eq!(parse("30 2.0\n"), None);
    }
}
