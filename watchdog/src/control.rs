//! The supervisor's socket, which is standard input in supervised mode.
//!
//! Out goes one line: `ready`, or `failed: REASON`. What comes in is ignored; its end means that the supervisor is
//! gone. Without a supervisor nothing is said and the end never comes. Handlers never inherit the socket: their
//! standard input is always another one.

use std::future::pending;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::net::UnixStream;

/// Our end of the socket, if there is a supervisor.
#[derive(Debug)]
pub(crate) struct Control(Option<UnixStream>);

impl Control {
    /// Needs a runtime with IO.
    pub(crate) fn open(supervised: bool) -> io::Result<Self> {
        if !supervised {
            return Ok(Self(None));
        }
        let socket = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        Ok(Self(Some(UnixStream::from_std(socket)?)))
    }

    /// Resolves when the supervisor is gone. Cancel safe.
    pub(crate) async fn closed(&self) {
        let Some(socket) = &self.0 else { return pending().await };
        let mut ignored = [0; 64];
        loop {
            let read = match socket.readable().await {
                Ok(()) => socket.try_read(&mut ignored),
                Err(error) => Err(error),
            };
            match read {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    pub(crate) fn is_supervised(&self) -> bool {
        self.0.is_some()
    }

    /// Says that requests are served.
    pub(crate) fn ready(&self) {
        if self.is_supervised() {
            say("ready\n");
        }
    }
}

/// Says why this replica ends; needs no runtime.
pub(crate) fn failed(reason: &str) {
    say(&format!("failed: {}\n", reason.replace(['\n', '\r'], " ")));
}

/// One short line always fits an empty socket; a supervisor that is gone hears nothing.
fn say(line: &str) {
    let _ = rustix::io::write(io::stdin(), line.as_bytes());
}
