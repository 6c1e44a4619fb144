//! Progress on standard error: bars and spinners on a terminal, plain lines otherwise.

use std::io::{IsTerminal as _, Read};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;
use crate::text::human_bytes;

/// Something that takes a while; gone from the terminal when dropped.
pub(crate) struct Progress(Option<ProgressBar>);

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Work without a measure.
pub(crate) fn spinner(what: &str) -> Progress {
    if !std::io::stderr().is_terminal() {
        output::talk(format!("{what}..."));
        return Progress(None);
    }
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    Progress(Some(bar))
}

/// An upload of `total` bytes.
pub(crate) fn upload(what: &str, total: u64) -> Progress {
    if !std::io::stderr().is_terminal() {
        output::talk(format!("{what} ({})...", human_bytes(total)));
        return Progress(None);
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
    let bar = ProgressBar::new(total).with_message(what.to_owned());
    Progress(Some(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))))
}

impl Progress {
    /// Shows a line of what is going on.
    pub(crate) fn note(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(line.to_owned()),
            None => output::talk(line),
        }
    }

    /// Counts what is read through.
    pub(crate) fn wrap<'a>(&self, reader: impl Read + 'a) -> Box<dyn Read + 'a> {
        match &self.0 {
            Some(bar) => Box::new(bar.wrap_read(reader)),
            None => Box::new(reader),
        }
    }
}
