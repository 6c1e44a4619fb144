//! Lines on standard error, as Go's log package writes them: `2006/01/02 15:04:05 text`, in UTC.
//!
//! One write per line. A reader that stops reading stops us, as it does the peers; nothing is buffered or dropped.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;

/// Writes one line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    raw(format!("{}{text}\n", prefix()).as_bytes());
}

/// Writes bytes as they are. An unwritable standard error is nobody's fault here.
pub(crate) fn raw(bytes: &[u8]) {
    let _ = std::io::stderr().write_all(bytes);
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
