//! How a request reaches the handler: one file per mode, chosen once at the start.

pub(crate) mod access;
mod deadline;
pub(crate) mod fork;
pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod worker;

use std::future::pending;
use std::time::Duration;

use faas_process::Spawner;
use hyper::{Request, StatusCode};

use crate::answer::{self, Answer};
use crate::config::{self, Config};
use crate::inbound::Inbound;
use crate::metrics::Metrics;
use crate::program::Program;

/// The mode that runs.
pub(crate) enum Mode {
    Fork(fork::Fork),
    Http(http::Http),
    Worker(worker::Worker),
}

impl Mode {
    /// Starts what lives as long as the replica.
    pub(crate) async fn start(
        config: &Config,
        program: Program,
        spawner: Spawner,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        Ok(match &config.mode {
            config::Mode::Fork(settings) => {
                let source = fork::Source::Exec { program, spawner };
                Self::Fork(fork::Fork::new(config.into(), settings.clone(), source))
            }
            config::Mode::Http(settings) => {
                Self::Http(http::Http::start(config, settings.clone(), &program, &spawner).await?)
            }
            config::Mode::Worker(settings) => {
                let settings = settings.clone();
                Self::Worker(worker::Worker::start(config, settings, program, spawner, metrics.clone()))
            }
        })
    }

    pub(crate) async fn answer(&self, request: Request<Inbound>) -> Answer {
        match self {
            // Boxed: a connection's state would otherwise hold room for the largest mode.
            Self::Fork(fork) => Box::pin(fork.answer(request)).await,
            Self::Http(http) => Box::pin(http.answer(request)).await,
            Self::Worker(worker) => Box::pin(worker.answer(request)).await,
        }
    }

    /// The classic watchdog leaves `/_/ready` to the handler.
    pub(crate) fn has_ready(&self) -> bool {
        !matches!(self, Self::Fork(_))
    }

    /// What the handler says of its readiness.
    pub(crate) async fn ready_answer(&self) -> Answer {
        match self {
            Self::Fork(_) => answer::empty(StatusCode::OK),
            Self::Http(http) => http.ready_answer().await,
            Self::Worker(worker) if worker.is_loaded() => answer::empty(StatusCode::OK),
            Self::Worker(_) => answer::empty(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// Waits until requests can be answered; the error says why they never will be.
    pub(crate) async fn ready(&self, limit: Duration) -> Result<(), String> {
        match self {
            Self::Fork(_) => Ok(()),
            Self::Http(http) => http.ready(limit).await,
            Self::Worker(worker) => worker.ready(limit).await,
        }
    }

    /// Resolves when no request can be answered any more, to the reason.
    pub(crate) async fn failed(&self, supervised: bool) -> String {
        match self {
            Self::Fork(_) => pending().await,
            Self::Http(http) => http.failed(supervised).await,
            Self::Worker(worker) => worker.failed().await,
        }
    }

    /// Passes SIGTERM on.
    pub(crate) fn terminate(&self) {
        if let Self::Http(http) = self {
            http.terminate();
        }
    }
}
