//! One process and the bytes that go in and out of it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::Body as _;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::watch;
use tokio::time::timeout;

use super::outlet::Outlet;
use super::source::{Descriptors, Source, Started};
use crate::frame::Usage;
use crate::inbound::{Broken, Inbound};
use crate::mode::lines::Lines;
use crate::output::{self, Output};

/// The longest body that is read before there is a process: an empty pipe takes it, as a rule.
const SHORT: usize = 32 * 1024;

/// Why there is no exit status and output.
#[derive(Debug)]
pub(in crate::mode) enum Failure {
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

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Body(broken.to_string())
    }
}

/// What the handler reads.
#[derive(Debug)]
pub(in crate::mode) enum Input {
    Whole(Bytes),
    /// The caller's body, each part of which has so long to come (zero: any time).
    Stream(Inbound, Duration),
}

/// Where the handler's output goes.
pub(in crate::mode) trait Sink {
    /// Takes all of it.
    async fn read_from(&mut self, pipe: &mut Outlet) -> Result<(), output::Error>;
}

impl Sink for Output {
    async fn read_from(&mut self, pipe: &mut Outlet) -> Result<(), output::Error> {
        Self::read_from(self, pipe).await
    }
}

/// A handler that was started for one request. Dropping this kills it and its group.
pub(in crate::mode) struct Running {
    process: Started,
    pipes: Pipes,
    input: Input,
    errors: Option<Lines>,
}

/// Our ends of a handler's pipes.
struct Pipes {
    stdin: Option<Sender>,
    stdout: Receiver,
    /// Absent when it goes where standard output goes.
    stderr: Option<Receiver>,
}

impl Running {
    /// Starts a process. Standard error is logged as `errors` says, or goes where standard output goes.
    pub(in crate::mode) async fn start(
        source: &Source,
        variables: Vec<(OsString, OsString)>,
        input: Input,
        errors: Option<Lines>,
    ) -> Result<Self, Failure> {
        let (descriptors, pipes, input) = pipes(input, errors.is_none()).map_err(Failure::Spawn)?;
        let process = source.start(variables, descriptors).await?;
        Ok(Self { process, pipes, input, errors })
    }

    /// Feeds, gathers and waits. What the handler has written is taken to the end, however slow the sink.
    pub(in crate::mode) async fn finish(
        self,
        output: &mut impl Sink,
    ) -> Result<(ExitStatus, Option<Usage>), Failure> {
        let Self { mut process, pipes: Pipes { stdin, stdout, stderr }, input, errors } = self;
        let (exit, gone) = watch::channel(false);
        let mut stdout = Outlet::new(stdout, gone.clone());
        let stderr = stderr.map(|pipe| Outlet::new(pipe, gone));
        let mut feeding = pin!(feed(input, stdin));
        let mut gathering = pin!(gather(output, &mut stdout, stderr.zip(errors)));
        let (mut fed, mut gathered) = (false, false);
        let (status, usage) = loop {
            tokio::select! {
                exited = process.exited() => break exited.map_err(Failure::Wait)?,
                result = gathering.as_mut(), if !gathered => { result?; gathered = true; }
                result = feeding.as_mut(), if !fed => { result?; fed = true; }
            }
        };
        exit.send_replace(true);
        if !gathered {
            gathering.await?;
        }
        Ok((status, process.finish().or(usage)))
    }
}

/// Ends what runs for longer than `limit` (zero: however long).
pub(in crate::mode) async fn within<T>(
    limit: Duration,
    running: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if limit.is_zero() {
        return running.await;
    }
    timeout(limit, running).await.unwrap_or(Err(Failure::Timeout))
}

/// Reads a body into memory, up to `limit` bytes.
pub(in crate::mode) async fn whole(
    mut body: Inbound,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Failure> {
    let limit = limit as u64;
    if body.size_hint().lower() > limit {
        return Err(Failure::BodyTooLarge);
    }
    let mut bytes = BytesMut::new();
    while let Some(part) = body.next_part(patience).await? {
        if (bytes.len() + part.len()) as u64 > limit {
            return Err(Failure::BodyTooLarge);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

/// The pipes, and what is left of the input to go through them.
fn pipes(input: Input, combine: bool) -> io::Result<(Descriptors, Pipes, Input)> {
    let (stdin, feed, input) = stdin(input)?;
    let (stdout, read) = outlet()?;
    let (stderr, log) = if combine {
        (stdout.try_clone()?, None)
    } else {
        let (stderr, log) = outlet()?;
        (stderr, Some(log))
    };
    Ok((Descriptors { stdin, stdout, stderr }, Pipes { stdin: feed, stdout: read, stderr: log }, input))
}

/// What the handler reads from, where more of it goes, and what that is. What fits the pipe is in it before the handler
/// starts; a user with many pipes gets smaller ones.
fn stdin(input: Input) -> io::Result<(OwnedFd, Option<Sender>, Input)> {
    if input.is_empty() {
        return Ok((OwnedFd::from(File::open("/dev/null")?), None, input));
    }
    let (stdin, feed) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&feed, OFlags::NONBLOCK)?;
    let rest = match input {
        Input::Whole(bytes) => Input::Whole(bytes.slice(fill(&feed, &bytes)?..)),
        stream @ Input::Stream(..) => stream,
    };
    let feed = if rest.is_empty() { None } else { Some(Sender::from_owned_fd_unchecked(feed)?) };
    Ok((stdin, feed, rest))
}

/// How much a new pipe has taken.
fn fill(feed: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    match rustix::io::write(feed, bytes) {
        Err(Errno::AGAIN) => Ok(0),
        written => Ok(written?),
    }
}

/// What the handler writes to, and where it is read.
fn outlet() -> io::Result<(OwnedFd, Receiver)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&read, OFlags::NONBLOCK)?;
    Ok((write, Receiver::from_owned_fd_unchecked(read)?))
}

impl Input {
    /// A short body is read before there is a process, so that a slow sender holds none.
    pub(super) async fn of(body: Inbound, patience: Duration) -> Result<Self, Failure> {
        match body.size_hint().exact() {
            Some(length) if length <= SHORT as u64 => Ok(Self::Whole(whole(body, SHORT, patience).await?)),
            _ => Ok(Self::Stream(body, patience)),
        }
    }

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
async fn gather(
    output: &mut impl Sink,
    stdout: &mut Outlet,
    stderr: Option<(Outlet, Lines)>,
) -> Result<(), Failure> {
    let logging = async {
        if let Some((pipe, lines)) = stderr {
            lines.copy(pipe).await;
        }
        Ok(())
    };
    tokio::try_join!(output.read_from(stdout), logging).map(drop).map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_small_pipe_does_not_take_at_once_follows() {
        let (read, feed) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        rustix::pipe::fcntl_setpipe_size(&feed, 4096).unwrap();
        let taken = fill(&feed, &[7; 9000]).unwrap();
        assert_eq!((taken, fill(&feed, &[7; 9000]).unwrap()), (4096, 0));
        drop(read);
        let (_, feed, rest) = stdin(Input::Whole(Bytes::from_static(b"short"))).unwrap();
        assert!(feed.is_none() && rest.is_empty(), "all of it is in the pipe");
    }
}
