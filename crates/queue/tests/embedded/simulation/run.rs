//! One run: a seed decides what happens; then faults stop, and every job that was accepted has to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use faas_api::FunctionId;
use faas_queue::embedded::{Clock, Embedded, Options};
use faas_queue::{Body, Error, Event, Lease, Queue, Settings, Shelf};
use futures_util::{FutureExt as _, StreamExt as _};
use tempfile::TempDir;

use super::check::agree;
use super::model::{Ends, Is, LEASE, MOST_WAITING, Model, Op, Time, record, timestamp};
use crate::fixture::{Dice, function, id, job};

const FUNCTIONS: usize = 3;
const STEPS: usize = 120;
/// A worker gives up after so many attempts.
const MOST_ATTEMPTS: usize = 4;

/// What was tried.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) accepted: usize,
    pub(crate) taken: usize,
    pub(crate) lapsed: usize,
    pub(crate) crashes: usize,
    pub(crate) lost_leases: usize,
    pub(crate) done: usize,
    pub(crate) dead: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.taken += other.taken;
        self.lapsed += other.lapsed;
        self.crashes += other.crashes;
        self.lost_leases += other.lost_leases;
        self.done += other.done;
        self.dead += other.dead;
    }
}

pub(super) type Outcome<T> = Result<T, String>;
pub(super) type Wrap = fn(Arc<Embedded>) -> Arc<dyn Queue>;

pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) generation: usize,
    pub(super) engine: Arc<Embedded>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) wrap: Wrap,
    pub(super) functions: Vec<FunctionId>,
    pub(super) clock: Arc<AtomicI64>,
    pub(super) dice: Dice,
    pub(super) model: Model,
    /// Leases that somebody believes to have.
    pub(super) held: Vec<(Lease, usize)>,
    pub(super) named: usize,
    pub(super) tally: Tally,
}

pub(crate) async fn run(seed: u64, wrap: Wrap) -> Outcome<Tally> {
    let (folder, clock) = (TempDir::new().unwrap(), Arc::new(AtomicI64::new(1_000_000)));
    let engine = open(&folder, 0, &clock);
    let mut world = World {
        queue: wrap(Arc::clone(&engine)),
        functions: (0..FUNCTIONS).map(|number| function(&format!("f{number}"))).collect(),
        dice: Dice(seed),
        model: Model::default(),
        held: Vec::new(),
        named: 0,
        tally: Tally::default(),
        generation: 0,
        folder,
        engine,
        wrap,
        clock,
    };
    for _ in 0..STEPS {
        world.step().await?;
    }
    world.end().await?;
    world.tally.lapsed = world.model.lapsed;
    Ok(world.tally)
}

pub(super) fn open(folder: &TempDir, generation: usize, clock: &Arc<AtomicI64>) -> Arc<Embedded> {
    let clock = Arc::clone(clock);
    let clock = Clock::new(move || timestamp(clock.load(Ordering::SeqCst)));
    let lease = Duration::from_secs(LEASE.unsigned_abs());
    let settings = Settings { lease, most_waiting: MOST_WAITING as u64, ..Settings::default() };
    // Killed processes do not lose what was not synced.
    let options = Options { clock, sync: false };
    let folder = folder.path().join(generation.to_string());
    Arc::new(Embedded::open_with(&folder, settings, options).unwrap())
}

impl World {
    pub(super) fn now(&self) -> Time {
        self.clock.load(Ordering::SeqCst)
    }

    fn advance(&mut self, by: usize) {
        self.clock.fetch_add(i64::try_from(by).unwrap(), Ordering::SeqCst);
        self.model.pass(self.now());
    }

    async fn step(&mut self) -> Outcome<()> {
        match self.dice.roll(100) {
            0..18 => {
                let (function, most) = (self.dice.roll(FUNCTIONS), 1 + self.dice.roll(3));
                self.take(function, most).await
            }
            18..30 => {
                let by = if self.dice.roll(4) == 0 { 40 } else { 1 + self.dice.roll(8) };
                self.advance(by);
                Ok(())
            }
            30..33 => self.crash().await,
            33..40 => self.compare_one().await,
            40..43 => self.compare_depths().await,
            _ => {
                let op = self.choose();
                self.perform(op).await
            }
        }
    }

    pub(super) fn choose(&mut self) -> Op {
        let roll = self.dice.roll(60);
        if roll >= 22
            && let Some((lease, attempts)) = self.dice.one(&self.held).cloned()
        {
            return self.choose_with(&lease, attempts);
        }
        let function = self.dice.roll(FUNCTIONS);
        let known: Vec<_> = self.model.jobs.keys().cloned().collect();
        let some = self.dice.one(&known).cloned();
        match (roll, some) {
            (0..3, Some(job)) => Op::Cancel { job },
            (3, _) => Op::Cancel { job: "nobody".into() },
            (4, Some(job)) => Op::Append { function: self.model.jobs[&job].function, job },
            (5, some) => Op::Redrive { function, one: some },
            (6, _) => Op::Redrive { function, one: None },
            (7, _) if self.dice.roll(4) == 0 => Op::Purge { function, of: Shelf::Live },
            (8, _) if self.dice.roll(2) == 0 => Op::Purge { function, of: Shelf::Dead },
            _ => {
                self.named += 1;
                Op::Append { job: format!("job-{}", self.named), function }
            }
        }
    }

    fn choose_with(&mut self, lease: &Lease, attempts: usize) -> Op {
        let (job, token) = (lease.id.to_string(), lease.token.clone());
        let attempts = attempts + 1;
        let then = match self.dice.roll(8) {
            0 | 1 => return Op::Extend { job, token },
            2 => Ends::Hold,
            3 | 4 if attempts >= MOST_ATTEMPTS => Ends::Dead,
            3 | 4 => Ends::Later(self.now() + i64::try_from(self.dice.roll(50)).unwrap() - 5),
            5 => Ends::Dead,
            _ => Ends::Done,
        };
        Op::Settle { job, token, attempts, then }
    }

