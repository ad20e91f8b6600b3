//! Load over time: the mean over the last while, and the greatest value within a longer one.
//!
//! A mean over a fixed window, and not an exponential one, because it forgets: after a window nothing is left of what was
//! before a change, and an operator can follow it with a pencil.
//!
//! What must hold: both are bounded, however often they are fed.

use std::collections::VecDeque;
use std::time::Duration;

use types::Instant;

/// How many values a window keeps; what comes more often than that is passed over.
const SAMPLES_MAX: u32 = 64;
/// Into how many stretches a longer time is divided.
const STRETCHES: u32 = 32;

/// The mean of what was seen within a span.
#[derive(Clone, Debug, Default)]
pub struct Mean {
    samples: VecDeque<(Instant, u64)>,
}

impl Mean {
    /// Takes a value in and forgets those from before the span.
    pub fn push(&mut self, now: Instant, value: u64, span: Duration) {
        while self.samples.front().is_some_and(|(at, _)| now.since(*at) >= span) {
            self.samples.pop_front();
        }
        let is_due = |(at, _): &(Instant, u64)| now.since(*at) >= span / SAMPLES_MAX;
        if self.samples.back().is_none_or(is_due) {
            self.samples.push_back((now, value));
        }
    }

    /// The mean; 0 where there is nothing.
    pub fn value(&self) -> u64 {
        let sum: u128 = self.samples.iter().map(|(_, value)| u128::from(*value)).sum();
        let count = u128::try_from(self.samples.len()).unwrap_or(u128::MAX).max(1);
        u64::try_from(sum / count).expect("a mean is no more than the greatest")
    }
}

/// The greatest of what was seen within a span, give or take a stretch of it.
#[derive(Clone, Debug, Default)]
pub struct Peak {
    stretches: VecDeque<(Instant, u64)>,
}

impl Peak {
    /// Takes a value in and forgets the stretches that ended before the span.
    pub fn push(&mut self, now: Instant, value: u64, span: Duration) {
        let stretch = span / STRETCHES;
        while self.stretches.front().is_some_and(|(at, _)| now.since(*at) > span + stretch) {
            self.stretches.pop_front();
        }
        match self.stretches.back_mut() {
            Some((at, greatest)) if now.since(*at) < stretch => *greatest = value.max(*greatest),
            _ => self.stretches.push_back((now, value)),
        }
    }

    /// The greatest; 0 where there is nothing.
    pub fn value(&self) -> u64 {
        self.stretches.iter().map(|(_, greatest)| *greatest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    fn at(second: u64) -> Instant {
        Instant(second * 1_000_000_000)
    }

    /// After a window nothing is left of what was before it.
    #[test]
    fn a_mean_forgets() {
        let mut mean = Mean::default();
        for second in 0..60 {
            mean.push(at(second), 1_000, SPAN);
        }
        assert_eq!(mean.value(), 1_000);
        for second in 60..90 {
            mean.push(at(second), 0, SPAN);
        }
        assert_eq!(mean.value(), 500);
        for second in 90..120 {
            mean.push(at(second), 0, SPAN);
        }
        assert_eq!(mean.value(), 0);
    }

    /// One that is fed a thousand times a second keeps no more than it needs.
    #[test]
    fn both_are_bounded() {
        let (mut mean, mut peak) = (Mean::default(), Peak::default());
        for millis in 0..200_000_u64 {
            let now = Instant(millis * 1_000_000);
            mean.push(now, millis, SPAN);
            peak.push(now, millis, SPAN);
        }
        assert!(mean.samples.len() <= 65 && peak.stretches.len() <= 35);
    }

    /// The greatest value stays for the span, and not much longer.
    #[test]
    fn a_peak_stays_for_its_span() {
        let mut peak = Peak::default();
        peak.push(at(0), 9, SPAN);
        for second in 1..=60 {
            peak.push(at(second), 1, SPAN);
            assert_eq!(peak.value(), 9, "second {second}");
        }
        for second in 61..65 {
            peak.push(at(second), 1, SPAN);
        }
        assert_eq!(peak.value(), 1);
    }
}
