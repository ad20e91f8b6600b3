//! Which bytes of a connection's buffer may not leave yet, because the way is slow.
//!
//! What must hold: bytes leave in the order in which they were put in, so what comes behind something late is as late.
//! Nothing is kept here but times and lengths, and those for no more bytes than the buffer may hold.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The end of a buffer that is not due yet.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// When, and how many bytes, from the earliest to the last.
    marks: VecDeque<(Instant, usize)>,
    bytes: usize,
}

impl Delayed {
    /// So many bytes were put at the end of the buffer.
    pub(super) fn put(&mut self, bytes: usize, delay: Duration) {
        if delay.is_zero() && self.marks.is_empty() {
            return;
        }
        let due = Instant::now() + delay;
        self.bytes += bytes;
        match self.marks.back_mut() {
            Some((last, more)) if *last >= due => *more += bytes,
            _ => self.marks.push_back((due, bytes)),
        }
    }

    /// How many bytes at the end of the buffer are not due.
    pub(super) fn not_due(&mut self) -> usize {
        if !self.marks.is_empty() {
            let now = Instant::now();
            while let Some((_, bytes)) = self.marks.pop_front_if(|(due, _)| *due <= now) {
                self.bytes -= bytes;
            }
        }
        self.bytes
    }

    /// Returns when the next of them are; never where there are none.
    pub(super) async fn next_due(due: Option<Instant>) {
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// When the next bytes are due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.marks.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_something_late_is_as_late() {
        let mut delayed = Delayed::default();
        delayed.put(3, Duration::ZERO);
        assert_eq!((delayed.not_due(), delayed.due()), (0, None));
        delayed.put(5, Duration::from_hours(1));
        let due = delayed.due();
        delayed.put(7, Duration::ZERO);
        assert_eq!((delayed.not_due(), delayed.due()), (12, due));
        delayed.put(1, Duration::from_hours(2));
        assert_eq!((delayed.not_due(), delayed.due()), (13, due));
    }
}
