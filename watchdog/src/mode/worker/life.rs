//! The life of one process, from start to end: for the pool, which decides what comes after.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::launch::Handle;
use super::pool::Pool;
use super::process::{Broken, Event, Process, Progress};
use crate::answer::handler_exit;
use crate::log;

/// Between the end of a process's connection and its exit.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// The ways to those who wait for calls that ended with their process.
type Ended = Vec<mpsc::UnboundedSender<Event>>;

/// How the life of a process went.
pub(super) enum Outcome {
    /// It had a call, or was told to end.
    Served,
    /// It loaded its handler, and ended by itself without a call.
    Idle,
    NotStarted(String),
}

/// A process on its way.
pub(super) struct Life {
    pub(super) pool: Arc<Pool>,
    pub(super) process: Arc<Process>,
    pub(super) started: Instant,
    pub(super) loaded: bool,
    /// It was told to end, before it did.
    pub(super) told: bool,
}

impl Life {
    /// Until it has ended, and all that it left behind.
    pub(super) async fn live(mut self, mut socket: OwnedReadHalf, handle: Handle) -> Outcome {
        let mut buffer = BytesMut::new();
        let process = Arc::clone(&self.process);
        let limit = self.pool.start_limit;
        let loading = timeout(limit, async {
            tokio::select! {
                broken = process.live(&mut socket, &mut buffer, |progress| self.on(progress)) => Some(broken),
                () = process.loaded() => None,
            }
        });
        let early = match loading.await {
            Ok(early) => early,
            // HELLO may have come in the last instant.
            Err(_) if self.loaded => None,
            Err(_) => {
                let limit = faas_api::format_duration(limit);
                return Outcome::NotStarted(format!("not ready in {limit}"));
            }
        };
        let (broken, status) = match early {
            Some(broken) => (Some(broken), timeout(LAST_BREATH, handle.exited()).await.ok().flatten()),
            None => self.serve(&mut socket, &mut buffer, &handle).await,
        };
        let (outcome, ended) = self.end(broken.as_ref(), status);
        if process.becomes_the_call() {
            // What it has left behind may write until its call is over; dropping the handle kills it.
            for events in ended {
                events.closed().await;
            }
        }
        if process.hello().is_some_and(|hello| hello.forks) {
            self.pool.launcher.end(handle).await;
        }
        outcome
    }

    /// Until it ends, or is to be killed.
    async fn serve(
        &mut self,
        socket: &mut OwnedReadHalf,
        buffer: &mut BytesMut,
        handle: &Handle,
    ) -> (Option<Broken>, Option<ExitStatus>) {
        let process = Arc::clone(&self.process);
        let broken = tokio::select! {
            broken = process.live(socket, buffer, |progress| self.on(progress)) => broken,
            () = process.doomed() => return (None, None),
        };
        // It takes no call from here on; another takes its place at once.
        self.told = process.is_retired();
        process.close();
        self.pool.leave(&process);
        // A process that broke the protocol is killed, and how it would have exited is of no interest.
        let status = match broken {
            // It has let go of its connection, and works on.
            Broken::Closed if process.becomes_the_call() => tokio::select! {
                status = handle.exited() => status,
                () = process.doomed() => return (None, None),
            },
            Broken::Closed => timeout(LAST_BREATH, handle.exited()).await.ok().flatten(),
            Broken::Protocol(_) => None,
        };
        (Some(broken), status)
    }

    fn on(&mut self, progress: Progress) {
        match (progress, self.process.hello()) {
            (Progress::Loaded, Some(hello)) => {
                self.loaded = true;
                self.pool.add(&self.process, hello, self.started.elapsed());
            }
            (Progress::Freed, _) if self.pool.is_once() => self.let_go(),
            (Progress::Freed, _) => self.pool.serve_waiting(),
            (Progress::Leaving, _) => {
                self.pool.leave(&self.process);
                self.let_go();
            }
            _ => {}
        }
    }

    /// It has served its call, and ends by itself. If not, it is killed.
    fn let_go(&self) {
        let process = Arc::downgrade(&self.process);
        tokio::spawn(async move {
            tokio::time::sleep(LAST_BREATH).await;
            if let Some(process) = process.upgrade() {
                process.retire(None);
            }
        });
    }

    fn end(&self, broken: Option<&Broken>, status: Option<ExitStatus>) -> (Outcome, Ended) {
        let told = broken.is_none() || self.told;
        let reason = match (broken, status) {
            (Some(Broken::Protocol(_)), _) | (_, None) => {
                broken.map_or_else(|| "handler was killed".to_owned(), |broken| format!("handler {broken}"))
            }
            (_, Some(status)) => handler_exit(status),
        };
        if !self.loaded {
            return (Outcome::NotStarted(reason), Vec::new());
        }
        self.pool.remove(&self.process);
        let served = self.process.has_served();
        let expected = told || (self.pool.is_once() && served);
        if !expected {
            self.pool.metrics.record_restart();
            log::line(format_args!("{reason}; it is replaced"));
        }
        let ended = self.process.end(status, &reason);
        (if served || told { Outcome::Served } else { Outcome::Idle }, ended)
    }
}
