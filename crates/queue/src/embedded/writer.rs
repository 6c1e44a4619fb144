//! The thread that writes: it takes all requests that wait, makes them one transaction, and answers each when that is on
//! disk. So 64 callers share one fsync, and one caller waits for its own.
//!
//! A batch that fails is rolled back and its requests are tried one by one, so that none fails for another's fault. A
//! file that turns out to be damaged is mended ([`super::salvage`]), at most once a minute. The thread ends when the last
//! sender is gone and every request that was sent has been answered.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::bodies::Bodies;
use super::book::{Book, Changes};
use super::clock::Clock;
use super::file::QueueFile;
use super::schema::is_corrupt;
use super::step::{Alarms, Outcome, Step, Terms};
use crate::Error;

/// Requests in one transaction.
const MOST: usize = 512;
/// How long the thread sleeps at most while something is to be done later: the clock may be set.
const GLANCE: Duration = Duration::from_secs(1);
/// A file that is damaged again so soon lies on a broken disk: mending it would only fill that.
const BETWEEN_MENDS: Duration = Duration::from_mins(1);

/// Something to be done in a transaction. It may be run more than once, until one is committed.
pub(super) trait Work: Send {
    fn run(&mut self, step: &mut Step<'_>) -> Result<(), rusqlite::Error>;
    fn finish(self: Box<Self>, committed: Result<(), rusqlite::Error>);
}

/// A request whose caller waits for an answer.
pub(super) struct Call<F, T> {
    what: &'static str,
    work: F,
    outcome: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
    /// For what it holds in memory.
    permit: Option<OwnedSemaphorePermit>,
}

impl<F, T> Call<F, T>
where
    F: FnMut(&mut Step<'_>) -> Outcome<T> + Send + 'static,
    T: Send + 'static,
{
    /// The request, and where its answer comes.
    pub(super) fn request(
        what: &'static str,
        permit: Option<OwnedSemaphorePermit>,
        work: F,
    ) -> (Box<dyn Work>, oneshot::Receiver<Result<T, Error>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Self { what, work, outcome: None, reply, permit }), answer)
    }
}

