//! The handler processes of a replica: started, given calls, replaced.
//!
//! A call takes the least busy process that has room; while none has, it waits its turn, and more processes are started as
//! far as the policy allows. A process that ends is replaced at once; one that never had a call, or that cannot be
//! started, only after [`PAUSE`]. Where processes are kept ready, a start that fails when there is no other is the end
//! of the replica: its supervisor knows what to do. Bounded: processes by the policy, waiting calls by `max_inflight`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use tokio::sync::{oneshot, watch};

use super::hello::Hello;
use super::launch::Launcher;
use super::lease::Lease;
use super::life::{Life, Outcome};
use super::process::Process;
use crate::log;
use crate::metrics::Metrics;

/// Before another start, where the last one came to nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// How many processes there are, and what each is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    /// Kept ready.
    pub(super) least: usize,
    /// Alive and taking calls.
    pub(super) most: usize,
    /// Each serves one call.
    pub(super) once: bool,
    /// Calls at a time, where it is not for the runtime to say.
    pub(super) concurrency: Option<usize>,
}

/// Processes and the calls that wait for one.
pub(crate) struct Pool {
    pub(super) launcher: Launcher,
    pub(super) start_limit: Duration,
    pub(super) metrics: Metrics,
    /// Decided when the first process has said what it can do.
    policy: OnceLock<Policy>,
    decide: Box<dyn Fn(Hello) -> Policy + Send + Sync>,
    state: Mutex<State>,
    /// The first HELLO, and why there never will be one.
    loaded: watch::Sender<Option<Result<Hello, String>>>,
}

#[derive(Default)]
struct State {
    processes: Vec<Arc<Process>>,
    starting: usize,
    /// Places that stay empty for a while: the last start in them came to nothing.
    pausing: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    since: Instant,
    call_id: Option<HeaderValue>,
    turn: oneshot::Sender<Result<Lease, Unavailable>>,
}

/// No process can be had; the text says why.
#[derive(Debug, Clone)]
pub(crate) struct Unavailable(pub(crate) String);

