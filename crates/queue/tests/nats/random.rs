//! Random interleavings of all that is done to a queue, by two processes at once, where any call may be dropped in the
//! middle. Then faults stop, and every job that was accepted has to end as those were told who waited for an answer.
//!
//! (What the embedded engine is compared with, step by step, has a clock of its own; a server has not.)

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faas_queue::nats::Jetstream;
use faas_queue::{Attempt, Body, Error, Lease, Queue as _, Record, Shelf, State, Then};
use faas_testing::Nats;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout};

use crate::support::{LONG, function, id, job, open, read, report, text};

const SEEDS: u64 = 3;
const TASKS: u64 = 4;
const STEPS: usize = 150;
const LEASE: Duration = Duration::from_secs(1);
const FUNCTIONS: [&str; 2] = ["f", "g"];

/// What somebody was told.
#[derive(Default)]
struct Told {
    accepted: HashSet<String>,
    ended: HashMap<String, State>,
    dropped: usize,
    lost: usize,
}

struct Player {
    queue: Jetstream,
    told: Arc<Mutex<Told>>,
    dice: u64,
    number: u64,
    named: usize,
    leases: Vec<Lease>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_dropped_in_the_middle_every_accepted_job_ends() {
    for seed in 1..=SEEDS {
        let Some(nats) = Nats::start() else { return };
        let queues = [open(&nats, LEASE).await, open(&nats, LEASE).await];
        let told = Arc::new(Mutex::new(Told::default()));
        let players = (0..TASKS).map(|number| {
            let queue = queues[usize::from(number % 2 == 1)].clone();
            let dice = (seed * 1000 + number) | 1;
            let player =
                Player { queue, told: Arc::clone(&told), dice, number, named: 0, leases: Vec::new() };
            tokio::spawn(player.play())
        });
        for player in players.collect::<Vec<_>>() {
            player.await.unwrap();
        }
        work_off(&queues[0]).await;
        let told = std::mem::take(&mut *told.lock().unwrap());
        assert!(told.accepted.len() > 100 && told.dropped > 30, "too little was tried");
        check(&queues[1], &told).await;
        let (accepted, dropped, lost) = (told.accepted.len(), told.dropped, told.lost);
        report(&format!(
            "seed {seed}: {accepted} accepted, {dropped} calls dropped, {lost} leases lost, no job"
        ));
    }
}

impl Player {
    /// At least zero, and less than `most`.
    fn roll(&mut self, most: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % most
    }

    async fn play(mut self) {
        for _ in 0..STEPS {
            match self.roll(20) {
                0..7 => self.append().await,
                7..12 => self.take().await,
                12 => self.steer().await,
                _ => self.work().await,
            }
        }
    }

    /// The answer, unless it is not waited for.
    async fn maybe<T>(&mut self, call: impl Future<Output = Result<T, Error>>) -> Option<Result<T, Error>> {
        let pause = if self.roll(3) == 0 { Duration::from_micros(self.roll(2000)) } else { LONG };
        let answer = timeout(pause, call).await.ok();
        let mut told = self.told.lock().unwrap();
        told.dropped += usize::from(answer.is_none());
        told.lost += usize::from(matches!(&answer, Some(Err(Error::LeaseLost(_)))));
        answer
    }

    async fn append(&mut self) {
        self.named += 1;
        let call = format!("j{}-{}", self.number, self.named);
        let name = FUNCTIONS[usize::from(self.roll(2) == 1)];
        let body = if self.roll(8) == 0 { Body::Whole(vec![b'x'; 1 << 20].into()) } else { text("hello") };
        let queue = self.queue.clone();
        if let Some(appended) = self.maybe(queue.append(job(name, &call), body)).await {
            appended.unwrap();
            self.told.lock().unwrap().accepted.insert(call);
        }
    }

    async fn take(&mut self) {
        let (name, most) = (FUNCTIONS[usize::from(self.roll(2) == 1)], 1 + self.roll(3));
        let (queue, function) = (self.queue.clone(), function(name));
        let taken = self.maybe(queue.take(&function, usize::try_from(most).unwrap())).await;
        for taken in taken.into_iter().flat_map(Result::unwrap) {
            self.leases.push(taken.lease);
        }
    }

    async fn steer(&mut self) {
        let (queue, name) = (self.queue.clone(), FUNCTIONS[usize::from(self.roll(2) == 1)]);
        if self.roll(2) == 0 {
            self.maybe(queue.redrive(&function(name), None)).await;
            return;
        }
        let some = 1 + self.roll(self.named as u64 + 1);
        let call = format!("j{}-{some}", self.number);
        if let Some(Ok(true)) = self.maybe(queue.cancel(&id(&call))).await {
            self.told.lock().unwrap().ended.insert(call, State::Cancelled);
        }
    }

    async fn work(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let at = usize::try_from(self.roll(self.leases.len() as u64)).unwrap();
        let (lease, queue) = (self.leases[at].clone(), self.queue.clone());
        let soon = Timestamp::now() + SignedDuration::from_millis(i64::try_from(self.roll(1500)).unwrap());
        let then = match self.roll(7) {
            0 => return drop(self.maybe(queue.extend(&lease)).await),
            1 => return drop(self.maybe(queue.keep_result(&lease, text("answer"))).await),
            2 => Then::Hold,
            3 => Then::Later(soon),
            4 => Then::Dead,
            _ => Then::Done,
        };
        let attempt = Attempt { at: soon, seconds: 0.1, status: None, failure: None };
        let record = Record { attempts: vec![attempt], ..Record::default() };
        let settled = self.maybe(queue.settle(&lease, &record, then)).await;
        if matches!((&settled, then), (Some(Ok(())), Then::Done)) {
            self.told.lock().unwrap().ended.insert(lease.id.to_string(), State::Done);
        }
        // Some go on with what they have settled.
        if then != Then::Hold && self.roll(3) > 0 {
            self.leases.swap_remove(at);
        }
    }
}

/// Until nothing waits or runs any more.
async fn work_off(queue: &Jetstream) {
    let deadline = Instant::now() + LONG;
    loop {
        for name in FUNCTIONS {
            for taken in queue.take(&function(name), 9).await.unwrap() {
                queue.settle(&taken.lease, &taken.record, Then::Done).await.unwrap();
            }
        }
        if queue.depths().await.unwrap().iter().all(|depth| depth.waiting + depth.running == 0) {
            return;
        }
        assert!(Instant::now() < deadline, "jobs are left: {:?}", queue.depths().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn check(queue: &Jetstream, told: &Told) {
    for call in &told.accepted {
        let found = queue.find(&id(call)).await.unwrap();
        let state = found.map(|found| found.state);
        assert!(matches!(state, Some(State::Done | State::Dead | State::Cancelled)), "{call} is {state:?}");
        if let Some(body) = queue.result(&id(call)).await.unwrap() {
            assert_eq!(read(body).await, b"answer", "{call}");
        }
    }
    for (call, ended) in &told.ended {
        assert_eq!(queue.find(&id(call)).await.unwrap().map(|found| found.state), Some(*ended), "{call}");
    }
    for name in FUNCTIONS {
        for dead in queue.list(&function(name), Shelf::Dead, 1000).await.unwrap() {
            let found = queue.find(&dead.id).await.unwrap().map(|found| found.state);
            assert_eq!(found, Some(State::Dead), "{} is among the dead", dead.id);
        }
    }
}
