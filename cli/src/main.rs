//! The `faas` command.
//!
//! Reading order: `cli` (which commands there are), `commands` (one file each), `client` (the gateway's API),
//! `packages` (handler folder to zip), `stack_file`, `deployment`. Only `output` and `progress` print; only `env`
//! reads the environment.

use std::process::ExitCode;

mod auth;
mod cli;
mod client;
mod commands;
mod config_file;
mod deployment;
mod env;
mod failure;
mod gateway;
mod go_flags;
mod hmac;
mod images;
mod output;
mod packages;
mod progress;
mod role;
mod stack_file;
mod table;
mod templates;
mod text;

/// glibc keeps no free memory of more than 1 kB beside the thread, and hyper takes 8 kB of it for each request:
/// docs/adr/0016 has what that costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let env = env::Env::from_process();
    match cli::run(std::env::args_os().collect(), env) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough (`faas list | head -1`).
        Err(error) if error.is::<output::Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&error);
            ExitCode::FAILURE
        }
    }
}
