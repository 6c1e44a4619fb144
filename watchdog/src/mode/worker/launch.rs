//! How a handler process comes to be: executed, or forked by one that has loaded the handler.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use faas_process::{Child, Signal, Spawner};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Mutex;

use super::lease::Lease;
use super::pool::Pool;
use super::process::{Event, Process};
use crate::frame::Kind;
use crate::mode::lines::Lines;
use crate::program::Program;

/// A way to start processes, and how what they write is logged.
pub(super) struct Launcher {
    pub(super) origin: Origin,
    pub(super) lines: Lines,
}

pub(super) enum Origin {
    Exec {
        program: Program,
        spawner: Spawner,
    },
    /// Forked by the processes of this pool.
    Fork(Arc<Pool>),
}

/// A started process. Dropping it kills the process and its group.
pub(super) enum Handle {
    Child(Child),
    Forked(Mutex<Lease>),
}

impl Launcher {
    /// Ends a process with all that it has forked, each of which leads a group of its own.
    pub(super) async fn end(&self, handle: Handle) {
        if let Origin::Exec { spawner, .. } = &self.origin {
            handle.kill(spawner).await;
        }
    }

    /// Starts a process; it has not said HELLO yet. Dropping the future leaves no process behind.
    pub(super) async fn start(&self) -> io::Result<(Process, OwnedReadHalf, Handle)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (stdout, out) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, error) = pipe_with(PipeFlags::CLOEXEC)?;
        let handle = match &self.origin {
            Origin::Exec { program, spawner } => {
                let mut command = program.command();
                command.stdin(OwnedFd::from(theirs)).stdout(Stdio::from(out)).stderr(Stdio::from(error));
                Handle::Child(spawner.spawn(command).await?)
            }
            Origin::Fork(pool) => {
                let mut lease =
                    pool.lease(None).await.map_err(|unavailable| io::Error::other(unavailable.0))?;
                lease.send(Kind::Run, 0, &[], vec![theirs.into(), out, error]);
                Handle::Forked(Mutex::new(lease))
            }
        };
        for (name, pipe) in [("stdout", stdout), ("stderr", stderr)] {
            tokio::spawn(self.lines.named(name).copy(Receiver::from_owned_fd(pipe)?));
        }
        let (process, socket) = Process::new(UnixStream::from_std(ours)?, self.lines);
        Ok((process, socket, handle))
    }
}

impl Handle {
    /// Kills it, and waits for that; what it has forked is killed too.
    async fn kill(&self, spawner: &Spawner) {
        let Self::Child(child) = self else { return };
        let _ = child.kill_group(Signal::KILL);
        let _ = child.wait().await;
        spawner.kill_orphans();
    }

    /// How it exited; None where that cannot be known. Cancel safe.
    pub(super) async fn exited(&self) -> Option<ExitStatus> {
        match self {
            Self::Child(child) => child.wait().await.ok(),
            Self::Forked(lease) => match lease.lock().await.next().await {
                Some(Event::Exited { status, .. }) => Some(status),
                _ => None,
            },
        }
    }
}
