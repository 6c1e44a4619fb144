//! The executables as they lie in the folder.

use crate::args::Args;
use crate::machine::size;
use crate::process::megabytes;
use crate::report::{Report, Row};

const BOUNDS: [(&str, u64); 2] = [("faas", 25_000_000), ("faas-watchdog", 4_000_000)];

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    for (name, most) in BOUNDS {
        let size = size(&args.bin_dir.join(name))?;
        report.add(&Row::new(name, megabytes(size)).gate(format!("≤ {}", megabytes(most)), size <= most));
    }
    Ok(())
}
