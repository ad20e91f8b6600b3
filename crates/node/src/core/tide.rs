//! How far this node's data directory has come, so that peers notice where it is rolled back.
//!
//! Every so often the file `identity` is written with one more stint reserved, and once that is on stable storage, peers are
//! told by gossip. A directory that is put back to a state of before begins its next run below that. What is younger than the
//! last such time is not noticed: nobody takes a snapshot and puts it back within seconds.

use std::time::Duration;

use replica::IdentityError;
use types::{Instant, Moment};

/// When there is to be one more, and how far it has come.
#[derive(Debug)]
pub(super) struct Tide {
    every: Duration,
    next_at: Option<Instant>,
    under_way: bool,
    reserved: u32,
}

impl Tide {
    /// From this stint on none is reserved.
    pub(super) fn new(every: Duration, reserved: u32) -> Tide {
        Tide { every, next_at: None, under_way: false, reserved }
    }

    /// The first stint that no run has reserved.
    pub(super) fn reserved(&self) -> u32 {
        self.reserved
    }

    /// Whether the file is to be written now.
    pub(super) fn is_due(&mut self, now: Moment) -> bool {
        let due = *self.next_at.get_or_insert(now.mono + self.every) <= now.mono && !self.under_way;
        self.under_way |= due;
        due
    }

    /// It was written, or was not.
    pub(super) fn rose(&mut self, now: Moment, outcome: Result<u32, IdentityError>) {
        self.under_way = false;
        self.next_at = Some(now.mono + self.every);
        match outcome {
            Ok(reserved) => self.reserved = reserved,
            Err(error) => {
                tracing::warn!(%error, "how far the data directory has come could not be written down");
            }
        }
    }

    /// When [`is_due`](Self::is_due) has something to say.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.next_at.filter(|_| !self.under_way)
    }
}

#[cfg(test)]
mod tests {
    use types::WallTime;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { mono: Instant::default() + Duration::from_secs(seconds), wall: WallTime(0) }
    }

    #[test]
    fn it_rises_once_at_a_time_and_not_too_often() {
        let mut tide = Tide::new(Duration::from_secs(10), 1025);
        assert!(!tide.is_due(at(0)) && !tide.is_due(at(9)) && tide.is_due(at(10)));
        assert!(!tide.is_due(at(25)) && tide.next_timer().is_none(), "one is under way");
        tide.rose(at(26), Ok(1026));
        assert_eq!(tide.reserved(), 1026);
        assert!(!tide.is_due(at(35)) && tide.is_due(at(36)));
    }
}
