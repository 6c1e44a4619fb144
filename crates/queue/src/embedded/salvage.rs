//! A damaged file: what is whole of it is copied, row by row, into a new one, which takes its place; the old one is set
//! aside as `queue.db.corrupt-TIME`. As long as that is there no body is removed that no job names.
//!
//! A row whose page cannot be read is skipped, and the search goes on behind the damage. A job whose payload is whole is
//! kept whatever became of its other row: as if new, so that it runs once more rather than never. If the first page is
//! damaged, that of an empty queue stands in: the tables lie at the same pages in every file. What was kept and lost is
//! reported once in the log.
//!
//! Killed in the middle, it begins anew or is finished at the next start.

mod rows;

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row};

use self::rows::{Copied, End, behind_damage, copy_job, copy_payload, copy_result, read_portion};
use super::reader::damaged;
use super::schema;

type Result<T> = std::result::Result<T, SalvageError>;

/// Why what is whole could not be copied. The damaged file is where it was.
#[derive(Debug, thiserror::Error)]
pub(super) enum SalvageError {
    #[error("failed to write what is whole")]
    Write(#[from] rusqlite::Error),
    #[error("failed to set the damaged file aside")]
    Move(#[from] io::Error),
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Salvage {
    /// Jobs that wait, run or are dead, with all that belongs to them.
    kept: u64,
    /// Of those, jobs of which only the payload was left.
    renewed: u64,
    /// Jobs of which the payload is damaged or gone.
    lost: u64,
    /// Stretches of rows that could not be read.
    gaps: u64,
}

const PAGE: usize = 4096;
/// What follows the name of a file that was set aside; then comes when, in milliseconds.
const ASIDE: &str = ".corrupt-";

impl Salvage {
    /// Replaces the file at `path`, which nobody has open.
    pub(super) fn run(path: &Path, sync: bool, why: &rusqlite::Error) -> Result<()> {
        // An earlier one broke off where only names were left to change: nothing was written since.
        if Self::finish_earlier(path)? {
            return Ok(());
        }
        let (fresh, patched) = (beside(path, ".salvage-part"), beside(path, ".patched"));
        remove(&fresh)?;
        remove(&patched)?;
        let (target, _) = schema::open_writer(&fresh, false)?;
        let salvage = Self::default().copy_all(path, &patched, &fresh, &target)?;
        target.pragma_update(None, "journal_mode", "DELETE")?;
        target.close().map_err(|(_, error)| error)?;
        remove(&patched)?;
        if sync {
            File::open(&fresh)?.sync_all()?;
        }
        fs::rename(&fresh, beside(path, ".salvage"))?;
        let aside = set_aside(path)?;
        salvage.report(&aside, why);
        Ok(())
    }

    /// Finishes what a killed process began: the new file is whole once it has its name. False if there is none.
    pub(super) fn finish_earlier(path: &Path) -> io::Result<bool> {
        let begun = beside(path, ".salvage").exists();
        if begun {
            set_aside(path)?;
        }
        Ok(begun)
    }

    fn report(&self, aside: &Path, why: &rusqlite::Error) {
        tracing::error!(
            error = %why,
            kept = self.kept,
            renewed = self.renewed,
            lost = self.lost,
            unreadable_stretches = self.gaps,
            set_aside = %aside.display(),
            "the queue's file was damaged: what was whole is served, the damaged file is set aside"
        );
    }

    fn copy_all(mut self, path: &Path, patched: &Path, fresh: &Path, target: &Connection) -> Result<Self> {
        let source = match open_damaged(path) {
            Ok(source) => Some(source),
            Err(_) => patch(path, patched, fresh, target).and_then(|()| Ok(open_damaged(patched)?)).ok(),
        };
        if let Some(source) = source {
            self.copy(&source, target)?;
        } else {
            self.gaps += 1;
        }
        Ok(self)
    }

    fn copy(&mut self, source: &Connection, target: &Connection) -> Result<()> {
        target.execute_batch("BEGIN")?;
        let jobs = "SELECT seq, id, function, place, due, accepted, first_taken, token, record FROM jobs NOT INDEXED";
        self.rows(source, target, jobs, |row| copy_job(row, target))?;
        let payloads = "SELECT file, size, sum, job, body, seq FROM payloads NOT INDEXED";
        let mut renewed = 0;
        self.rows(source, target, payloads, |row| copy_payload(row, target, &mut renewed))?;
        let results = "SELECT seq, file, size, body FROM results NOT INDEXED";
        self.rows(source, target, results, |row| copy_result(row, target))?;
        let without = "place NOT BETWEEN 3 AND 4 AND seq NOT IN (SELECT seq FROM payloads)";
        self.lost += target.execute(&format!("DELETE FROM jobs WHERE {without}"), [])? as u64;
        target.execute("DELETE FROM results WHERE seq NOT IN (SELECT seq FROM jobs)", [])?;
        self.renewed = renewed;
        let kept: i64 = target.query_row("SELECT count(*) FROM payloads", [], |row| row.get(0))?;
        self.kept = kept.cast_unsigned();
        target.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Gives every row that can be read to `copy`, which says whether it was whole. Errors are the target's.
    fn rows(
        &mut self,
        source: &Connection,
        target: &Connection,
        select: &str,
        mut copy: impl FnMut(&Row<'_>) -> Copied,
    ) -> Result<()> {
        let sql = format!("{select} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let mut after = i64::MIN;
        loop {
            let (seen, end) = read_portion(source, &sql, after, &mut copy)?;
            target.execute_batch("COMMIT; BEGIN")?;
            after = seen;
            match end {
                End::Nothing => return Ok(()),
                End::More => {}
                End::Damage => {
                    self.gaps += 1;
                    let Some(next) = behind_damage(source, &sql, after) else { return Ok(()) };
                    after = next;
                }
            }
        }
    }
}

/// Opens a file of which not all pages are there or whole.
fn open_damaged(path: &Path) -> std::result::Result<Connection, rusqlite::Error> {
    // SQLite would remove its log.
    if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        return Err(damaged("the file is empty"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // The log is evidence.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Without it, a file with fewer pages than it should have is not read at all.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, true)?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('jobs', 'payloads', 'results')";
    let found: i64 = connection.query_row(tables, [], |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == 3 && version == schema::VERSION {
        connection.prepare("SELECT seq, id, function, place FROM jobs")?;
        return Ok(connection);
    }
    Err(damaged("the tables are not there"))
}

/// A copy of the file with the first page of an empty queue, made so that SQLite counts the pages itself.
fn patch(path: &Path, patched: &Path, fresh: &Path, target: &Connection) -> Result<()> {
    target.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let mut page = vec![0; PAGE];
    File::open(fresh)?.read_exact(&mut page)?;
    // No free pages, and a count of pages that is not believed.
    for range in [32..40, 92..96] {
        page.get_mut(range).unwrap_or_default().fill(0);
    }
    fs::copy(path, patched)?;
    let mut file = File::options().write(true).open(patched)?;
    file.seek(io::SeekFrom::Start(0))?;
    file.write_all(&page)?;
    let (log, other) = (beside(path, "-wal"), beside(patched, "-wal"));
    if log.exists() {
        fs::copy(log, other)?;
    }
    Ok(())
}

/// Moves the damaged file and its log away, and the new one into its place. In this order: a log must never be found
/// beside a file that is not its own.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = beside(path, &format!("{ASIDE}{}", Timestamp::now().as_millisecond()));
    for suffix in ["", "-wal", "-shm"] {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(beside(path, ".salvage"), path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(aside)
}

/// Whether a damaged file is still there for somebody to look at.
pub(super) fn is_aside(path: &Path) -> io::Result<bool> {
    let beginning = beside(path, ASIDE);
    let Some((folder, name)) = path.parent().zip(beginning.file_name()) else { return Ok(false) };
    let name = name.to_string_lossy();
    let mut files = fs::read_dir(folder)?;
    Ok(files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with(&*name))))
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_that_waits_for_its_name_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        fs::write(beside(&path, ".salvage"), "whole").unwrap();
        Salvage::run(&path, false, &damaged("again")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