impl<F, T: Send> Work for Call<F, T>
where
    F: FnMut(&mut Step<'_>) -> Outcome<T> + Send,
{
    fn run(&mut self, step: &mut Step<'_>) -> Result<(), rusqlite::Error> {
        if !self.reply.is_closed() {
            self.outcome = Some((self.work)(step)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), rusqlite::Error>) {
        let Self { what, outcome, reply, permit, .. } = *self;
        drop(permit);
        let outcome = match committed {
            Ok(()) => outcome,
            Err(error) => Some(Err(Error::unavailable(what)(error))),
        };
        if let Some(outcome) = outcome {
            let _ = reply.send(outcome);
        }
    }
}

pub(super) struct Writer {
    pub(super) runtime: Runtime,
    pub(super) requests: mpsc::Receiver<Box<dyn Work>>,
    pub(super) file: QueueFile,
    pub(super) connection: Connection,
    pub(super) book: Arc<Book>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) clock: Clock,
    pub(super) terms: Terms,
    pub(super) alarms: Alarms,
    pub(super) tokens: Cell<i64>,
    /// Leases of an earlier process may still stand in the file.
    pub(super) void: bool,
    pub(super) failing: bool,
    pub(super) mended: Option<Instant>,
    /// The last try to mend the file failed, so that there is none.
    pub(super) broken: bool,
}

impl Writer {
    /// Before anything is asked: leases of an earlier process end. If that cannot be written now, it will be later.
    pub(super) fn begin(&mut self) {
        let _ = self.attempt_or_mend(&mut []);
    }

    pub(super) fn run(mut self) {
        while let Some(batch) = self.next() {
            self.serve(batch);
        }
    }

    /// What waits; nothing, if it is time to do something unasked; `None` at the end.
    fn next(&mut self) -> Option<Vec<Box<dyn Work>>> {
        let (mut batch, pause) = (Vec::new(), self.pause());
        let requests = &mut self.requests;
        self.runtime.block_on(async {
            tokio::select! {
                many = requests.recv_many(&mut batch, MOST) => (many > 0).then_some(()),
                () = sleep(pause) => Some(()),
            }
        })?;
        Some(batch)
    }

    fn pause(&self) -> Option<Duration> {
        if self.failing {
            return Some(GLANCE);
        }
        let next = [self.alarms.timers.get(), self.alarms.sweep.get()].into_iter().flatten().min()?;
        let left = next.saturating_sub(self.clock.now()).max(0);
        Some(Duration::from_nanos(left.unsigned_abs()).min(GLANCE))
    }

    fn serve(&mut self, mut batch: Vec<Box<dyn Work>>) {
        if batch.len() > 1 && self.attempt(&mut batch).is_ok() {
            for request in batch {
                request.finish(Ok(()));
            }
            return;
        }
        if batch.is_empty() {
            let _ = self.attempt_or_mend(&mut []);
        }
        for request in batch {
            let mut request = [request];
            let committed = self.attempt_or_mend(&mut request);
            let [request] = request;
            request.finish(committed);
        }
    }

    fn attempt_or_mend(&mut self, requests: &mut [Box<dyn Work>]) -> Result<(), rusqlite::Error> {
        match self.attempt(requests) {
            Err(error) if (self.broken || is_corrupt(&error)) && self.mend(&error) => self.attempt(requests),
            attempted => attempted,
        }
    }

    /// One transaction; what it changed is told when it is on disk.
    fn attempt(&mut self, requests: &mut [Box<dyn Work>]) -> Result<(), rusqlite::Error> {
        let done = self.transact(requests);
        if let Err(error) = &done {
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            // What became due in it has not.
            self.alarms.timers.set(Some(i64::MIN));
            if !self.failing {
                tracing::warn!(error = %error, "the queue cannot be written");
            }
        } else if self.failing {
            tracing::info!("the queue can be written again");
        }
        self.failing = done.is_err();
        done
    }

    fn transact(&mut self, requests: &mut [Box<dyn Work>]) -> Result<(), rusqlite::Error> {
        let mut step = Step {
            connection: &self.connection,
            now: self.clock.now(),
            terms: self.terms,
            alarms: &self.alarms,
            tokens: &self.tokens,
            book: &self.book,
            generation: self.file.generation(),
            changes: Changes::default(),
            named: Vec::new(),
            unnamed: Vec::new(),
        };
        step.prepare("BEGIN IMMEDIATE")?.execute([])?;
        if self.void {
            step.void_leases()?;
        }
        step.upkeep()?;
        requests.iter_mut().try_for_each(|request| request.run(&mut step))?;
        // Before the end, so that nothing fails once it is on disk.
        let counts = self.void.then(|| super::file::count(&self.connection)).transpose()?;
        step.prepare("COMMIT")?.execute([])?;
        step.named.iter().for_each(|file| file.keep());
        let (changes, unnamed) = (step.changes, step.unnamed);
        self.book.apply(changes);
        self.bodies.remove(&unnamed);
        if let Some(counts) = counts {
            self.void = false;
            self.book.replace(counts);
        }
        Ok(())
    }

    fn recount(&self) -> Result<(), rusqlite::Error> {
        self.book.replace(super::file::count(&self.connection)?);
        Ok(())
    }

    /// Whether the file is whole again.
    fn mend(&mut self, error: &rusqlite::Error) -> bool {
        if self.mended.is_some_and(|at| at.elapsed() < BETWEEN_MENDS) {
            return false;
        }
        self.mended = Some(Instant::now());
        let mended = self.file.replace(&mut self.connection, error);
        self.broken = mended.is_err();
        match mended {
            Ok(()) => {
                self.alarms.timers.set(Some(i64::MIN));
                self.alarms.sweep.set(Some(i64::MIN));
                self.recount().is_ok()
            }
            Err(error) => {
                tracing::error!(error = %error, "the damaged queue could not be mended");
                false
            }
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
