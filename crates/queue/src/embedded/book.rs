//! What each function has, counted, and who wants to hear of it. One entry per function that has jobs: nothing per job.
//!
//! The writer changes it after a transaction is on disk, so that it never says what is not so; a lock held for moments.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use faas_api::FunctionId;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::Notify;

use super::schema::Place;
use crate::{CallId, Event};

/// Cancelled jobs that a listener may not have heard of; beyond, the oldest are forgotten, and whoever works on them
/// loses the lease instead.
const MOST_CANCELLED: usize = 10_000;

/// Jobs of one function, or a change of their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) ready: i64,
    pub(super) later: i64,
    pub(super) leased: i64,
    pub(super) dead: i64,
}

impl Count {
    pub(super) fn add(&mut self, place: Place, many: i64) {
        match place {
            Place::Ready => self.ready += many,
            Place::Later => self.later += many,
            Place::Leased => self.leased += many,
            Place::Dead => self.dead += many,
            Place::Done | Place::Cancelled => {}
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        (self.ready + self.later).try_into().unwrap_or(0)
    }

    fn merge(&mut self, change: Self) {
        self.ready += change.ready;
        self.later += change.later;
        self.leased += change.leased;
        self.dead += change.dead;
    }
}

/// What a transaction changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) counts: BTreeMap<String, Count>,
    pub(super) due: BTreeSet<String>,
    pub(super) cancelled: Vec<CallId>,
}

#[derive(Default)]
pub(super) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    counts: BTreeMap<String, Count>,
    listeners: Vec<Weak<Inbox>>,
}

/// What one listener has not heard yet. What comes twice is kept once, so it holds no more than there are functions.
#[derive(Default)]
struct Inbox {
    news: Mutex<News>,
    some: Notify,
}

#[derive(Default)]
struct News {
    due: BTreeSet<String>,
    cancelled: VecDeque<CallId>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew with what was counted in the file.
    pub(super) fn replace(&self, counts: BTreeMap<String, Count>) {
        let due = counts.iter().filter(|(_, count)| count.ready > 0).map(|(name, _)| name.clone()).collect();
        self.lock().counts = counts;
        self.apply(Changes { due, ..Changes::default() });
    }

    pub(super) fn apply(&self, changes: Changes) {
        let mut pages = self.lock();
        for (function, change) in changes.counts {
            let count = pages.counts.entry(function.clone()).or_default();
            count.merge(change);
            if *count == Count::default() {
                pages.counts.remove(&function);
            }
        }
        if changes.due.is_empty() && changes.cancelled.is_empty() {
            return;
        }
        pages.listeners.retain(|listener| {
            let listener = listener.upgrade();
            listener.inspect(|inbox| inbox.put(&changes.due, &changes.cancelled)).is_some()
        });
    }

    pub(super) fn count(&self, function: &str) -> Count {
        self.lock().counts.get(function).copied().unwrap_or_default()
    }

    pub(super) fn counts(&self) -> Vec<(String, Count)> {
        self.lock().counts.iter().map(|(function, count)| (function.clone(), *count)).collect()
    }

    /// All that stands, then what happens.
    pub(super) fn events(&self) -> BoxStream<'static, Event> {
        let inbox = Arc::<Inbox>::default();
        let mut pages = self.lock();
        let ready = pages.counts.iter().filter(|(_, count)| count.ready > 0).map(|(name, _)| name.clone());
        inbox.put(&ready.collect(), &[]);
        pages.listeners.push(Arc::downgrade(&inbox));
        let events = stream::unfold(inbox, async |inbox| Some((inbox.next().await, inbox)));
        events.boxed()
    }
}

impl Inbox {
    fn put(&self, due: &BTreeSet<String>, cancelled: &[CallId]) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        for function in due {
            if !news.due.contains(function) {
                news.due.insert(function.clone());
            }
        }
        news.cancelled.extend(cancelled.iter().cloned());
        while news.cancelled.len() > MOST_CANCELLED {
            news.cancelled.pop_front();
        }
        self.some.notify_one();
    }

    async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.news.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                return event;
            }
            self.some.notified().await;
        }
    }
}

impl News {
    fn pop(&mut self) -> Option<Event> {
        if let Some(id) = self.cancelled.pop_front() {
            return Some(Event::Cancelled(id));
        }
        while let Some(function) = self.due.pop_first() {
            if let Ok(function) = FunctionId::try_from(function) {
                return Some(Event::Due(function));
            }
        }
        None
    }
}
