//! The HTTP front door: invocations, the `/system` API, credentials, metrics, and waking functions from zero.
//!
//! Owns the route table and the connections to replicas. It refuses to know what runs them: a [`Provider`] pushes
//! routes in and is asked for everything else. The hot path (`invoke`) reads memory only.
//!
//! Reading order: `server` (connections, the workers that serve them, the drain), `service` (one request), `invoke` (one
//! invocation), `table`, `wake` and `upstream` (where it goes), `enqueue` (one that is made later), `router` and `system`
//! (the API).

mod auth;
mod config;
mod counts;
mod enqueue;
mod fault;
mod framing;
mod invoke;
mod load;
mod lock;
mod metrics;
mod per_worker;
mod pieces;
mod random;
mod rate;
mod router;
mod server;
mod service;
mod system;
mod table;
mod upstream;
mod wake;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use faas_provider::Provider;
use faas_queue::{Depth, Queue};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

pub use auth::Credentials;
pub use config::{Config, Limits, TlsFiles};
use enqueue::Ingest;
pub use faas_api::IpRange;
use faas_daemon::Shutdown;
pub use faas_queue::OwnGateway;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use invoke::fuzzing;
use metrics::Metrics;
use server::Tls;
pub use server::TlsError;
use table::RouteTable;

/// Who answers, in `X-Served-By` and, towards functions, in `User-Agent`.
const SERVED_BY: &str = concat!("faas/", env!("CARGO_PKG_VERSION"));

/// How long a scrape waits for what the queue has.
const DEPTHS_LIMIT: Duration = Duration::from_secs(2);

/// A gateway over one provider, and one queue perhaps. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<State>);

struct State {
    config: Config,
    provider: Arc<dyn Provider>,
    table: Arc<RouteTable>,
    ingest: Option<Ingest>,
    metrics: Metrics,
    shutdown: Shutdown,
    tls: Option<Tls>,
    /// Set when the drain begins.
    draining: AtomicBool,
    /// The runtime that the gateway was run on, where a provider's tasks and connections belong.
    main: OnceLock<Handle>,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A metric's name is registered twice.
    #[error("failed to register metrics")]
    Metrics(#[from] prometheus::Error),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Gateway {
    /// Reads the certificate, subscribes to the provider's routes and registers metrics. Without a queue there are no
    /// asynchronous invocations. The queue is awaited on threads of the gateway's own: what it starts should be on the
    /// runtime that it was made on.
    pub fn new(
        config: Config,
        provider: Arc<dyn Provider>,
        queue: Option<Arc<dyn Queue>>,
        registry: &Registry,
        shutdown: Shutdown,
    ) -> Result<Self, Error> {
        let tls = config.tls.as_ref().map(Tls::new).transpose()?;
        let table = Arc::new(RouteTable::new(config.namespace.clone(), config.workers.get()));
        let metrics = Metrics::new(registry, config.workers.get())?;
        provider.subscribe(Arc::clone(&table) as _);
        let draining = AtomicBool::new(false);
        let ingest = queue.map(|queue| Ingest::new(queue, config.limits.async_memory_bytes));
        Ok(Self(Arc::new(State {
            config,
            provider,
            table,
            ingest,
            metrics,
            shutdown,
            tls,
            draining,
            main: OnceLock::new(),
        })))
    }

    /// Serves until told to drain, then until the last invocation has ended or the abort. The API runs on the runtime
    /// that this is called on, invocations on threads of their own; the error is that those cannot be started.
    pub async fn run(self, listener: TcpListener) -> std::io::Result<()> {
        server::run(listener, self).await
    }

    /// Does work of the provider's on the main runtime: what it starts must outlive the worker that asked for it. Dropping
    /// the future cancels it; `None` if it panicked, or the runtime is ending.
    async fn on_main<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let main = self.0.main.get_or_init(Handle::current);
        AbortOnDropHandle::new(main.spawn(work)).await.ok()
    }

    /// What is counted of functions, and the gauges that are computed from the route table and the queue, in Prometheus'
    /// text format: what a scrape shows besides the registry.
    pub async fn collect(&self) -> String {
        let depths = self.depths().await;
        self.0.metrics.collect(&self.0.table, depths.as_deref())
    }

    /// What each function has to do now, for who scales: a JSON object by `NAME.NAMESPACE`.
    pub async fn load(&self) -> String {
        let depths = self.depths().await;
        load::to_json(&self.0.table, depths.as_deref())
    }

    /// `None` without a queue, or if it does not say so in time.
    async fn depths(&self) -> Option<Vec<Depth>> {
        let queue = self.0.ingest.as_ref()?.queue();
        match tokio::time::timeout(DEPTHS_LIMIT, queue.depths()).await {
            Ok(Ok(depths)) => Some(depths),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to ask what is queued");
                None
            }
            Err(_) => {
                tracing::warn!("the queue did not say in time what is queued");
                None
            }
        }
    }

    /// For routes that are there with a queue only.
    fn queue(&self) -> Result<&dyn Queue, system::Refusal> {
        let queue = self.0.ingest.as_ref().map(Ingest::queue);
        queue.ok_or_else(|| system::Refusal::bad_request("this gateway has no queue"))
    }
}
