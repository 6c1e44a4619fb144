//! A look at the whole table of jobs and its indexes once, after open, on a thread and a connection of its own: damage
//! that no request may ever meet would hide a job for good. What it finds is mended by the writer.
//!
//! Payloads are not read: there may be many gigabytes, and each is checked when its job is taken.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::{io, time};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::mpsc::WeakSender;

use super::reader::Reader;
use super::schema::is_corrupt;
use super::writer::{Call, Work};

/// Ends when dropped.
pub(super) struct Check {
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<()>>,
}

impl Check {
    pub(super) fn begin(reader: Arc<Reader>, requests: WeakSender<Box<dyn Work>>) -> io::Result<Self> {
        let connection = reader.another().map_err(io::Error::other)?;
        let interrupt = connection.get_interrupt_handle();
        let thread = Builder::new().name("queue-check".to_owned()).spawn(move || {
            let (generation, begun) = (reader.generation(), time::Instant::now());
            let whole = look(&connection);
            drop(connection);
            tracing::debug!(elapsed_ms = begun.elapsed().as_millis(), whole, "the jobs were checked");
            let Some(requests) = requests.upgrade().filter(|_| !whole) else { return };
            let (call, answer) =
                Call::request("check the jobs", None, move |step| step.report_damage(generation).map(Ok));
            if requests.blocking_send(call).is_ok() {
                let _ = answer.blocking_recv();
            }
        })?;
        Ok(Self { interrupt, thread: Some(thread) })
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.interrupt.interrupt();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// False only if there is damage: what cannot be looked at now may be whole.
fn look(connection: &Connection) -> bool {
    let look = || {
        let mut statement = connection.prepare("PRAGMA integrity_check(jobs)")?;
        let first: String = statement.query_row([], |row| row.get(0))?;
        Ok::<_, rusqlite::Error>(first == "ok")
    };
    look().unwrap_or_else(|error| !is_corrupt(&error))
}
