//! Many pods' lines in the order of their times, one line of each held at a time.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;

use futures_util::future::join_all;

use super::Position;
use super::reader::{Line, Source};

/// The last lines of all pods are held before the first of them is sent.
pub(super) const TAIL_BYTES: usize = 16 << 20;

pub(super) struct Merge {
    sources: Vec<Head>,
}

struct Head {
    /// `None` at the end.
    line: Option<Line>,
    source: Source,
}

impl Merge {
    pub(super) async fn new(sources: Vec<Source>) -> Self {
        let read = |mut source: Source| async move { Head { line: source.next().await, source } };
        Self { sources: join_all(sources.into_iter().map(read)).await }
    }

    /// The oldest line of those that come next.
    pub(super) async fn next(&mut self) -> Option<Line> {
        let waiting = self.sources.iter_mut().filter(|head| head.line.is_some());
        let oldest = waiting.min_by_key(|head| head.line.as_ref().map(|line| line.timestamp))?;
        let next = oldest.source.next().await;
        std::mem::replace(&mut oldest.line, next)
    }

    /// The last `count` lines of all, fewer where they are too large.
    pub(super) async fn last(&mut self, count: NonZeroU64) -> VecDeque<Line> {
        let most = usize::try_from(count.get()).unwrap_or(usize::MAX);
        let (mut lines, mut bytes) = (VecDeque::new(), 0);
        while let Some(line) = self.next().await {
            bytes += line.text.len();
            lines.push_back(line);
            while lines.len() > most || bytes > TAIL_BYTES {
                bytes -= lines.pop_front().map_or(0, |line| line.text.len());
            }
        }
        lines
    }

    /// How far each pod's log was read, by the pod's uid.
    pub(super) fn into_positions(self) -> HashMap<String, Position> {
        self.sources.into_iter().map(|head| (head.source.pod.uid, head.source.position)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::reader::Reader;
    use crate::state::PodName;

    async fn merge() -> Merge {
        let source = |name: &str, seconds: &[u8]| {
            let line = |second: &u8| format!("2026-01-01T00:00:0{second}Z {name}{second}\n");
            let log: String = seconds.iter().map(line).collect();
            let pod = PodName { uid: name.into(), name: name.into() };
            Source::new(pod, [Reader::of(&log)].into(), Position::default())
        };
        Merge::new(vec![source("a", &[1, 4]), source("b", &[2, 3, 5]), source("c", &[])]).await
    }

    #[tokio::test]
    async fn the_oldest_comes_first() {
        let mut merge = merge().await;
        let mut texts = Vec::new();
        while let Some(line) = merge.next().await {
            texts.push(line.text);
        }
        assert_eq!(texts, ["a1\n", "b2\n", "b3\n", "a4\n", "b5\n"]);
    }

    #[tokio::test]
    async fn the_last_are_those_of_all() {
        let mut merge = merge().await;
        let lines = merge.last(2.try_into().unwrap()).await;
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["a4\n", "b5\n"]);
        assert_eq!(merge.into_positions().len(), 3);
    }
}
