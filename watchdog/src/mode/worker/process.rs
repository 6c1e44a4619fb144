//! One handler process: its HELLO, its calls, its end.
//!
//! A task reads from its socket ([`Process::live`]) and hands each frame to the call that it is about. Bytes that are no
//! frames, a frame where none may stand, and a body past its window end the process. Bounded: the calls at what the
//! process takes at a time, what is held of an answer's body at [`WINDOW`].

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::header::HeaderValue;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{Notify, mpsc};

use super::hello::Hello;
use super::link::Link;
use super::upload::Credit;
use crate::frame::{self, Frame, Kind, Usage};
use crate::mode::lines::Lines;

/// Bytes of body that may be on their way in each direction of a call.
pub(crate) const WINDOW: usize = 256 * 1024;
/// Bytes of a reason for ABORT that are passed on.
const REASON: usize = 1024;
/// Room for the next read; small frames come many at a time.
const READ: usize = 16 * 1024;

/// What happens to a call.
#[derive(Debug)]
pub(crate) enum Event {
    /// The answer's head and the first part of its body.
    Head {
        head: Bytes,
        body: Bytes,
        end: bool,
        usage: Option<Usage>,
    },
    Body {
        body: Bytes,
        end: bool,
    },
    /// The handler gives no answer, or no more of it.
    Aborted {
        reason: String,
        /// It never looked at the call.
        unseen: bool,
    },
    /// A forked process has ended, or this one has.
    Exited {
        status: ExitStatus,
        usage: Option<Usage>,
        /// Others of its group live on, until ABORT.
        left: bool,
    },
    /// The process is gone with the call; the text says how.
    Lost(String),
}

/// A process that holds a handler.
#[derive(Debug)]
pub(crate) struct Process {
    link: Link,
    hello: OnceLock<Hello>,
    calls: Mutex<Calls>,
    /// How what it logs is written.
    lines: Lines,
    /// No further call; it is killed when those that are not overdue have ended.
    retired: AtomicBool,
    doom: Notify,
    greeted: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    last: u32,
    running: HashMap<u32, Slot>,
}

#[derive(Debug)]
struct Slot {
    events: mpsc::UnboundedSender<Event>,
    /// For whoever sends more of the request's body.
    credit: Option<Arc<Credit>>,
    /// The answer's head has come.
    begun: bool,
    /// Bytes of the answer's body that are not acknowledged.
    owed: usize,
    call_id: Option<HeaderValue>,
    /// Its time is over; nobody waits for it.
    overdue: bool,
}

/// A call's number, and what happens to it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) call: u32,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
}

/// What reading led to, for whoever keeps the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Loaded,
    Freed,
    /// It takes no further call.
    Leaving,
    Nothing,
}

/// Why no more is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("closed its connection")]
    Closed,
    #[error("broke the worker protocol: {0}")]
    Protocol(String),
}

impl Process {
    /// Speaks through `socket`; call [`Self::live`] to hear.
    pub(super) fn new(socket: UnixStream, lines: Lines) -> (Self, OwnedReadHalf) {
        let (read, write) = socket.into_split();
        let process = Self {
            link: Link::new(write),
            hello: OnceLock::new(),
            calls: Mutex::default(),
            lines,
            retired: AtomicBool::new(false),
            doom: Notify::new(),
            greeted: Notify::new(),
        };
        (process, read)
    }

    /// What it can do, once it has said so.
    pub(super) fn hello(&self) -> Option<Hello> {
        self.hello.get().copied()
    }

    /// Resolves once it has said so. For one who waits.
    pub(super) async fn loaded(&self) {
        self.greeted.notified().await;
    }

    /// Calls that have begun and not ended.
    pub(super) fn running(&self) -> usize {
        self.calls().running.len()
    }

