//! Signals: the first asks for a drain, the second for an end at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Two tokens that SIGINT and SIGTERM cancel one after the other. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled by the first signal: stop taking work, finish what there is.
    pub drain: CancellationToken,
    /// Cancelled by the second: stop waiting.
    pub abort: CancellationToken,
}

impl Shutdown {
    /// Listens for SIGINT and SIGTERM from now on. Must be called within a tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let tokens = [shutdown.drain.clone(), shutdown.abort.clone()];
        tokio::spawn(async move {
            for token in tokens {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(shutdown)
    }
}
