//! The threads that spawn.
//!
//! They alone make children, so that what is per thread (Landlock) holds for all of them, and so that waiting for a
//! child's exec blocks nobody else. That wait is long where the cores are busy, hence several threads: with one, starts
//! alone take a third off what two cores can do. Callers queue in a bounded channel; when it is full they wait.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{getpid, set_child_subreaper};
use tokio::sync::{mpsc, oneshot};

use crate::child::{Child, Spawned};
use crate::family::{Family, kill_descendant, living_descendants};
use crate::orphans::{self, Orphans};

/// Spawns waiting for the thread, each of some hundred microseconds. Callers beyond it wait to enter.
const QUEUE: usize = 64;
/// More make nothing faster: a start keeps a core busy for half of its time.
const THREADS: usize = 4;
const STACK_BYTES: usize = 256 * 1024;
/// Between two looks for descendants: a killed process needs a moment to be gone.
const KILL_PAUSE: Duration = Duration::from_millis(1);

/// A handle to the spawning threads; clones are cheap. The threads end when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
    family: Arc<Family>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    reply: oneshot::Sender<io::Result<Spawned>>,
}

/// Where the threads get their requests from, one at a time.
type Queue = Mutex<mpsc::Receiver<Request>>;

impl Spawner {
    /// Makes this process a child subreaper and starts the threads. The first runs `prepare` before anything else, and
    /// starts the others, which so have what it set for itself; its error is returned. Needs a tokio runtime with IO
    /// and time. One per process.
    pub fn start(
        orphans: Orphans,
        prepare: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        let family = Arc::new(Family::default());
        orphans::watch(&family, orphans)?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let (queue, threads_family) = (Arc::new(Mutex::new(queue)), Arc::clone(&family));
        let (prepared, result) = std_mpsc::sync_channel(1);
        start_thread(move || {
            let outcome = prepare().and_then(|()| start_others(&queue, &threads_family));
            let ready = outcome.is_ok();
            let _ = prepared.send(outcome);
            if ready {
                serve(&queue, &threads_family);
            }
        })?;
        result.recv().map_err(|_| io::Error::other("the spawning thread ended"))??;
        Ok(Self { requests, family })
    }

    /// Starts a process that leads a new group. Dropping the future before it is done leaves no process behind.
    ///
    /// The program must be an absolute path; `Stdio::null()` opens its device on a spawning thread, under whatever
    /// `prepare` restricted.
    pub async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.process_group(0);
        let (reply, answer) = oneshot::channel();
        let ended = || io::Error::other("the spawning threads ended");
        self.requests.send(Request { command, reply }).await.map_err(|_| ended())?;
        Child::watch(answer.await.map_err(|_| ended())??)
    }

    /// Kills what a child that has exited left behind in this session, and the groups that those lead. Needs no more
    /// than that the child was waited for: its own children are this process's by then.
    pub fn kill_orphans(&self) {
        orphans::kill_in_session(&self.family);
    }

    /// Refuses further spawns, then kills every process below this one, those that left their session included, and
    /// looks again until none lives or `limit` has passed. True when none is left. Blocks: for the end of a process.
    pub fn kill_descendants(&self, limit: Duration) -> bool {
        self.family.close();
        let start = Instant::now();
        loop {
            let living = living_descendants();
            if living.is_empty() || start.elapsed() >= limit {
                return living.is_empty();
            }
            for (pid, parent) in living {
                kill_descendant(pid, parent);
            }
            thread::sleep(KILL_PAUSE);
        }
    }
}

fn start_thread(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("spawner".to_owned()).stack_size(STACK_BYTES).spawn(run).map(drop)
}

fn start_others(queue: &Arc<Queue>, family: &Arc<Family>) -> io::Result<()> {
    for _ in 1..THREADS {
        let (queue, family) = (Arc::clone(queue), Arc::clone(family));
        start_thread(move || serve(&queue, &family))?;
    }
    Ok(())
}

fn serve(queue: &Queue, family: &Arc<Family>) {
    while let Some(Request { command, reply }) = next(queue) {
        // Nobody waits any more: what would be spawned would be killed.
        if !reply.is_closed() {
            let _ = reply.send(spawn(command, family));
        }
    }
}

fn next(queue: &Queue) -> Option<Request> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}

fn spawn(mut command: Command, family: &Arc<Family>) -> io::Result<Spawned> {
    let closed = family.spawning();
    if *closed {
        return Err(io::Error::other("shutting down"));
    }
    Spawned::adopt(command.spawn()?, family)
}
