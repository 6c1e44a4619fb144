//! Load at a constant rate: requests that come when they come, whether or not those before have been answered.
//!
//! One thread and non-blocking sockets, so that at ten thousand requests a second the load itself takes a tenth of a core.
//! vegeta, whose measure this is, takes a whole one there: its own 99th percentile is then many milliseconds, and nothing of
//! what is to be measured can be seen. A latency counts from when a request was due, not from when it could be sent.
//!
//! Bounded: [`MOST`] connections; a request that finds none waits, and that counts. With many more, a moment in which the
//! machine does something else would become a flood of connections, and the flood what is measured. Every answer must have a
//! Content-Length, and come within [`PATIENCE`] after the last request was due.

mod answer;
mod outcome;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::load::Load;
use answer::Answer;
pub(crate) use outcome::Outcome;

pub(crate) const MOST: u32 = 128;
const PATIENCE: Duration = Duration::from_secs(10);

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// So many a second.
    PerSecond(NonZeroU32),
    /// Each as soon as one of so many clients has its answer.
    Clients(NonZeroU32),
}

/// Requests to one server, in turns.
#[derive(Debug)]
pub(crate) struct Paced {
    server: SocketAddr,
    requests: Vec<String>,
}

impl Paced {
    /// `GET` of these paths.
    pub(crate) fn get(server: SocketAddr, paths: impl IntoIterator<Item = String>) -> Self {
        let request = |path| format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        Self { server, requests: paths.into_iter().map(request).collect() }
    }

    /// `POST` of a body.
    pub(crate) fn post(server: SocketAddr, path: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Length: {length}\r\n\r\n");
        Self { server, requests: vec![head + body] }
    }

    /// Sends for so long, and waits for the last answer.
    pub(crate) fn run(&self, pace: Pace, duration: Duration) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let requests = self.requests.iter().cycle().map(String::as_str);
        let schedule = Schedule { pace, next: started, end: started + duration };
        let connections = Connections { server: self.server, idle: Vec::new(), busy: Vec::new() };
        Sender { requests, schedule, connections, due: VecDeque::new(), outcome: Outcome::default() }.run()
    }

    /// The same, where all must be answered with 200.
    pub(crate) fn load(&self, per_second: NonZeroU32, duration: Duration) -> anyhow::Result<Load> {
        let outcome = self.run(Pace::PerSecond(per_second), duration)?;
        let (good, all) = (outcome.good, outcome.all());
        ensure!(good == all && all > 0, "of {all} answers {good} were good; one was {}", outcome.example());
        Ok(outcome.load(duration))
    }
}

/// What is due, and when the next is.
struct Schedule {
    pace: Pace,
    next: Instant,
    end: Instant,
}

impl Schedule {
    /// Adds to those that wait what is due by now.
    fn add(&mut self, due: &mut VecDeque<Instant>, busy: usize, now: Instant) {
        match self.pace {
            Pace::PerSecond(rate) => {
                while self.next <= now && self.next < self.end {
                    due.push_back(self.next);
                    self.next += Duration::from_secs(1) / rate.get();
                }
            }
            Pace::Clients(count) => {
                let free = (count.get() as usize).saturating_sub(busy + due.len());
                due.extend((0..free).take_while(|_| now < self.end).map(|_| now));
            }
        }
    }

    /// Whether nothing more will be due.
    fn is_over(&self, now: Instant) -> bool {
        match self.pace {
            Pace::PerSecond(_) => self.next >= self.end,
            Pace::Clients(_) => now >= self.end,
        }
    }

    /// How long to wait for an answer before something else is to be done.
    fn pause(&self, now: Instant) -> Duration {
        match self.pace {
            Pace::PerSecond(_) if !self.is_over(now) => self.next.saturating_duration_since(now),
            _ => PATIENCE,
        }
    }
}

struct Sender<I> {
    requests: I,
    schedule: Schedule,
    connections: Connections,
    due: VecDeque<Instant>,
    outcome: Outcome,
}

