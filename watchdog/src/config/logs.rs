//! The variables about what handlers write beside their answers.

use super::Reader;
use crate::mode::lines::{Format, Lines};

/// What `log_buffer_size=-1`, no limit, comes to: longer lines are cut in pieces.
pub(super) const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// How what handlers write is logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logs {
    pub(super) prefix: bool,
    /// Bytes of the longest line.
    pub(super) line: usize,
    format: Format,
    pub(crate) call_id: bool,
}

impl Logs {
    /// For `stdout` or `stderr`.
    pub(crate) fn lines(self, name: &'static str) -> Lines {
        let Self { prefix: prefixed, line: longest, format, call_id } = self;
        Lines { name, format, prefixed, call_id, longest }
    }
}

impl Reader<'_> {
    pub(super) fn logs(&mut self) -> Logs {
        let line = match self.text("log_buffer_size").as_deref() {
            Some("-1") => LONGEST_LINE,
            _ => self.number("log_buffer_size", 65536).clamp(1, LONGEST_LINE),
        };
        let format = match self.text("log_format").as_deref() {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => {
                self.problems.push(format!("log_format: {other:?}: expected text or json"));
                Format::Text
            }
        };
        let call_id = self.either("log_callid", "log_call_id");
        Logs { prefix: self.switch("prefix_logs", true), line, format, call_id }
    }
}
