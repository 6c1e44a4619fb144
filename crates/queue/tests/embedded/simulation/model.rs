//! What a queue is, in few lines: jobs in a map, each in one state.

use std::collections::BTreeMap;

use faas_queue::{Attempt, Record, Shelf, Then};
use jiff::Timestamp;

/// In simulated seconds.
pub(crate) type Time = i64;

pub(crate) const LEASE: Time = 30;
pub(crate) const MOST_WAITING: usize = 12;

/// Something to do, by names; a lease is named by its token.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Append { job: String, function: usize },
    Extend { job: String, token: String },
    Settle { job: String, token: String, attempts: usize, then: Ends },
    Cancel { job: String },
    Redrive { function: usize, one: Option<String> },
    Purge { function: usize, of: Shelf },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    Hold,
    Later(Time),
    Done,
    Dead,
}

impl Ends {
    pub(crate) fn then(self) -> Then {
        match self {
            Self::Hold => Then::Hold,
            Self::Later(time) => Then::Later(timestamp(time)),
            Self::Done => Then::Done,
            Self::Dead => Then::Dead,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Is {
    Waiting { due: Time },
    Leased { token: String, until: Time },
    Done,
    Dead,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) function: usize,
    pub(crate) is: Is,
    /// How many attempts its record has.
    pub(crate) attempts: usize,
    /// How often it was taken, and may be: once when new, and once more for each time that it became due again.
    pub(crate) takes: usize,
    pub(crate) may_take: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) jobs: BTreeMap<String, Entry>,
    pub(crate) lapsed: usize,
}

impl Model {
    /// Leases end.
    pub(crate) fn pass(&mut self, now: Time) {
        for entry in self.jobs.values_mut() {
            if let Is::Leased { until, .. } = entry.is
                && until <= now
            {
                entry.is = Is::Waiting { due: until };
                entry.may_take += 1;
                self.lapsed += 1;
            }
        }
    }

    /// A process is killed: nobody has a lease.
    pub(crate) fn void(&mut self, now: Time) {
        for entry in self.jobs.values_mut() {
            if matches!(entry.is, Is::Leased { .. }) {
                entry.is = Is::Waiting { due: now };
                entry.may_take += 1;
            }
        }
    }

    pub(crate) fn due(&self, function: usize, now: Time) -> Vec<&String> {
        let due = |entry: &Entry| matches!(entry.is, Is::Waiting { due } if due <= now);
        let jobs = self.jobs.iter().filter(|(_, entry)| entry.function == function && due(entry));
        jobs.map(|(job, _)| job).collect()
    }

    pub(crate) fn count(&self, function: usize, which: fn(&Is) -> bool) -> usize {
        self.jobs.values().filter(|entry| entry.function == function && which(&entry.is)).count()
    }

    /// Does it; says what is answered.
    pub(crate) fn apply(&mut self, op: &Op, now: Time) -> String {
        match op {
            Op::Append { job, function } => self.append(job, *function, now),
            Op::Extend { job, token } => self.with_lease(job, token, |entry| {
                entry.is = Is::Leased { token: token.clone(), until: now + LEASE };
            }),
            Op::Settle { job, token, attempts, then } => self.with_lease(job, token, |entry| {
                entry.attempts = *attempts;
                match then {
                    Ends::Hold => {}
                    Ends::Later(due) => {
                        entry.is = Is::Waiting { due: *due };
                        entry.may_take += 1;
                    }
                    Ends::Done => entry.is = Is::Done,
                    Ends::Dead => entry.is = Is::Dead,
                }
            }),
            Op::Cancel { job } => self.cancel(job),
            Op::Redrive { function, one } => self.redrive(*function, one.as_ref(), now),
            Op::Purge { function, of } => self.purge(*function, *of),
        }
    }

    fn append(&mut self, job: &str, function: usize, now: Time) -> String {
        if self.jobs.contains_key(job) {
            return "exists".into();
        }
        if self.count(function, |is| matches!(is, Is::Waiting { .. })) >= MOST_WAITING {
            return "full".into();
        }
        let is = Is::Waiting { due: now };
        self.jobs.insert(job.to_owned(), Entry { function, is, attempts: 0, takes: 0, may_take: 1 });
        "ok".into()
    }

    fn with_lease(&mut self, job: &str, token: &str, change: impl FnOnce(&mut Entry)) -> String {
        let holds = |entry: &&mut Entry| matches!(&entry.is, Is::Leased { token: held, .. } if held == token);
        match self.jobs.get_mut(job).filter(holds) {
            Some(entry) => {
                change(entry);
                "ok".into()
            }
            None => "lost".into(),
        }
    }

    fn cancel(&mut self, job: &str) -> String {
        let Some(entry) = self.jobs.get_mut(job) else { return "not found".into() };
        let lives = matches!(entry.is, Is::Waiting { .. } | Is::Leased { .. });
        if lives {
            entry.is = Is::Cancelled;
        }
        lives.to_string()
    }

    fn redrive(&mut self, function: usize, one: Option<&String>, now: Time) -> String {
        let mut many = 0;
        for (job, entry) in &mut self.jobs {
            let meant = entry.function == function && one.is_none_or(|one| one == job);
            if meant && entry.is == Is::Dead {
                entry.is = Is::Waiting { due: now };
                entry.attempts = 0;
                entry.may_take += 1;
                many += 1;
            }
        }
        many.to_string()
    }

    fn purge(&mut self, function: usize, of: Shelf) -> String {
        let before = self.jobs.len();
        self.jobs.retain(|_, entry| {
            let on_shelf = match of {
                Shelf::Live => matches!(entry.is, Is::Waiting { .. }),
                Shelf::Dead => entry.is == Is::Dead,
            };
            entry.function != function || !on_shelf
        });
        (before - self.jobs.len()).to_string()
    }
}

pub(crate) fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_second(time).unwrap()
}

/// A record of so many attempts.
pub(crate) fn record(attempts: usize) -> Record {
    let attempt = |number| Attempt { at: timestamp(number), seconds: 0.5, status: Some(503), failure: None };
    let attempts = (0..i64::try_from(attempts).unwrap()).map(attempt).collect();
    Record { attempts, ..Record::default() }
}
