//! The life of one replica: start its watchdog, tell when it is ready, notice its end, stop it when told.
//!
//! Stopping loses nothing: the replica has left the routes before; here the last invocation in flight is waited for,
//! bounded by the function's timeout, then the watchdog drains and, if it does not, is killed with all below it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use faas_process::{Child, Signal};
use faas_provider::{Address, Cause, Failure, Replica};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::launch::{Launch, Launcher, Started};
use crate::supervisor::{Ended, Supervisor};

/// Beyond the function's timeout, for answers that are being written.
const GRACE: Duration = Duration::from_secs(2);
/// A watchdog without requests ends much faster than this.
const TERM_LIMIT: Duration = Duration::from_secs(5);

/// Runs until the replica has ended, and reports it unless it was told to stop.
pub(crate) async fn run(supervisor: Supervisor, launcher: Arc<Launcher>, launch: Launch, limit: Duration) {
    let function = &launch.record.function;
    let failure = match launcher.start(&launch).await {
        Ok(started) => Life { supervisor: &supervisor, launch: &launch, limit }.live(started).await,
        Err(error) => Some(Failure { cause: Cause::Platform, reason: error.into() }),
    };
    launcher.clean(&launch).await;
    if let Some(failure) = failure.filter(|_| supervisor.expects(function, &launch.instance)) {
        tracing::warn!(%function, replica = launch.instance, reason = &*failure.reason, "replica ended");
        launcher.logs.append(function, &launch.instance, &failure.reason);
        let last_words = launcher.logs.last_words(function, &launch.instance).await;
        supervisor.ended(function, &Ended { instance: launch.instance.clone(), failure, last_words });
    }
}

struct Life<'a> {
    supervisor: &'a Supervisor,
    launch: &'a Launch,
    limit: Duration,
}

impl Life<'_> {
    /// Why it ended; `None` if it was told to.
    async fn live(&self, started: Started) -> Option<Failure> {
        let Started { child, control, socket, output } = started;
        let reason = self.watch_over(&child, control, socket).await;
        // The group is killed, so that nothing holds the log's pipe open.
        drop(child);
        let _ = timeout(TERM_LIMIT, output).await;
        reason
    }

    async fn watch_over(&self, child: &Child, control: UnixStream, socket: PathBuf) -> Option<Failure> {
        let mut lines = BufReader::new(control).lines();
        let replica = tokio::select! {
            line = lines.next_line() => match line.ok().flatten().as_deref() {
                Some("ready") => Replica::new(self.launch.instance.clone(), Address::Unix(socket)),
                other => return Some(self.end(child, other.map(str::to_owned)).await),
            },
            () = self.launch.stop.cancelled() => {
                self.stop(child).await;
                return None;
            }
        };
        self.supervisor.ready(&self.launch.record.function, &self.launch.instance, Arc::clone(&replica));
        tracing::debug!(function = %self.launch.record.function, replica = self.launch.instance, "ready");
        tokio::select! {
            reason = self.watch(child, &mut lines) => Some(reason),
            () = self.launch.stop.cancelled() => {
                self.retire(&replica).await;
                self.stop(child).await;
                None
            }
        }
    }

    /// Waits for the end of a ready replica.
    async fn watch(&self, child: &Child, lines: &mut Lines<BufReader<UnixStream>>) -> Failure {
        let line = lines.next_line().await.ok().flatten();
        self.end(child, line).await
    }

    /// The watchdog said why, or closed its side without a word.
    async fn end(&self, child: &Child, line: Option<String>) -> Failure {
        let status = timeout(TERM_LIMIT, child.wait()).await;
        if let Some(reason) = line.as_deref().and_then(|line| line.strip_prefix("failed: ")) {
            return Failure { cause: Cause::Handler, reason: reason.into() };
        }
        let reason = match status {
            Ok(Ok(status)) => format!("watchdog ended: {status}").into(),
            _ => "watchdog closed its control connection".into(),
        };
        Failure { cause: Cause::Platform, reason }
    }

    /// Waits for the last invocation, unless the platform itself is stopping: then the gateway has drained before.
    async fn retire(&self, replica: &Replica) {
        let drained = timeout(self.limit + GRACE, replica.retire());
        self.supervisor.stopping().run_until_cancelled(drained).await;
    }

    async fn stop(&self, child: &Child) {
        // The watchdog alone: a handler that is just being spawned is in its group for a moment.
        let _ = child.kill(Signal::TERM);
        if timeout(TERM_LIMIT, child.wait()).await.is_err() {
            tracing::warn!(replica = self.launch.instance, "watchdog did not end when told and is killed");
            let _ = child.kill_group(Signal::KILL);
            let _ = timeout(TERM_LIMIT, child.wait()).await;
        }
    }
}
