//! The worker, over the engine on SQLite and real servers.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot go on has failed its test")]

mod callbacks;
mod fairness;
mod full;
mod lives;
mod retries;
mod safety;
mod world;
