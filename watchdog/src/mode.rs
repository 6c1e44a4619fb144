//! How a request reaches the handler: one file per mode, chosen once at the start.

pub(crate) mod access;
mod deadline;
mod files;
pub(crate) mod fork;
mod forking;
pub(crate) mod http;
pub(crate) mod lines;
mod serializing;
pub(crate) mod streaming;
pub(crate) mod worker;

use std::future::pending;
use std::io;
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
    Serializing(forking::Forking),
    Streaming(forking::Forking),
    Static(files::Files),
    Worker(worker::Worker),
}

impl Mode {
    /// Starts what lives as long as the replica.
    pub(crate) async fn start(
        config: &Config,
        program: Option<Program>,
        spawner: Spawner,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        // Absent in `static` only.
        let program = program.ok_or_else(|| io::Error::other("no program"));
        let forking = |settings: &config::Forking, program| forking::Forking {
            settings: settings.clone(),
            source: fork::Source::Exec { program, spawner: spawner.clone() },
            bounds: config.into(),
        };
        Ok(match &config.mode {
            config::Mode::Fork(settings) => {
                let source = fork::Source::Exec { program: program?, spawner };
                Self::Fork(fork::Fork::new(config.into(), settings.clone(), source))
            }
            config::Mode::Http(settings) => {
                Self::Http(http::Http::start(config, settings.clone(), &program?, &spawner).await?)
            }
            config::Mode::Serializing(settings) => Self::Serializing(forking(settings, program?)),
            config::Mode::Streaming(settings) => Self::Streaming(forking(settings, program?)),
            config::Mode::Static(folder) => Self::Static(files::Files::start(config, folder)?),
            config::Mode::Worker(settings) => {
                let settings = settings.clone();
                Self::Worker(worker::Worker::start(config, settings, program?, spawner, metrics.clone()))
            }
        })
    }

    pub(crate) async fn answer(&self, request: Request<Inbound>) -> Answer {
        match self {
            // Boxed: a connection's state would otherwise hold room for the largest mode.
            Self::Fork(fork) => Box::pin(fork.answer(request)).await,
            Self::Http(http) => Box::pin(http.answer(request)).await,
            Self::Serializing(forking) => Box::pin(serializing::answer(forking, request)).await,
            Self::Streaming(forking) => Box::pin(streaming::answer(forking, request)).await,
            Self::Static(files) => Box::pin(files.answer(request)).await,
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
            Self::Http(http) => http.ready_answer().await,
            Self::Worker(worker) if !worker.is_loaded() => answer::empty(StatusCode::SERVICE_UNAVAILABLE),
            _ => answer::empty(StatusCode::OK),
        }
    }

    /// Waits until requests can be answered; the error says why they never will be.
    pub(crate) async fn ready(&self, limit: Duration) -> Result<(), String> {
        match self {
            Self::Http(http) => http.ready(limit).await,
            Self::Worker(worker) => worker.ready(limit).await,
            _ => Ok(()),
        }
    }

    /// Resolves when no request can be answered any more, to the reason.
    pub(crate) async fn failed(&self, supervised: bool) -> String {
        match self {
            Self::Http(http) => http.failed(supervised).await,
            Self::Worker(worker) => worker.failed().await,
            _ => pending().await,
        }
    }

    /// Passes SIGTERM on.
    pub(crate) fn terminate(&self) {
        if let Self::Http(http) = self {
            http.terminate();
        }
    }
}
