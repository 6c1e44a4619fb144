//! Who is served next. One loop owns every lane; what takes time (asking the queue, running a job) is a task of its own,
//! so that a slow one holds up nobody.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use faas_api::FunctionId;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::lane::{Lane, Places, Verdict};
use super::run;
use super::task::{Answered, Owner, Report, Work};
use crate::{Event, Taken, Then};

/// A lane without jobs is forgotten after this, and what was learnt of its function.
const FORGET_AFTER: Duration = Duration::from_secs(30);
/// Before the queue's events are asked for again, if they ended.
const BEFORE_EVENTS: Duration = Duration::from_secs(1);
/// For giving jobs back when the grace is over.
const TO_GIVE_BACK: Duration = Duration::from_secs(5);

/// The loop and what it knows.
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    lanes: HashMap<FunctionId, Lane>,
    wakes: BTreeSet<(Instant, FunctionId)>,
    tasks: JoinSet<Report>,
    owners: HashMap<Id, Owner>,
    used: usize,
    /// Callbacks that hold no place.
    calling: usize,
    /// Jobs that were answered and have a callback to make. Unbounded, but there is at most one word of each in hand.
    answered: (mpsc::UnboundedSender<Answered>, mpsc::UnboundedReceiver<Answered>),
    /// Who lacks a place, the longest first.
    starved: VecDeque<FunctionId>,
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            lanes: HashMap::new(),
            wakes: BTreeSet::new(),
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            used: 0,
            calling: 0,
            answered: mpsc::unbounded_channel(),
            starved: VecDeque::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut events = self.shared.queue.events();
        while !stop.is_cancelled() {
            let wake = self.wakes.first().map(|(at, _)| *at);
            tokio::select! {
                () = stop.cancelled() => break,
                event = events.next() => match event {
                    Some(event) => self.on_event(event),
                    None => events = self.events_again(),
                },
                Some(done) = self.tasks.join_next_with_id() => self.on_done(done),
                Some((task, verdict)) = self.answered.1.recv() => self.on_answered(task, verdict),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.on_wake(),
            }
        }
        drop(events);
        self.drain().await;
    }

    fn events_again(&self) -> BoxStream<'static, Event> {
        let queue = Arc::clone(&self.shared.queue);
        let later = async move {
            sleep(BEFORE_EVENTS).await;
            queue.events()
        };
        Box::pin(futures_util::stream::once(later).flatten())
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Due(function) => {
                let most = self.shared.settings.most_per_function;
                self.lanes.entry(function.clone()).or_insert_with(|| Lane::new(most)).due = true;
                self.serve(&function);
            }
            Event::Cancelled(id) => {
                for owner in self.owners.values() {
                    owner.work.cancel(&id);
                }
            }
        }
    }

    /// Takes what the lane has room for.
    fn serve(&mut self, function: &FunctionId) {
        let now = Instant::now();
        let places = Places { most: self.shared.settings.most_running, used: self.used };
        let Some(lane) = self.lanes.get_mut(function) else { return };
        let room = lane.room(places, now);
        if room > 0 {
            lane.begin_take(room);
            self.used += room;
            self.spawn_take(function.clone(), room);
        } else if lane.is_starved(now) && !std::mem::replace(&mut lane.queues, true) {
            self.starved.push_back(function.clone());
        }
        self.set_wake(function, now);
    }

    fn spawn_take(&mut self, function: FunctionId, most: usize) {
        let (queue, of) = (Arc::clone(&self.shared.queue), function.clone());
        let task = self.tasks.spawn(async move { Report::Took(queue.take(&of, most).await) });
        self.owners.insert(task.id(), Owner { function, work: Work::Take(most) });
    }

    fn spawn_job(&mut self, taken: Taken, epoch: u64) {
        let (id, function, cancel) =
            (taken.lease.id.clone(), taken.lease.function.clone(), CancellationToken::new());
        let (shared, cancelled) = (Arc::clone(&self.shared), cancel.clone());
        let answered = self.answered.0.clone();
        let task = self.tasks.spawn(async move {
            let tell = |verdict| {
                // Nobody listens to it any more at the end.
                let _ = answered.send((tokio::task::id(), verdict));
            };
            Report::Ran(run::run(shared, taken, cancelled, tell).await)
        });
        self.owners.insert(task.id(), Owner { function, work: Work::Job(id, epoch, cancel) });
    }

    fn on_done(&mut self, done: Result<(Id, Report), JoinError>) {
        let (id, report) = match done {
            Ok((id, report)) => (id, Some(report)),
            Err(error) => {
                tracing::error!(%error, "a job's task broke off: its lease will end");
                (error.id(), None)
            }
        };
        let Some(Owner { function, work }) = self.owners.remove(&id) else { return };
        match (work, report) {
            (Work::Take(most), Some(Report::Took(Ok(jobs)))) => self.on_taken(&function, most, jobs),
            (Work::Take(most), report) => self.on_take_failed(&function, most, report),
            (Work::Job(_, epoch, _), Some(Report::Ran(verdict))) => self.on_ran(&function, epoch, verdict),
            (Work::Job(_, epoch, _), _) => self.on_ran(&function, epoch, Verdict::Silent),
            (Work::Callback(..), _) => self.on_called_back(&function),
        }
        self.serve_starved();
        self.serve(&function);
    }

    /// Whoever waits longest for a place comes first, and before the function that just gave one back: else that one
    /// would take it again and again.
    fn serve_starved(&mut self) {
        for _ in 0..self.starved.len() {
            let Some(function) = self.starved.pop_front() else { return };
            if let Some(lane) = self.lanes.get_mut(&function) {
                lane.queues = false;
                self.serve(&function);
            }
        }
    }

    fn on_taken(&mut self, function: &FunctionId, most: usize, jobs: Vec<Taken>) {
        self.used = (self.used + jobs.len()).saturating_sub(most);
        let Some(lane) = self.lanes.get_mut(function) else { return };
        lane.end_take(jobs.len());
        let epoch = lane.epoch();
        self.shared.metrics.record_running(function, lane.running());
        for taken in jobs {
            self.spawn_job(taken, epoch);
        }
    }

    fn on_take_failed(&mut self, function: &FunctionId, most: usize, report: Option<Report>) {
        self.used = self.used.saturating_sub(most);
        if let Some(Report::Took(Err(error))) = report {
            tracing::warn!(%function, error = &error as &dyn std::error::Error, "failed to take jobs: tried again");
        }
        if let Some(lane) = self.lanes.get_mut(function) {
            lane.fail_take(Instant::now());
        }
    }

    fn on_ran(&mut self, function: &FunctionId, epoch: u64, verdict: Verdict) {
        self.used = self.used.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(function) {
            lane.end_job(epoch, verdict, Instant::now());
            self.shared.metrics.record_running(function, lane.running());
        }
    }

    /// The place is another's while a callback is made, which may take its receiver's time. Past the limits of callbacks
    /// it keeps its place: then the function waits for its receivers, and nobody else does.
    fn on_answered(&mut self, task: Id, verdict: Verdict) {
        let settings = &self.shared.settings;
        let Some(owner) = self.owners.get_mut(&task) else { return };
        let (Work::Job(id, epoch, cancel), Some(lane)) = (&owner.work, self.lanes.get_mut(&owner.function))
        else {
            return;
        };
        if self.calling >= settings.most_running || lane.calling >= settings.most_per_function {
            return;
        }
        (self.calling, lane.calling) = (self.calling + 1, lane.calling + 1);
        let (function, epoch) = (owner.function.clone(), *epoch);
        owner.work = Work::Callback(id.clone(), cancel.clone());
        self.on_ran(&function, epoch, verdict);
        self.serve_starved();
        self.serve(&function);
    }

    fn on_called_back(&mut self, function: &FunctionId) {
        self.calling = self.calling.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(function) {
            lane.calling = lane.calling.saturating_sub(1);
        }
    }

    fn on_wake(&mut self) {
        let Some((_, function)) = self.wakes.pop_first() else { return };
        let Some(lane) = self.lanes.get_mut(&function) else { return };
        lane.wake = None;
        if lane.is_idle() {
            self.lanes.remove(&function);
            self.shared.metrics.forget(&function);
        } else {
            self.serve(&function);
        }
    }

    fn set_wake(&mut self, function: &FunctionId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(function) else { return };
        if let Some(old) = lane.wake.take() {
            self.wakes.remove(&(old, function.clone()));
        }
        if let Some(at) = lane.next_look(now, FORGET_AFTER) {
            lane.wake = Some(at);
            self.wakes.insert((at, function.clone()));
        }
    }

    /// Nothing new; what runs may end, and then it is given back. What was just taken is given back at once.
    async fn drain(mut self) {
        let mut over = pin!(sleep(self.shared.settings.grace));
        while !self.tasks.is_empty() && !self.shared.closing.is_cancelled() {
            tokio::select! {
                () = &mut over => self.shared.closing.cancel(),
                Some(done) = self.tasks.join_next_with_id() => self.on_done_late(done).await,
            }
        }
        let rest = async {
            while let Some(done) = self.tasks.join_next_with_id().await {
                self.on_done_late(done).await;
            }
        };
        if timeout(TO_GIVE_BACK, rest).await.is_err() {
            tracing::warn!("some jobs were not given back in time: their leases will end");
        }
    }

    async fn on_done_late(&mut self, done: Result<(Id, Report), JoinError>) {
        if let Ok((_, Report::Took(Ok(jobs)))) = done {
            for taken in jobs {
                run::give_back(&self.shared, &taken.lease, &taken.record, Then::Hold).await;
            }
        }
    }
}
