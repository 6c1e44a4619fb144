//! A handler's output: until its last writer has gone, or has had its time since the handler itself went.
//!
//! A grandchild may hold a pipe open for ever, or write to it for ever. Whoever takes the output may be slow, too, and
//! shall still get all that the handler had written: time runs only while the pipe is read. [`GRACE`] after the exit
//! was seen it ends once it is empty, or after [`PIPE`] bytes: what the handler left in it cannot be more.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::sleep;

use super::GRACE;

/// The most that a pipe holds, unless root enlarges it.
const PIPE: usize = 1024 * 1024;

/// The reading end of standard output or error.
pub(in crate::mode) struct Outlet {
    pipe: Receiver,
    /// Resolves [`GRACE`] after the handler's exit was seen here; None once it has.
    overdue: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Bytes that may still come then.
    left: usize,
}

impl Outlet {
    /// `gone` becomes true with the handler's exit.
    pub(super) fn new(pipe: Receiver, mut gone: watch::Receiver<bool>) -> Self {
        let overdue = async move {
            let _ = gone.wait_for(|gone| *gone).await;
            sleep(GRACE).await;
        };
        Self { pipe, overdue: Some(Box::pin(overdue)), left: PIPE }
    }

    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        if self.overdue.as_mut().is_some_and(|overdue| overdue.as_mut().poll(context).is_ready()) {
            self.overdue = None;
        }
        self.overdue.is_none()
    }
}

impl AsyncRead for Outlet {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let overdue = self.is_overdue(context);
        if overdue && self.left == 0 {
            return Poll::Ready(Ok(()));
        }
        if !overdue {
            return Pin::new(&mut self.pipe).poll_read(context, buffer);
        }
        match self.pipe.try_read(buffer.initialize_unfilled()) {
            // An end of file: nothing was read.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
            Ok(read) => {
                buffer.advance(read);
                self.left = self.left.saturating_sub(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}
