//! As much of an answer as is needed to know its end and what it means.

use anyhow::Context as _;

/// A whole one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether it says when to come back.
    pub(crate) says_when: bool,
    /// Whether nothing can follow on its connection.
    pub(crate) closes: bool,
}

impl Answer {
    /// Nothing as long as there is more to come.
    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&bytes[..end]).context("an answer's head is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let mut answer =
            Self { status: status.context("an answer has no status")?, says_when: false, closes: false };
        let mut length = None;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let is = |other| name.eq_ignore_ascii_case(other);
            if is("content-length") {
                length = value.trim().parse::<usize>().ok();
            }
            answer.says_when |= is("retry-after");
            answer.closes |= is("connection") && value.trim().eq_ignore_ascii_case("close");
        }
        let length = length.with_context(|| format!("an answer has no length: {head}"))?;
        Ok((bytes.len() >= end + 4 + length).then_some(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let text = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nContent-Length: 2\r\n\r\nno";
        let answer = Answer { status: 429, says_when: true, closes: false };
        assert_eq!(Answer::parse(text).unwrap(), Some(answer));
        for end in 0..text.len() {
            assert_eq!(Answer::parse(&text[..end]).unwrap(), None, "{end}");
        }
        let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n";
        let answer = Answer { status: 200, says_when: false, closes: true };
        assert_eq!(Answer::parse(last).unwrap(), Some(answer));
    }

    #[test]
    fn an_answer_without_a_length_is_an_error() {
        for text in ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "\r\n\r\n"] {
            assert!(Answer::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
