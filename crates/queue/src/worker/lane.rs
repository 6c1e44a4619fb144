//! One function's jobs: how many are in hand, how many more may be taken, and when it is better left alone for a while.

use std::time::Duration;

use tokio::time::Instant;

use super::limit::Limit;

/// Jobs taken at once: a queue that takes long to answer for many holds up only this lane, but memory is everybody's.
const MOST_TAKEN: usize = 64;
/// The first rest of a function without room for a single job, or of a queue that does not answer. It doubles.
const FIRST_REST: Duration = Duration::from_millis(100);
/// The longest.
const LAST_REST: Duration = Duration::from_secs(10);

/// What came of a job, as far as it says how many more the function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The function answered; so many invocations its replicas take.
    Answered(Option<usize>),
    /// It had no room; so many its replicas take.
    Busy(Option<usize>),
    /// The gateway was not reached.
    Unreached,
    /// Nothing.
    Silent,
}

/// One function's.
#[derive(Debug)]
pub(super) struct Lane {
    limit: Limit,
    /// Jobs in hand.
    running: usize,
    /// Jobs that were asked for.
    taking: usize,
    /// Callbacks that hold no place.
    pub(super) calling: usize,
    /// Whether there may be jobs to take.
    pub(super) due: bool,
    /// Left alone until then.
    rest: Option<Instant>,
    last_rest: Duration,
    /// When it is looked at again, though nothing happens.
    pub(super) wake: Option<Instant>,
    /// Whether it stands among those that lack a place.
    pub(super) queues: bool,
}

/// Places for jobs, of all functions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// There are so many.
    pub(super) most: usize,
    /// So many are used, or kept for what was asked for.
    pub(super) used: usize,
}

impl Lane {
    pub(super) fn new(most: usize) -> Self {
        Self {
            limit: Limit::new(most),
            running: 0,
            taking: 0,
            calling: 0,
            due: false,
            rest: None,
            last_rest: Duration::ZERO,
            wake: None,
            queues: false,
        }
    }

    /// How many jobs to take now. With none in hand it is at least one, while there is a place at all.
    pub(super) fn room(&self, places: Places, now: Instant) -> usize {
        if !self.due || self.taking > 0 || self.rest.is_some_and(|until| now < until) {
            return 0;
        }
        let common = (places.most / 2).saturating_sub(places.used);
        let fair = common.saturating_sub(self.running).div_ceil(2);
        let room = self.limit.get().saturating_sub(self.running).min(fair).min(MOST_TAKEN);
        let first = usize::from(self.running == 0 && places.used < places.most);
        room.max(first)
    }

    /// Whether it lacks only places, so that any job's end may help it.
    pub(super) fn is_starved(&self, now: Instant) -> bool {
        self.due
            && self.taking == 0
            && self.limit.get() > self.running
            && self.rest.is_none_or(|until| now >= until)
    }

    /// So many were asked for. What becomes due from now on may have been missed.
    pub(super) fn begin_take(&mut self, most: usize) {
        self.taking = most;
        self.due = false;
    }

    /// So many came. After none there is nothing to take, unless something became due meanwhile.
    pub(super) fn end_take(&mut self, taken: usize) {
        self.taking = 0;
        self.running += taken;
        self.due |= taken > 0;
    }

    /// The queue did not answer.
    pub(super) fn fail_take(&mut self, now: Instant) {
        self.end_take(0);
        self.due = true;
        self.begin_rest(now);
    }

    pub(super) fn epoch(&self) -> u64 {
        self.limit.epoch()
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// A job that began in `epoch` ended.
    pub(super) fn end_job(&mut self, epoch: u64, verdict: Verdict, now: Instant) {
        self.running = self.running.saturating_sub(1);
        match verdict {
            Verdict::Answered(capacity) => {
                self.record_capacity(capacity);
                self.limit.record_answer();
                self.last_rest = Duration::ZERO;
                self.rest = None;
            }
            Verdict::Busy(capacity) => {
                self.record_capacity(capacity);
                self.back_off(epoch, now);
            }
            Verdict::Unreached => self.back_off(epoch, now),
            Verdict::Silent => {}
        }
    }

    /// When it is worth looking at again, if nothing happens: at the end of its rest, or to be forgotten.
    pub(super) fn next_look(&self, now: Instant, forget_after: Duration) -> Option<Instant> {
        if self.due {
            return self.rest.filter(|until| *until > now);
        }
        self.is_idle().then(|| now + forget_after)
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.due && self.running == 0 && self.taking == 0 && self.calling == 0
    }

    fn record_capacity(&mut self, capacity: Option<usize>) {
        if let Some(capacity) = capacity {
            self.limit.record_capacity(capacity);
        }
    }

    fn back_off(&mut self, epoch: u64, now: Instant) {
        let alone = self.limit.get() == 1 && epoch == self.limit.epoch();
        self.limit.record_busy(epoch);
        if alone {
            self.begin_rest(now);
        }
    }

    fn begin_rest(&mut self, now: Instant) {
        self.last_rest = (self.last_rest * 2).clamp(FIRST_REST, LAST_REST);
        self.rest = Some(now + self.last_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(most: usize) -> Lane {
        Lane { due: true, ..Lane::new(most) }
    }

    fn hold(lane: &mut Lane, jobs: usize) {
        lane.begin_take(jobs);
        lane.end_take(jobs);
    }

    #[tokio::test]
    async fn greedy_lanes_leave_places_to_those_that_have_none() {
        let now = Instant::now();
        let mut places = Places { most: 512, used: 0 };
        let mut lanes: Vec<Lane> = (0..250).map(|_| due(100)).collect();
        for lane in &mut lanes {
            lane.limit.record_capacity(100);
        }
        for _ in 0..20 {
            for lane in &mut lanes {
                let room = lane.room(places, now);
                places.used += room;
                if room > 0 {
                    hold(lane, room);
                }
            }
        }
        assert!(lanes.iter().all(|lane| lane.running >= 1), "all 250 have a job in hand");
        assert!(lanes[0].running > 10, "the first ones more than one");
        assert!(places.used <= places.most);
    }

    #[tokio::test]
    async fn one_take_at_a_time_and_what_becomes_due_meanwhile_is_not_missed() {
        let now = Instant::now();
        let places = Places { most: 512, used: 0 };
        let mut lane = due(10);
        assert_eq!(lane.room(places, now), 1);
        lane.begin_take(1);
        lane.due = true;
        assert_eq!(lane.room(places, now), 0);
        lane.end_take(0);
        assert_eq!(lane.room(places, now), 1);
        lane.begin_take(1);
        lane.end_take(0);
        assert_eq!((lane.room(places, now), lane.is_idle()), (0, true));
    }

    #[tokio::test]
    async fn a_function_without_room_for_one_rests_longer_each_time_until_it_answers() {
        let mut now = Instant::now();
        let places = Places { most: 512, used: 0 };
        let mut lane = due(10);
        for _ in 0..10 {
            hold(&mut lane, 1);
            lane.end_job(lane.epoch(), Verdict::Busy(None), now);
            assert_eq!(lane.room(places, now), 0);
            now = lane.next_look(now, Duration::ZERO).unwrap();
            assert_eq!(lane.room(places, now), 1);
        }
        assert_eq!(lane.last_rest, LAST_REST);
        hold(&mut lane, 1);
        lane.end_job(lane.epoch(), Verdict::Answered(None), now);
        assert_eq!((lane.last_rest, lane.room(places, now)), (Duration::ZERO, 2));
    }
}
