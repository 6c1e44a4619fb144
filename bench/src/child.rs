//! Programs beside the platform: found in the usual folders, ended when dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::world::SEARCH_PATH;

/// Servers lie in `sbin`, which is not on every user's search path.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The path of a program, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file())
}

/// For a server that cannot choose a port itself, or does not tell: free now, and taken again by it.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A command in the environment that the platform gives to handlers. With ours it would measure our shell:
/// `NODE_EXTRA_CA_CERTS` alone doubles the start of node.
pub(crate) fn as_handler(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", SEARCH_PATH).env("LANG", "C.UTF-8");
    command
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    /// Starts it, deaf; what it says about errors goes to our standard error.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        Self::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))
    }

    /// Starts it with pipes for [`talk`](Self::talk).
    pub(crate) fn start_talking(command: &mut Command) -> anyhow::Result<Self> {
        Self::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let started = command.spawn();
        Ok(Self(started.with_context(|| format!("failed to start {}", command.get_program().display()))?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What it says about errors, once, when its command asked for a pipe.
    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    /// What it is told and what it says, once.
    pub(crate) fn talk(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.0.stdin.take()?, self.0.stdout.take()?))
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}
