//! What is compared with the model: single jobs, counts, and all that a killed process has left.

use std::sync::Arc;
use std::time::Duration;

use faas_queue::{Found, State};
use futures_util::FutureExt as _;

use super::model::{Entry, Is, Model, Time, record, timestamp};
use super::run::{Outcome, World, open};
use crate::fixture::{copy_files, id};

impl World {
    /// Kills the process, most often in the middle of a request: it happened or it did not.
    pub(super) async fn crash(&mut self) -> Outcome<()> {
        self.tally.crashes += 1;
        let (mut before, mut after) = (self.model.clone(), self.model.clone());
        let folder = |generation: usize| self.folder.path().join(generation.to_string());
        let (old, new) = (folder(self.generation), folder(self.generation + 1));
        if self.dice.roll(3) > 0 {
            let (op, pause) = (self.choose(), self.dice.roll(300) as u64);
            after.apply(&op, self.now());
            let mut sending = Box::pin(self.send(&op));
            let _ = (&mut sending).now_or_never();
            std::thread::sleep(Duration::from_micros(pause));
            copy_files(&old, &new);
        } else {
            copy_files(&old, &new);
        }
        self.generation += 1;
        self.engine = open(&self.folder, self.generation, &self.clock);
        self.queue = (self.wrap)(Arc::clone(&self.engine));
        before.void(self.now());
        after.void(self.now());
        self.adopt(&before, &after).await
    }

    /// Each job is as before the request or as after it.
    async fn adopt(&mut self, before: &Model, after: &Model) -> Outcome<()> {
        self.model = Model { lapsed: before.lapsed, ..Model::default() };
        let names: std::collections::BTreeSet<_> = before.jobs.keys().chain(after.jobs.keys()).collect();
        for name in names {
            let found = self.find(name).await?;
            let both = [before.jobs.get(name), after.jobs.get(name)];
            let now = self.now();
            let Some(entry) = both.into_iter().find(|entry| agree(*entry, found.as_ref(), now)) else {
                return Err(format!("after a crash {name} is {found:?}, and none of {both:?}"));
            };
            let may_take = both.into_iter().flatten().map(|entry| entry.may_take).max();
            if let (Some(entry), Some(may_take)) = (entry, may_take) {
                self.model.jobs.insert(name.clone(), Entry { may_take, ..entry.clone() });
            }
        }
        self.compare_depths().await
    }

    pub(super) async fn find(&self, name: &str) -> Outcome<Option<Found>> {
        self.engine.glance().await.map_err(|error| error.to_string())?;
        self.queue.find(&id(name)).await.map_err(|error| error.to_string())
    }

    pub(super) async fn compare_one(&mut self) -> Outcome<()> {
        let known: Vec<_> = self.model.jobs.keys().cloned().collect();
        let Some(name) = self.dice.one(&known).cloned() else { return Ok(()) };
        let (found, entry) = (self.find(&name).await?, self.model.jobs.get(&name));
        if agree(entry, found.as_ref(), self.now()) {
            return Ok(());
        }
        Err(format!("{name} is {found:?}, and not {entry:?}"))
    }

    pub(super) async fn compare_depths(&self) -> Outcome<()> {
        self.engine.glance().await.map_err(|error| error.to_string())?;
        let depths = self.queue.depths().await.map_err(|error| error.to_string())?;
        for (number, function) in self.functions.iter().enumerate() {
            let depth = depths.iter().find(|depth| depth.function == *function);
            let found = depth.map_or([0, 0, 0], |depth| [depth.waiting, depth.running, depth.dead]);
            let kinds: [fn(&Is) -> bool; 3] = [
                |is| matches!(is, Is::Waiting { .. }),
                |is| matches!(is, Is::Leased { .. }),
                |is| *is == Is::Dead,
            ];
            let expected = kinds.map(|kind| self.model.count(number, kind) as u64);
            if found != expected {
                return Err(format!("{function} has {found:?}, and not {expected:?}"));
            }
        }
        Ok(())
    }
}

/// Whether what was found is what the model has.
pub(super) fn agree(entry: Option<&Entry>, found: Option<&Found>, now: Time) -> bool {
    let (Some(entry), Some(found)) = (entry, found) else { return entry.is_none() && found.is_none() };
    let state = match &entry.is {
        Is::Waiting { .. } => State::Queued,
        Is::Leased { .. } => State::Running,
        Is::Done => State::Done,
        Is::Dead => State::Dead,
        Is::Cancelled => State::Cancelled,
    };
    let due = match (&entry.is, found.due_at) {
        (Is::Waiting { due }, Some(at)) => timestamp(*due) == at || (*due <= now && at <= timestamp(now)),
        (Is::Waiting { .. }, None) => false,
        _ => true,
    };
    found.state == state && found.record == record(entry.attempts) && due
}
