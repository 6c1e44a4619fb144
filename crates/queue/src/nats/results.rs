//! Bodies of answers, kept as long as their jobs' records.
//!
//! Each body has a name of its own, and a job's answer is the one that its record names. So what a worker still writes
//! whose lease has ended gets into nobody's answer; it expires where it lies.

use std::time::Duration;

use tracing::warn;
use uuid::Uuid;

use super::Engine;
use super::bodies::Put;
use super::lying::Ask;
use super::names::{Place, Stream};
use super::records::Entry;
use super::store::full;
use crate::{Body, CallId, Error, Lease, State};

/// An answer outlives its record by as much as callbacks may take; nobody is shown it then.
const RESULT_SLACK: Duration = Duration::from_hours(24);

impl Engine {
    /// An answer that finds no room is not kept, nor is an earlier one.
    pub(super) async fn keep_result(&self, lease: &Lease, body: Body) -> Result<(), Error> {
        let held = self.lease_of(lease)?;
        let place = (&lease.function, &lease.id);
        let part = Uuid::new_v4().simple().to_string();
        let keep = Some(self.settings.keep_ended + RESULT_SLACK);
        let put = self.store.put_body(&self.put_result(place, &part, keep), body).await;
        let result = put.is_ok().then(|| part.clone());
        let earlier = held.entry.result.clone();
        if result.is_some() || earlier.is_some() {
            let entry = Entry { result, ..held.entry.clone() };
            if let Err(error) = self.write_held(lease, &held, &entry).await {
                self.remove_result(place, &part).await;
                return Err(error);
            }
        }
        if let Some(earlier) = earlier {
            self.remove_result(place, &earlier).await;
        }
        put.map(drop)
    }

    fn put_result<'a>(&self, place: Place<'a>, part: &'a str, keep: Option<Duration>) -> Put<'a> {
        Put { stream: Stream::Results, place, part, most_bytes: self.settings.most_body, keep }
    }

    /// The answer of a dead letter does not expire. The first one does, whoever reads it now.
    pub(super) async fn keep_result_for_good(&self, place: Place<'_>, entry: &Entry) -> Result<(), Error> {
        let Some(part) = &entry.result else { return Ok(()) };
        let kept = for_good(part);
        if self.store.find_body(Stream::Results, place, &kept).await?.is_some() {
            return Ok(());
        }
        let Some(object) = self.store.find_body(Stream::Results, place, part).await? else { return Ok(()) };
        let body = self.store.body(Stream::Results, place, &object);
        match self.store.put_body(&self.put_result(place, &kept, None), body).await {
            Err(error) if full(&error) => {
                warn!(call_id = %place.1, %error, "the answer of a dead letter expires: NATS has no room for it");
                Ok(())
            }
            put => put.map(drop),
        }
    }

    pub(super) async fn result(&self, id: &CallId) -> Result<Option<Body>, Error> {
        for whom in Ask::BOTH {
            if let Some((function, Some(entry))) = self.known(id, whom).await?
                && let Some(part) = &entry.result
                && let Some(body) = self.result_named((&function, id), part, entry.state).await?
            {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }

    async fn result_named(&self, place: Place<'_>, part: &str, state: State) -> Result<Option<Body>, Error> {
        let find = |part: String| async move { self.store.find_body(Stream::Results, place, &part).await };
        let kept = if state == State::Dead { find(for_good(part)).await? } else { None };
        let object = if kept.is_some() { kept } else { find(part.to_owned()).await? };
        Ok(object.map(|object| self.store.body(Stream::Results, place, &object)))
    }

    /// It expires in any case.
    async fn remove_result(&self, place: Place<'_>, part: &str) {
        if let Err(error) = self.store.remove_body(Stream::Results, place, part).await {
            warn!(call_id = %place.1, %error, "an answer that nobody is shown is left to expire");
        }
    }

    /// Removes every answer of the job, if its record names one.
    pub(super) async fn purge_results(&self, place: Place<'_>, entry: Option<&Entry>) -> Result<(), Error> {
        if entry.is_none_or(|entry| entry.result.is_none()) {
            return Ok(());
        }
        self.store.remove_body(Stream::Results, place, "*").await
    }
}

fn for_good(part: &str) -> String {
    format!("{part}-dead")
}
