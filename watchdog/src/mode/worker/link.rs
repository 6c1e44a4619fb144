//! The way to a handler process: frames go out at once, or wait until the socket takes them.
//!
//! What waits is bounded by what calls may send: a head each, and a window of body. Descriptors go with the first byte of
//! their frame.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;

/// Descriptors that a frame may carry.
const DESCRIPTORS: usize = 3;

/// The sending side of one socket.
#[derive(Debug)]
pub(super) struct Link {
    socket: OwnedWriteHalf,
    waiting: Mutex<VecDeque<Outgoing>>,
    more: Notify,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: Vec<OwnedFd>,
}

impl Link {
    pub(super) fn new(socket: OwnedWriteHalf) -> Self {
        Self { socket, waiting: Mutex::default(), more: Notify::new() }
    }

    /// Sends frames. A broken socket is noticed by whoever reads from it.
    pub(super) fn send(&self, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) {
        let mut waiting = self.waiting();
        waiting.push_back(Outgoing { bytes, sent: 0, descriptors });
        if waiting.len() == 1 && !matches!(self.try_flush(&mut waiting), Ok(true)) {
            self.more.notify_one();
        }
    }

    /// Sends what waits, as it comes, until the socket breaks. Cancel safe.
    pub(super) async fn flush(&self) -> io::Error {
        loop {
            if self.waiting().is_empty() {
                self.more.notified().await;
            }
            if let Err(error) = self.socket.writable().await {
                return error;
            }
            if let Err(error) = self.try_flush(&mut self.waiting()) {
                return error;
            }
        }
    }

    /// Whether all is sent.
    fn try_flush(&self, waiting: &mut VecDeque<Outgoing>) -> io::Result<bool> {
        while let Some(first) = waiting.front_mut() {
            match self.try_send(first) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                sent => first.sent += sent?,
            }
            first.descriptors.clear();
            if first.sent == first.bytes.len() {
                waiting.pop_front();
            }
        }
        Ok(true)
    }

    fn try_send(&self, outgoing: &Outgoing) -> io::Result<usize> {
        let rest = outgoing.bytes.get(outgoing.sent..).unwrap_or_default();
        if outgoing.descriptors.is_empty() {
            return self.socket.try_write(rest);
        }
        let stream: &tokio::net::UnixStream = self.socket.as_ref();
        stream.try_io(Interest::WRITABLE, || send_with(stream.as_fd(), rest, &outgoing.descriptors))
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Outgoing>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}
