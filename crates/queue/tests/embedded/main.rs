//! The engine on SQLite: the suite that all engines pass, and what only this one promises.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]
#![expect(clippy::print_stdout, reason = "a test that claims that nothing was lost says of how much")]

mod damage;
mod fixture;
mod full_disk;
mod ownership;
mod simulation;
mod suite;
