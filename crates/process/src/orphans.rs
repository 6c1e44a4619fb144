//! What is reparented to us because its parent died: reaped, or killed and reaped.
//!
//! A sweep lists our children in `/proc` and treats those that nobody here stands for. It runs after SIGCHLD, on the
//! caller's runtime and not on the spawning thread, which may have shut `/proc` out for itself. While reaping only, at
//! most ten sweeps a second, so that a process per request does not cost a directory listing per request.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, kill_process_group, waitid};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

use crate::family::{Family, children_of, is_in_session};

/// What becomes of processes whose parent died and that are therefore ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// They may run on, and are reaped when they end.
    Reap,
    /// They are killed at once, and so is what they leave behind, until none is left.
    Kill,
}

impl Orphans {
    fn pause(self) -> Duration {
        match self {
            Self::Reap => Duration::from_millis(100),
            Self::Kill => Duration::ZERO,
        }
    }
}

/// Sweeps whenever a child dies, until the family is gone. Needs a runtime.
pub(crate) fn watch(family: &Arc<Family>, orphans: Orphans) -> io::Result<()> {
    let deaths = signal(SignalKind::child())?;
    tokio::spawn(sweep_on_each(deaths, Arc::downgrade(family), orphans));
    Ok(())
}

async fn sweep_on_each(mut deaths: Signals, family: Weak<Family>, orphans: Orphans) {
    while deaths.recv().await.is_some() {
        let Some(family) = family.upgrade() else { return };
        sweep(&family, orphans);
        drop(family);
        if !orphans.pause().is_zero() {
            tokio::time::sleep(orphans.pause()).await;
        }
    }
}

fn sweep(family: &Family, orphans: Orphans) {
    let children = children_of(getpid());
    let _no_spawning = family.lock();
    let own = family.own();
    for pid in children.into_iter().filter(|pid| !own.contains(&pid.as_raw_nonzero().get())) {
        treat(pid, orphans);
    }
}

/// Kills what was reparented to us and stayed in our session, each with the group that it leads. What left the session
/// meant to live on.
pub(crate) fn kill_in_session(family: &Family) {
    let children = children_of(getpid());
    let _no_spawning = family.lock();
    let own = family.own();
    let orphans = children.into_iter().filter(|pid| !own.contains(&pid.as_raw_nonzero().get()));
    for pid in orphans.filter(|&pid| is_in_session(pid)) {
        // Nobody else reaps it meanwhile: sweeps run on this thread, or wait for the lock.
        if is_child(pid) {
            let _ = kill_process_group(pid, Signal::KILL);
            treat(pid, Orphans::Kill);
        }
    }
}

/// The number is looked up again before it is killed: it may have been let go since it was listed.
fn treat(pid: Pid, orphans: Orphans) {
    if is_child(pid) && orphans == Orphans::Kill {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

fn is_child(pid: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), look).is_ok()
}
