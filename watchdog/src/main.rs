//! `faas-watchdog`, `fwatchdog` in images: process 1 of a function replica.

use std::process::ExitCode;

fn main() -> ExitCode {
    faas_watchdog::run(&faas_watchdog::Process)
}
