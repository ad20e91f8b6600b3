//! How many keys exist while inserts go on.
//!
//! Keys are numbers from 0 on. An insert claims the next number; when the server has acknowledged it, the number
//! counts as existing, but only together with all the numbers below it. Reads draw from the existing ones, so that a
//! read never misses because the insert before it is still under way. (YCSB's acknowledged counter has the same rule.)

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The border between keys that exist and keys to come; shared by all clients.
#[derive(Debug)]
pub(crate) struct Frontier {
    next: AtomicU64,
    existing: AtomicU64,
    /// Acknowledged numbers above `existing`; no more than there are operations under way.
    ahead: Mutex<BTreeSet<u64>>,
}

impl Frontier {
    /// With keys `0..existing` already there.
    pub(crate) fn new(existing: u64) -> Frontier {
        Frontier {
            next: AtomicU64::new(existing),
            existing: AtomicU64::new(existing),
            ahead: Mutex::new(BTreeSet::new()),
        }
    }

    /// A number that nobody else gets.
    pub(crate) fn claim(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Says that the insert of a claimed number is over. A failed one counts too: it might have been stored, and
    /// were it left out, the frontier would stand still for the rest of the run.
    pub(crate) fn settle(&self, number: u64) {
        let mut ahead = self.ahead.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ahead.insert(number);
        let mut existing = self.existing.load(Ordering::Relaxed);
        while ahead.remove(&existing) {
            existing += 1;
        }
        self.existing.store(existing, Ordering::Relaxed);
    }

    /// Keys `0..existing()` exist.
    pub(crate) fn existing(&self) -> u64 {
        self.existing.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key counts only once all keys below it do.
    #[test]
    fn acknowledgements_out_of_order_wait_for_the_gap() {
        let frontier = Frontier::new(10);
        let claimed = [frontier.claim(), frontier.claim(), frontier.claim()];
        assert_eq!(claimed, [10, 11, 12]);
        frontier.settle(12);
        frontier.settle(11);
        assert_eq!(frontier.existing(), 10);
        frontier.settle(10);
        assert_eq!(frontier.existing(), 13);
    }
}
