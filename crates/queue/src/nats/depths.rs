//! How many jobs there are, of every function.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use faas_api::FunctionId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::debug;

use super::Engine;
use super::count::Pending;
use super::find::job_of;
use super::lying::Extent;
use super::names::{Names, Stream, parse_job, parse_tail};
use crate::{Depth, Error};

/// Requests under way for one answer.
const AT_ONCE: usize = 16;

/// How long is believed what is dear to look up, and how many dead letters are listed whenever something changed.
const FRESH: Duration = Duration::from_secs(5);
const FEW: u64 = 1000;

/// A search for jobs without a consumer takes at most one part in so many of the time.
const SELDOM: u32 = 10;

/// What was seen the last time. Bounded by the functions that have jobs.
#[derive(Debug, Default)]
pub(super) struct Looked {
    dead: Option<Dead>,
    /// When it was asked for, and when the oldest job was accepted.
    oldest: HashMap<FunctionId, (Instant, Timestamp)>,
    /// When jobs without a consumer may be searched for again.
    search_at: Option<Instant>,
}

/// A count of dead letters.
#[derive(Debug)]
struct Dead {
    extent: Extent,
    at: Instant,
    count: HashMap<FunctionId, u64>,
}

impl Dead {
    fn is_good(&self, now: Extent) -> bool {
        self.extent == now || (now.messages > FEW && self.at.elapsed() < FRESH)
    }
}

impl Engine {
    pub(super) async fn depths(&self) -> Result<Vec<Depth>, Error> {
        let mut depths = BTreeMap::new();
        for (function, pending) in self.all_pending().await? {
            depths.insert(function, (pending, 0_u64));
        }
        for (function, dead) in self.all_dead().await? {
            depths.entry(function).or_default().1 = dead;
        }
        self.looked().oldest.retain(|function, _| depths.contains_key(function));
        let running = self.all_running().await?;
        let depths = depths.into_iter().filter(|(_, (pending, dead))| pending.all() + dead > 0);
        let depth = |(function, (pending, dead)): (FunctionId, (Pending, u64))| {
            let running = running.get(&function).copied().unwrap_or_default().min(pending.all());
            async move {
                let oldest = self.oldest(&function, pending).await?;
                Ok::<_, Error>(Depth { waiting: pending.all() - running, running, dead, oldest, function })
            }
        };
        let mut depths: Vec<_> = stream::iter(depths).map(depth).buffered(AT_ONCE).try_collect().await?;
        depths.sort_by_cached_key(|depth: &Depth| depth.function.to_string());
        Ok(depths)
    }

    /// What waits and runs, of every function.
    pub(super) async fn all_pending(&self) -> Result<HashMap<FunctionId, Pending>, Error> {
        let mut all = self.all_consumers().await?;
        let covered: u64 = all.values().map(|pending| pending.all()).sum();
        let began = Instant::now();
        if covered >= self.store.state(Stream::Jobs).await?.messages || !self.may_search(began) {
            return Ok(all);
        }
        let without: Vec<_> =
            self.functions().await?.into_iter().filter(|it| !all.contains_key(it)).collect();
        let found = stream::iter(without).map(|function| self.revive(function)).buffer_unordered(AT_ONCE);
        all.extend(found.try_collect::<Vec<_>>().await?.into_iter().flatten());
        self.looked().search_at = Some(Instant::now() + began.elapsed() * SELDOM);
        Ok(all)
    }

    fn may_search(&self, now: Instant) -> bool {
        self.looked().search_at.is_none_or(|at| at <= now)
    }

    /// Makes the function's consumer if it has jobs: consumers are removed when nobody takes for long, jobs are not.
    pub(super) async fn revive(&self, function: FunctionId) -> Result<Option<(FunctionId, Pending)>, Error> {
        let jobs = self.store.names.jobs(Stream::Jobs, &function);
        if self.store.next(Stream::Jobs, &jobs, 1).await?.is_none() {
            return Ok(None);
        }
        debug!(%function, "jobs without a consumer");
        let pending = self.make_consumer(&function).await?;
        Ok(Some((function, pending)))
    }

    pub(super) async fn all_consumers(&self) -> Result<HashMap<FunctionId, Pending>, Error> {
        let api = format!("CONSUMER.LIST.{}", self.store.names.stream(Stream::Jobs));
        let mut all = HashMap::new();
        let mut offset = 0;
        loop {
            let query = json!({ "offset": offset });
            let page = self.store.api_or_404("list consumers of NATS", api.clone(), &query).await?;
            let Some(page) = page else { return Ok(all) };
            let list = page.get("consumers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            for info in list {
                let name = info.get("name").and_then(Value::as_str).unwrap_or_default();
                all.extend(Names::consumer_of(name).map(|function| (function, Pending::of(info))));
            }
            offset += list.len() as u64;
            let total = page.get("total").and_then(Value::as_u64).unwrap_or_default();
            if list.is_empty() || offset >= total {
                return Ok(all);
            }
        }
    }

    /// Functions that may have a job.
    async fn functions(&self) -> Result<Vec<FunctionId>, Error> {
        let all = self.store.names.all(Stream::Functions);
        let subjects = self.store.subjects(Stream::Functions, &all).await?;
        Ok(subjects.iter().filter_map(|subject| parse_tail(subject)).collect())
    }

    async fn all_running(&self) -> Result<HashMap<FunctionId, u64>, Error> {
        let leases = self.store.subjects(Stream::Leases, &self.store.names.all(Stream::Leases)).await?;
        let mut running = HashMap::new();
        for (function, _) in leases.iter().filter_map(|subject| parse_job(subject)) {
            *running.entry(function).or_insert(0) += 1;
        }
        Ok(running)
    }

    /// Dead letters, of every function. Listing them costs what they are many, so many are not listed every time.
    async fn all_dead(&self) -> Result<HashMap<FunctionId, u64>, Error> {
        let extent = self.store.state(Stream::Dead).await?;
        if let Some(dead) = self.looked().dead.as_ref().filter(|dead| dead.is_good(extent)) {
            return Ok(dead.count.clone());
        }
        let at = Instant::now();
        let mut count = HashMap::new();
        if extent.messages > 0 {
            let all = self.store.subjects(Stream::Dead, &self.store.names.all(Stream::Dead)).await?;
            for (function, _) in all.iter().filter_map(|subject| parse_job(subject)) {
                *count.entry(function).or_insert(0) += 1;
            }
        }
        self.looked().dead = Some(Dead { extent, at, count: count.clone() });
        Ok(count)
    }

    /// When the oldest was accepted. It comes with its body, so it is not read every time.
    async fn oldest(&self, function: &FunctionId, pending: Pending) -> Result<Option<Timestamp>, Error> {
        if pending.all() == 0 {
            self.looked().oldest.remove(function);
            return Ok(None);
        }
        if let Some((at, oldest)) = self.looked().oldest.get(function)
            && at.elapsed() < FRESH
        {
            return Ok(Some(*oldest));
        }
        let at = Instant::now();
        let jobs = self.store.names.jobs(Stream::Jobs, function);
        let lying = self.store.next(Stream::Jobs, &jobs, 1).await?;
        let oldest = lying.map(|lying| job_of(&lying).map_or(lying.time, |job| job.accepted_at));
        if let Some(oldest) = oldest {
            self.looked().oldest.insert(function.clone(), (at, oldest));
        }
        Ok(oldest)
    }
}
