//! `faas queue-worker`: makes the asynchronous invocations that the gateways have put into NATS. Any number of copies may
//! run.
//!
//! Ready once NATS has answered. SIGTERM: nothing new is taken, what runs may end within the grace, the rest is given
//! back.

use std::sync::Arc;

use async_trait::async_trait;
use clap::Args;
use faas_api::FunctionId;
use faas_daemon::{Admin, Shutdown};
use faas_gateway::Limits;
use faas_queue::Queue;
use faas_queue::worker::{Key, Metrics, Secrets, Worker};
use kube::Client;
use prometheus::Registry;
use tokio::sync::OnceCell;

use super::{client, variables};
use crate::cli::Context;
use crate::env::Env;
use crate::failure::failure;
use crate::role::{self, RoleArgs};

/// Flags of `queue-worker`.
#[derive(Debug, Args)]
pub(crate) struct QueueWorkerArgs {
    #[command(flatten)]
    role: RoleArgs,
}

/// Works until told to end.
pub(crate) fn run(args: &QueueWorkerArgs, context: &Context) -> anyhow::Result<()> {
    args.role.begin()?;
    role::block_on(work(args, &context.env))
}

async fn work(args: &QueueWorkerArgs, env: &Env) -> anyhow::Result<()> {
    let admin = args.role.bind_admin()?;
    let (shutdown, registry) = (Shutdown::on_signals()?, Registry::new());
    let settings = role::queue::settings(env, &Limits::default());
    let worker = role::queue::worker::settings(env, settings, variables::namespace(env)?)?;
    if worker.other_gateway_urls.is_empty() {
        let missing = failure("gateway_url: expected where the gateway is, which makes the invocations");
        return Err(missing.hint("gateway_url=http://gateway:8080").into());
    }
    let Some(nats) = role::queue::nats::start(env, settings)? else {
        let missing = failure("nats_host: expected the host of the NATS that gateways put invocations into");
        return Err(missing.hint("nats_host=nats, or all of it: nats_url=nats://nats:4222").into());
    };
    role::queue::reconnects::register(&registry, "queue_worker_nats_reconnect_total", &nats)?;
    let queue: Arc<dyn Queue> = Arc::new(nats.clone());
    let metrics = Metrics::new(&registry, role::queue::NAME)?;
    let admin =
        role::serve_admin(Admin::new(registry, faas_daemon::show(async || String::new())), admin, &shutdown)?;
    let worker = Worker::new(queue, worker, Arc::new(ClusterSecrets::default()), metrics)?;
    if shutdown.drain.run_until_cancelled(nats.opened()).await.is_some() {
        admin.set_ready(true);
    }
    let working = worker.run(shutdown.drain.clone());
    // A second signal ends what the first let finish.
    shutdown.abort.run_until_cancelled(working).await;
    Ok(())
}

/// Keys that sign callbacks: secrets that the function has anyway. Who signs none needs no cluster.
#[derive(Default)]
struct ClusterSecrets(OnceCell<Client>);

#[async_trait]
impl Secrets for ClusterSecrets {
    async fn callback_key(
        &self,
        function: &FunctionId,
        name: &str,
    ) -> Result<Option<Key>, Box<dyn std::error::Error + Send + Sync>> {
        let client = self.0.get_or_try_init(client).await?;
        let secret = faas_provider_kube::secret_of(client, function, name).await?;
        Ok(secret.as_deref().map(Key::new))
    }
}
