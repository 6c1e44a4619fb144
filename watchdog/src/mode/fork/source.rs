//! Where the processes of a fork come from: executed for the call, or had from a runtime that has loaded the handler.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitStatus;
use std::sync::Arc;

use faas_process::{Child, Spawner};

use super::exchange::Failure;
use crate::frame::{Kind, Usage};
use crate::mode::worker::lease::Lease;
use crate::mode::worker::pool::Pool;
use crate::mode::worker::process::Event;
use crate::program::Program;

/// A way to have a process for a call.
pub(crate) enum Source {
    Exec {
        program: Program,
        spawner: Spawner,
    },
    /// The runtime forks, or serves the one call itself.
    Pool(Arc<Pool>),
}

/// What becomes the descriptors 0, 1 and 2 of a process.
pub(super) struct Descriptors {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A process at work. Dropping it kills the process and its group.
pub(super) enum Started {
    Child(Child),
    Leased {
        lease: Lease,
        /// Whether there is something to kill once it has exited.
        left: bool,
    },
}

impl Source {
    /// Starts a process with these variables beside its own.
    pub(super) async fn start(
        &self,
        variables: Vec<(OsString, OsString)>,
        descriptors: Descriptors,
    ) -> Result<Started, Failure> {
        let Descriptors { stdin, stdout, stderr } = descriptors;
        match self {
            Self::Exec { program, spawner } => {
                let mut command = program.command();
                command.envs(variables).stdin(stdin).stdout(stdout).stderr(stderr);
                spawner.spawn(command).await.map(Started::Child).map_err(Failure::Spawn)
            }
            Self::Pool(pool) => {
                let lease = pool.lease(None).await;
                let mut lease = lease.map_err(|unavailable| Failure::Unavailable(unavailable.0))?;
                lease.send(Kind::Run, 0, &[&join(&variables)], vec![stdin, stdout, stderr]);
                Ok(Started::Leased { lease, left: true })
            }
        }
    }
}

fn join(variables: &[(OsString, OsString)]) -> Vec<u8> {
    let entries = variables.iter().map(|(name, value)| [name.as_bytes(), value.as_bytes()].join(&b'='));
    entries.collect::<Vec<_>>().join(&b'\0')
}

impl Started {
    /// Waits until the process has exited; others of its group may live on. Cancel safe.
    pub(super) async fn exited(&mut self) -> io::Result<(ExitStatus, Option<Usage>)> {
        match self {
            Self::Child(child) => Ok((child.wait().await?, None)),
            Self::Leased { lease, left } => match lease.next().await {
                Some(Event::Exited { status, usage, left: others }) => {
                    *left = others;
                    Ok((status, usage))
                }
                Some(Event::Lost(reason) | Event::Aborted { reason, .. }) => Err(io::Error::other(reason)),
                _ => Err(io::Error::other("the runtime broke the worker protocol")),
            },
        }
    }

    /// Lets go of a process that has exited, and kills what it left behind.
    pub(super) fn finish(self) -> Option<Usage> {
        match self {
            Self::Child(child) => child.finish().map(|usage| Usage {
                cpu_micros: u64::try_from(usage.cpu.as_micros()).unwrap_or(u64::MAX),
                memory_bytes: usage.memory_bytes,
            }),
            Self::Leased { lease, left } => {
                if left {
                    lease.abort();
                }
                None
            }
        }
    }
}
