//! How a request reaches the handler: one file per mode, chosen once at the start.

pub(crate) mod fork;
pub(crate) mod http;
mod lines;

use std::future::pending;
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
}

impl Mode {
    /// Starts what lives as long as the replica.
    pub(crate) async fn start(config: &Config, program: Program, spawner: Spawner) -> std::io::Result<Self> {
        match &config.mode {
            config::Mode::Fork(settings) => {
                Ok(Self::Fork(fork::Fork::new(config, settings.clone(), program, spawner)))
            }
            config::Mode::Http(settings) => {
                Ok(Self::Http(http::Http::start(config, settings.clone(), &program, &spawner).await?))
            }
        }
    }

    pub(crate) async fn answer(&self, request: Request<Inbound>) -> Answer {
        match self {
            // Boxed: a connection's state would otherwise hold room for the largest mode.
            Self::Fork(fork) => Box::pin(fork.answer(request)).await,
            Self::Http(http) => Box::pin(http.answer(request)).await,
        }
    }

    /// The classic watchdog leaves `/_/ready` to the handler.
    pub(crate) fn has_ready(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    /// What the handler says of its readiness.
    pub(crate) async fn ready_answer(&self) -> Answer {
        match self {
            Self::Fork(_) => answer::empty(StatusCode::OK),
            Self::Http(http) => http.ready_answer().await,
        }
    }

    /// Waits until requests can be answered; the error says why they never will be.
    pub(crate) async fn ready(&self, limit: Duration) -> Result<(), String> {
        match self {
            Self::Fork(_) => Ok(()),
            Self::Http(http) => http.ready(limit).await,
        }
    }

    /// Resolves when the process that all requests need has ended.
    pub(crate) async fn exited(&self) -> ExitStatus {
        match self {
            Self::Fork(_) => pending().await,
            Self::Http(http) => http.exited().await,
        }
    }

    /// Passes SIGTERM on.
    pub(crate) fn terminate(&self) {
        if let Self::Http(http) = self {
            http.terminate();
        }
    }
}
