//! What the long-running commands have in common: flags, logs, the admin listener, and the peers' variables.

pub(crate) mod gateway;
pub(crate) mod queue;
pub(crate) mod variables;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use faas_api::Version;
use faas_daemon::{Admin, Shutdown};
use faas_gateway::Gateway;
use prometheus::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::env::Env;
use crate::failure::failure;

/// Flags of every long-running command.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// Where metrics and health checks are served, without credentials
    #[arg(long, env = "FAAS_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    pub(crate) admin: SocketAddr,
    /// What is logged on standard error: a level, or levels per module
    #[arg(long, env = "FAAS_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
    /// Log lines as JSON
    #[arg(long, env = "FAAS_LOG_JSON")]
    log_json: bool,
}

impl RoleArgs {
    /// Logs from now on, takes as many descriptors as the system gives, and memory in small pages.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        raise_descriptors();
        refuse_huge_pages();
        faas_daemon::init_logging(&self.log, self.log_json).map_err(|error| failure(error.to_string()).into())
    }

    /// Binds the admin listener.
    pub(crate) fn bind_admin(&self) -> anyhow::Result<TcpListener> {
        bind(self.admin, "--admin or FAAS_ADMIN")
    }
}

/// Each replica and each connection takes some; the usual soft limit of 1,024 is meant for programs that use `select`.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Where a system gives huge pages to all, an idle platform takes half as much memory again with them. Watchdogs inherit
/// this, and take it back for themselves and their functions.
fn refuse_huge_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// A bound listener, ready for the runtime; `setting` is what the user changes if the address is taken.
pub(crate) fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        failure(format!("cannot listen on {address}: {error}"))
            .hint(format!("if faas is running already, use that; else choose another address with {setting}"))
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A listener of the runtime.
pub(crate) fn from_std(listener: TcpListener) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener).context("cannot listen")
}

/// Runs a role on every core until it ends; what is left then had its time to drain.
pub(crate) fn block_on(role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(role);
    runtime.shutdown_background();
    result
}

/// Serves a gateway's admin endpoints until the process ends.
pub(crate) fn serve_gateway_admin(
    listener: TcpListener,
    registry: Registry,
    gateway: &Gateway,
    shutdown: &Shutdown,
) -> anyhow::Result<Admin> {
    let (collecting, showing) = (gateway.clone(), gateway.clone());
    let collect = move || {
        let gateway = collecting.clone();
        async move { gateway.collect().await }
    };
    let load = move || {
        let gateway = showing.clone();
        async move { gateway.load().await }
    };
    let admin = Admin::new(registry, faas_daemon::show(collect));
    serve_admin(admin.show("/load", faas_daemon::show(load)), listener, shutdown)
}

/// Serves the admin endpoints until the process ends.
pub(crate) fn serve_admin(admin: Admin, listener: TcpListener, shutdown: &Shutdown) -> anyhow::Result<Admin> {
    tokio::spawn(admin.clone().run(from_std(listener)?, shutdown.abort.clone()));
    Ok(admin)
}

/// Of this program.
pub(crate) fn version() -> Version {
    Version {
        commit_message: String::new(),
        sha: option_env!("FAAS_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown").to_owned(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Bounds an invocation where neither function nor variable says otherwise; the peers' default.
pub(crate) fn upstream_timeout(env: &Env) -> Duration {
    variables::duration(env, "upstream_timeout", Duration::from_mins(1))
}
