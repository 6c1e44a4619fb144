//! Functions as local processes, each replica under its own watchdog.
//!
//! Owns the data directory: `faas.db` (functions, secrets, namespaces, tags: one SQLite file, written durably before a
//! call returns), `packages/` (unpacked, by digest), `replicas/` (one folder a running replica, made anew at start),
//! `logs/`. It refuses images. Only one process at a time uses a data directory.
//!
//! Reading order: `provider` (what the gateway asks), `changes` (what it changes), `supervisor` (which replicas there should be), `replica` (the
//! life of one), `launch` (the command that starts it), then `store`, `packages`, `logs`, `memory`.

mod changes;
mod launch;
mod logs;
mod memory;
mod packages;
mod provider;
mod replica;
mod store;
mod supervisor;

use std::path::PathBuf;
use std::time::Duration;

use faas_api::{Namespace, Version};

pub use packages::Interpreters;
pub use provider::{Local, StartError};

/// What the provider is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds everything; made if absent.
    pub data_dir: PathBuf,
    /// The watchdog's executable.
    pub watchdog: PathBuf,
    /// The namespace that always exists.
    pub namespace: Namespace,
    /// Bounds an invocation of a function that has no timeout of its own.
    pub upstream_timeout: Duration,
    /// What `/system/info` says of the provider.
    pub version: Version,
}
