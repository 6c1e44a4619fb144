//! One transaction: what the requests of a batch do to the tables, and what is told to others once it is on disk.
//!
//! A request that is refused has changed nothing, and the others go on. What SQLite cannot do fails the whole batch.
//! How jobs are taken and settled is here; [`super::steering`] has what people do to them, [`super::upkeep`] what time
//! does.

use std::cell::Cell;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::bodies::{Kept, Named};
use super::book::{Book, Changes};
use super::reader::damaged;
use super::schema::Place;
use crate::{CallId, Error};

type Result<T> = std::result::Result<T, rusqlite::Error>;
/// What a request comes to: the outer one is about the tables, the inner one about the request.
pub(super) type Outcome<T> = Result<std::result::Result<T, Error>>;

/// What does not change while the queue is open. In nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) lease: i64,
    pub(super) keep_ended: i64,
    pub(super) most_waiting: u64,
}

/// When there is something to do without being asked: the earliest time, or earlier.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    pub(super) timers: Cell<Option<i64>>,
    pub(super) sweep: Cell<Option<i64>>,
}

/// Earlier of the two; nothing is later than any time.
pub(super) fn bring_forward(alarm: &Cell<Option<i64>>, to: i64) {
    alarm.set(Some(alarm.get().map_or(to, |at| at.min(to))));
}

pub(super) struct Step<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: i64,
    pub(super) terms: Terms,
    pub(super) alarms: &'a Alarms,
    pub(super) tokens: &'a Cell<i64>,
    pub(super) book: &'a Book,
    /// Grows when the file is replaced.
    pub(super) generation: u64,
    pub(super) changes: Changes,
    /// Files that rows name once this is committed.
    pub(super) named: Vec<Arc<Named>>,
    /// Files that no row names any more once this is committed.
    pub(super) unnamed: Vec<String>,
}

/// A job about to be accepted.
pub(super) struct Fresh {
    pub(super) id: CallId,
    pub(super) function: String,
    pub(super) accepted: i64,
    /// As JSON.
    pub(super) job: Vec<u8>,
    pub(super) body: Kept,
}

/// A job that was taken, as its row says.
pub(super) struct Leased {
    pub(super) seq: i64,
    pub(super) token: i64,
    pub(super) first_taken: i64,
    pub(super) record: Option<Vec<u8>>,
}

/// A row that a request is about.
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) function: String,
    pub(super) place: Place,
}

