//! A budget for work that is done twice: as much as a share of the work that is done once, a few a second, and a burst.
//!
//! What must hold: from any moment on, no more is spent than the burst, the share of what was earned since, and the few for
//! each second. So questions asked again never multiply the load, and least of all when there is too much of it
//! (INVARIANTS J2); while a node with little to do, which earns little, may still ask again.

use types::Instant;

/// What a budget allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// So many in a hundred of what is done once.
    pub percent: u8,
    /// And so many a second.
    pub per_second: u32,
    /// The most that can be saved up; where it is zero, nothing is done again.
    pub burst: u32,
}

impl Share {
    /// The same for one of so many that share it; each has a part of the burst and of the few a second, one at least.
    #[must_use]
    pub fn divided(self, by: usize) -> Share {
        let by = u32::try_from(by.max(1)).unwrap_or(u32::MAX);
        Share { per_second: self.per_second.div_ceil(by), burst: self.burst.div_ceil(by), ..self }
    }
}

/// In hundredths, so that a percentage is earned exactly.
const ONE: u64 = 100;
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A budget in use. It begins full.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    share: Share,
    level: u64,
    /// Up to when the share per second has been counted.
    counted: Instant,
}

impl Budget {
    /// A full one.
    pub(super) fn new(share: Share) -> Budget {
        Budget { share, level: u64::from(share.burst) * ONE, counted: Instant::default() }
    }

    /// Something was done for the first time.
    pub(super) fn earn(&mut self) {
        self.add(u64::from(self.share.percent));
    }

    /// Whether something may be done again; if so it is spent.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        self.count_time(now);
        let may = self.level >= ONE;
        if may {
            self.level -= ONE;
        }
        may
    }

    fn add(&mut self, hundredths: u64) {
        self.level = self.level.saturating_add(hundredths).min(u64::from(self.share.burst) * ONE);
    }

    /// Only whole hundredths are counted, and the time that they stand for, so that none is lost to rounding.
    fn count_time(&mut self, now: Instant) {
        let rate = u128::from(self.share.per_second) * u128::from(ONE);
        if rate == 0 {
            return;
        }
        let hundredths = now.since(self.counted).as_nanos() * rate / NANOS_PER_SECOND;
        let nanos = hundredths * NANOS_PER_SECOND / rate;
        self.counted = Instant(self.counted.0.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)));
        self.add(u64::try_from(hundredths).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Earn,
        Spend,
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![4 => Just(Step::Earn), 4 => Just(Step::Spend), 1 => (0_u64..2_000_000_000).prop_map(Step::Wait)]
    }

    proptest! {
        /// From wherever one looks: the burst, the share of what was earned since and the few for each second are not exceeded.
        #[test]
        fn no_more_is_spent_than_the_share_allows(
            steps in proptest::collection::vec(step(), 0..400),
            percent in 1_u8..=100,
            per_second in 0_u32..20,
            burst in 0_u32..40,
        ) {
            let mut budget = Budget::new(Share { percent, per_second, burst });
            let mut now = Instant(1);
            // For each step: what was earned, spent and waited up to it.
            let mut sums = vec![(0_u64, 0_u64, now)];
            for step in steps {
                let (mut earned, mut spent, _) = sums[sums.len() - 1];
                match step {
                    Step::Earn => {
                        budget.earn();
                        earned += 1;
                    }
                    Step::Spend => spent += u64::from(budget.spend(now)),
                    Step::Wait(nanos) => now = now + Duration::from_nanos(nanos),
                }
                sums.push((earned, spent, now));
                for (earned_before, spent_before, then) in sums.iter().copied() {
                    let by_time = now.since(then).as_nanos() * u128::from(per_second) * 100 / 1_000_000_000;
                    let most = u128::from(burst) * 100 + u128::from(earned - earned_before) * u128::from(percent) + by_time;
                    // One hundredth may have been waited for before the look began.
                    prop_assert!(u128::from(spent - spent_before) * 100 <= most + 1);
                }
            }
        }

        /// What is asked for no faster than it is earned is never refused.
        #[test]
        fn what_is_within_the_share_is_granted(percent in 1_u8..=100, times in 1_u32..50) {
            let mut budget = Budget::new(Share { percent, per_second: 0, burst: 2 });
            prop_assert!(budget.spend(Instant(1)) && budget.spend(Instant(1)) && !budget.spend(Instant(1)));
            for _ in 0..times {
                (0..100_u32.div_ceil(u32::from(percent))).for_each(|_| budget.earn());
                prop_assert!(budget.spend(Instant(1)));
            }
        }
    }

    #[test]
    fn time_alone_refills_it_and_without_a_burst_there_is_none_at_all() {
        let mut budget = Budget::new(Share { percent: 1, per_second: 10, burst: 1 });
        assert!(budget.spend(Instant(1)));
        let soon = Instant(1) + Duration::from_millis(99);
        assert!(!budget.spend(soon));
        assert!(budget.spend(soon + Duration::from_millis(2)));
        let mut none = Budget::new(Share { percent: 100, per_second: 10, burst: 0 });
        none.earn();
        assert!(!none.spend(soon));
    }
}
