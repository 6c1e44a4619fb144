//! What `/proc` says about a process: memory in bytes, processor time.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// `USER_HZ`, which is 100 on every architecture that we build for.
const TICK: Duration = Duration::from_millis(10);
/// In the statistics after the program's name: own user time; system time and both of awaited children follow.
const USER_TIME: usize = 11;

/// Resident memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// Resident, shared pages divided among those who share them.
    pub(crate) proportional: u64,
}

/// Memory now.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    Ok(Memory {
        resident: field(pid, "status", "VmRSS:")?,
        proportional: field(pid, "smaps_rollup", "Pss:")?,
    })
}

/// Lets [`peak`] start anew.
pub(crate) fn reset_peak(pid: u32) -> anyhow::Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("failed to write {path}"))
}

/// The most resident memory since [`reset_peak`], which the kernel keeps: no sample can miss it.
pub(crate) fn peak(pid: u32) -> anyhow::Result<u64> {
    field(pid, "status", "VmHWM:")
}

/// A line such as `VmRSS:   1234 kB`.
fn field(pid: u32, file: &str, name: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.with_context(|| format!("{path} has no {name}"))? * 1024)
}

/// Processor time used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Time {
    /// By the process.
    pub(crate) own: Duration,
    /// By those of its children that have ended.
    pub(crate) children: Duration,
}

impl Time {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            own: self.own.saturating_sub(before.own),
            children: self.children.saturating_sub(before.children),
        }
    }
}

/// Processor time of a process.
pub(crate) fn time(pid: u32) -> anyhow::Result<Time> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    parse_time(&text).with_context(|| format!("{path} is not what was expected"))
}

fn parse_time(stat: &str) -> Option<Time> {
    // The program's name may hold anything, so what comes after its last parenthesis counts.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(USER_TIME).take(4).map(|text| text.parse::<u32>().ok());
    let [user, system, children_user, children_system] =
        ticks.collect::<Option<Vec<_>>>()?.try_into().ok()?;
    Some(Time { own: TICK * (user + system), children: TICK * (children_user + children_system) })
}

/// The children of a process, whichever of its threads started them.
pub(crate) fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&path).with_context(|| format!("failed to read {path}"))?;
    // A thread may end while it is looked at.
    let texts =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids = texts.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    Ok(pids.filter_map(|pid| pid.parse().ok()).collect())
}

/// Millions of bytes.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "1 (a) b (c) S 1 1 1 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5";
        let time = parse_time(stat).unwrap();
        assert_eq!((time.own, time.children), (Duration::from_millis(300), Duration::from_millis(700)));
        assert!(parse_time("1 (a) S 1").is_none());
    }
}
