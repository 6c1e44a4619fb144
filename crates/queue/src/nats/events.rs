//! What workers hear: hints from the server as jobs come, clocks of what this process set aside, and, in case any of
//! that was lost, a look at all consumers every few seconds.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use faas_api::FunctionId;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::sync::mpsc::Permit;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;

use super::Engine;
use super::names::parse_tail;
use crate::Event;

/// Events on their way to the listener. All others wait here, where many hints of one function are one.
const ON_THE_WAY: usize = 16;

/// Cancelled jobs that wait to be told of. Who is not told finds out when the lease is extended.
const CANCELLED: usize = 10_000;

/// Clocks that run. Past that, jobs are found by the look around.
const CLOCKS: usize = 100_000;

/// How often one looks around.
const SLOWEST: Duration = Duration::from_secs(5);
const FASTEST: Duration = Duration::from_millis(250);

/// What one listener has.
struct Listener {
    engine: Weak<Engine>,
    events: mpsc::Sender<Event>,
    due: broadcast::Receiver<(FunctionId, Instant)>,
    clocks: BTreeSet<(Instant, FunctionId)>,
    /// What a look around found.
    found: mpsc::Receiver<Vec<FunctionId>>,
    /// Told when the listener has room, each function once.
    waiting: VecDeque<Event>,
    told: HashSet<FunctionId>,
}

pub(super) fn stream(engine: &Arc<Engine>) -> BoxStream<'static, Event> {
    let (events, receiver) = mpsc::channel(ON_THE_WAY);
    let every = (engine.settings.lease / 4).clamp(FASTEST, SLOWEST);
    // On its own, since it takes long where functions are many.
    let (finds, found) = mpsc::channel(1);
    tokio::spawn(look_around(Arc::downgrade(engine), every, finds));
    let listener = Listener {
        engine: Arc::downgrade(engine),
        events,
        due: engine.due.subscribe(),
        clocks: BTreeSet::new(),
        found,
        waiting: VecDeque::new(),
        told: HashSet::new(),
    };
    tokio::spawn(listener.run(every));
    ReceiverStream::new(receiver).boxed()
}

impl Listener {
    /// Ends when nobody listens any more, or the queue is closed.
    async fn run(mut self, every: Duration) {
        let Some((mut hints, mut cancelled)) = self.subscribe(every).await else { return };
        let events = self.events.clone();
        loop {
            let next = self.clocks.first().map_or_else(|| Instant::now() + every, |(at, _)| *at);
            tokio::select! {
                () = events.closed() => return,
                Ok(room) = events.reserve(), if !self.waiting.is_empty() => self.tell(room),
                found = self.found.recv() => match found {
                    Some(found) => found.into_iter().for_each(|function| self.due(function)),
                    None => return,
                },
                () = sleep_until(next) => self.ring(),
                due = self.due.recv() => match due {
                    Ok((function, at)) => self.set(function, at),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                Some(hint) = hints.next() => self.hint(&hint),
                Some(told) = cancelled.next() => self.cancelled(&told),
            }
        }
    }

    async fn subscribe(&self, every: Duration) -> Option<(Subscriber, Subscriber)> {
        loop {
            let engine = self.engine.upgrade()?;
            let (client, names) = (&engine.store.client, &engine.store.names);
            let hints = client.subscribe(names.hints("*", "*")).await;
            let cancelled = client.subscribe(names.cancelled("*")).await;
            if let (Ok(hints), Ok(cancelled)) = (hints, cancelled) {
                return Some((hints, cancelled));
            }
            drop(engine);
            tokio::time::sleep(every).await;
        }
    }

    fn hint(&mut self, hint: &Message) {
        if let Some(function) = parse_tail(&hint.subject) {
            self.due(function);
        }
    }

    fn cancelled(&mut self, told: &Message) {
        let id = told.subject.rsplit('.').next().and_then(|id| id.parse().ok());
        if self.waiting.len() < self.told.len() + CANCELLED {
            self.waiting.extend(id.map(Event::Cancelled));
        }
    }

    fn due(&mut self, function: FunctionId) {
        if self.told.insert(function.clone()) {
            self.waiting.push_back(Event::Due(function));
        }
    }

    fn tell(&mut self, room: Permit<'_, Event>) {
        let Some(event) = self.waiting.pop_front() else { return };
        if let Event::Due(function) = &event {
            self.told.remove(function);
        }
        room.send(event);
    }

    fn set(&mut self, function: FunctionId, at: Instant) {
        if self.clocks.len() < CLOCKS {
            self.clocks.insert((at, function));
        }
    }

    /// Tells of the functions whose clocks have run down.
    fn ring(&mut self) {
        let now = Instant::now();
        while let Some((at, _)) = self.clocks.first()
            && *at <= now
        {
            if let Some((_, function)) = self.clocks.pop_first() {
                self.due(function);
            }
        }
    }
}

/// Finds the functions that have jobs, again and again, until nobody listens any more or the queue is closed.
async fn look_around(engine: Weak<Engine>, every: Duration, finds: mpsc::Sender<Vec<FunctionId>>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = finds.closed() => return,
            _ = ticks.tick() => {}
        }
        let Some(engine) = engine.upgrade() else { return };
        let found = match engine.all_pending().await {
            Ok(all) => all.into_iter().filter(|(_, pending)| pending.all() > 0).map(|(it, _)| it).collect(),
            Err(error) => {
                warn!(%error, "jobs are not looked for");
                continue;
            }
        };
        drop(engine);
        if finds.send(found).await.is_err() {
            return;
        }
    }
}
