//! Reading the time. Only drivers hold a clock; what they drive is told the [`Moment`].

use std::time::{SystemTime, UNIX_EPOCH};

use types::{Instant, Moment, WallTime};

/// Something that knows what time it is.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks, now.
    fn now(&self) -> Moment;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic side starts at zero now.
    pub fn new() -> SystemClock {
        SystemClock { start: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { mono: Instant(nanos), wall: WallTime(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)) }
    }
}
