//! What a handler writes, line by line, into our own log.
//!
//! A line longer than the limit is logged in pieces, and so is an unfinished last one. Nothing is held beyond one line.

use std::io::Write as _;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::log;

const READ: usize = 4 * 1024;

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As the peers write it.
    Text,
    /// A JSON object: `time`, `stream`, `call_id` where it is known, `message`.
    Json,
}

/// How lines are logged, `stdout` onto our standard output and the rest onto standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    /// `stdout` or `stderr`: what the prefix says.
    pub(crate) name: &'static str,
    pub(crate) format: Format,
    /// With time and stream, in text.
    pub(crate) prefixed: bool,
    /// With the call's id at the end, in text, where it is known.
    pub(crate) call_id: bool,
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
                        self.write(&line, None);
                    }
                }
                _ => break,
            }
        }
        if !buffer.is_empty() {
            self.write(&buffer, None);
        }
    }

    /// The same for `stdout` or `stderr`.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// One line of any length.
    pub(crate) fn write_in_pieces(self, line: &[u8], call_id: Option<&str>) {
        let mut rest = line;
        while let Some((piece, more)) =
            rest.split_at_checked(self.longest).filter(|(_, more)| !more.is_empty())
        {
            self.write(piece, call_id);
            rest = more;
        }
        self.write(rest, call_id);
    }

    /// One line, and the call that it belongs to where that is known.
    pub(crate) fn write(self, line: &[u8], call_id: Option<&str>) {
        let text = match self.format {
            Format::Text => self.text(line, call_id),
            Format::Json => self.json(line, call_id),
        };
        if self.name == "stdout" {
            // Both may be one pipe.
            log::flush();
            let mut stdout = std::io::stdout().lock();
            let _ = stdout.write_all(&text).and_then(|()| stdout.flush());
        } else {
            log::raw(&text);
        }
    }

    fn text(self, line: &[u8], call_id: Option<&str>) -> Vec<u8> {
        let prefix = if self.prefixed { format!("{}{}: ", log::prefix(), self.name) } else { String::new() };
        let call_id = call_id.filter(|_| self.call_id).map(|id| format!(" [{id}]")).unwrap_or_default();
        [prefix.as_bytes(), line, call_id.as_bytes(), b"\n"].concat()
    }

    fn json(self, line: &[u8], call_id: Option<&str>) -> Vec<u8> {
        let message = &String::from_utf8_lossy(line);
        let entry = Entry { time: jiff::Timestamp::now().to_string(), stream: self.name, call_id, message };
        let mut text = serde_json::to_vec(&entry).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

/// Time, stream and text as one JSON object.
#[derive(Serialize)]
struct Entry<'a> {
    time: String,
    stream: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    message: &'a str,
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