impl<'a, I: Iterator<Item = &'a str>> Sender<I> {
    fn run(mut self) -> anyhow::Result<Outcome> {
        loop {
            let now = Instant::now();
            self.schedule.add(&mut self.due, self.connections.busy.len(), now);
            self.send()?;
            let is_answered = self.due.is_empty() && self.connections.busy.is_empty();
            if is_answered && self.schedule.is_over(now) {
                return Ok(self.outcome);
            }
            ensure!(now < self.schedule.end + PATIENCE, "answers are missing after {PATIENCE:?}");
            let readable = self.connections.wait(self.schedule.pause(Instant::now()))?;
            self.connections.receive(&readable, &mut self.outcome)?;
        }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        while let Some(&due) = self.due.front() {
            let Some(connection) = self.connections.free()? else { break };
            self.due.pop_front();
            let request = self.requests.next().context("there is something to ask for")?;
            self.connections.send(connection, request, due);
        }
        Ok(())
    }
}

/// A connection with a request on its way.
struct Busy {
    stream: TcpStream,
    due: Instant,
    received: Vec<u8>,
}

struct Connections {
    server: SocketAddr,
    /// With the buffers that they had.
    idle: Vec<(TcpStream, Vec<u8>)>,
    busy: Vec<Busy>,
}

impl Connections {
    /// The one that was used last, or a new one.
    fn free(&mut self) -> anyhow::Result<Option<(TcpStream, Vec<u8>)>> {
        if let Some(idle) = self.idle.pop() {
            return Ok(Some(idle));
        }
        if self.busy.len() >= MOST as usize {
            return Ok(None);
        }
        let stream = TcpStream::connect(self.server).context("failed to connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Some((stream, Vec::new())))
    }

    /// A request is far smaller than a socket's buffer. One that fails is seen when its answer is read.
    fn send(&mut self, (mut stream, received): (TcpStream, Vec<u8>), request: &str, due: Instant) {
        let _ = stream.write_all(request.as_bytes());
        self.busy.push(Busy { stream, due, received });
    }

    /// Waits for something to read; which of those that are busy have it.
    fn wait(&self, pause: Duration) -> anyhow::Result<Vec<bool>> {
        let mut polled: Vec<_> =
            self.busy.iter().map(|busy| PollFd::new(&busy.stream, PollFlags::IN)).collect();
        match poll(&mut polled, Some(&Timespec::try_from(pause)?)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(polled.iter().map(|polled| !polled.revents().is_empty()).collect())
    }

    /// Reads what is there.
    fn receive(&mut self, readable: &[bool], outcome: &mut Outcome) -> anyhow::Result<()> {
        let mut waiting = Vec::with_capacity(self.busy.len());
        for (mut busy, readable) in self.busy.drain(..).zip(readable) {
            if !readable {
                waiting.push(busy);
                continue;
            }
            match read(&mut busy)? {
                Received::Part => waiting.push(busy),
                Received::Whole(answer) => {
                    outcome.add(answer, busy.due.elapsed());
                    if !answer.closes {
                        busy.received.clear();
                        self.idle.push((busy.stream, busy.received));
                    }
                }
                Received::End => outcome.lose(busy.due.elapsed()),
            }
        }
        self.busy = waiting;
        Ok(())
    }
}

enum Received {
    Part,
    Whole(Answer),
    End,
}

fn read(busy: &mut Busy) -> anyhow::Result<Received> {
    let mut buffer = [0; 4096];
    match busy.stream.read(&mut buffer) {
        Ok(0) => return Ok(Received::End),
        Ok(count) => busy.received.extend_from_slice(&buffer[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Part),
        Err(_) => return Ok(Received::End),
    }
    Ok(Answer::parse(&busy.received)?.map_or(Received::Part, Received::Whole))
}

#[cfg(test)]
mod tests;
