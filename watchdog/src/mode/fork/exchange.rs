//! One process and the bytes that go in and out of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use faas_process::{Child, Spawner};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::watch;
use tokio::time::timeout;

use super::outlet::Outlet;
use crate::inbound::Inbound;
use crate::mode::lines::Lines;
use crate::output::{self, Output};

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
    child: Child,
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
    /// Spawns. Standard error is logged as `errors` says, or goes where standard output goes.
    pub(in crate::mode) async fn start(
        spawner: &Spawner,
        command: Command,
        input: Input,
        errors: Option<Lines>,
    ) -> Result<Self, Failure> {
        let combine = errors.is_none();
        let (child, pipes) = start(spawner, command, &input, combine).await.map_err(Failure::Spawn)?;
        Ok(Self { child, pipes, input, errors })
    }

    /// Feeds, gathers and waits. What the handler has written is taken to the end, however slow the sink.
    pub(in crate::mode) async fn finish(self, output: &mut impl Sink) -> Result<ExitStatus, Failure> {
        let Self { child, pipes: Pipes { stdin, stdout, stderr }, input, errors } = self;
        let (exit, gone) = watch::channel(false);
        let mut stdout = Outlet::new(stdout, gone.clone());
        let stderr = stderr.map(|pipe| Outlet::new(pipe, gone));
        let mut feeding = pin!(feed(input, stdin));
        let mut gathering = pin!(gather(output, &mut stdout, stderr.zip(errors)));
        let (mut fed, mut gathered) = (false, false);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.map_err(Failure::Wait)?,
                result = gathering.as_mut(), if !gathered => { result?; gathered = true; }
                result = feeding.as_mut(), if !fed => { result?; fed = true; }
            }
        };
        exit.send_replace(true);
        if !gathered {
            gathering.await?;
        }
        Ok(status)
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
    while let Some(part) = next_part(&mut body, patience).await? {
        if (bytes.len() + part.len()) as u64 > limit {
            return Err(Failure::BodyTooLarge);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
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
        match patiently(patience, body.frame()).await? {
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

/// Waits for something of the caller's body, but not for longer than `patience` (zero: any time).
pub(in crate::mode) async fn patiently<T>(
    patience: Duration,
    coming: impl Future<Output = T>,
) -> Result<T, Failure> {
    if patience.is_zero() {
        return Ok(coming.await);
    }
    let stalled = |_| Failure::Body("the request body did not go on in time".to_owned());
    timeout(patience, coming).await.map_err(stalled)
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
