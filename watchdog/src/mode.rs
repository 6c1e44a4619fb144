//! How a request reaches the handler: one file per mode, chosen once at the start.

mod files;
pub(crate) mod fork;
mod forking;
pub(crate) mod http;
mod lines;
mod serializing;
pub(crate) mod streaming;

use std::future::pending;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use faas_process::Spawner;
use hyper::{Request, StatusCode};

use crate::answer::{self, Answer};
use crate::config::{self, Config};
use crate::inbound::Inbound;
use crate::program::Program;

/// The mode that runs.
#[derive(Debug)]
pub(crate) enum Mode {
    Fork(fork::Fork),
    Http(http::Http),
    Serializing(forking::Forking),
    Streaming(forking::Forking),
    Static(files::Files),
}

impl Mode {
    /// Starts what lives as long as the replica.
    pub(crate) async fn start(
        config: &Config,
        program: Option<Program>,
        spawner: Spawner,
    ) -> io::Result<Self> {
        // Absent in `static` only.
        let program = program.ok_or_else(|| io::Error::other("no program"));
        match &config.mode {
            config::Mode::Fork(settings) => {
                Ok(Self::Fork(fork::Fork::new(config, settings.clone(), program?, spawner)))
            }
            config::Mode::Http(settings) => {
                Ok(Self::Http(http::Http::start(config, settings.clone(), &program?, &spawner).await?))
            }
            config::Mode::Serializing(settings) => {
                Ok(Self::Serializing(forking::Forking::new(config, settings.clone(), program?, spawner)))
            }
            config::Mode::Streaming(settings) => {
                Ok(Self::Streaming(forking::Forking::new(config, settings.clone(), program?, spawner)))
            }
            config::Mode::Static(folder) => Ok(Self::Static(files::Files::start(config, folder)?)),
        }
    }

    pub(crate) async fn answer(&self, request: Request<Inbound>) -> Answer {
        match self {
            // Boxed: a connection's state would otherwise hold room for the largest mode.
            Self::Fork(fork) => Box::pin(fork.answer(request)).await,
            Self::Http(http) => Box::pin(http.answer(request)).await,
            Self::Serializing(forking) => Box::pin(serializing::answer(forking, request)).await,
            Self::Streaming(forking) => Box::pin(streaming::answer(forking, request)).await,
            Self::Static(files) => Box::pin(files.answer(request)).await,
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
            _ => answer::empty(StatusCode::OK),
        }
    }

    /// Waits until requests can be answered; the error says why they never will be.
    pub(crate) async fn ready(&self, limit: Duration) -> Result<(), String> {
        match self {
            Self::Http(http) => http.ready(limit).await,
            _ => Ok(()),
        }
    }

    /// Resolves when the process that all requests need has ended.
    pub(crate) async fn exited(&self) -> ExitStatus {
        match self {
            Self::Http(http) => http.exited().await,
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
