//! The uids of functions that are gone: the last so many, since only events of the last seconds come late.

use std::collections::{HashSet, VecDeque};

use super::GRAVES;

#[derive(Debug, Default)]
pub(super) struct Graves {
    uids: HashSet<String>,
    /// The same, oldest first.
    order: VecDeque<String>,
}

impl Graves {
    pub(super) fn has(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }

    pub(super) fn add(&mut self, uid: String) {
        if !self.uids.insert(uid.clone()) {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > GRAVES {
            let oldest = self.order.pop_front();
            oldest.map(|uid| self.uids.remove(&uid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut graves = Graves::default();
        (0..=GRAVES).for_each(|number| graves.add(number.to_string()));
        graves.add("1".into());
        assert!(!graves.has("0") && graves.has("1") && graves.has(&GRAVES.to_string()));
        assert_eq!(graves.order.len(), GRAVES);
    }
}