    /// Does it, and compares what is answered.
    async fn perform(&mut self, op: Op) -> Outcome<()> {
        let expected = self.model.apply(&op, self.now());
        let answered = self.send(&op).await;
        if answered != expected {
            return Err(format!("{op:?} was answered with {answered}, and not {expected}"));
        }
        self.tally.accepted += usize::from(matches!(op, Op::Append { .. }) && answered == "ok");
        self.tally.lost_leases += usize::from(answered == "lost");
        // Most workers let go of what they have settled or lost; some do not know, or do not care.
        if let Op::Settle { token, .. } = op
            && self.dice.roll(4) > 0
        {
            self.held.retain(|(lease, _)| lease.token != token);
        }
        Ok(())
    }

    pub(super) async fn send(&self, op: &Op) -> String {
        let queue = &self.queue;
        let lease = |job: &str, token: &String| {
            let known = self.model.jobs.get(job).map_or(0, |entry| entry.function);
            Lease { id: id(job), function: self.functions[known].clone(), token: token.clone() }
        };
        match op {
            Op::Append { job: name, function } => {
                let mut job = job(name, &self.functions[*function]);
                job.accepted_at = timestamp(self.now());
                label(queue.append(job, Body::Whole(name.clone().into())).await.map(|()| "ok"))
            }
            Op::Extend { job, token } => label(queue.extend(&lease(job, token)).await.map(|()| "ok")),
            Op::Settle { job, token, attempts, then } => {
                let (lease, record) = (lease(job, token), record(*attempts));
                label(queue.settle(&lease, &record, then.then()).await.map(|()| "ok"))
            }
            Op::Cancel { job } => label(queue.cancel(&id(job)).await),
            Op::Redrive { function, one } => {
                let one = one.as_deref().map(id);
                label(queue.redrive(&self.functions[*function], one.as_ref()).await)
            }
            Op::Purge { function, of } => label(queue.purge(&self.functions[*function], *of).await),
        }
    }

    /// All that are due and no others, each to one.
    async fn take(&mut self, function: usize, most: usize) -> Outcome<()> {
        let (name, now) = (self.functions[function].clone(), self.now());
        let taken = self.queue.take(&name, most).await.map_err(|error| error.to_string())?;
        let wanted = self.model.due(function, now).len().min(most);
        if taken.len() != wanted {
            return Err(format!("{} jobs of {name} were taken, and not {wanted}", taken.len()));
        }
        for taken in taken {
            self.tally.taken += 1;
            let name = taken.job.id.to_string();
            let due = self.model.due(function, now).contains(&&name);
            let entry = self.model.jobs.get_mut(&name).filter(|_| due);
            let Some(entry) = entry else { return Err(format!("{name} was taken, which is not due")) };
            if taken.record != record(entry.attempts) {
                return Err(format!("{name} has another record: {:?}", taken.record));
            }
            entry.takes += 1;
            if entry.takes > entry.may_take {
                return Err(format!("{name} was taken {} times", entry.takes));
            }
            entry.is = Is::Leased { token: taken.lease.token.clone(), until: now + LEASE };
            self.held.push((taken.lease, taken.record.attempts.len()));
        }
        Ok(())
    }

    /// Faults stop. One worker, who only takes what it heard of, ends everything.
    async fn end(&mut self) -> Outcome<()> {
        self.compare_depths().await?;
        let mut events = self.queue.events();
        for _ in 0..MOST_ATTEMPTS + 4 {
            while let Some(Some(event)) = events.next().now_or_never() {
                let Event::Due(function) = event else { continue };
                let number = self.functions.iter().position(|known| *known == function).unwrap();
                while !self.model.due(number, self.now()).is_empty() {
                    self.take(number, 5).await?;
                }
            }
            self.settle_all().await?;
            self.advance(60);
            self.engine.glance().await.map_err(|error| error.to_string())?;
        }
        for (name, entry) in &self.model.jobs {
            if !matches!(entry.is, Is::Done | Is::Dead | Is::Cancelled) {
                return Err(format!("{name} never ended: {entry:?}"));
            }
            let found = self.find(name).await?;
            if !agree(Some(entry), found.as_ref(), self.now()) {
                return Err(format!("in the end {name} is {found:?}, and not {entry:?}"));
            }
            self.tally.done += usize::from(entry.is == Is::Done);
            self.tally.dead += usize::from(entry.is == Is::Dead);
        }
        self.compare_depths().await
    }

    async fn settle_all(&mut self) -> Outcome<()> {
        for (lease, attempts) in std::mem::take(&mut self.held) {
            let then = match self.dice.roll(3) {
                0 if attempts < MOST_ATTEMPTS => Ends::Later(self.now() + 20),
                1 => Ends::Dead,
                _ => Ends::Done,
            };
            let (job, token) = (lease.id.to_string(), lease.token.clone());
            self.perform(Op::Settle { job, token, attempts: attempts + 1, then }).await?;
        }
        Ok(())
    }
}

fn label<T: ToString>(outcome: Result<T, Error>) -> String {
    match outcome {
        Ok(value) => value.to_string(),
        Err(Error::Exists(_)) => "exists".into(),
        Err(Error::Full { .. }) => "full".into(),
        Err(Error::LeaseLost(_)) => "lost".into(),
        Err(Error::NotFound(_)) => "not found".into(),
        Err(other) => other.to_string(),
    }
}
