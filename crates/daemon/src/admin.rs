//! The admin listener: `/healthz`, `/readyz` and `/metrics`, and what else a role shows, apart from the product's port,
//! without credentials.
//!
//! Bounded: five seconds for a request's head. Anything but GET and HEAD gets 405.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// A client that sends no whole head in this time is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Text of a role's own: metrics that it computes from its state, or JSON. It may have to ask for what it shows.
pub type Show = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// What `show` gives, whenever it is asked.
pub fn show<F: Future<Output = String> + Send + 'static>(
    show: impl Fn() -> F + Send + Sync + 'static,
) -> Show {
    Arc::new(move || Box::pin(show()))
}

/// What the admin listener shows. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    registry: Registry,
    collect: Show,
    shown: Vec<(&'static str, Show)>,
    ready: Arc<AtomicBool>,
    /// One scrape at a time.
    scraping: Arc<Mutex<()>>,
}

impl Admin {
    /// Shows what `collect` gives and then `registry`, in Prometheus' text format. Not ready until [`Self::set_ready`].
    pub fn new(registry: Registry, collect: Show) -> Self {
        Self { registry, collect, shown: Vec::new(), ready: Arc::default(), scraping: Arc::default() }
    }

    /// Answers `GET path` with what `show` gives then.
    #[must_use]
    pub fn show(mut self, path: &'static str, show: Show) -> Self {
        self.shown.push((path, show));
        self
    }

    /// Whether `/readyz` answers 200 or 503.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Serves until `stop` is cancelled.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let router = self.router();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
                    tokio::spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept an admin connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn scrape(&self) -> Result<Vec<u8>, prometheus::Error> {
        let _scraping = self.scraping.lock().await;
        let mut text = (self.collect)().await.into_bytes();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn router(self) -> Router {
        let router = Router::new()
            .route("/healthz", get(async || "OK"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics));
        let json =
            |show: Show| get(async move || ([(header::CONTENT_TYPE, "application/json")], show().await));
        let shown = self.shown.iter().cloned();
        shown.fold(router, |router, (path, show)| router.route(path, json(show))).with_state(self)
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.ready.load(Ordering::Relaxed) {
        "OK".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready").into_response()
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.scrape().await {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
