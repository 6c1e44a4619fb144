//! What a handler writes, line by line, into our own log.
//!
//! A line longer than the limit is logged in pieces, and so is an unfinished last one. Nothing is held beyond one line.

use std::io::Write as _;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::log;

const READ: usize = 4 * 1024;

/// How lines are logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    /// `stdout` or `stderr`: what the prefix says.
    pub(crate) name: &'static str,
    /// Onto our standard output rather than standard error.
    pub(crate) to_stdout: bool,
    pub(crate) prefixed: bool,
    /// Bytes of the longest line.
    pub(crate) longest: usize,
}

impl Lines {
    /// Logs until the last writer has gone.
    pub(crate) async fn copy(self, mut pipe: impl AsyncRead + Unpin) {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ);
            match pipe.read_buf(&mut buffer).await {
                Ok(1..) => {
                    while let Some(line) = next_line(&mut buffer, self.longest) {
                        self.write(&line);
                    }
                }
                _ => break,
            }
        }
        if !buffer.is_empty() {
            self.write(&buffer);
        }
    }

    fn write(self, line: &[u8]) {
        let prefix = if self.prefixed { format!("{}{}: ", log::prefix(), self.name) } else { String::new() };
        let text = [prefix.as_bytes(), line, b"\n"].concat();
        if self.to_stdout {
            let mut stdout = std::io::stdout().lock();
            let _ = stdout.write_all(&text).and_then(|()| stdout.flush());
        } else {
            log::raw(&text);
        }
    }
}

/// Takes a whole line, or as much as a line may hold, off the front.
fn next_line(buffer: &mut BytesMut, longest: usize) -> Option<Bytes> {
    match buffer.iter().take(longest + 1).position(|&byte| byte == b'\n') {
        Some(end) => {
            let mut line = buffer.split_to(end + 1);
            line.truncate(end);
            if line.ends_with(b"\r") {
                line.truncate(end - 1);
            }
            Some(line.freeze())
        }
        None if buffer.len() > longest => Some(buffer.split_to(longest).freeze()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_whole_or_in_pieces() {
        for (text, lines, rest) in [
            ("a\nb\n", vec!["a", "b"], ""),
            ("a\r\n\nb", vec!["a", ""], "b"),
            ("abcd\n", vec!["abcd"], ""),
            ("abcdefghi", vec!["abcd", "efgh"], "i"),
            ("abcd", vec![], "abcd"),
            ("\r\n", vec![""], ""),
        ] {
            let mut buffer = BytesMut::from(text);
            let taken: Vec<Bytes> = std::iter::from_fn(|| next_line(&mut buffer, 4)).collect();
            assert_eq!(
                (taken, &buffer[..]),
                (lines.into_iter().map(Bytes::from).collect(), rest.as_bytes()),
                "{text:?}"
            );
        }
    }
}