    /// Whether it ever had a call.
    pub(super) fn has_served(&self) -> bool {
        self.calls().last > 0
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Begins a call; nothing is sent yet.
    pub(super) fn open(&self, call_id: Option<HeaderValue>) -> Opened {
        let (sender, events) = mpsc::unbounded_channel();
        let mut calls = self.calls();
        let mut call = calls.last;
        // A number that is still in use after four billion others is skipped.
        loop {
            call = call.checked_add(1).unwrap_or(1);
            if !calls.running.contains_key(&call) {
                break;
            }
        }
        calls.last = call;
        calls.running.insert(
            call,
            Slot { events: sender, credit: None, begun: false, owed: 0, call_id, overdue: false },
        );
        Opened { call, events }
    }

    /// Ends a call that was never sent.
    pub(super) fn forget(&self, call: u32) {
        self.calls().running.remove(&call);
    }

    /// Whether the call has not ended.
    pub(super) fn is_running(&self, call: u32) -> bool {
        self.calls().running.contains_key(&call)
    }

    /// Who is told of what is acknowledged of the request's body.
    pub(super) fn give_credit(&self, call: u32, credit: Arc<Credit>) {
        if let Some(slot) = self.calls().running.get_mut(&call) {
            slot.credit = Some(credit);
        }
    }

    /// Tells whoever waits for a call that its time is over.
    pub(super) fn give_up(&self, call: u32) {
        if let Some(slot) = self.calls().running.get(&call) {
            let _ = slot.events.send(Event::Lost("no more of the answer within its time".to_owned()));
        }
    }

    pub(super) fn send(&self, kind: Kind, flags: u8, call: u32, parts: &[&[u8]]) {
        self.send_with(kind, flags, call, parts, Vec::new());
    }

    pub(super) fn send_with(
        &self,
        kind: Kind,
        flags: u8,
        call: u32,
        parts: &[&[u8]],
        descriptors: Vec<OwnedFd>,
    ) {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, kind, flags, call, parts);
        self.link.send(bytes, descriptors);
    }

    /// So many bytes of the answer's body were taken.
    pub(super) fn acknowledge(&self, call: u32, bytes: usize) {
        let mut calls = self.calls();
        let Some(slot) = calls.running.get_mut(&call) else { return };
        slot.owed = slot.owed.saturating_sub(bytes);
        drop(calls);
        let number = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.send(Kind::Ack, 0, call, &[&number.to_be_bytes()]);
    }

    /// Takes no further call, and is killed once it has none, the overdue one aside.
    pub(super) fn retire(&self, overdue: Option<u32>) {
        self.retired.store(true, Ordering::Relaxed);
        let mut calls = self.calls();
        if let Some(slot) = overdue.and_then(|call| calls.running.get_mut(&call)) {
            slot.overdue = true;
        }
        if calls.running.values().all(|slot| slot.overdue) {
            self.doom.notify_one();
        }
    }

