//! The function: notes every request, and answers each as soon as it is whole.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::Request;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// What was seen since it was last taken.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: Vec<Request>,
    pub(super) fault: Option<String>,
}

/// Shared by all connections; none of them waits while it holds it.
#[derive(Default, Clone)]
pub(super) struct Recorder(Arc<Mutex<Seen>>);

impl Recorder {
    pub(super) fn take(&self) -> Seen {
        self.look(std::mem::take)
    }

    fn look<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn run(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve(stream));
        }
    }

    async fn serve(self, mut stream: TcpStream) {
        let (mut buffer, mut current) = (Vec::new(), None);
        loop {
            match stream.read_buf(&mut buffer).await {
                Ok(count) if count > 0 => {}
                _ => break,
            }
            match self.note(&mut buffer, &mut current) {
                Ok(answers) if stream.write_all(&ANSWER.repeat(answers)).await.is_ok() => {}
                Ok(_) => return,
                Err(fault) => return self.look(|seen| seen.fault = Some(fault)),
            }
        }
        if current.is_none() && !buffer.is_empty() {
            let text = buffer.escape_ascii();
            self.look(|seen| seen.fault = Some(format!("half a head: {text}")));
        }
    }

    /// Takes whole requests off the buffer and says how many there were; `current` is the place of one that is not.
    fn note(&self, buffer: &mut Vec<u8>, current: &mut Option<usize>) -> Result<usize, String> {
        let mut answers = 0;
        while let Some((request, used)) = Request::parse(buffer)? {
            let whole = request.whole;
            self.look(|seen| match *current {
                Some(place) if place < seen.requests.len() => seen.requests[place] = request,
                _ => {
                    *current = Some(seen.requests.len());
                    seen.requests.push(request);
                }
            });
            if !whole {
                break;
            }
            *current = None;
            buffer.drain(..used);
            answers += 1;
        }
        Ok(answers)
    }
}
