//! What people do to jobs: cancel one, redrive dead ones, forget many.
//!
//! Many jobs are done in portions, each a transaction of its own, so that nobody else waits long. A portion says where
//! the next one begins; jobs that were accepted after the first one are let be, so that there is an end.

use rusqlite::params;

use super::schema::Place;
use super::step::{Outcome, Row, Step};
use crate::{CallId, Error, Shelf};

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// Jobs in one transaction.
const PORTION: u32 = 500;

/// How far a request has come that is about many jobs: those from `after` to `last` are still to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    pub(super) after: i64,
    pub(super) last: Option<i64>,
}

impl Portion {
    pub(super) const FIRST: Self = Self { after: i64::MIN, last: None };
}

/// How many were done, and what is left.
pub(super) type Done = (u64, Option<Portion>);

impl Step<'_> {
    pub(super) fn cancel(&mut self, id: &CallId) -> Outcome<bool> {
        let Some(row) = self.find(id)? else { return Ok(Err(Error::NotFound(id.clone()))) };
        match row.place {
            Place::Done | Place::Cancelled | Place::Dead => return Ok(Ok(false)),
            Place::Leased => self.changes.cancelled.push(id.clone()),
            Place::Ready | Place::Later => {}
        }
        let due = self.now.saturating_add(self.terms.keep_ended);
        self.put(&row, Place::Cancelled, due)?;
        Ok(Ok(true))
    }

    pub(super) fn redrive_one(&mut self, function: &str, id: &CallId) -> Result<u64> {
        let row = self.find(id)?.filter(|row| row.place == Place::Dead && row.function == function);
        let Some(row) = row else { return Ok(0) };
        self.revive(&row)?;
        Ok(1)
    }

    pub(super) fn redrive_some(&mut self, function: &str, portion: Portion) -> Result<Done> {
        let last = self.last(portion)?;
        let rows = self.shelf(function, Shelf::Dead, portion.after, last)?;
        rows.iter().try_for_each(|row| self.revive(row))?;
        Ok(done(&rows, rows.len(), last))
    }

    /// As if new.
    fn revive(&mut self, row: &Row) -> Result<()> {
        self.put(row, Place::Ready, self.now)?;
        self.drop_result(row.seq)?;
        self.prepare("UPDATE jobs SET record = NULL, first_taken = NULL WHERE seq = ?1")?
            .execute([row.seq])?;
        Ok(())
    }

    pub(super) fn purge_some(&mut self, function: &str, of: Shelf, portion: Portion) -> Result<Done> {
        let last = self.last(portion)?;
        let rows = self.shelf(function, of, portion.after, last)?;
        let idle = rows.iter().filter(|row| row.place != Place::Leased);
        let purged = idle.map(|row| self.forget(row).map(|()| 1)).sum::<Result<usize>>()?;
        Ok(done(&rows, purged, last))
    }

    /// Removes all that is known of a job.
    pub(super) fn forget(&mut self, row: &Row) -> Result<()> {
        self.drop_payload(row.seq)?;
        self.drop_result(row.seq)?;
        self.prepare("DELETE FROM jobs WHERE seq = ?1")?.execute([row.seq])?;
        self.moved(&row.function, Some(row.place), None);
        Ok(())
    }

    fn last(&self, portion: Portion) -> Result<i64> {
        match portion.last {
            Some(last) => Ok(last),
            None => self
                .prepare("SELECT max(seq) FROM jobs")?
                .query_row([], |row| Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0))),
        }
    }

    fn shelf(&self, function: &str, of: Shelf, after: i64, last: i64) -> Result<Vec<Row>> {
        let mut statement = self.prepare(match of {
            Shelf::Live => {
                "SELECT seq, place FROM jobs INDEXED BY live
                 WHERE function = ?1 AND place < 3 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4"
            }
            Shelf::Dead => {
                "SELECT seq, place FROM jobs INDEXED BY dead
                 WHERE function = ?1 AND place = 5 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4"
            }
        })?;
        let rows = statement.query_map(params![function, after, last, PORTION], |row| {
            let place = row.get(1)?;
            let place = Place::parse(place).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, place))?;
            Ok(Row { seq: row.get(0)?, function: function.to_owned(), place })
        })?;
        rows.collect()
    }
}

fn done(rows: &[Row], many: usize, last: i64) -> Done {
    let full = rows.last().filter(|_| rows.len() == PORTION as usize);
    (many as u64, full.map(|row| Portion { after: row.seq, last: Some(last) }))
}
