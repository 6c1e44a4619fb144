//! Clients that post numbered jobs whatever happens, and what they were told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::{scope, sleep};
use std::time::Duration;

use faas_testing::Http;

use crate::recorder::{Recorder, Runs};

/// Accepted jobs that have not run past which clients wait: the test is not about depth.
const MOST_WAITING: usize = 256;
/// After whatever is no 202, and while too many wait.
const PAUSE: Duration = Duration::from_millis(10);

/// What they share.
pub(crate) struct Clients<'a> {
    url: String,
    recorder: &'a Recorder,
    next: AtomicUsize,
    stopped: AtomicBool,
    told: Mutex<Told>,
    /// Accepted, and not yet seen to have run.
    waiting: Mutex<BTreeSet<usize>>,
}

/// How often.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    /// 202.
    pub(crate) accepted: usize,
    /// 503 with Retry-After.
    pub(crate) refused: usize,
    /// The connection broke, or there was none.
    pub(crate) broken: usize,
}

/// Stops the clients, though what they accompany panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Clients<'a> {
    pub(crate) fn new(url: String, recorder: &'a Recorder) -> Self {
        Self {
            url,
            recorder,
            next: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            told: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// So many clients post until `work` is done.
    pub(crate) fn post_while(&self, count: usize, work: impl FnOnce()) {
        self.stopped.store(false, Ordering::Relaxed);
        scope(|scope| {
            let _stop = Stop(&self.stopped);
            for _ in 0..count {
                scope.spawn(|| self.run());
            }
            work();
        });
    }

    pub(crate) fn told(&self) -> Told {
        *self.told.lock().unwrap()
    }

    /// What was accepted and has not run; from now on nobody waits for it.
    pub(crate) fn lost(&self, runs: &Runs) -> BTreeSet<usize> {
        std::mem::take(&mut self.still_waiting(runs))
    }

    fn still_waiting(&self, runs: &Runs) -> MutexGuard<'_, BTreeSet<usize>> {
        let mut waiting = self.waiting.lock().unwrap();
        waiting.retain(|id| !runs.contains_key(id));
        waiting
    }

    fn run(&self) {
        // A connection of its own.
        let http = Http::new(&self.url);
        while !self.stopped.load(Ordering::Relaxed) {
            if self.is_full() || !self.post(&http) {
                sleep(PAUSE);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.still_waiting(&self.recorder.runs()).len() >= MOST_WAITING
    }

    /// Whether a job was accepted. What is not is refused in words, or not answered at all.
    fn post(&self, http: &Http) -> bool {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let answer = http.try_send("POST", "/async-function/record", &[], id.to_string().as_bytes());
        let accepted = match &answer {
            Ok(answer) if answer.status != 202 => {
                assert_eq!(answer.status, 503, "{}", answer.text());
                assert!(!answer.header("retry-after").is_empty(), "503 without Retry-After");
                false
            }
            answer => answer.is_ok(),
        };
        if accepted {
            self.waiting.lock().unwrap().insert(id);
        }
        let mut told = self.told.lock().unwrap();
        match answer {
            Ok(_) if accepted => told.accepted += 1,
            Ok(_) => told.refused += 1,
            Err(_) => told.broken += 1,
        }
        accepted
    }
}
