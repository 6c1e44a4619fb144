//! What the numbers were measured on.

use std::fs;
use std::path::Path;

/// One line: processors, kernel, load before the start.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processor = processor.map_or("processors of unknown kind", |(_, name)| name);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} × {processor}, Linux {}, load {load} before the start", kernel.trim())
}

/// The size of a file in bytes.
pub(crate) fn size(path: &Path) -> anyhow::Result<u64> {
    use anyhow::Context as _;
    Ok(fs::metadata(path).with_context(|| format!("failed to read {}", path.display()))?.len())
}
