//! Gateway and local provider together, from start to drain.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use faas_api::{FunctionId, Namespace};
use faas_daemon::Shutdown;
use faas_gateway::{Gateway, OwnGateway};
use faas_process::{Orphans, Spawner};
use faas_provider_local::{Interpreters, Local};
use faas_queue::Queue;
use faas_queue::worker::{self, Key, Worker};
use prometheus::Registry;

use super::data_dir::{Credentials, DataDir};
use crate::failure::failure;
use crate::{output, role};

/// The watchdog's name, beside our own executable.
const WATCHDOG: &str = "faas-watchdog";
/// How long killing what is left may take.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// All that was made ready before the runtime.
pub(super) struct Parts {
    pub(super) program: String,
    pub(super) listener: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) data_dir: DataDir,
    pub(super) credentials: Credentials,
    pub(super) search_path: OsString,
    pub(super) gateway: faas_gateway::Config,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) worker: worker::Settings,
}

pub(super) fn run(parts: Parts) -> anyhow::Result<()> {
    // Finding an interpreter may run it, which only the spawner may do once there is one.
    let interpreters = Interpreters::find(&parts.search_path);
    role::block_on(live(parts, interpreters))
}

/// However it ends, nothing that it started stays: watchdogs that are ended at once cannot end their handlers.
async fn live(parts: Parts, interpreters: Interpreters) -> anyhow::Result<()> {
    let spawner = Spawner::start(Orphans::Kill, || Ok(())).context("cannot start the spawning thread")?;
    let ended = serve(parts, interpreters, spawner.clone()).await;
    spawner.kill_descendants(KILL_LIMIT);
    ended
}

async fn serve(mut parts: Parts, interpreters: Interpreters, spawner: Spawner) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let local = Local::start(provider_config(&parts)?, interpreters, spawner)
        .await
        .map_err(|error| failure(chain(&error)))?;
    let registry = Registry::new();
    let scheme = if parts.gateway.tls.is_some() { "https" } else { "http" };
    let address = parts.listener.local_addr()?;
    let mut settings = parts.worker;
    if settings.other_gateway_urls.is_empty() {
        settings.gateway_url = url_of(scheme, address);
        settings.other_gateway_urls = vec![format!("{scheme}://localhost:{}", address.port())];
        let own = settings.other_gateway_urls.iter().chain([&settings.gateway_url]).map(String::as_str);
        parts.gateway.own_gateway = OwnGateway::new(own).context("our own address is no URL")?;
    }
    let metrics = worker::Metrics::new(&registry, role::queue::NAME)?;
    let worker = Worker::new(Arc::clone(&parts.queue), settings, Arc::new(Secrets(local.clone())), metrics)?;
    let (provider, queue) = (Arc::new(local.clone()), Some(parts.queue));
    let gateway = Gateway::new(parts.gateway, provider, queue, &registry, shutdown.clone())?;
    tracing::info!(gateway = %address, admin = %parts.admin.local_addr()?, "listening");
    let admin = role::serve_gateway_admin(parts.admin, registry, &gateway, &shutdown)?;
    let listener = role::from_std(parts.listener)?;
    admin.set_ready(true);
    output::line(welcome(&parts.program, scheme, address, &parts.credentials))?;
    let serving = tokio::spawn(gateway.run(listener));
    let working = tokio::spawn(worker.run(shutdown.drain.clone()));
    shutdown.drain.cancelled().await;
    tracing::info!("draining: a second signal ends at once");
    admin.set_ready(false);
    serving.await.context("the gateway failed")??;
    shutdown.abort.run_until_cancelled(working).await;
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

/// Keys that sign callbacks: secrets that the function has anyway.
struct Secrets(Local);

#[async_trait]
impl worker::Secrets for Secrets {
    async fn callback_key(
        &self,
        function: &FunctionId,
        name: &str,
    ) -> Result<Option<Key>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.secret_of(function, name).await?.as_deref().map(Key::new))
    }
}

/// As this machine reaches it.
fn url_of(scheme: &str, address: SocketAddr) -> String {
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let host = if address.is_ipv6() && !address.ip().is_unspecified() { format!("[{host}]") } else { host };
    format!("{scheme}://{host}:{}", address.port())
}

fn welcome(program: &str, scheme: &str, address: SocketAddr, credentials: &Credentials) -> String {
    let url = url_of(scheme, address);
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
