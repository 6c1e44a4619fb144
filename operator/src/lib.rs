//! Turns `Function` resources into what runs them: a Deployment and a Service each, and a status that explains itself.
//!
//! Owns those two kinds of objects and the status; refuses to know of invocations. Several copies may run: one leads,
//! by a Lease, the others wait. Every write is server-side apply with one field manager, so that fields of others are
//! left alone and what was changed by hand comes back.
//!
//! Reading order: `lease` (who leads), `controller` (what is watched, when to reconcile), `reconcile` (one function),
//! `dereference`, `plan`, `apply`, `report` (its steps), `memory` (what spares the API server).

mod apply;
mod controller;
mod dereference;
mod error;
mod lease;
mod memory;
mod metrics;
mod plan;
mod reconcile;
mod report;

use std::sync::Arc;

use faas_k8s::{Defaults, Settings};
use kube::Client;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

pub use lease::LeaseConfig;
use metrics::Metrics;

/// What an operator is told at start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The namespace whose functions it looks after; `None` for all.
    pub namespace: Option<String>,
    /// What holds for all functions.
    pub settings: Settings,
    /// What holds where a function says nothing.
    pub defaults: Defaults,
    /// Functions reconciled at once.
    pub workers: u16,
    /// By what several copies agree on one; `None` for a single copy.
    pub lease: Option<LeaseConfig>,
}

/// Works until `stop` is cancelled: leads whenever it may. `ready` is called once the API server has let it read what it
/// needs to. The error is a metric registered twice.
pub async fn run(
    client: Client,
    config: Config,
    registry: &Registry,
    stop: CancellationToken,
    ready: impl Fn(),
) -> Result<(), prometheus::Error> {
    let metrics = Arc::new(Metrics::new(registry)?);
    if stop.run_until_cancelled(controller::check(&client, &config)).await.is_none() {
        return Ok(());
    }
    ready();
    let Some(lease) = config.lease.clone() else {
        metrics.leader.set(1);
        controller::run(client, &config, metrics, lease::Leadership::forever(), stop).await;
        return Ok(());
    };
    let mut elector = lease::Elector::new(client.clone(), lease);
    while let Some(leadership) = elector.lead(&stop).await {
        metrics.leader.set(1);
        let working =
            controller::run(client.clone(), &config, Arc::clone(&metrics), leadership.clone(), stop.clone());
        tokio::select! {
            // What was under way is dropped with the controller: another may lead.
            () = elector.keep(&leadership) => metrics.leader.set(0),
            () = working => break,
        }
    }
    metrics.leader.set(0);
    elector.release().await;
    Ok(())
}
