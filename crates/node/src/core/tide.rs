//! How far this node's data directory has come, so that peers notice where it is rolled back.
//!
//! As soon as a peer has let this run in, and every so often from then on, the file `identity` is written with a level that is higher by
//! one, and once that is on stable storage, peers are told by gossip. A directory that is put back to a state of before comes with less
//! than they were told. What is younger than the last such time is not noticed: nobody takes a snapshot and puts it back within
//! seconds. What must hold: it does not rise in a run that nobody has let in, or a directory that was rolled back could rise above
//! what its peers remember before it meets them.

use std::time::Duration;

use replica::IdentityError;
use types::{Instant, Moment};

/// When there is to be one more, and how far it has come.
#[derive(Debug)]
pub(super) struct Tide {
    every: Duration,
    /// Nothing before this run was let in.
    next_at: Option<Instant>,
    under_way: bool,
    level: u32,
}

impl Tide {
    /// That far it has come.
    pub(super) fn new(every: Duration, level: u32) -> Tide {
        Tide { every, next_at: None, under_way: false, level }
    }

    /// How far it has come.
    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// A peer has let this run in: from now on it rises.
    pub(super) fn let_in(&mut self, now: Moment) {
        self.next_at.get_or_insert(now.mono);
    }

    /// Whether the file is to be written now.
    pub(super) fn is_due(&mut self, now: Moment) -> bool {
        let due = self.next_at.is_some_and(|at| at <= now.mono) && !self.under_way;
        self.under_way |= due;
        due
    }

    /// It was written, or was not.
    pub(super) fn rose(&mut self, now: Moment, outcome: Result<u32, IdentityError>) {
        self.under_way = false;
        self.next_at = Some(now.mono + self.every);
        match outcome {
            Ok(level) => self.level = level,
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
    fn it_rises_once_at_a_time_and_not_too_often_from_when_the_run_was_let_in() {
        let mut tide = Tide::new(Duration::from_secs(10), 7);
        assert!(!tide.is_due(at(99)) && tide.next_timer().is_none(), "nobody has let it in");
        tide.let_in(at(100));
        tide.let_in(at(101));
        assert!(tide.next_timer() == Some(at(100).mono) && tide.is_due(at(101)));
        assert!(!tide.is_due(at(125)) && tide.next_timer().is_none(), "one is under way");
        tide.rose(at(126), Ok(8));
        assert_eq!(tide.level(), 8);
        assert!(!tide.is_due(at(135)) && tide.is_due(at(136)));
    }
}
