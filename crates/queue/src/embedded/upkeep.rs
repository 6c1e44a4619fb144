//! What time does to jobs: leases end, waits end, records of ended jobs are swept. Done in portions at the beginning of
//! each transaction, so that what a request sees is never older than its time.

use rusqlite::{OptionalExtension as _, params};

use super::schema::Place;
use super::step::{Row, Step};

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// Jobs that become due in one transaction; more in the next, which follows at once.
const MOST_DUE: u32 = 1_000;
/// Ended jobs that are removed in one transaction.
const MOST_SWEPT: u32 = 250;
/// In nanoseconds.
const BETWEEN_SWEEPS: i64 = 1_000_000_000;

impl Step<'_> {
    pub(super) fn upkeep(&mut self) -> Result<()> {
        if self.alarms.timers.get().is_some_and(|at| at <= self.now) {
            self.wake()?;
        }
        if self.alarms.sweep.get().is_some_and(|at| at <= self.now) {
            self.sweep()?;
        }
        Ok(())
    }

    fn earliest(&self, sql: &str) -> Result<Option<i64>> {
        self.prepare(sql)?.query_row([], |row| row.get(0)).optional()
    }

    fn wake(&mut self) -> Result<()> {
        let rows = self.elapsed(
            "SELECT seq, function, place FROM jobs INDEXED BY timers
             WHERE place BETWEEN 1 AND 2 AND due <= ?1 ORDER BY due LIMIT ?2",
            MOST_DUE,
        )?;
        for row in &rows {
            // They are due since then: whoever waits longest is first.
            self.prepare("UPDATE jobs SET place = 0, token = NULL WHERE seq = ?1")?.execute([row.seq])?;
            self.moved(&row.function, Some(row.place), Some(Place::Ready));
        }
        let next = "SELECT due FROM jobs INDEXED BY timers WHERE place BETWEEN 1 AND 2 ORDER BY due LIMIT 1";
        self.alarms.timers.set(self.earliest(next)?);
        Ok(())
    }

    fn sweep(&mut self) -> Result<()> {
        let rows = self.elapsed(
            "SELECT seq, function, place FROM jobs INDEXED BY ended
             WHERE place BETWEEN 3 AND 4 AND due <= ?1 ORDER BY due LIMIT ?2",
            MOST_SWEPT,
        )?;
        rows.iter().try_for_each(|row| self.forget(row))?;
        let next = "SELECT due FROM jobs INDEXED BY ended WHERE place BETWEEN 3 AND 4 ORDER BY due LIMIT 1";
        // Not a transaction for each of them.
        let rest = if rows.len() < MOST_SWEPT as usize { BETWEEN_SWEEPS } else { 0 };
        let next = self.earliest(next)?.map(|due| due.max(self.now.saturating_add(rest)));
        self.alarms.sweep.set(next);
        Ok(())
    }

    fn elapsed(&self, sql: &str, most: u32) -> Result<Vec<Row>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params![self.now, most], |row| {
            let place = row.get(2)?;
            let place = Place::parse(place).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, place))?;
            Ok(Row { seq: row.get(0)?, function: row.get(1)?, place })
        })?;
        rows.collect()
    }

    /// At open nobody has a lease: whoever had one was in the process that is gone.
    pub(super) fn void_leases(&mut self) -> Result<()> {
        self.prepare(
            "UPDATE jobs INDEXED BY timers SET place = 0, due = min(due, ?1), token = NULL
             WHERE place BETWEEN 1 AND 2 AND place = 1",
        )?
        .execute([self.now])?;
        Ok(())
    }
}
