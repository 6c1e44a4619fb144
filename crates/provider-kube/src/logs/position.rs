//! How far a pod's log was read, so that what is read again is not sent again.
//!
//! Logs are asked for from a whole second on, and times are those of single lines. A reader that begins skips what lies
//! before the position, and as many lines of its very instant as were sent. After the first line beyond it, all is new:
//! standard output and standard error may be a little out of order.

use jiff::Timestamp;

#[derive(Debug, Clone, Default)]
pub(super) struct Position {
    /// None older than this is wanted.
    since: Option<Timestamp>,
    /// The newest line that was read.
    last: Option<Timestamp>,
    /// Lines of that instant.
    count: usize,
    /// Lines still to be skipped of `last`; `None` once beyond.
    skipping: Option<usize>,
}

impl Position {
    pub(super) fn since(since: Option<Timestamp>) -> Self {
        Self { since, ..Self::default() }
    }

    /// From where to ask.
    pub(super) fn start(&self) -> Option<Timestamp> {
        self.last.max(self.since)
    }

    /// Another reader begins.
    pub(super) fn begin(&mut self) {
        self.skipping = self.last.map(|_| self.count);
    }

    /// Whether the next line of the reader is new.
    pub(super) fn take(&mut self, at: Timestamp) -> bool {
        if self.is_old(at) {
            return false;
        }
        match self.last {
            Some(last) if at < last => {}
            Some(last) if at == last => self.count += 1,
            _ => (self.last, self.count) = (Some(at), 1),
        }
        self.since.is_none_or(|since| at >= since)
    }

    fn is_old(&mut self, at: Timestamp) -> bool {
        let (Some(last), Some(left)) = (self.last, self.skipping) else { return false };
        if at < last {
            return true;
        }
        self.skipping = if at == last { left.checked_sub(1) } else { None };
        at == last && self.skipping.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(position: &mut Position, seconds: &[i64]) -> Vec<i64> {
        position.begin();
        let new = seconds.iter().filter(|&&second| position.take(Timestamp::from_second(second).unwrap()));
        new.copied().collect()
    }

    #[test]
    fn what_is_read_again_is_not_sent_again() {
        let mut position = Position::default();
        assert_eq!(taken(&mut position, &[1, 3, 2, 4, 4]), [1, 3, 2, 4, 4]);
        assert_eq!(taken(&mut position, &[3, 4, 4, 4, 5, 4]), [4, 5, 4]);
        assert_eq!(taken(&mut position, &[5, 6]), [6]);
        assert_eq!(taken(&mut position, &[]), [0; 0]);
        assert_eq!(taken(&mut position, &[7]), [7]);
    }

    #[test]
    fn nothing_older_than_wanted() {
        let mut position = Position::since(Some(Timestamp::from_second(3).unwrap()));
        assert_eq!(taken(&mut position, &[1, 3, 4]), [3, 4]);
        assert_eq!(position.start(), Some(Timestamp::from_second(4).unwrap()));
    }
}
