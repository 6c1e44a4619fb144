//! One spawned process: its pipes, its exit, its end.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wait4::Wait4 as _;

use crate::family::Family;

/// A process that leads its own group. Dropping it kills the group and reaps the process.
#[derive(Debug)]
pub struct Child {
    leader: AsyncFd<Leader>,
    /// The end to write to, when the command asked for a pipe. `tokio::process::ChildStdin::from_std` makes it async.
    pub stdin: Option<ChildStdin>,
    /// The end to read from, when the command asked for a pipe.
    pub stdout: Option<ChildStdout>,
    /// The end to read from, when the command asked for a pipe.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    /// Needs a runtime with IO.
    pub(crate) fn watch(spawned: Spawned) -> io::Result<Self> {
        let Spawned { leader, stdin, stdout, stderr } = spawned;
        #[expect(deprecated, reason = "its successor is unsafe; Leader owns one descriptor for all its life")]
        let leader = AsyncFd::with_interest(leader, Interest::READABLE)?;
        Ok(Self { leader, stdin, stdout, stderr })
    }

    /// Its process id, which is also its group's. Not reused before this value is dropped.
    pub fn pid(&self) -> Pid {
        self.leader.get_ref().pid
    }

    /// Waits until the process has exited. Cancel safe, and may be called again. Others of its group may live on.
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        loop {
            let mut ready = self.leader.readable().await?;
            if let Some(status) = self.leader.get_ref().try_wait()? {
                return Ok(status);
            }
            ready.clear_ready();
        }
    }

    /// How the process ended, if it did.
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.leader.get_ref().try_wait()
    }

    /// Lets go of a process that has exited: kills what is left of its group, and says what it took. None while it runs:
    /// then it is killed.
    pub fn finish(self) -> Option<Usage> {
        self.leader.into_inner().finish()
    }

    /// Sends a signal to the process alone. One that has exited is no error.
    pub fn kill(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.leader.get_ref(), signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Sends a signal to every process of the group. A group that is already empty is no error.
    pub fn kill_group(&self, signal: Signal) -> io::Result<()> {
        self.leader.get_ref().kill_group(signal)
    }
}

/// What a process took, those of its own children that it waited for included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Resident memory at its peak.
    pub memory_bytes: u64,
}

/// What the spawning thread hands over; kills its process when nobody takes it.
#[derive(Debug)]
pub(crate) struct Spawned {
    leader: Leader,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Spawned {
    /// Takes over a process that was just made. Called with `family` locked, so that nobody takes it for an orphan.
    pub(crate) fn adopt(mut child: std::process::Child, family: &Arc<Family>) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        family.own().insert(pid.as_raw_nonzero().get());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let leader = Leader { pid, pidfd, child, family: Arc::clone(family), reaped: false };
        Ok(Self { leader, stdin, stdout, stderr })
    }
}

/// The process that leads the group: alive, or a zombie that nobody has reaped.
#[derive(Debug)]
struct Leader {
    pid: Pid,
    pidfd: OwnedFd,
    child: std::process::Child,
    family: Arc<Family>,
    reaped: bool,
}

impl Leader {
    fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::PidFd(self.pidfd.as_fd()), look)?.as_ref().map(exit_status))
    }

    fn finish(mut self) -> Option<Usage> {
        self.let_go();
        let taken = self.child.try_wait4().ok()??.rusage;
        self.reaped = true;
        Some(Usage { cpu: taken.utime + taken.stime, memory_bytes: taken.maxrss })
    }

    /// Disowned before it is reaped: once reaped, the number may belong to the next child.
    fn let_go(&self) {
        let _ = self.kill_group(Signal::KILL);
        self.family.own().remove(&self.pid.as_raw_nonzero().get());
    }

    fn kill_group(&self, signal: Signal) -> io::Result<()> {
        match kill_process_group(self.pid, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }
}

impl Drop for Leader {
    /// What has not died at this instant is reaped as an orphan when it does.
    fn drop(&mut self) {
        // Once reaped, the number may be somebody else's.
        if !self.reaped {
            self.let_go();
            let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
}

impl AsFd for Leader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Leader {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

/// The status as `wait` packs it: the code in the second byte, or the signal in the first, bit 7 for a core.
fn exit_status(status: &WaitIdStatus) -> ExitStatus {
    let dumped = if status.dumped() { 0x80 } else { 0 };
    let raw = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (code & 0xff) << 8,
        (None, Some(signal)) => signal | dumped,
        (None, None) => 0,
    };
    ExitStatus::from_raw(raw)
}
