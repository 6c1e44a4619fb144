//! The tables, and how a connection to them is set up.
//!
//! A job is a short row of `jobs`, rewritten as the job moves, and a row of `payloads`, written once and removed when the
//! job has ended. Every question has an index of its own that holds only the rows that it is about, so that none costs
//! more because of what other functions have or what has ended: `ready` to take, `timers` to wake up, `live` and `dead`
//! to list and count, `ended` to sweep.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// The layout of the tables; a later one migrates from it.
pub(super) const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, function TEXT NOT NULL, place INTEGER NOT NULL,
        due INTEGER NOT NULL, accepted INTEGER NOT NULL, first_taken INTEGER, token INTEGER, record BLOB) STRICT;
    CREATE UNIQUE INDEX ids ON jobs (id);
    CREATE INDEX ready ON jobs (function, due) WHERE place = 0;
    CREATE INDEX timers ON jobs (due, place, function) WHERE place BETWEEN 1 AND 2;
    CREATE INDEX live ON jobs (function) WHERE place < 3;
    CREATE INDEX ended ON jobs (due) WHERE place BETWEEN 3 AND 4;
    CREATE INDEX dead ON jobs (function) WHERE place = 5;
    CREATE TABLE payloads (
        seq INTEGER PRIMARY KEY, file TEXT, size INTEGER NOT NULL, sum INTEGER NOT NULL, job BLOB NOT NULL,
        body BLOB) STRICT;
    CREATE INDEX payload_files ON payloads (file) WHERE file IS NOT NULL;
    CREATE TABLE results (seq INTEGER PRIMARY KEY, file TEXT, size INTEGER NOT NULL, body BLOB) STRICT;
    CREATE INDEX result_files ON results (file) WHERE file IS NOT NULL;
    PRAGMA user_version = 1;";

/// Where a job lies, as the column `place` says. The conditions of the indexes name these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Due since `due`.
    Ready = 0,
    /// Under the lease `token`, which ends at `due`.
    Leased = 1,
    /// Ready at `due`.
    Later = 2,
    /// Its record is swept at `due`, as that of a cancelled one.
    Done = 3,
    /// Ended by somebody.
    Cancelled = 4,
    /// Since `due`.
    Dead = 5,
}

impl Place {
    pub(super) fn parse(number: i64) -> Option<Self> {
        let all = [Self::Ready, Self::Leased, Self::Later, Self::Done, Self::Cancelled, Self::Dead];
        all.get(usize::try_from(number).ok()?).copied()
    }
}

/// A connection that writes; makes the file and its tables if they are not there. Says which version it found.
pub(super) fn open_writer(path: &Path, sync: bool) -> Result<(Connection, i64)> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if sync { "FULL" } else { "OFF" })?;
    // Kibibytes of pages in memory: the ids are spread over their index, so that it is read everywhere.
    connection.pragma_update(None, "cache_size", -16_384)?;
    // Pages in the log before they are copied to the file: 16 MiB.
    connection.pragma_update(None, "wal_autocheckpoint", 4_096)?;
    connection.set_prepared_statement_cache_capacity(64);
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.commit()?;
        return Ok((connection, VERSION));
    }
    Ok((connection, version))
}

/// A connection that only reads. The file is there.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// What the two connections wait for each other at most: only while the log is begun anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the file is not what was written: SQLite says so, or a column holds what nobody wrote into it.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | Utf8Error(..) => true,
        error => matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)),
    }
}
