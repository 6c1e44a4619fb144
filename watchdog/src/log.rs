//! Lines on standard error, as Go's log package writes them: `2006/01/02 15:04:05 text`, in UTC.
//!
//! One write per line, but for those of requests: of what a turn of the runtime has answered, the lines are written
//! together ([`later`]). A reader that stops reading stops us, as it does the peers; nothing is dropped.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;

use tokio::runtime::Handle;

thread_local! {
    /// Lines that wait for the end of the turn.
    static WAITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes one line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    raw(format!("{}{text}\n", prefix()).as_bytes());
}

/// Writes one line at the end of this turn of the runtime, or before whatever else this thread writes.
pub(crate) fn later(text: fmt::Arguments<'_>) {
    let prefix = prefix();
    let first = WAITING.with_borrow_mut(|waiting| {
        let first = waiting.is_empty();
        let _ = writeln!(waiting, "{prefix}{text}");
        first
    });
    match Handle::try_current() {
        Ok(runtime) if first => drop(runtime.spawn(async {
            tokio::task::yield_now().await;
            flush();
        })),
        Ok(_) => {}
        Err(_) => flush(),
    }
}

/// Writes what waits.
pub(crate) fn flush() {
    WAITING.with_borrow_mut(|waiting| {
        write(waiting);
        waiting.clear();
    });
}

/// Writes bytes as they are.
pub(crate) fn raw(bytes: &[u8]) {
    flush();
    write(bytes);
}

/// An unwritable standard error is nobody's fault here.
fn write(bytes: &[u8]) {
    if !bytes.is_empty() {
        let _ = std::io::stderr().write_all(bytes);
    }
}

/// The time, and a space. Written out once a second.
pub(crate) fn prefix() -> String {
    thread_local! {
        static LAST: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = jiff::Timestamp::now();
    LAST.with_borrow_mut(|(second, text)| {
        if *second != now.as_second() {
            *second = now.as_second();
            *text = now.strftime("%Y/%m/%d %H:%M:%S ").to_string();
        }
        text.clone()
    })
}

/// What `-version` prints and the log begins with.
pub(crate) fn version() -> String {
    let revision = option_env!("FAAS_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    format!("Version: v{}\tSHA: {revision}", env!("CARGO_PKG_VERSION"))
}