impl Step<'_> {
    pub(super) fn prepare(&self, sql: &str) -> Result<rusqlite::CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    /// The job moved; listeners hear of it if it can be taken now.
    pub(super) fn moved(&mut self, function: &str, from: Option<Place>, to: Option<Place>) {
        if !self.changes.counts.contains_key(function) {
            self.changes.counts.insert(function.to_owned(), super::book::Count::default());
        }
        if let Some(count) = self.changes.counts.get_mut(function) {
            for (place, many) in [(from, -1), (to, 1)] {
                if let Some(place) = place {
                    count.add(place, many);
                }
            }
        }
        if to == Some(Place::Ready) && !self.changes.due.contains(function) {
            self.changes.due.insert(function.to_owned());
        }
    }

    fn waiting(&self, function: &str) -> u64 {
        let mut count = self.book.count(function);
        if let Some(change) = self.changes.counts.get(function) {
            count.ready += change.ready;
            count.later += change.later;
        }
        count.waiting()
    }

    /// A reader met damage in a file: it is an error until that file has been replaced.
    pub(super) fn report_damage(&self, generation: u64) -> Result<()> {
        if self.generation > generation { Ok(()) } else { Err(damaged("a reader met damage")) }
    }

    pub(super) fn append(&mut self, fresh: &Fresh) -> Outcome<()> {
        let limit = self.terms.most_waiting;
        if self.waiting(&fresh.function) >= limit {
            return Ok(match self.find(&fresh.id)? {
                Some(_) => Err(Error::Exists(fresh.id.clone())),
                None => Err(Error::Full { limit }),
            });
        }
        let inserted = self
            .prepare("INSERT INTO jobs (id, function, place, due, accepted) VALUES (?1, ?2, 0, ?3, ?4)")?
            .insert(params![fresh.id.as_str(), fresh.function, self.now, fresh.accepted]);
        let seq = match inserted {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                return Ok(Err(Error::Exists(fresh.id.clone())));
            }
            inserted => inserted?,
        };
        self.insert_payload(seq, fresh)?;
        self.moved(&fresh.function, None, Some(Place::Ready));
        Ok(Ok(()))
    }

    fn insert_payload(&mut self, seq: i64, fresh: &Fresh) -> Result<()> {
        let (file, body) = self.name(&fresh.body);
        let sum = checksum(&fresh.job, body);
        let size = fresh.body.size().cast_signed();
        self.prepare(
            "INSERT INTO payloads (seq, file, size, sum, job, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![seq, file, size, sum, fresh.job, body])?;
        Ok(())
    }

    /// The columns `file` and `body` of a row that has this body; its file stays once this is committed.
    fn name<'b>(&mut self, body: &'b Kept) -> (Option<&'b str>, Option<&'b [u8]>) {
        match body {
            Kept::Inline(bytes) => (None, Some(bytes)),
            Kept::File(file) => {
                self.named.push(Arc::clone(file));
                (Some(&file.name), None)
            }
        }
    }

    pub(super) fn find(&self, id: &CallId) -> Result<Option<Row>> {
        let mut statement = self.prepare("SELECT seq, function, place FROM jobs WHERE id = ?1")?;
        read_row(&mut statement, params![id.as_str()])
    }

    /// The job, if this lease still holds.
    fn leased(&self, id: &CallId, token: i64) -> Result<Option<Row>> {
        let mut statement = self.prepare(
            "SELECT seq, function, place FROM jobs WHERE id = ?1 AND place = 1 AND token = ?2 AND due > ?3",
        )?;
        read_row(&mut statement, params![id.as_str(), token, self.now])
    }

    pub(super) fn take(&mut self, function: &str, most: usize) -> Result<Vec<Leased>> {
        let until = self.now.saturating_add(self.terms.lease);
        let mut jobs = self.ready(function, most)?;
        for job in &mut jobs {
            job.token = self.tokens.get();
            self.tokens.set(job.token.wrapping_add(1));
            self.prepare("UPDATE jobs SET place = 1, due = ?2, token = ?3, first_taken = ?4 WHERE seq = ?1")?
                .execute(params![job.seq, until, job.token, job.first_taken])?;
            self.moved(function, Some(Place::Ready), Some(Place::Leased));
            bring_forward(&self.alarms.timers, until);
        }
        Ok(jobs)
    }

    fn ready(&self, function: &str, most: usize) -> Result<Vec<Leased>> {
        let mut statement = self.prepare(
            "SELECT seq, first_taken, record FROM jobs INDEXED BY ready
             WHERE function = ?1 AND place = 0 ORDER BY due, seq LIMIT ?2",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let jobs = statement.query_map(params![function, most], |row| {
            let first_taken = row.get::<_, Option<i64>>(1)?.unwrap_or(self.now);
            Ok(Leased { seq: row.get(0)?, token: 0, first_taken, record: row.get(2)? })
        })?;
        jobs.collect()
    }

    pub(super) fn extend(&mut self, id: &CallId, token: i64) -> Outcome<()> {
        let Some(row) = self.leased(id, token)? else { return Ok(Err(Error::LeaseLost(id.clone()))) };
        let until = self.now.saturating_add(self.terms.lease);
        self.prepare("UPDATE jobs SET due = ?2 WHERE seq = ?1")?.execute(params![row.seq, until])?;
        bring_forward(&self.alarms.timers, until);
        Ok(Ok(()))
    }

    pub(super) fn keep_result(&mut self, id: &CallId, token: i64, body: &Kept) -> Outcome<()> {
        let Some(row) = self.leased(id, token)? else { return Ok(Err(Error::LeaseLost(id.clone()))) };
        self.drop_result(row.seq)?;
        let (file, bytes) = self.name(body);
        let size = body.size().cast_signed();
        self.prepare("INSERT INTO results (seq, file, size, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![row.seq, file, size, bytes])?;
        Ok(Ok(()))
    }

    /// Writes the record; without a place, the lease goes on.
    pub(super) fn settle(
        &mut self,
        id: &CallId,
        token: i64,
        record: &[u8],
        to: Option<(Place, i64)>,
    ) -> Outcome<()> {
        let Some(row) = self.leased(id, token)? else { return Ok(Err(Error::LeaseLost(id.clone()))) };
        self.prepare("UPDATE jobs SET record = ?2 WHERE seq = ?1")?.execute(params![row.seq, record])?;
        if let Some((to, due)) = to {
            self.put(&row, to, due)?;
        }
        Ok(Ok(()))
    }

    /// Moves a job; no lease of it holds any more.
    pub(super) fn put(&mut self, row: &Row, to: Place, due: i64) -> Result<()> {
        self.prepare("UPDATE jobs SET place = ?2, due = ?3, token = NULL WHERE seq = ?1")?
            .execute(params![row.seq, to as i64, due])?;
        self.moved(&row.function, Some(row.place), Some(to));
        match to {
            Place::Leased | Place::Later => bring_forward(&self.alarms.timers, due),
            Place::Done | Place::Cancelled => {
                bring_forward(&self.alarms.sweep, due);
                self.drop_payload(row.seq)?;
            }
            Place::Ready | Place::Dead => {}
        }
        Ok(())
    }

    pub(super) fn drop_payload(&mut self, seq: i64) -> Result<()> {
        self.drop_from("DELETE FROM payloads WHERE seq = ?1 RETURNING file", seq)
    }

    pub(super) fn drop_result(&mut self, seq: i64) -> Result<()> {
        self.drop_from("DELETE FROM results WHERE seq = ?1 RETURNING file", seq)
    }

    fn drop_from(&mut self, sql: &str, seq: i64) -> Result<()> {
        let file = self.prepare(sql)?.query_row([seq], |row| row.get::<_, Option<String>>(0)).optional()?;
        self.unnamed.extend(file.flatten());
        Ok(())
    }
}

fn read_row(statement: &mut Statement<'_>, params: impl rusqlite::Params) -> Result<Option<Row>> {
    let read = |row: &rusqlite::Row<'_>| {
        let place = row.get(2)?;
        let place = Place::parse(place).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, place))?;
        Ok(Row { seq: row.get(0)?, function: row.get(1)?, place })
    };
    statement.query_row(params, read).optional()
}

/// Tells a whole payload from a damaged one: SQLite itself does not.
pub(super) fn checksum(job: &[u8], body: Option<&[u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(job);
    hasher.update(body.unwrap_or_default());
    hasher.finalize()
}
