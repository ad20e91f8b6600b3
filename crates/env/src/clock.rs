//! Reading the time. Only drivers hold a clock; what they drive is told the [`Moment`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use types::{Instant, Moment, WallTime};

/// Something that knows what time it is.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, now.
    fn now(&self) -> Moment;
}

/// The operating system's clocks. A request asks for the time more than once and wall time is in milliseconds, so the wall
/// clock is read once a millisecond, and between that follows the monotonic one.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
    /// By how many nanoseconds wall time was ahead of monotonic time when both were read.
    ahead: AtomicU64,
    /// From when on, in monotonic time, that is read again.
    stale_at: AtomicU64,
}

/// How long the wall clock is taken to go along with the monotonic one, in nanoseconds.
const STALE_AFTER: u64 = 1_000_000;

impl SystemClock {
    /// A clock whose monotonic side starts at zero now.
    pub fn new() -> SystemClock {
        SystemClock {
            start: std::time::Instant::now(),
            ahead: AtomicU64::default(),
            stale_at: AtomicU64::default(),
        }
    }

    fn mono(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How far wall time is ahead. Threads that meet here read it twice.
    fn ahead(&self, mono: u64) -> u64 {
        if mono < self.stale_at.load(Ordering::Acquire) {
            return self.ahead.load(Ordering::Relaxed);
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Whatever comes between the two readings, wall time is not told before it is there.
        let mono = self.mono();
        let ahead = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX).saturating_sub(mono);
        self.ahead.store(ahead, Ordering::Relaxed);
        self.stale_at.store(mono.saturating_add(STALE_AFTER), Ordering::Release);
        ahead
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let mono = self.mono();
        let wall = self.ahead(mono).saturating_add(mono);
        Moment { mono: Instant(mono), wall: WallTime(wall / 1_000_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However it is found: never a time that has not come, and none of long ago.
    #[test]
    fn wall_time_is_the_systems() {
        let system = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let clock = SystemClock::new();
        for _ in 0..1000 {
            let (before, told, after) = (system(), u128::from(clock.now().wall.0), system());
            assert!(before < told + 60_000 && told <= after, "{before} {told} {after}");
        }
    }
}
