//! One process and the bytes that go in and out of it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

use super::GRACE;
use super::source::{Descriptors, Source};
use crate::frame::Usage;
use crate::inbound::{Broken, Inbound};
use crate::mode::lines::{Format, Lines};
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
    /// No runtime takes the call; the text says why.
    Unavailable(String),
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) output: Output,
    pub(super) usage: Option<Usage>,
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Body(broken.to_string())
    }
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

/// Starts, feeds, gathers and waits. Dropping this kills the process and its group.
pub(super) async fn run(
    source: &Source,
    variables: Vec<(OsString, OsString)>,
    input: Input,
    mut output: Output,
    combine: bool,
) -> Result<Ended, Failure> {
    let (descriptors, pipes) = pipes(&input, combine).map_err(Failure::Spawn)?;
    let mut running = source.start(variables, descriptors).await?;
    let Pipes { stdin, mut stdout, stderr } = pipes;
    let (status, usage) = {
        let mut feeding = pin!(feed(input, stdin));
        let mut gathering = pin!(gather(&mut output, &mut stdout, stderr));
        let (mut fed, mut gathered) = (false, false);
        let exited = loop {
            tokio::select! {
                exited = running.exited() => break exited.map_err(Failure::Wait)?,
                result = gathering.as_mut(), if !gathered => { result?; gathered = true; }
                result = feeding.as_mut(), if !fed => { result?; fed = true; }
            }
        };
        // A grandchild may hold the output open; what it has not written by then is lost.
        if !gathered && let Ok(result) = timeout(GRACE, gathering).await {
            result?;
        }
        exited
    };
    let usage = running.finish().or(usage);
    Ok(Ended { status, output, usage })
}

fn pipes(input: &Input, combine: bool) -> io::Result<(Descriptors, Pipes)> {
    let (stdin, feed) = if input.is_empty() {
        (OwnedFd::from(File::open("/dev/null")?), None)
    } else {
        let (stdin, feed) = pipe_with(PipeFlags::CLOEXEC)?;
        (stdin, Some(Sender::from_owned_fd(feed)?))
    };
    let (read, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (log, stderr) = if combine {
        (None, stdout.try_clone()?)
    } else {
        let (log, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        (Some(Receiver::from_owned_fd(log)?), stderr)
    };
    let pipes = Pipes { stdin: feed, stdout: Receiver::from_owned_fd(read)?, stderr: log };
    Ok((Descriptors { stdin, stdout, stderr }, pipes))
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
            while let Some(bytes) = body.next_part(patience).await? {
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

/// Reads the output until its end; what goes to a standard error of its own is logged.
async fn gather(output: &mut Output, stdout: &mut Receiver, stderr: Option<Receiver>) -> Result<(), Failure> {
    let (format, longest) = (Format::Text, 64 * 1024);
    let log = Lines { name: "stderr", format, prefixed: true, call_id: false, longest };
    let logging = async {
        if let Some(pipe) = stderr {
            log.copy(pipe).await;
        }
        Ok(())
    };
    tokio::try_join!(output.read_from(stdout), logging).map(drop).map_err(Failure::Output)
}
