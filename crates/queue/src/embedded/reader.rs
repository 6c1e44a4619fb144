//! Reads, on a connection of their own, off the runtime: they wait for each other and for nothing else.
//!
//! What was committed before a read began is seen by it. When the file turns out to be damaged, the error says so, and
//! the writer mends it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use faas_api::FunctionId;
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::clock::timestamp;
use super::schema::{self, Place};
use super::step::checksum;
use crate::{CallId, Found, Job, Record, Shelf, State};

type Result<T> = std::result::Result<T, rusqlite::Error>;

pub(super) struct Reader {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
    /// Grows when the file is replaced.
    generation: AtomicU64,
}

/// A body as the tables have it.
pub(super) enum Stored {
    Inline(Vec<u8>),
    File { name: String, size: u64 },
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, connection: Mutex::new(None), generation: AtomicU64::new(0) }
    }

    /// Closes the connection, since the file is replaced; there is no other one until what is returned is dropped.
    pub(super) fn close(&self) -> MutexGuard<'_, Option<Connection>> {
        let mut guard = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        *guard = None;
        self.generation.fetch_add(1, Ordering::Relaxed);
        guard
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Another connection, for what takes long.
    pub(super) fn another(&self) -> Result<Connection> {
        schema::open_reader(&self.path)
    }

    /// Blocks.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut guard = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match guard.take() {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        work(guard.insert(connection))
    }
}

const FOUND: &str =
    "SELECT jobs.id, jobs.function, jobs.place, jobs.accepted, jobs.due, jobs.record, payloads.job
    FROM jobs LEFT JOIN payloads ON payloads.seq = jobs.seq";

pub(super) fn find(connection: &Connection, id: &CallId) -> Result<Option<Found>> {
    let mut statement = connection.prepare_cached(&format!("{FOUND} WHERE jobs.id = ?1"))?;
    statement.query_row([id.as_str()], read_found).optional()
}

pub(super) fn list(connection: &Connection, function: &str, of: Shelf, most: usize) -> Result<Vec<Found>> {
    let condition = match of {
        Shelf::Live => "jobs.place < 3",
        Shelf::Dead => "jobs.place = 5",
    };
    let sql = format!("{FOUND} WHERE jobs.function = ?1 AND {condition} ORDER BY jobs.seq LIMIT ?2");
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map(params![function, most], read_found)?.collect()
}

/// When the oldest of the function's jobs that wait or run was accepted.
pub(super) fn oldest(connection: &Connection, function: &str) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT accepted FROM jobs INDEXED BY live WHERE function = ?1 AND place < 3 ORDER BY seq LIMIT 1",
    )?;
    Ok(statement.query_row([function], |row| row.get(0)).optional()?.map(timestamp))
}

pub(super) fn result(connection: &Connection, id: &CallId) -> Result<Option<Stored>> {
    let mut statement = connection.prepare_cached(
        "SELECT results.file, results.size, results.body FROM results JOIN jobs ON jobs.seq = results.seq
         WHERE jobs.id = ?1",
    )?;
    statement.query_row([id.as_str()], |row| read_stored(row, 0, 1, 2)).optional()
}

/// Whether a row names this file.
pub(super) fn names_file(connection: &Connection, name: &str) -> Result<bool> {
    let tables = [
        "SELECT 1 FROM payloads INDEXED BY payload_files WHERE file = ?1",
        "SELECT 1 FROM results INDEXED BY result_files WHERE file = ?1",
    ];
    let mut named = false;
    for sql in tables {
        named = named || connection.prepare_cached(sql)?.exists([name])?;
    }
    Ok(named)
}

/// `None` if the job has ended meanwhile. One that is not as it was written counts as damage of the file.
pub(super) fn payload(connection: &Connection, seq: i64) -> Result<Option<(Job, Stored)>> {
    let mut statement =
        connection.prepare_cached("SELECT file, size, sum, job, body FROM payloads WHERE seq = ?1")?;
    statement.query_row([seq], read_payload).optional()
}

pub(super) fn read_payload(row: &rusqlite::Row<'_>) -> Result<(Job, Stored)> {
    let (job, body) = (row.get_ref(3)?.as_blob()?, row.get_ref(4)?.as_blob_or_null()?);
    if row.get::<_, u32>(2)? != checksum(job, body) {
        return Err(damaged("a payload is not as it was written"));
    }
    Ok((from_json(3, job)?, read_stored(row, 0, 1, 4)?))
}

fn read_stored(row: &rusqlite::Row<'_>, file: usize, size: usize, body: usize) -> Result<Stored> {
    Ok(match row.get::<_, Option<String>>(file)? {
        Some(name) => Stored::File { name, size: row.get::<_, i64>(size)?.cast_unsigned() },
        None => Stored::Inline(row.get_ref(body)?.as_blob_or_null()?.unwrap_or_default().to_vec()),
    })
}

fn read_found(row: &rusqlite::Row<'_>) -> Result<Found> {
    let place = row.get(2)?;
    let place = Place::parse(place).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, place))?;
    let job = row.get_ref(6)?.as_blob_or_null()?.map(|job| from_json::<Job>(6, job)).transpose()?;
    let accepted_at = job.as_ref().map(|job| job.accepted_at);
    let state = state(place);
    Ok(Found {
        id: CallId::try_from(row.get::<_, String>(0)?).map_err(|error| unreadable(0, error))?,
        function: FunctionId::try_from(row.get::<_, String>(1)?).map_err(|error| unreadable(1, error))?,
        state,
        accepted_at: accepted_at.map_or_else(|| row.get(3).map(timestamp), Ok)?,
        due_at: if state == State::Queued { Some(timestamp(row.get(4)?)) } else { None },
        record: read_record(row.get_ref(5)?.as_blob_or_null()?)?,
        job,
    })
}

fn state(place: Place) -> State {
    match place {
        Place::Ready | Place::Later => State::Queued,
        Place::Leased => State::Running,
        Place::Done => State::Done,
        Place::Cancelled => State::Cancelled,
        Place::Dead => State::Dead,
    }
}

pub(super) fn read_record(json: Option<&[u8]>) -> Result<Record> {
    json.map_or_else(|| Ok(Record::default()), |json| from_json(5, json))
}

fn from_json<T: serde::de::DeserializeOwned>(column: usize, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}

/// What SQLite itself does not notice.
pub(super) fn damaged(text: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(text.to_owned()))
}
