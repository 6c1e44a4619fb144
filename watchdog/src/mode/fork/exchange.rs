//! One process and the bytes that go in and out of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use faas_process::{Child, Spawner};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

use super::GRACE;
use crate::inbound::Inbound;
use crate::mode::lines::Lines;
use crate::output::{self, Output};

/// Why there is no exit status and output.
#[derive(Debug)]
pub(super) enum Failure {
    Timeout,
    /// The client's body broke off; the text says how.
    Body(String),
    BodyTooLarge,
    Output(output::Error),
    Spawn(io::Error),
    Wait(io::Error),
}

/// What the handler reads.
#[derive(Debug)]
pub(super) enum Input {
    Whole(Bytes),
    /// The caller's body, each part of which has so long to come (zero: any time).
    Stream(Inbound, Duration),
}

/// Our ends of a handler's pipes.
struct Pipes {
    stdin: Option<Sender>,
    stdout: Receiver,
    /// Absent when it goes where standard output goes.
    stderr: Option<Receiver>,
}

/// Spawns, feeds, gathers and waits. Dropping this kills the process and its group.
pub(super) async fn run(
    spawner: &Spawner,
    command: Command,
    input: Input,
    mut output: Output,
    combine: bool,
) -> Result<(ExitStatus, Output), Failure> {
    let (child, pipes) = start(spawner, command, &input, combine).await.map_err(Failure::Spawn)?;
    let Pipes { stdin, mut stdout, stderr } = pipes;
    let status = {
        let mut feeding = pin!(feed(input, stdin));
        let mut gathering = pin!(gather(&mut output, &mut stdout, stderr));
        let (mut fed, mut gathered) = (false, false);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.map_err(Failure::Wait)?,
                result = gathering.as_mut(), if !gathered => { result?; gathered = true; }
                result = feeding.as_mut(), if !fed => { result?; fed = true; }
            }
        };
        // A grandchild may hold the output open; what it has not written by then is lost.
        if !gathered && let Ok(result) = timeout(GRACE, gathering).await {
            result?;
        }
        status
    };
    Ok((status, output))
}

async fn start(
    spawner: &Spawner,
    mut command: Command,
    input: &Input,
    combine: bool,
) -> io::Result<(Child, Pipes)> {
    command.stdin(if input.is_empty() { Stdio::from(File::open("/dev/null")?) } else { Stdio::piped() });
    let (stdout, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    if combine {
        command.stderr(Stdio::from(writer.try_clone()?));
    } else {
        command.stderr(Stdio::piped());
    }
    command.stdout(Stdio::from(writer));
    let mut child = spawner.spawn(command).await?;
    let stdin = child.stdin.take().map(|pipe| Sender::from_owned_fd(OwnedFd::from(pipe))).transpose()?;
    let stderr = child.stderr.take().map(|pipe| Receiver::from_owned_fd(OwnedFd::from(pipe))).transpose()?;
    Ok((child, Pipes { stdin, stdout: Receiver::from_owned_fd(stdout)?, stderr }))
}

impl Input {
    fn is_empty(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }
}

/// Writes the input until its end. A handler that does not read it is fine: the rest is read and thrown away.
async fn feed(input: Input, mut stdin: Option<Sender>) -> Result<(), Failure> {
    match input {
        Input::Whole(bytes) => write(&mut stdin, &bytes).await,
        Input::Stream(mut body, patience) => {
            while let Some(bytes) = next_part(&mut body, patience).await? {
                write(&mut stdin, &bytes).await;
            }
        }
    }
    Ok(())
}

async fn write(stdin: &mut Option<Sender>, bytes: &[u8]) {
    if let Some(pipe) = stdin
        && pipe.write_all(bytes).await.is_err()
    {
        *stdin = None;
    }
}

async fn next_part(body: &mut Inbound, patience: Duration) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = if patience.is_zero() {
            body.frame().await
        } else {
            let stalled = |_| Failure::Body("the request body did not go on in time".to_owned());
            timeout(patience, body.frame()).await.map_err(stalled)?
        };
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(Failure::Body(format!("failed to read the request body: {error}")));
            }
            // Trailers are not for standard input.
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// Reads the output until its end; what goes to a standard error of its own is logged.
async fn gather(output: &mut Output, stdout: &mut Receiver, stderr: Option<Receiver>) -> Result<(), Failure> {
    let log = Lines { name: "stderr", to_stdout: false, prefixed: true, longest: 64 * 1024 };
    let logging = async {
        if let Some(pipe) = stderr {
            log.copy(pipe).await;
        }
        Ok(())
    };
    tokio::try_join!(output.read_from(stdout), logging).map(drop).map_err(Failure::Output)
}
