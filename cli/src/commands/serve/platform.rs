//! Gateway and local provider together, from start to drain.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use faas_api::Namespace;
use faas_daemon::Shutdown;
use faas_gateway::Gateway;
use faas_process::{Orphans, Spawner};
use faas_provider_local::{Interpreters, Local};
use prometheus::Registry;

use super::data_dir::{Credentials, DataDir};
use crate::failure::failure;
use crate::{output, role};

/// The watchdog's name, beside our own executable.
const WATCHDOG: &str = "faas-watchdog";

/// All that was made ready before the runtime.
pub(super) struct Parts {
    pub(super) program: String,
    pub(super) listener: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) data_dir: DataDir,
    pub(super) credentials: Credentials,
    pub(super) search_path: OsString,
    pub(super) gateway: faas_gateway::Config,
}

pub(super) fn run(parts: Parts) -> anyhow::Result<()> {
    // Finding an interpreter may run it, which only the spawner may do once there is one.
    let interpreters = Interpreters::find(&parts.search_path);
    role::block_on(serve(parts, interpreters))
}

async fn serve(parts: Parts, interpreters: Interpreters) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let spawner = Spawner::start(Orphans::Kill, || Ok(())).context("cannot start the spawning thread")?;
    let local = Local::start(provider_config(&parts)?, interpreters, spawner)
        .await
        .map_err(|error| failure(chain(&error)))?;
    let registry = Registry::new();
    let scheme = if parts.gateway.tls.is_some() { "https" } else { "http" };
    let gateway = Gateway::new(parts.gateway, Arc::new(local.clone()), &registry, shutdown.clone())?;
    let address = parts.listener.local_addr()?;
    tracing::info!(gateway = %address, admin = %parts.admin.local_addr()?, "listening");
    let admin = role::serve_gateway_admin(parts.admin, registry, &gateway, &shutdown)?;
    let listener = role::from_std(parts.listener)?;
    admin.set_ready(true);
    output::line(welcome(&parts.program, scheme, address, &parts.credentials))?;
    let serving = tokio::spawn(gateway.run(listener));
    shutdown.drain.cancelled().await;
    tracing::info!("draining: a second signal ends at once");
    admin.set_ready(false);
    serving.await.context("the gateway failed")??;
    shutdown.abort.run_until_cancelled(local.stop()).await;
    Ok(())
}

fn provider_config(parts: &Parts) -> anyhow::Result<faas_provider_local::Config> {
    Ok(faas_provider_local::Config {
        data_dir: parts.data_dir.path.clone(),
        watchdog: find_watchdog()?,
        namespace: Namespace::default(),
        upstream_timeout: parts.gateway.upstream_timeout,
        version: role::version(),
    })
}

/// Beside this executable, links resolved: `faas-cli` may be a link in another folder.
fn find_watchdog() -> anyhow::Result<PathBuf> {
    let own =
        std::env::current_exe().and_then(|path| path.canonicalize()).context("cannot find this program")?;
    let watchdog = own.with_file_name(WATCHDOG);
    if watchdog.is_file() {
        return Ok(watchdog);
    }
    let missing = failure(format!("cannot find {WATCHDOG} at {}", watchdog.display()));
    Err(missing.hint("it is built together with faas: copy both into one folder").into())
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn welcome(program: &str, scheme: &str, address: SocketAddr, credentials: &Credentials) -> String {
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let host = if address.is_ipv6() && !address.ip().is_unspecified() { format!("[{host}]") } else { host };
    let url = format!("{scheme}://{host}:{}", address.port());
    let (user, file) = (&credentials.user, credentials.password_file.display());
    format!(
        "faas {} is ready.

  URL:            {url}
  User:           {user}
  Password file:  {file}

Next, in another terminal, log in:

  cat {file} | {program} login -g {url} -u {user} --password-stdin
",
        env!("CARGO_PKG_VERSION")
    )
}
