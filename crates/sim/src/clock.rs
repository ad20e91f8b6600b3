//! A node's two clocks, made of the world's one.
//!
//! The monotonic clock starts anywhere and runs a little fast or slow; the wall clock is beside the truth by a skew that
//! may change at any moment. What must hold: the monotonic clock never goes back, and a timer set by it goes off no
//! earlier than it says.

use types::{Instant, Moment, WallTime};

/// The world's wall clock when a run begins, in milliseconds since 1970.
pub const WALL_START_MS: u64 = 1_790_000_000_000;

/// How one machine measures time.
#[derive(Clone, Debug)]
pub struct NodeClock {
    start_nanos: u64,
    drift_ppm: i64,
    skew_ms: i64,
    /// When the wall clock was last set.
    set_at: Instant,
}

impl NodeClock {
    /// A clock whose monotonic side starts here and gains (or loses) so many parts in a million.
    pub fn new(start_nanos: u64, drift_ppm: i64, skew_ms: i64) -> NodeClock {
        NodeClock { start_nanos, drift_ppm, skew_ms, set_at: Instant::default() }
    }

    /// What the machine takes the time to be.
    pub fn read(&self, world: Instant) -> Moment {
        let elapsed = self.elapsed(world);
        let wall = i128::from(WALL_START_MS) + i128::from(elapsed / 1_000_000) + i128::from(self.skew_ms);
        Moment { mono: Instant(self.start_nanos + elapsed), wall: WallTime(u64::try_from(wall).unwrap_or(0)) }
    }

    /// The world's time from which on the monotonic clock shows at least this.
    pub fn when(&self, mono: Instant) -> Instant {
        let shown = i128::from(mono.0.saturating_sub(self.start_nanos));
        let rate = 1_000_000 + i128::from(self.drift_ppm);
        let world = (shown * 1_000_000 + rate - 1) / rate;
        Instant(u64::try_from(world).unwrap_or(u64::MAX))
    }

    /// Sets how far the wall clock is beside the truth.
    pub fn set_skew_ms(&mut self, world: Instant, skew_ms: i64) {
        self.skew_ms = skew_ms;
        self.set_at = world;
    }

    /// Whether the wall clock has run on undisturbed since then.
    pub fn is_steady_since(&self, world: Instant) -> bool {
        self.set_at < world
    }

    fn elapsed(&self, world: Instant) -> u64 {
        let rate = 1_000_000 + i128::from(self.drift_ppm);
        u64::try_from(i128::from(world.0) * rate / 1_000_000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A timer is never early, and late by at most a few nanoseconds.
        #[test]
        fn a_timer_goes_off_when_the_clock_shows_its_time(
            start in 0u64..1 << 50, drift in -500i64..500, after in 0u64..1 << 50,
        ) {
            let clock = NodeClock::new(start, drift, 0);
            let due = Instant(start + after);
            let at = clock.when(due);
            prop_assert!(clock.read(at).mono >= due);
            prop_assert!(clock.read(Instant(at.0.saturating_sub(2))).mono <= due);
        }
    }
}