impl Pool {
    pub(super) fn new(
        launcher: Launcher,
        start_limit: Duration,
        metrics: Metrics,
        policy: Option<Policy>,
        decide: impl Fn(Hello) -> Policy + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            launcher,
            start_limit,
            metrics,
            policy: policy.map_or_else(OnceLock::new, OnceLock::from),
            decide: Box::new(decide),
            state: Mutex::default(),
            loaded: watch::Sender::new(None),
        })
    }

    /// Starts what is to be ready.
    pub(super) fn prepare(self: &Arc<Self>) {
        self.maintain(&mut self.state());
    }

    /// What the first process said, or why it said nothing.
    pub(super) async fn loaded(&self) -> Result<Hello, String> {
        let mut loaded = self.loaded.subscribe();
        match loaded.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err("the handler is not started".to_owned()),
        }
    }

    /// Whether a process has loaded the handler.
    pub(super) fn is_loaded(&self) -> bool {
        matches!(*self.loaded.borrow(), Some(Ok(_)))
    }

    /// Resolves when no handler can be had, to the reason.
    pub(super) async fn failed(&self) -> String {
        let mut loaded = self.loaded.subscribe();
        match loaded.wait_for(|loaded| matches!(loaded, Some(Err(_)))).await.as_deref() {
            Ok(Some(Err(reason))) => reason.clone(),
            _ => std::future::pending().await,
        }
    }

    /// A place for one call. Cancel safe: who leaves loses the turn.
    pub(crate) async fn lease(self: &Arc<Self>, call_id: Option<HeaderValue>) -> Result<Lease, Unavailable> {
        let since = Instant::now();
        let turn = {
            let mut state = self.state();
            if let Some(process) = self.find(&mut state) {
                return Ok(self.begin(process, call_id, since));
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.push_back(Waiting { since, call_id, turn: sender });
            self.maintain(&mut state);
            turn
        };
        turn.await.unwrap_or_else(|_| Err(Unavailable("the replica ends".to_owned())))
    }

    /// The least busy process that has room. One that serves once leaves the others.
    fn find(&self, state: &mut State) -> Option<Arc<Process>> {
        let policy = self.policy.get()?;
        let room = |process: &Process| {
            let hello = process.hello()?;
            let most =
                if hello.becomes_the_call() { 1 } else { policy.concurrency.unwrap_or(hello.concurrency) };
            Some(process.running()).filter(|&running| running < most && !process.is_retired())
        };
        let with_room = state.processes.iter().enumerate();
        let with_room = with_room.filter_map(|(place, process)| Some((room(process)?, place)));
        let (_, place) = with_room.min()?;
        if policy.once {
            return Some(state.processes.swap_remove(place));
        }
        state.processes.get(place).cloned()
    }

    fn begin(self: &Arc<Self>, process: Arc<Process>, call_id: Option<HeaderValue>, since: Instant) -> Lease {
        self.metrics.record_wait(since.elapsed());
        let opened = process.open(call_id);
        if self.is_once() {
            self.maintain_later();
        }
        Lease::new(self, process, opened)
    }

    pub(super) fn is_once(&self) -> bool {
        self.policy.get().is_some_and(|policy| policy.once)
    }

    /// Outside the lock that the caller may hold.
    fn maintain_later(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        tokio::spawn(async move { pool.maintain(&mut pool.state()) });
    }

    /// Gives room to those who wait, first come first served.
    pub(super) fn serve_waiting(self: &Arc<Self>) {
        loop {
            let (waiting, process) = {
                let mut state = self.state();
                while state.waiting.front().is_some_and(|waiting| waiting.turn.is_closed()) {
                    state.waiting.pop_front();
                }
                if state.waiting.is_empty() {
                    return;
                }
                let Some(process) = self.find(&mut state) else { return };
                let Some(waiting) = state.waiting.pop_front() else { return };
                (waiting, process)
            };
            // Whoever left in this instant gives the place back by dropping it.
            let _ = waiting.turn.send(Ok(self.begin(process, waiting.call_id, waiting.since)));
        }
    }

    /// Starts processes until there are as many as there should be.
    fn maintain(self: &Arc<Self>, state: &mut State) {
        let start = Policy { least: 1, most: 1, once: false, concurrency: None };
        let policy = self.policy.get().unwrap_or(&start);
        loop {
            let total = state.processes.len() + state.starting + state.pausing;
            let wanted = total < policy.least || state.waiting.len() > state.starting;
            if !wanted || total >= policy.most {
                return;
            }
            state.starting += 1;
            tokio::spawn(Arc::clone(self).run());
        }
    }

    /// One process, from start to end.
    async fn run(self: Arc<Self>) {
        let started = Instant::now();
        let outcome = match self.launcher.start().await {
            Ok((process, socket, handle)) => {
                Life {
                    pool: Arc::clone(&self),
                    process: Arc::new(process),
                    started,
                    loaded: false,
                    told: false,
                }
                .live(socket, handle)
                .await
            }
            Err(error) => Outcome::NotStarted(format!("cannot start: {error}")),
        };
        match outcome {
            Outcome::Served => {}
            Outcome::Idle => tokio::time::sleep(PAUSE).await,
            Outcome::NotStarted(reason) => self.not_started(&reason).await,
        }
        let mut state = self.state();
        self.maintain(&mut state);
    }

    /// A start came to nothing: those who wait are told, unless another process may yet serve them.
    async fn not_started(&self, reason: &str) {
        log::line(format_args!("handler: {reason}"));
        let kept = self.policy.get().is_none_or(|policy| policy.least > 0);
        let waiting = {
            let mut state = self.state();
            // One start answers for one who waits; where none is left at all, for everybody.
            state.starting -= 1;
            state.pausing += 1;
            let alone = state.processes.is_empty() && state.starting == 0;
            let count = if alone && kept { state.waiting.len() } else { usize::from(!kept || alone) };
            let count = count.min(state.waiting.len());
            if alone && kept {
                self.loaded.send_replace(Some(Err(reason.to_owned())));
            }
            state.waiting.drain(..count).collect::<Vec<_>>()
        };
        for waiting in waiting {
            let _ = waiting.turn.send(Err(Unavailable(reason.to_owned())));
        }
        if kept {
            tokio::time::sleep(PAUSE).await;
        }
        self.state().pausing -= 1;
    }

    /// The process has loaded its handler and takes calls.
    pub(super) fn add(self: &Arc<Self>, process: &Arc<Process>, hello: Hello, took: Duration) {
        self.metrics.record_start(took);
        self.policy.get_or_init(|| (self.decide)(hello));
        {
            let mut state = self.state();
            state.starting -= 1;
            state.processes.push(Arc::clone(process));
        }
        self.loaded.send_if_modified(|loaded| {
            let first = loaded.is_none();
            if first {
                *loaded = Some(Ok(hello));
            }
            first
        });
        self.serve_waiting();
        self.maintain(&mut self.state());
    }

    pub(super) fn remove(&self, process: &Arc<Process>) {
        self.state().processes.retain(|other| !Arc::ptr_eq(other, process));
    }

    /// Replaces a process that ends by itself.
    pub(super) fn leave(self: &Arc<Self>, process: &Arc<Process>) {
        self.remove(process);
        self.maintain(&mut self.state());
    }

    /// Replaces a process; it may end what it has begun, the overdue call aside.
    pub(super) fn retire(self: &Arc<Self>, process: &Arc<Process>, overdue: Option<u32>) {
        process.retire(overdue);
        self.leave(process);
    }

    /// Takes back a process that was given to a call which was never sent.
    pub(super) fn give_back(self: &Arc<Self>, process: &Arc<Process>) {
        if self.is_once() {
            self.state().processes.push(Arc::clone(process));
        }
        self.serve_waiting();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
