//! The methods of the queue: each prepares what it can on its caller's task, and has the writer or the reader do the rest.

use async_trait::async_trait;
use faas_api::FunctionId;
use futures_util::stream::BoxStream;

use super::schema::Place;
use super::step::Fresh;
use super::{Embedded, bodies, clock, reader};
use crate::{Body, CallId, Depth, Error, Event, Found, Job, Lease, Queue, Record, Shelf, Taken, Then};

/// Jobs taken at once.
const MOST_TAKEN: usize = 256;

impl Embedded {
    /// Says how many were leased, and which of them are there.
    async fn take_some(&self, function: &FunctionId, most: usize) -> Result<(usize, Vec<Taken>), Error> {
        let (what, name) = ("take jobs", function.to_string());
        let leased = self.change(what, None, move |step| step.take(&name, most).map(Ok)).await?;
        if leased.is_empty() {
            return Ok((0, Vec::new()));
        }
        let seqs: Vec<_> = leased.iter().map(|leased| leased.seq).collect();
        let payloads = self
            .read(what, move |connection| {
                seqs.iter().map(|seq| reader::payload(connection, *seq)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let many = leased.len();
        let jobs = leased.into_iter().zip(payloads);
        let jobs = jobs.filter_map(|(leased, payload)| payload.map(|payload| (leased, payload)));
        Ok((many, jobs.map(|(leased, (job, body))| self.taken(function, &leased, job, body)).collect()))
    }
}

#[async_trait]
impl Queue for Embedded {
    fn inline_limit(&self) -> usize {
        bodies::INLINE_LIMIT
    }

    async fn append(&self, job: Job, body: Body) -> Result<(), Error> {
        let function = job.function.to_string();
        if matches!(body, Body::Stream(_)) && self.book.count(&function).waiting() >= self.most_waiting {
            return Err(Error::Full { limit: self.most_waiting });
        }
        let body = self.bodies.keep(body).await?;
        let what = "accept the job";
        let permit = self.room(&body).await;
        let json = serde_json::to_vec(&job).map_err(Error::unavailable(what))?;
        let accepted = clock::nanoseconds(job.accepted_at);
        let fresh = Fresh { id: job.id, function, accepted, job: json, body };
        self.change(what, permit, move |step| step.append(&fresh)).await
    }

    fn events(&self) -> BoxStream<'static, Event> {
        self.book.events()
    }

    async fn take(&self, function: &FunctionId, most: usize) -> Result<Vec<Taken>, Error> {
        let most = most.min(MOST_TAKEN);
        loop {
            let (leased, taken) = self.take_some(function, most).await?;
            // Those that ended or turned out to be damaged meanwhile are none, and there may be others.
            if leased == 0 || !taken.is_empty() {
                return Ok(taken);
            }
        }
    }

    async fn extend(&self, lease: &Lease) -> Result<(), Error> {
        let (id, token) = held(lease)?;
        self.change("extend the lease", None, move |step| step.extend(&id, token)).await
    }

    async fn keep_result(&self, lease: &Lease, body: Body) -> Result<(), Error> {
        let (id, token) = held(lease)?;
        let body = self.bodies.keep(body).await?;
        let permit = self.room(&body).await;
        self.change("keep the result", permit, move |step| step.keep_result(&id, token, &body)).await
    }

    async fn settle(&self, lease: &Lease, record: &Record, then: Then) -> Result<(), Error> {
        let what = "settle the job";
        let (id, token) = held(lease)?;
        let record = serde_json::to_vec(record).map_err(Error::unavailable(what))?;
        self.change(what, None, move |step| {
            let to = match then {
                Then::Hold => None,
                Then::Later(time) => Some(later(clock::nanoseconds(time), step.now)),
                Then::Done => Some((Place::Done, step.now.saturating_add(step.terms.keep_ended))),
                Then::Dead => Some((Place::Dead, step.now)),
            };
            step.settle(&id, token, &record, to)
        })
        .await
    }

    async fn find(&self, id: &CallId) -> Result<Option<Found>, Error> {
        let id = id.clone();
        self.read("find the job", move |connection| reader::find(connection, &id)).await
    }

    async fn result(&self, id: &CallId) -> Result<Option<Body>, Error> {
        let id = id.clone();
        let stored = self.read("read the result", move |connection| reader::result(connection, &id)).await?;
        Ok(stored.map(|stored| self.open_body(stored)))
    }

    async fn cancel(&self, id: &CallId) -> Result<bool, Error> {
        let id = id.clone();
        self.change("cancel the job", None, move |step| step.cancel(&id)).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, Error> {
        let counts = self.book.counts();
        let read = move |connection: &rusqlite::Connection| {
            let oldest = counts.iter().map(|(function, _)| reader::oldest(connection, function));
            Ok((oldest.collect::<Result<Vec<_>, _>>()?, counts.clone()))
        };
        let (oldest, counts) = self.read("count the jobs", read).await?;
        let depths = counts.into_iter().zip(oldest).filter_map(|((function, count), oldest)| {
            let function = FunctionId::try_from(function).ok()?;
            let [running, dead] = [count.leased, count.dead].map(|many| many.try_into().unwrap_or(0));
            Some(Depth { function, waiting: count.waiting(), running, dead, oldest })
        });
        Ok(depths.collect())
    }

    async fn list(&self, function: &FunctionId, of: Shelf, most: usize) -> Result<Vec<Found>, Error> {
        let function = function.to_string();
        self.read("list the jobs", move |connection| reader::list(connection, &function, of, most)).await
    }

    async fn redrive(&self, function: &FunctionId, one: Option<&CallId>) -> Result<u64, Error> {
        let (what, function) = ("redrive dead jobs", function.to_string());
        if let Some(id) = one.cloned() {
            return self.change(what, None, move |step| step.redrive_one(&function, &id).map(Ok)).await;
        }
        self.in_portions(what, move |step, portion| step.redrive_some(&function, portion)).await
    }

    async fn purge(&self, function: &FunctionId, of: Shelf) -> Result<u64, Error> {
        let function = function.to_string();
        self.in_portions("purge jobs", move |step, portion| step.purge_some(&function, of, portion)).await
    }
}

fn later(due: i64, now: i64) -> (Place, i64) {
    if due > now { (Place::Later, due) } else { (Place::Ready, due) }
}

/// What a lease says; one with another engine's token holds nothing here.
fn held(lease: &Lease) -> Result<(CallId, i64), Error> {
    let lost = |_| Error::LeaseLost(lease.id.clone());
    Ok((lease.id.clone(), lease.token.parse().map_err(lost)?))
}
