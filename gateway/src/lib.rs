//! The HTTP front door: invocations, the `/system` API, credentials, metrics, and waking functions from zero.
//!
//! Owns the route table and the connections to replicas. It refuses to know what runs them: a [`Provider`] pushes
//! routes in and is asked for everything else. The hot path (`invoke`) reads memory only.
//!
//! Reading order: `router` (all paths), `invoke` (one invocation), `table` and `wake` (where it goes), `system` (the
//! API), `server` (connections and drain).

mod auth;
mod config;
mod fault;
mod invoke;
mod ip_range;
mod metrics;
mod router;
mod server;
mod system;
mod table;
mod wake;

use std::sync::Arc;

use faas_provider::Provider;
use prometheus::Registry;
use tokio::net::TcpListener;

pub use auth::Credentials;
pub use config::{Config, Limits, TlsFiles};
use faas_daemon::Shutdown;
pub use ip_range::IpRange;
use metrics::Metrics;
use table::RouteTable;

/// Who answers, in `X-Served-By` and, towards functions, in `User-Agent`.
const SERVED_BY: &str = concat!("faas/", env!("CARGO_PKG_VERSION"));

/// A gateway over one provider. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<State>);

struct State {
    config: Config,
    provider: Arc<dyn Provider>,
    table: Arc<RouteTable>,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Gateway {
    /// Subscribes to the provider's routes and registers metrics; the error is a name registered twice.
    pub fn new(
        config: Config,
        provider: Arc<dyn Provider>,
        registry: &Registry,
        shutdown: Shutdown,
    ) -> Result<Self, prometheus::Error> {
        let table = Arc::new(RouteTable::default());
        provider.subscribe(Arc::clone(&table) as _);
        let metrics = Metrics::new(registry)?;
        Ok(Self(Arc::new(State { config, provider, table, metrics, shutdown })))
    }

    /// Serves until told to drain, then until the last invocation has ended or the abort.
    pub async fn run(self, listener: TcpListener) {
        server::run(listener, self).await;
    }

    /// Sets the gauges that are computed from the route table, for a scrape.
    pub fn collect(&self) {
        self.0.metrics.collect(&self.0.table);
    }
}
