//! `faas gateway`: the front door of an installation on Kubernetes. Any number of copies may run.
//!
//! Ready once the functions and replicas of the cluster are known. SIGTERM: not ready, then what is under way ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use faas_daemon::Shutdown;
use faas_gateway::Gateway;
use faas_provider_kube::Kube;
use faas_queue::Queue;
use prometheus::Registry;

use super::client;
use crate::cli::Context;
use crate::env::Env;
use crate::role::{self, RoleArgs, variables};

/// Endpoints of a Service are forgotten about a second after a pod says that it is not ready; proxies take longer.
const DRAIN_NOTICE: Duration = Duration::from_secs(5);

/// Flags of `gateway`.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// Where the gateway listens
    #[arg(long, env = "FAAS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    role: RoleArgs,
}

/// Serves until it has drained.
pub(crate) fn run(args: &GatewayArgs, context: &Context) -> anyhow::Result<()> {
    args.role.begin()?;
    role::block_on(serve(args, &context.env))
}

async fn serve(args: &GatewayArgs, env: &Env) -> anyhow::Result<()> {
    let (listener, admin) = (role::bind(args.listen, "--listen or FAAS_LISTEN")?, args.role.bind_admin()?);
    let own = role::gateway::Own {
        namespace: super::variables::namespace(env)?,
        credentials: super::variables::credentials(env)?,
        scale_from_zero: variables::switch(env, "scale_from_zero", true),
        drain_notice: DRAIN_NOTICE,
    };
    let config = role::gateway::config(env, own)?;
    let shutdown = Shutdown::on_signals()?;
    let provider = Kube::start(client().await?, provider_config(env)?);
    let registry = Registry::new();
    let queue = role::queue::nats::start(env, role::queue::settings(env, &config.limits))?;
    if let Some(queue) = &queue {
        role::queue::reconnects::register(&registry, "gateway_nats_reconnect_total", queue)?;
    }
    let queue = queue.map(|queue| -> Arc<dyn Queue> { Arc::new(queue) });
    let gateway = Gateway::new(config, Arc::new(provider.clone()), queue, &registry, shutdown.clone())?;
    let admin = role::serve_gateway_admin(admin, registry, &gateway, &shutdown)?;
    tracing::info!(gateway = %listener.local_addr()?, admin = %args.role.admin, "listening");
    let serving = tokio::spawn(gateway.run(role::from_std(listener)?));
    if shutdown.drain.run_until_cancelled(provider.synced()).await.is_some() {
        tracing::info!("ready");
        admin.set_ready(true);
        shutdown.drain.cancelled().await;
    }
    tracing::info!("draining: a second signal ends at once");
    admin.set_ready(false);
    Ok(serving.await??)
}

fn provider_config(env: &Env) -> anyhow::Result<faas_provider_kube::Config> {
    Ok(faas_provider_kube::Config {
        namespace: super::variables::namespace(env)?,
        many_namespaces: variables::switch(env, "cluster_role", false),
        version: role::version(),
    })
}
