//! One process per request, its input and output passed on as they come: of-watchdog's `streaming`.
//!
//! Status 200 goes out before the handler has written anything, so nothing that happens later can change it: a failure
//! is logged. Only an answer that is cut short shows: when the handler is over its time or the caller's body breaks
//! off, the handler's group is killed and the connection broken off, so that the answer does not look whole.
//!
//! A task of its own moves the bytes, so that time runs for a caller who does not read, too. It ends with the answer's
//! body: a caller who leaves takes the handler along. Bounded: [`PIECES`] pieces of 64 KiB between the handler and the
//! connection; beyond that the handler waits, and so does the caller's body.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use faas_api::format_duration;
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use super::fork::exchange::{Failure, Input, Running, Sink, within};
use super::fork::outlet::Outlet;
use super::fork::{Bounds, Fork};
use super::forking::Forking;
use crate::answer::{self, Answer, describe_exit};
use crate::body::Body;
use crate::inbound::Inbound;
use crate::{log, output};

const PIECE: usize = 64 * 1024;
const PIECES: usize = 2;

pub(super) async fn answer(forking: &Forking, request: Request<Inbound>) -> Answer {
    let (head, mut body) = request.into_parts();
    let Bounds { exec_timeout, read_timeout, .. } = forking.bounds;
    if let Err(broken) = body.ask(read_timeout).await {
        return Fork::refuse(broken.into(), exec_timeout);
    }
    let input = Input::Stream(body, read_timeout);
    let variables = forking.variables(&head);
    let running = match Running::start(&forking.source, variables, input, Some(forking.errors())).await {
        Ok(running) => running,
        Err(failure) => return Fork::refuse(failure, exec_timeout),
    };
    let (writer, pieces) = mpsc::channel(PIECES);
    tokio::spawn(pump(running, Writer(writer), exec_timeout));
    let mut live = Live { pieces, ended: false };
    let body = if head.method == Method::HEAD {
        // Nobody reads this body, and dropping it now would kill the handler.
        live.discard().await;
        Body::empty()
    } else {
        Body::live(live)
    };
    let mut answer = answer::with_body(StatusCode::OK, body);
    answer.headers_mut().insert(CONTENT_TYPE, forking.settings.content_type.clone());
    answer
}

/// Moves bytes until the handler has ended, is over its time, or nobody reads its answer any more.
async fn pump(running: Running, mut writer: Writer, limit: Duration) {
    let reader = writer.0.clone();
    let ended = tokio::select! {
        () = reader.closed() => return,
        ended = within(limit, running.finish(&mut writer)) => ended,
    };
    match ended {
        Ok((status, _)) => {
            if !status.success() {
                log::line(format_args!("the handler failed: {}", describe_exit(status)));
            }
            let _ = reader.send(Piece::End).await;
        }
        Err(failure) => log::line(format_args!("answer broken off: {}", describe(&failure, limit))),
    }
}

fn describe(failure: &Failure, limit: Duration) -> String {
    match failure {
        Failure::Timeout => format!("not done within {}", format_duration(limit)),
        Failure::Body(reason) | Failure::Unavailable(reason) => reason.clone(),
        Failure::BodyTooLarge => "request body too large".to_owned(),
        Failure::Output(error) => error.to_string(),
        Failure::Spawn(error) | Failure::Wait(error) => error.to_string(),
    }
}

/// What passes from the handler to the connection.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    /// It is whole. A channel that closes without this was broken off.
    End,
}

/// The handler's side. Dropping all of them without [`Piece::End`] breaks the answer off.
struct Writer(mpsc::Sender<Piece>);

impl Sink for Writer {
    async fn read_from(&mut self, pipe: &mut Outlet) -> Result<(), output::Error> {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE);
            if pipe.read_buf(&mut piece).await.map_err(output::Error::Read)? == 0 {
                return Ok(());
            }
            // A reader that has gone ends the pump, and this with it.
            let _ = self.0.send(Piece::Bytes(piece.freeze())).await;
        }
    }
}

/// The connection's side: output as it comes. Dropping it kills the handler and its group.
#[derive(Debug)]
pub(crate) struct Live {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl Live {
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context));
        self.ended = !matches!(piece, Some(Piece::Bytes(_)));
        Poll::Ready(match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => None,
            None => Some(Err(io::Error::other("the handler was broken off"))),
        })
    }

    async fn discard(&mut self) {
        while let Some(Piece::Bytes(_)) = self.pieces.recv().await {}
    }
}