    /// Takes no further call.
    pub(super) fn close(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Resolves when the process is to be killed. Cancel safe.
    pub(super) async fn doomed(&self) {
        self.doom.notified().await;
    }

    /// Reads frames until there are no more, and sends what waits meanwhile. Cancel safe: bytes stay in `buffer`.
    pub(super) async fn live(
        &self,
        socket: &mut OwnedReadHalf,
        buffer: &mut BytesMut,
        mut on: impl FnMut(Progress),
    ) -> Broken {
        // A process that has exited takes no more, but what it said last is still to be read.
        let mut takes = true;
        loop {
            buffer.reserve(READ);
            let read = tokio::select! {
                read = socket.read_buf(buffer) => read,
                _ = self.link.flush(), if takes => {
                    takes = false;
                    continue;
                }
            };
            match read {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Broken::Closed,
            }
            loop {
                match Frame::take(buffer).map_err(|error| error.to_string()) {
                    Ok(None) => break,
                    Ok(Some(frame)) => match self.dispatch(frame) {
                        Ok(progress) => on(progress),
                        Err(reason) => return Broken::Protocol(reason),
                    },
                    Err(reason) => return Broken::Protocol(reason),
                }
            }
        }
    }

    fn dispatch(&self, mut frame: Frame) -> Result<Progress, String> {
        let Some(_) = self.hello.get() else { return self.greet(&frame) };
        let usage = frame.take_usage().map_err(|error| error.to_string())?;
        match frame.kind {
            Kind::Head => {
                let head = frame.split_head().map_err(|error| error.to_string())?;
                let (end, body) = (frame.ends(), frame.payload);
                self.deliver(frame.call, body.len(), end, Event::Head { head, body, end, usage })
            }
            Kind::Body => {
                let (end, body) = (frame.ends(), frame.payload);
                self.deliver(frame.call, body.len(), end, Event::Body { body, end })
            }
            Kind::Abort => {
                let reason = reason(&frame.payload);
                self.deliver(frame.call, 0, true, Event::Aborted { reason, unseen: frame.is_unseen() })
            }
            Kind::Exit if frame.call == 0 => Ok(Progress::Leaving),
            Kind::Exit => self.exited(frame),
            Kind::Ack => self.acknowledged(&frame),
            Kind::Log => {
                self.log(&frame);
                Ok(Progress::Nothing)
            }
            Kind::Hello | Kind::Run => Err(format!("{:?} where it cannot stand", frame.kind)),
        }
    }

    fn greet(&self, frame: &Frame) -> Result<Progress, String> {
        match frame.kind {
            Kind::Hello => {
                let hello = Hello::parse(&frame.payload).map_err(|refused| refused.to_string())?;
                let _ = self.hello.set(hello);
                self.greeted.notify_one();
                Ok(Progress::Loaded)
            }
            // What it prints while it loads.
            Kind::Log => {
                self.log(frame);
                Ok(Progress::Nothing)
            }
            kind => Err(format!("{kind:?} before HELLO")),
        }
    }

    /// Hands an event to its call; one about a call that is over is ignored.
    fn deliver(&self, call: u32, bytes: usize, end: bool, event: Event) -> Result<Progress, String> {
        let mut calls = self.calls();
        let Some(slot) = calls.running.get_mut(&call) else { return Ok(Progress::Nothing) };
        match &event {
            Event::Head { .. } if slot.begun => return Err("a second HEAD".to_owned()),
            Event::Head { .. } => slot.begun = true,
            Event::Body { .. } if !slot.begun => return Err("BODY before HEAD".to_owned()),
            Event::Body { body, end: false } if body.is_empty() => return Ok(Progress::Nothing),
            _ => {}
        }
        slot.owed += bytes;
        if slot.owed > WINDOW {
            return Err(format!("{} bytes of body where {WINDOW} may be on their way", slot.owed));
        }
        let _ = slot.events.send(event);
        if !end {
            return Ok(Progress::Nothing);
        }
        calls.running.remove(&call);
        if self.is_retired() && calls.running.values().all(|slot| slot.overdue) {
            self.doom.notify_one();
        }
        Ok(Progress::Freed)
    }

    fn exited(&self, mut frame: Frame) -> Result<Progress, String> {
        let status = frame.payload.try_get_i32().map_err(|_| "an EXIT that is cut short".to_owned())?;
        let usage = Usage::read(&mut frame.payload).map_err(|error| error.to_string())?;
        let (status, left) = (ExitStatus::from_raw(status), frame.leaves_others());
        let event = Event::Exited { status, usage: Some(usage), left };
        self.deliver(frame.call, 0, true, event)
    }

    fn acknowledged(&self, frame: &Frame) -> Result<Progress, String> {
        let bytes = frame.number().map_err(|error| error.to_string())?;
        if let Some(credit) = self.calls().running.get(&frame.call).and_then(|slot| slot.credit.as_ref()) {
            credit.acknowledge(bytes as usize).map_err(|error| error.to_string())?;
        }
        Ok(Progress::Nothing)
    }

    fn log(&self, frame: &Frame) {
        let calls = self.calls();
        let call_id = calls.running.get(&frame.call).and_then(|slot| slot.call_id.as_ref()?.to_str().ok());
        let name = if frame.is_stderr() { "stderr" } else { "stdout" };
        for line in frame.payload.split(|&byte| byte == b'\n') {
            self.lines.named(name).write_in_pieces(line, call_id);
        }
    }

    /// Whether it becomes the process of its one call.
    pub(super) fn becomes_the_call(&self) -> bool {
        self.hello().is_some_and(Hello::becomes_the_call)
    }

    /// Tells every call that the process has ended; returns the ways to those who wait for them.
    pub(super) fn end(&self, status: Option<ExitStatus>, reason: &str) -> Vec<mpsc::UnboundedSender<Event>> {
        self.retired.store(true, Ordering::Relaxed);
        let ended = self.calls().running.drain().map(|(_, slot)| slot.events).collect::<Vec<_>>();
        for events in &ended {
            let event = match status {
                Some(status) if self.hello().is_some_and(|hello| !hello.forks) => {
                    Event::Exited { status, usage: None, left: true }
                }
                _ => Event::Lost(reason.to_owned()),
            };
            let _ = events.send(event);
        }
        ended
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reason in one line, for logs and headers, cut where it goes on for too long.
fn reason(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..REASON).unwrap_or(text));
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}
