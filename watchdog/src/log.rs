//! Lines on standard error, as Go's log package writes them: `2006/01/02 15:04:05 text`, in UTC.
//!
//! One write per line, but for those of requests: while there are many, they are written together every [`GATHER`]
//! ([`later`]). Each write wakes whoever collects them, which took a tenth of the processor time of `faas serve`. A
//! SIGKILL loses those that wait. A reader that stops reading stops us, as it does the peers; nothing is dropped.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use tokio::runtime::Handle;

/// Not long for a person who follows.
const GATHER: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// A task is there that will write them.
    awaited: bool,
}

thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// Writes one line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    raw(format!("{}{text}\n", prefix()).as_bytes());
}

/// Writes one line at the end of this turn of the runtime, or [`GATHER`] after the one before, or before whatever else
/// this thread writes.
pub(crate) fn later(text: fmt::Arguments<'_>) {
    let prefix = prefix();
    let runtime = Handle::try_current();
    let awaited = WAITING.with_borrow_mut(|waiting| {
        let _ = writeln!(waiting.lines, "{prefix}{text}");
        std::mem::replace(&mut waiting.awaited, runtime.is_ok())
    });
    match runtime {
        Ok(_) if awaited => {}
        Ok(runtime) => drop(runtime.spawn(gather())),
        Err(_) => _ = flush(),
    }
}

/// Writes until there is nothing to write.
async fn gather() {
    tokio::task::yield_now().await;
    while flush() {
        tokio::time::sleep(GATHER).await;
    }
    WAITING.with_borrow_mut(|waiting| waiting.awaited = false);
}

/// Writes what waits; tells whether there was any.
pub(crate) fn flush() -> bool {
    WAITING.with_borrow_mut(|waiting| {
        write(&waiting.lines);
        let any = !waiting.lines.is_empty();
        waiting.lines.clear();
        any
    })
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
