//! How long what comes has to wait before it is begun, and when that is too long to begin more.
//!
//! A queue that is long for a moment only smooths what comes unevenly. One in which everything waits long for a while is
//! fed faster than it is emptied; what is put into it then is answered late, or not at all, and taking less is the only help.
//! This is the rule of CoDel with one threshold: the *least* that anything waited in a while is what counts, so a pause of the
//! machine, after which one thing has waited for long and the next has not, refuses nobody.
//!
//! What must hold: with the first that does not wait long, or when none has been seen for a while, all is taken again.

use std::time::Duration;

use types::Instant;

/// Longer than this is long.
const LONG: Duration = Duration::from_millis(250);

/// If all wait so long for this time, no more is begun.
const FOR: Duration = Duration::from_secs(1);

/// What was seen longer ago than this says nothing of now.
const FRESH: Duration = Duration::from_secs(2);

/// What is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delay {
    /// Since when all have waited long; nothing where the last has not.
    long_since: Option<Instant>,
    seen: Instant,
}

impl Delay {
    /// Something is begun that has waited so long.
    pub(super) fn waited(&mut self, now: Instant, waited: Duration) {
        if waited < LONG || now.since(self.seen) >= FRESH {
            self.long_since = None;
        }
        if waited >= LONG {
            self.long_since.get_or_insert(now);
        }
        self.seen = now;
    }

    /// For how long all have waited too long; nothing where more may be begun.
    pub(super) fn too_long(&self, now: Instant) -> Option<Duration> {
        let long = now.since(self.long_since?);
        (long >= FOR && now.since(self.seen) < FRESH).then_some(long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(1_000_000_000) + Duration::from_millis(millis)
    }

    fn after(waits: &[(u64, u64)]) -> Delay {
        let mut delay = Delay::default();
        for (when, waited) in waits {
            delay.waited(at(*when), Duration::from_millis(*waited));
        }
        delay
    }

    /// It takes a second in which everything waits; one that has not ends it.
    #[test]
    fn a_queue_that_stays_long_is_too_long_and_one_short_wait_ends_that() {
        let all_long: Vec<(u64, u64)> = (0..=10).map(|step| (step * 100, 300)).collect();
        assert!(after(&all_long[..10]).too_long(at(950)).is_none());
        let mut delay = after(&all_long);
        assert_eq!(delay.too_long(at(1000)), Some(Duration::from_secs(1)));
        delay.waited(at(1010), Duration::from_millis(249));
        assert!(delay.too_long(at(1010)).is_none());
        delay.waited(at(1020), Duration::from_millis(300));
        assert!(delay.too_long(at(1500)).is_none(), "it counts from here on");
    }

    /// A machine that stood still for ten seconds is not one with too much to do.
    #[test]
    fn a_pause_is_not_a_long_queue() {
        assert!(after(&[(0, 10_000), (1, 0), (1500, 5)]).too_long(at(1500)).is_none());
        // Nor is what was seen before and after it one long time.
        assert!(after(&[(0, 300), (10_000, 10_000)]).too_long(at(10_000)).is_none());
    }

    /// Where nothing is seen any more, nothing is known.
    #[test]
    fn what_was_seen_long_ago_refuses_nobody() {
        let delay = after(&[(0, 400), (1000, 400)]);
        assert!(delay.too_long(at(2999)).is_some() && delay.too_long(at(3000)).is_none());
    }
}
