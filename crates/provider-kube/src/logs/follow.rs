//! Following: one task for each pod that exists, as the watch says, from where its log was read to.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;

use super::reader::{Source, Start};
use super::{MOST_PODS, Position, Reading, wants};
use crate::state::PodName;

/// Before a log that ended, or is not there yet, is asked for again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Where it ends: a container that fails is started again ever more rarely.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

pub(super) struct Follower {
    reading: Reading,
    positions: HashMap<String, Position>,
    /// Pods that are followed, by uid.
    followed: HashSet<String>,
    tasks: JoinSet<String>,
}

impl Follower {
    pub(super) fn new(reading: Reading, positions: HashMap<String, Position>) -> Self {
        Self { reading, positions, followed: HashSet::new(), tasks: JoinSet::new() }
    }

    /// Never ends; is dropped when the reader leaves.
    pub(super) async fn run(mut self) {
        let kube = self.reading.kube.clone();
        loop {
            // Listen before looking, so that a change between the two is not missed.
            let mut changed = pin!(kube.0.routes.changed());
            changed.as_mut().enable();
            self.follow_new();
            tokio::select! {
                () = changed => {}
                Some(Ok(uid)) = self.tasks.join_next() => { self.followed.remove(&uid); }
            }
        }
    }

    fn follow_new(&mut self) {
        for pod in self.reading.kube.0.routes.pods(&self.reading.query.function) {
            let wanted = wants(&self.reading.query, &pod.name) && self.followed.len() < MOST_PODS;
            if wanted && self.followed.insert(pod.uid.clone()) {
                let fresh = || Position::since(self.reading.query.since);
                let position = self.positions.remove(&pod.uid).unwrap_or_else(fresh);
                self.tasks.spawn(follow(self.reading.clone(), pod, position));
            }
        }
    }
}

/// Follows one pod until it is gone; returns its uid.
async fn follow(reading: Reading, pod: PodName, mut position: Position) -> String {
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Start { follow: true, since: position.start(), ..Start::default() };
        if let Ok(reader) = reading.read_pod(&pod.name, &start).await {
            let mut source = Source::new(pod.clone(), [reader].into(), position);
            while let Some(line) = source.wait().await {
                reading.send(line).await;
                pause = FIRST_PAUSE;
            }
            position = source.position;
        }
        if !reading.kube.0.routes.pods(&reading.query.function).contains(&pod) {
            return pod.uid;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
