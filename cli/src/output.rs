//! The one place that prints: data on standard output, talk on standard error.
//!
//! A reader that closes standard output ends the program quietly, by [`Closed`]; a closed standard error is ignored.

use std::fmt;
use std::io::{self, IsTerminal as _, Read, Write};

use crate::failure::Failure;

/// Standard output was closed by whoever read it.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("standard output was closed")
    }
}

impl std::error::Error for Closed {}

fn checked<T>(result: io::Result<T>) -> anyhow::Result<T> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("failed to write to standard output"),
    })
}

/// Prints text as it is.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// Prints a line.
pub(crate) fn line(text: impl fmt::Display) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// Prints bytes at once, not at the next newline.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    checked(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Prints what `reader` yields as it arrives.
pub(crate) fn copy(reader: &mut dyn Read) -> anyhow::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(anyhow::Error::new(error).context("failed to read the response")),
        };
        print_bytes(buffer.get(..length).unwrap_or_default())?;
    }
}

/// Says something to the person at the terminal.
pub(crate) fn talk(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says why the command failed, and what to do where that is known.
pub(crate) fn report(error: &anyhow::Error) {
    talk(format!("{error:#}"));
    if let Some(hint) = error.downcast_ref::<Failure>().and_then(Failure::as_hint) {
        talk(format!("hint: {hint}"));
    }
}

/// Whether a person types the standard input.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}
