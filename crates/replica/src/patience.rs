//! How long a task may wait in a queue before it is refused.
//!
//! A task that is begun when the time for its answer is over is work for nobody, and one that still waits then leaves its
//! client with *unknown*. So a task gives up a little sooner, while there is time to say that it was not done, and never
//! will be (INVARIANTS J1): of its time an eighth, 100 ms at most, is kept for what comes after the queue. And one that has
//! less time than the queue takes is not put into it.

use std::time::Duration;

use types::Instant;

/// What is kept of a task's time, as a part of it and at most.
const KEPT_PART: u32 = 8;
const KEPT_MAX: Duration = Duration::from_millis(100);

/// The end of what a node asks of itself, which nobody waits for.
pub(crate) const NEVER: Instant = Instant(u64::MAX);

/// From when to when a task may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    since: Instant,
    ends: Instant,
}

impl Patience {
    /// Of a task that comes now and is to be answered by then.
    pub(crate) fn new(now: Instant, until: Instant) -> Patience {
        if until == NEVER {
            return Patience { since: now, ends: NEVER };
        }
        let all = until.since(now);
        Patience { since: now, ends: now + (all - (all / KEPT_PART).min(KEPT_MAX)) }
    }

    /// When it ends.
    pub(crate) fn ends(self) -> Instant {
        self.ends
    }

    /// Whether there is no time left to do it in.
    pub(crate) fn is_over(self, now: Instant) -> bool {
        self.ends <= now
    }

    /// How long it may wait on.
    pub(crate) fn left(self, now: Instant) -> Duration {
        self.ends.since(now)
    }

    /// How long it has waited.
    pub(crate) fn waited(self, now: Instant) -> Duration {
        now.since(self.since)
    }
}

/// Tasks that were refused, by reason, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Refusals {
    /// As many waited for the disk as may.
    pub cold_full: u64,
    /// As many waited for storage to catch up as may.
    pub stalled_full: u64,
    /// They had less time than those before them had waited already.
    pub hopeless: u64,
    /// They had waited until there was no time left.
    pub late: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(1_000_000_000) + Duration::from_millis(millis)
    }

    /// There is time left to say that it was not done, however much there was at all.
    #[test]
    fn a_task_gives_up_before_its_time_is_over() {
        for (all, waits) in [(5000, 4900), (800, 700), (80, 70), (8, 7)] {
            let patience = Patience::new(at(0), at(all));
            assert!(!patience.is_over(at(waits - 1)) && patience.is_over(at(waits)), "{all}");
            assert_eq!(patience.left(at(1)), Duration::from_millis(waits - 1));
        }
        assert!(
            Patience::new(at(10), at(10)).is_over(at(10)) && Patience::new(at(10), at(5)).is_over(at(10))
        );
        assert!(!Patience::new(at(10), Instant(u64::MAX)).is_over(at(1 << 40)));
    }
}
