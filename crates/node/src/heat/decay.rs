//! Forgetting by halves: forward decay (Cormode et al. 2009, "Forward Decay: A Practical Time Decay Model for Streaming Systems").
//!
//! What has been counted is never touched to make it fade. Instead what comes later weighs more, twice as much for every
//! [`HALF_LIFE`]; a figure is read by dividing by what a request of now would weigh. When that has grown large, all
//! figures are divided once and it begins at one again.

use std::time::Duration;

use types::Instant;

/// How long it takes until a request counts half. About as much as three quarters of a minute's requests, all counted fully.
pub const HALF_LIFE: Duration = Duration::from_secs(30);

/// After so many of them the weights begin anew: far from where numbers of 64 bits would lose anything.
const HALF_LIVES_MAX: f64 = 32.0;

/// How much a request weighs.
#[derive(Debug, Default)]
pub struct Decay {
    /// When the first request came.
    began: Option<Instant>,
    /// When a request weighed one.
    unit_at: Instant,
}

impl Decay {
    /// A request has come. What all that was counted is to be multiplied with, where weights begin anew.
    pub fn begin_anew(&mut self, now: Instant) -> Option<f64> {
        if self.began.is_none() {
            (self.began, self.unit_at) = (Some(now), now);
        }
        let half_lives = half_lives(now, self.unit_at);
        if half_lives < HALF_LIVES_MAX {
            return None;
        }
        self.unit_at = now;
        Some((-half_lives).exp2())
    }

    /// What a request of now weighs.
    pub fn weight(&self, now: Instant) -> f64 {
        half_lives(now, self.unit_at).exp2()
    }

    /// What a sum of weights is to be multiplied with to be a rate per second, if that was steady. In the first second it is told
    /// as if it had been one.
    pub fn per_second(&self, now: Instant) -> f64 {
        let age = now.since(self.began.unwrap_or(now)).max(Duration::from_secs(1));
        let counted = 1.0 - (-age.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        let seconds = HALF_LIFE.as_secs_f64() / std::f64::consts::LN_2 * counted;
        1.0 / (self.weight(now) * seconds)
    }
}

fn half_lives(now: Instant, since: Instant) -> f64 {
    now.since(since).as_secs_f64() / HALF_LIFE.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A steady rate is told as it is, however long it has been going on, through any number of beginnings.
    #[test]
    fn a_steady_rate_is_told_as_it_is() {
        let (mut decay, mut sum) = (Decay::default(), 0.0);
        for request in 0..60_000_u32 {
            let now = Instant(0) + Duration::from_millis(50) * request;
            if let Some(shrink) = decay.begin_anew(now) {
                sum *= shrink;
            }
            sum += decay.weight(now);
            let rate = sum * decay.per_second(now);
            assert!(request < 40 || (rate - 20.0).abs() < 0.6, "{rate} after {request} requests");
        }
    }
}
