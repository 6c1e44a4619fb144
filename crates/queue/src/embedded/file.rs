//! The file of a queue and what lies beside it: `queue.db`, its log, its lock, and what was set aside.
//!
//! One process owns the file, by a lock on `queue.lock` that ends with it. A file that is damaged is replaced by what
//! is whole of it, at open and later; see [`super::salvage`].

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::book::Count;
use super::log;
use super::reader::{Reader, damaged};
use super::salvage::{Salvage, SalvageError, beside};
use super::schema::{self, Place};

/// Why a queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One process at a time.
    #[error("another process uses the queue: it has locked {path:?}")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "{path:?} was written by a newer version: its layout is {found}, this one knows {}",
        schema::VERSION
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// Its folder cannot be used.
    #[error("failed to open the queue in {path:?}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be used.
    #[error("failed to open {path:?}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The file, in the queue's folder.
pub(super) const NAME: &str = "queue.db";

/// The locked file.
pub(super) struct QueueFile {
    path: PathBuf,
    sync: bool,
    reader: Arc<Reader>,
    /// Held as long as the file is used.
    _lock: File,
}

/// An open file and what is in it.
pub(super) struct Opened {
    pub(super) file: QueueFile,
    pub(super) connection: Connection,
    pub(super) counts: BTreeMap<String, Count>,
}

impl QueueFile {
    pub(super) fn open(folder: &Path, sync: bool) -> Result<(Opened, Arc<Reader>), OpenError> {
        let path = folder.join(NAME);
        let lock = lock(folder)?;
        let reader = Arc::new(Reader::new(path.clone()));
        let file = Self { path: path.clone(), sync, reader: Arc::clone(&reader), _lock: lock };
        let failed = |source| OpenError::File { path: path.clone(), source };
        Salvage::finish_earlier(&path).map_err(|error| failed(error.into()))?;
        file.mend_log().map_err(|error| failed(error.into()))?;
        let opened = match file.connect() {
            Err(ConnectError::Sqlite(error)) if schema::is_corrupt(&error) => {
                Salvage::run(&path, sync, &error).map_err(|error| failed(error.into()))?;
                file.connect()
            }
            opened => opened,
        };
        match opened {
            Ok((connection, counts)) => Ok((Opened { file, connection, counts }, reader)),
            Err(ConnectError::Newer(found)) => Err(OpenError::Newer { path, found }),
            Err(ConnectError::Sqlite(error)) => Err(failed(error.into())),
        }
    }

    /// What SQLite would pass over in silence.
    fn mend_log(&self) -> Result<(), SalvageError> {
        let log = beside(&self.path, "-wal");
        if std::fs::metadata(&self.path).is_ok_and(|file| file.len() == 0) {
            // With its log, which SQLite would throw away.
            return Salvage::run(&self.path, self.sync, &damaged("the file is empty"));
        }
        if log::is_whole(&log)? {
            return Ok(());
        }
        Salvage::run(&self.path, self.sync, &damaged("the log is damaged in the middle"))
    }

    fn connect(&self) -> Result<(Connection, BTreeMap<String, Count>), ConnectError> {
        let (connection, version) = schema::open_writer(&self.path, self.sync)?;
        if version > schema::VERSION {
            return Err(ConnectError::Newer(version));
        }
        let counts = count(&connection)?;
        Ok((connection, counts))
    }

    pub(super) fn generation(&self) -> u64 {
        self.reader.generation()
    }

    /// Puts what is whole of the file in its place, and opens that.
    pub(super) fn replace(
        &self,
        connection: &mut Connection,
        why: &rusqlite::Error,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let reading = self.reader.close();
        *connection = Connection::open_in_memory()?;
        Salvage::run(&self.path, self.sync, why)?;
        *connection = schema::open_writer(&self.path, self.sync)?.0;
        drop(reading);
        Ok(())
    }
}

enum ConnectError {
    Newer(i64),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ConnectError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("queue.lock");
    let failed = |source| OpenError::Folder { path: folder.to_owned(), source };
    super::bodies::create_folder(folder).map_err(failed)?;
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Counts what the indexes have, and that they agree: a job that lacks in one of them would never be taken.
pub(super) fn count(connection: &Connection) -> Result<BTreeMap<String, Count>, rusqlite::Error> {
    let mut counts = BTreeMap::<String, Count>::new();
    let groups = [
        "SELECT function, 0, count(*) FROM jobs INDEXED BY ready WHERE place = 0 GROUP BY function",
        "SELECT function, place, count(*) FROM jobs INDEXED BY timers WHERE place BETWEEN 1 AND 2
         GROUP BY function, place",
        "SELECT function, 5, count(*) FROM jobs INDEXED BY dead WHERE place = 5 GROUP BY function",
    ];
    for group in groups {
        add_counts(connection, group, &mut |function, place, many| {
            counts.entry(function).or_default().add(place, many);
        })?;
    }
    let mut live = BTreeMap::new();
    let group = "SELECT function, 0, count(*) FROM jobs INDEXED BY live WHERE place < 3 GROUP BY function";
    add_counts(connection, group, &mut |function, _, many| {
        live.insert(function, many);
    })?;
    let agree = |function: &String, live: i64| {
        counts.get(function).is_some_and(|count| count.ready + count.later + count.leased == live)
    };
    let agreed = live.iter().all(|(function, many)| agree(function, *many));
    let known = counts.iter().all(|(function, _)| agree(function, live.get(function).copied().unwrap_or(0)));
    if agreed && known { Ok(counts) } else { Err(damaged("the indexes disagree")) }
}

fn add_counts(
    connection: &Connection,
    sql: &str,
    add: &mut dyn FnMut(String, Place, i64),
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let place = Place::parse(row.get(1)?).ok_or_else(|| damaged("an index has an unknown place"))?;
        add(row.get(0)?, place, row.get(2)?);
    }
    Ok(())
}
