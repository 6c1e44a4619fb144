//! The lines of one pod: one request after the other, each line with its time, none twice.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use faas_provider::Error;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;

use super::{Position, Reading};
use crate::error::call;
use crate::state::PodName;

/// The longest line that is kept whole.
pub(super) const LINE_BYTES: usize = 64 << 10;
/// A log that is there already comes without pauses as long as this.
const STALLED: Duration = Duration::from_secs(10);

/// One line of a pod.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) instance: Arc<str>,
    pub(super) timestamp: Timestamp,
    /// With its newline.
    pub(super) text: String,
}

/// Where a pod's log is read from.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) follow: bool,
    /// Of the container before this one.
    pub(super) previous: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) tail: Option<NonZeroU64>,
}

impl Reading {
    pub(super) async fn read_pod(&self, pod: &str, start: &Start) -> Result<Reader, Error> {
        let since = start.since.or(self.query.since);
        let params = LogParams {
            container: Some(self.query.function.name.to_string()),
            follow: start.follow,
            previous: start.previous,
            // Whole seconds are asked for, and must not be rounded up.
            since_time: since.and_then(|since| Timestamp::from_second(since.as_second()).ok()),
            tail_lines: start.tail.and_then(|tail| i64::try_from(tail.get()).ok()),
            timestamps: true,
            ..LogParams::default()
        };
        let pods = self.kube.namespaced::<Pod>(&self.query.function.namespace);
        let stream = call("read the log", pods.log_stream(pod, &params)).await?;
        Ok(Reader(Box::pin(stream)))
    }
}

/// The answer to one request.
pub(super) struct Reader(Pin<Box<dyn AsyncBufRead + Send>>);

impl Reader {
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(Box::pin(futures_util::io::Cursor::new(text.as_bytes().to_vec())))
    }

    /// The next line, without its newline, cut at the limit; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let chunk = self.0.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(Some(line).filter(|line| !line.is_empty()));
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let own = &chunk[..end.unwrap_or(chunk.len())];
            line.extend_from_slice(&own[..own.len().min(LINE_BYTES.saturating_sub(line.len()))]);
            let taken = end.map_or(chunk.len(), |end| end + 1);
            self.0.consume_unpin(taken);
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

/// What one pod wrote, from one reader after the other.
pub(super) struct Source {
    pub(super) pod: PodName,
    pub(super) position: Position,
    instance: Arc<str>,
    readers: VecDeque<Reader>,
}

impl Source {
    pub(super) fn new(pod: PodName, readers: VecDeque<Reader>, mut position: Position) -> Self {
        position.begin();
        Self { instance: pod.name.as_str().into(), pod, position, readers }
    }

    /// The next line of what is there; a reader that breaks or stalls is given up.
    pub(super) async fn next(&mut self) -> Option<Line> {
        while let Some(reader) = self.readers.front_mut() {
            let line = tokio::time::timeout(STALLED, reader.next()).await;
            if let Ok(Ok(Some(line))) = line {
                if let Some(line) = self.accept(&line) {
                    return Some(line);
                }
                continue;
            }
            self.readers.pop_front();
            self.position.begin();
        }
        None
    }

    /// The next line, however long it takes to be written; `None` at the end.
    pub(super) async fn wait(&mut self) -> Option<Line> {
        loop {
            let line = self.readers.front_mut()?.next().await.ok().flatten()?;
            if let Some(line) = self.accept(&line) {
                return Some(line);
            }
        }
    }

    fn accept(&mut self, line: &[u8]) -> Option<Line> {
        let line = String::from_utf8_lossy(line);
        let (time, text) = line.split_once(' ').unwrap_or((&line, ""));
        let timestamp: Timestamp = time.parse().ok()?;
        let line = || Line { instance: Arc::clone(&self.instance), timestamp, text: format!("{text}\n") };
        self.position.take(timestamp).then(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(logs: &[&str]) -> Source {
        let pod = PodName { uid: "u".into(), name: "p".into() };
        let readers = logs.iter().map(|log| Reader::of(log)).collect();
        Source::new(pod, readers, Position::default())
    }

    async fn texts(mut source: Source) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(line) = source.next().await {
            texts.push(line.text);
        }
        texts
    }

    #[tokio::test]
    async fn lines_have_times_and_newlines() {
        let log = "2026-01-01T00:00:00.5Z one\n2026-01-01T00:00:00.6Z\nnonsense\n2026-01-01T00:00:01Z  two";
        assert_eq!(texts(source(&[log])).await, ["one\n", "\n", " two\n"]);
    }

    #[tokio::test]
    async fn the_container_before_and_this_one_may_be_the_same() {
        let first = "2026-01-01T00:00:01Z a\n2026-01-01T00:00:02Z b\n";
        assert_eq!(texts(source(&[first, first])).await, ["a\n", "b\n"]);
        assert_eq!(texts(source(&[first, "2026-01-01T00:00:03Z c\n"])).await, ["a\n", "b\n", "c\n"]);
    }

    #[tokio::test]
    async fn a_long_line_is_cut() {
        let log = format!("2026-01-01T00:00:01Z {}\n2026-01-01T00:00:02Z b\n", "x".repeat(LINE_BYTES));
        let texts = texts(source(&[&log])).await;
        assert_eq!((texts.len(), texts[1].as_str()), (2, "b\n"));
        assert!(texts[0].len() < LINE_BYTES);
    }
}
