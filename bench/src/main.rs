//! Measures what `SPECIFICATION.md` states, each number beside its reference in the same run, and exits 1 when a bound
//! is missed. See `faas-bench --help`.
//!
//! Reading order: `measures` (what is measured, one file each) → `report` (the table) → `world` (the platform under
//! measurement), `watchdog` and `gateway` (parts of it alone) and `runs` (competitors under load) → the small ones:
//! `samples`, `process`, `child`, `function`, `routes`, the clients `load`, `paced` and `clients`, and the references
//! `bare`, `nginx` and `packages`. `handler` is this program as the HTTP function that the load goes to, `gateway::role` as
//! a gateway; what others are made of is in `programs/`.
//!
//! It uses loopback only, temporary folders, bounded counts and times, and ends only what it started.

mod args;
mod bare;
mod child;
mod clients;
mod descriptors;
mod function;
mod gateway;
mod handler;
mod history;
mod load;
mod machine;
mod measures;
mod nginx;
mod paced;
mod packages;
mod process;
mod report;
mod routes;
mod runs;
mod samples;
mod watchdog;
mod world;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;

use args::Args;

/// Tells the fixture where the executables are.
const BIN_DIR_VARIABLE: &str = "FAAS_TEST_BIN_DIR";

/// As in `faas`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(socket) = &args.http_handler {
        handler::run(socket, Duration::from_millis(args.delay))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(routes) = &args.gateway {
        gateway::role::run(routes, args.nats.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let bin_dir =
        args.bin_dir.canonicalize().with_context(|| format!("no folder {}", args.bin_dir.display()))?;
    if !knows_bin_dir(&bin_dir) {
        return Err(restart_in(&bin_dir));
    }
    if args.train {
        measures::training::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    measures::run(&Args { bin_dir, ..args })
}

#[expect(clippy::disallowed_methods, reason = "the fixture's variable, checked once at the start")]
fn knows_bin_dir(bin_dir: &Path) -> bool {
    std::env::var_os(BIN_DIR_VARIABLE).as_deref() == Some(OsStr::new(bin_dir))
}

/// The fixture reads a variable, and a running process cannot change its own safely: this one starts over with it.
fn restart_in(bin_dir: &Path) -> anyhow::Error {
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return error.into(),
    };
    let mut command = Command::new(own);
    command.args(std::env::args_os().skip(1)).env(BIN_DIR_VARIABLE, bin_dir);
    anyhow::Error::new(command.exec()).context("failed to start over")
}
