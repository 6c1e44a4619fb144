//! `faas operator`: turns `Function` resources into what runs them. Several copies agree on one by a Lease.

use std::time::Duration;

use clap::Args;
use faas_daemon::{Admin, Shutdown};
use faas_k8s::{Defaults, Settings, ValidProbe};
use faas_operator::{Config, LeaseConfig};
use prometheus::Registry;

use super::client;
use crate::cli::Context;
use crate::env::Env;
use crate::failure::failure;
use crate::role::{self, RoleArgs, variables};

/// Its default, as OpenFaaS's watchdogs have it.
const HEALTHCHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Flags of `operator`.
#[derive(Debug, Args)]
pub(crate) struct OperatorArgs {
    #[command(flatten)]
    role: RoleArgs,
    /// Where the Lease is by which several copies agree on one
    #[arg(long, env = "FAAS_LEASE_NAMESPACE", value_name = "NAMESPACE", default_value = "openfaas")]
    lease_namespace: String,
    /// This copy's name in the Lease
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
}

/// Works until told to end.
pub(crate) fn run(args: &OperatorArgs, context: &Context) -> anyhow::Result<()> {
    args.role.begin()?;
    role::block_on(work(args, &context.env))
}

async fn work(args: &OperatorArgs, env: &Env) -> anyhow::Result<()> {
    let admin = args.role.bind_admin()?;
    let (shutdown, registry) = (Shutdown::on_signals()?, Registry::new());
    let (client, config) = (client().await?, config(args, env)?);
    let admin = role::serve_admin(
        Admin::new(registry.clone(), faas_daemon::show(async || String::new())),
        admin,
        &shutdown,
    )?;
    let ready = move || admin.set_ready(true);
    let working = Box::pin(faas_operator::run(client, config, &registry, shutdown.drain.clone(), ready));
    // A second signal ends what the first let finish.
    shutdown.abort.run_until_cancelled(working).await.transpose()?;
    Ok(())
}

fn config(args: &OperatorArgs, env: &Env) -> anyhow::Result<Config> {
    let many_namespaces = variables::switch(env, "cluster_role", false);
    Ok(Config {
        namespace: if many_namespaces { None } else { Some(super::variables::namespace(env)?.to_string()) },
        settings: Settings {
            http_probe: variables::switch(env, "http_probe", true),
            set_nonroot_user: variables::switch(env, "set_nonroot_user", true),
            image_pull_policy: pull_policy(env)?,
        },
        defaults: Defaults {
            timeout: role::upstream_timeout(env),
            healthcheck_interval: HEALTHCHECK_INTERVAL,
            liveness: probe(env, &LIVENESS),
            readiness: probe(env, &READINESS),
        },
        workers: variables::number(env, "reconcile_workers", 4),
        lease: lease(args, env)?,
    })
}

fn lease(args: &OperatorArgs, env: &Env) -> anyhow::Result<Option<LeaseConfig>> {
    if !variables::switch(env, "leader_election", true) {
        return Ok(None);
    }
    Ok(Some(LeaseConfig {
        namespace: args.lease_namespace.clone(),
        name: faas_k8s::OPERATOR.to_owned(),
        identity: identity(args)?,
    }))
}

/// The pod's name, else one that no other process has: two of one name would both lead.
fn identity(args: &OperatorArgs) -> anyhow::Result<String> {
    if let Some(identity) = args.identity.as_ref().filter(|identity| !identity.is_empty()) {
        return Ok(identity.clone());
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(format!("{host}-{:016x}", u64::from_ne_bytes(random)))
}

fn pull_policy(env: &Env) -> anyhow::Result<String> {
    let policy = env.get("image_pull_policy").filter(|policy| !policy.is_empty()).unwrap_or("Always");
    if ["Always", "IfNotPresent", "Never"].contains(&policy) {
        return Ok(policy.to_owned());
    }
    let text =
        format!("image_pull_policy: {policy:?} is not a policy: expected Always, IfNotPresent or Never");
    Err(failure(text).into())
}

/// A probe's variables: initial delay, timeout, period, success and failure threshold; and what they are unless set.
type Variables = [(&'static str, i32); 5];

const LIVENESS: Variables = [
    ("liveness_probe_initial_delay_seconds", 0),
    ("liveness_probe_timeout_seconds", 1),
    ("liveness_probe_period_seconds", 2),
    ("liveness_probe_success_threshold", 1),
    ("liveness_probe_failure_threshold", 3),
];
const READINESS: Variables = [
    ("readiness_probe_initial_delay_seconds", 0),
    ("readiness_probe_timeout_seconds", 1),
    ("readiness_probe_period_seconds", 2),
    ("readiness_probe_success_threshold", 1),
    ("readiness_probe_failure_threshold", 3),
];

fn probe(env: &Env, variables: &Variables) -> ValidProbe {
    let [initial, timeout, period, success, failure] =
        variables.map(|(name, default)| variables::number(env, name, default));
    ValidProbe {
        path: "/_/health".to_owned(),
        chosen: false,
        initial_delay_seconds: initial.max(0),
        period_seconds: period.max(1),
        timeout_seconds: timeout.max(1),
        failure_threshold: failure.max(1),
        success_threshold: success.max(1),
    }
}
