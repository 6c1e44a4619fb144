//! Rows that can be read, one by one, and the way around those that cannot.

use faas_api::FunctionId;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, Row, params};

use crate::CallId;
use crate::embedded::clock::nanoseconds;
use crate::embedded::reader::{damaged, read_payload, read_record};
use crate::embedded::schema::Place;

/// Rows in one transaction.
const PORTION: u32 = 2_000;

/// What became of a row: the source's errors are damage, the target's end it all.
pub(super) type Copied = std::result::Result<std::result::Result<i64, rusqlite::Error>, rusqlite::Error>;

pub(super) enum End {
    Nothing,
    More,
    Damage,
}

/// Rows behind `after`; says which was the last.
pub(super) fn read_portion(
    source: &Connection,
    sql: &str,
    mut after: i64,
    copy: &mut impl FnMut(&Row<'_>) -> Copied,
) -> Result<(i64, End), rusqlite::Error> {
    let Ok(mut statement) = source.prepare_cached(sql) else { return Ok((after, End::Damage)) };
    let Ok(mut rows) = statement.query(params![after, PORTION]) else { return Ok((after, End::Damage)) };
    let mut many = 0;
    loop {
        match rows.next() {
            Ok(Some(row)) => match copy(row)? {
                Ok(seq) if seq > after => after = seq,
                // Unreadable, or out of its order: going on from there might never end.
                Ok(_) | Err(_) => return Ok((after, End::Damage)),
            },
            Ok(None) => return Ok((after, if many < PORTION { End::Nothing } else { End::More })),
            Err(_) => return Ok((after, End::Damage)),
        }
        many += 1;
    }
}

/// The least number behind which rows can be read again: doubling steps find one, halving them the least.
pub(super) fn behind_damage(source: &Connection, sql: &str, after: i64) -> Option<i64> {
    let reads = |from: i64| {
        let mut statement = source.prepare_cached(sql).ok()?;
        let mut rows = statement.query(params![from, 1]).ok()?;
        rows.next().ok().map(|row| row.is_some())
    };
    let start = after.max(0);
    let steps = (0..62).map(|power| start.saturating_add(1 << power));
    let (mut bad, mut good) = (start, None);
    for step in steps {
        if reads(step).is_some() {
            good = Some(step);
            break;
        }
        bad = step;
    }
    let mut good = good?;
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if reads(middle).is_some() { good = middle } else { bad = middle }
    }
    Some(good)
}

pub(super) fn copy_job(row: &Row<'_>, target: &Connection) -> Copied {
    let read = || {
        let (seq, id, function): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let place = Place::parse(row.get(3)?).ok_or_else(|| damaged("a job's place is unknown"))?;
        let (due, accepted): (i64, i64) = (row.get(4)?, row.get(5)?);
        let (first, token, record): (Option<i64>, Option<i64>, Option<Vec<u8>>) =
            (row.get(6)?, row.get(7)?, row.get(8)?);
        read_record(record.as_deref())?;
        let named = CallId::try_from(id.clone()).is_ok() && FunctionId::try_from(function.clone()).is_ok();
        if !named {
            return Err(damaged("a job's name is no name"));
        }
        Ok((seq, id, function, place, due, accepted, first, token, record))
    };
    let (seq, id, function, place, due, accepted, first, token, record) = match read() {
        Ok(read) => read,
        Err(error) => return Ok(skip(row, 0, error)),
    };
    let mut statement = target.prepare_cached(
        "INSERT OR IGNORE INTO jobs (seq, id, function, place, due, accepted, first_taken, token, record)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    statement.execute(params![seq, id, function, place as i64, due, accepted, first, token, record])?;
    Ok(Ok(seq))
}

/// A row that can be read but is not whole is passed over.
fn skip(row: &Row<'_>, seq: usize, error: rusqlite::Error) -> std::result::Result<i64, rusqlite::Error> {
    row.get(seq).map_err(|_| error)
}

pub(super) fn copy_payload(row: &Row<'_>, target: &Connection, renewed: &mut u64) -> Copied {
    let job = match read_payload(row) {
        Ok((job, _)) => job,
        Err(error) => return Ok(skip(row, 5, error)),
    };
    let seq: i64 = row.get(5)?;
    let known = target
        .prepare_cached("SELECT 1 FROM jobs WHERE seq = ?1 AND id = ?2")?
        .exists(params![seq, job.id.as_str()])?;
    if !known {
        let due = nanoseconds(job.accepted_at);
        *renewed += target
            .prepare_cached(
                "INSERT OR IGNORE INTO jobs (seq, id, function, place, due, accepted)
                 VALUES (?1, ?2, ?3, 0, ?4, ?4)",
            )?
            .execute(params![seq, job.id.as_str(), job.function.to_string(), due])?
            as u64;
    }
    let (file, size, sum): (Option<String>, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let [json, body] = [3, 4].map(|column| row.get_ref(column));
    let (json, body) = (ToSqlOutput::Borrowed(json?), ToSqlOutput::Borrowed(body?));
    target
        .prepare_cached(
            "INSERT OR IGNORE INTO payloads (seq, file, size, sum, job, body) SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE EXISTS (SELECT 1 FROM jobs WHERE seq = ?1 AND id = ?7 AND place NOT BETWEEN 3 AND 4)",
        )?
        .execute(params![seq, file, size, sum, json, body, job.id.as_str()])?;
    Ok(Ok(seq))
}

pub(super) fn copy_result(row: &Row<'_>, target: &Connection) -> Copied {
    let seq = match row.get(0) {
        Ok(seq) => seq,
        Err(error) => return Ok(Err(error)),
    };
    let read = || -> Result<(Option<String>, i64), rusqlite::Error> { Ok((row.get(1)?, row.get(2)?)) };
    let (file, size) = match read() {
        Ok(read) => read,
        Err(error) => return Ok(skip(row, 0, error)),
    };
    let body = ToSqlOutput::Borrowed(row.get_ref(3)?);
    target
        .prepare_cached("INSERT OR IGNORE INTO results (seq, file, size, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![seq, file, size, body])?;
    Ok(Ok(seq))
}
