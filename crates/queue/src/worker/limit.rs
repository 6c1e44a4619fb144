//! How many jobs of one function run at a time: what its replicas take, as far as that is known, and what it has proved
//! to take. It grows by one with each answer until the function first says that it has no room, and then by one with
//! each round of answers; each time there is no room it is halved. At least one job is always tried.

/// The limit of one function.
#[derive(Debug)]
pub(super) struct Limit {
    allowed: usize,
    most: usize,
    /// As the gateway said last.
    capacity: Option<usize>,
    /// Whether there always was room so far.
    probing: bool,
    /// Answers since it grew.
    answers: usize,
    /// How often it was halved: what began before the last time says nothing new.
    epoch: u64,
}

impl Limit {
    pub(super) fn new(most: usize) -> Self {
        Self { allowed: 1, most: most.max(1), capacity: None, probing: true, answers: 0, epoch: 0 }
    }

    pub(super) fn get(&self) -> usize {
        self.allowed.min(self.capacity.unwrap_or(self.most)).min(self.most).max(1)
    }

    /// Noted with a job when it begins.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The gateway said what the ready replicas take. It is believed until there was no room.
    pub(super) fn record_capacity(&mut self, capacity: usize) {
        self.capacity = Some(capacity);
        if self.probing {
            self.allowed = self.allowed.max(capacity.min(self.most));
        }
    }

    /// The function answered.
    pub(super) fn record_answer(&mut self) {
        self.answers += 1;
        if (self.probing || self.answers >= self.allowed) && self.allowed < self.most {
            self.allowed += 1;
            self.answers = 0;
        }
    }

    /// There was no room for a job that began in `epoch`.
    pub(super) fn record_busy(&mut self, epoch: u64) {
        if epoch != self.epoch {
            return;
        }
        self.allowed = (self.get() / 2).max(1);
        self.probing = false;
        self.answers = 0;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_probes_until_there_is_no_room_and_then_grows_by_one_each_round() {
        let mut limit = Limit::new(100);
        assert_eq!(limit.get(), 1);
        (0..20).for_each(|_| limit.record_answer());
        assert_eq!(limit.get(), 21);
        limit.record_busy(limit.epoch());
        assert_eq!(limit.get(), 10);
        (0..10).for_each(|_| limit.record_answer());
        assert_eq!(limit.get(), 11);
    }

    #[test]
    fn all_that_found_no_room_in_one_round_halve_it_once() {
        let mut limit = Limit::new(64);
        (0..63).for_each(|_| limit.record_answer());
        let epoch = limit.epoch();
        (0..30).for_each(|_| limit.record_busy(epoch));
        assert_eq!(limit.get(), 32);
    }

    #[test]
    fn what_the_gateway_says_bounds_it_and_is_believed_at_first() {
        let mut limit = Limit::new(100);
        limit.record_capacity(40);
        assert_eq!(limit.get(), 40);
        (0..100).for_each(|_| limit.record_answer());
        assert_eq!(limit.get(), 40);
        limit.record_busy(limit.epoch());
        assert_eq!(limit.get(), 20);
        limit.record_capacity(40);
        assert_eq!(limit.get(), 20);
        limit.record_capacity(0);
        assert_eq!(limit.get(), 1);
    }

    #[test]
    fn it_never_leaves_its_bounds() {
        let mut limit = Limit::new(3);
        (0..10).for_each(|_| limit.record_answer());
        assert_eq!(limit.get(), 3);
        for _ in 0..10 {
            limit.record_busy(limit.epoch());
        }
        assert_eq!(limit.get(), 1);
        assert_eq!(Limit::new(0).get(), 1);
    }
}
