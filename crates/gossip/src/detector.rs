//! How suspicious a silence is: phi accrual, after Hayashibara, Défago, Yared and Katayama (2004).
//!
//! The intervals at which a node's newer heartbeats were heard, by whatever path, are taken as drawn from a normal
//! distribution with the mean and deviation of the last ones. Phi is the negative decimal logarithm of the
//! probability that an interval is as long as the present silence. So a node that is heard irregularly is given more
//! time than one that was heard every second, and nobody has to choose a timeout for a network.
//!
//! Always true: only silence counts. Failed requests lower the bar for a node that is silent *as well*, and are
//! forgotten at its next heartbeat; a node that is slow and beats is never suspected.
//!
//! Decisions compare a silence with a limit, mean + z times deviation, in whole microseconds, where z belongs to the
//! threshold of phi. That is the same as comparing phi with its threshold and needs no logarithm, which machines round
//! differently and which would be computed a thousand times a round. Phi itself is for people.
//!
//! Intervals are bounded in both directions. Heartbeats that come in a burst by several paths are one arrival; and a
//! silence that was beyond its limit is noted as being as long as the limit, so that a rhythm that really slowed down
//! is learned in a few steps and one outage is not.
//!
//! Written about in `docs/protocols/gossip.md`.

use std::collections::VecDeque;
use std::time::Duration;

use types::Instant;

use crate::options::Options;

/// With fewer intervals than this the guess is used.
const INTERVALS_NEEDED: usize = 4;

/// What silences are held against: options in the form in which they are compared, and a guess for nodes of which
/// little was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    z_thousandths: u64,
    z_after_failures_thousandths: u64,
    failures_needed: u32,
    window: usize,
    deviation_min_us: u64,
    silence_max_us: u64,
    burst_us: u64,
    guess_us: u64,
}

impl Limits {
    /// By these options, where heartbeats are expected every `guess`. A quarter of that is granted as deviation, if it
    /// is more than the options grant: where heartbeats arrive by many hands, long intervals are more frequent than a
    /// normal distribution has them, and a window of short ones does not show that.
    pub fn new(options: &Options, guess: Duration) -> Limits {
        Limits {
            z_thousandths: z_of(options.phi),
            z_after_failures_thousandths: z_of(options.phi_after_failures),
            failures_needed: options.failures_needed,
            window: options.window,
            deviation_min_us: micros(options.deviation_min.max(guess / 4)),
            silence_max_us: micros(options.silence_max),
            burst_us: micros(options.round) / 2,
            guess_us: micros(guess),
        }
    }
}

/// When a node was heard.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// Microseconds, the newest last.
    intervals: VecDeque<u32>,
    sum: u64,
    sum_of_squares: u128,
    alive_at: Instant,
    interval_from: Option<Instant>,
    failures: u32,
}

impl Arrivals {
    /// Of a node that was not heard, with a silence that begins now.
    pub fn new(now: Instant) -> Arrivals {
        Arrivals {
            intervals: VecDeque::new(),
            sum: 0,
            sum_of_squares: 0,
            alive_at: now,
            interval_from: None,
            failures: 0,
        }
    }

    /// A newer heartbeat was heard.
    pub fn heard(&mut self, now: Instant, limits: &Limits) {
        let limit = self.limit_us(limits);
        match self.interval_from {
            Some(from) if micros(now.since(from)) < limits.burst_us => {}
            Some(from) => {
                self.note(micros(now.since(from)).min(limit), limits.window);
                self.interval_from = Some(now);
            }
            None => self.interval_from = Some(now),
        }
        self.alive_at = self.alive_at.max(now);
        self.failures = 0;
    }

    /// The first heartbeat of another start was heard: a restart takes its time, which is no interval.
    pub fn restarted(&mut self, now: Instant) {
        self.alive_at = self.alive_at.max(now);
        self.interval_from = Some(now);
        self.failures = 0;
    }

    /// A request was answered: no heartbeat, and yet no silence.
    pub fn answered(&mut self, now: Instant) {
        self.alive_at = self.alive_at.max(now);
        self.failures = 0;
    }

    /// A request failed.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Forgets everything: what was heard so far says nothing, because the one who listened was away.
    pub fn begin_anew(&mut self, now: Instant) {
        *self = Arrivals::new(now);
    }

    /// How long the node has been silent.
    pub fn silence(&self, now: Instant) -> Duration {
        now.since(self.alive_at)
    }

    /// Whether the silence is too long to be chance.
    pub fn is_suspicious(&self, now: Instant, limits: &Limits) -> bool {
        micros(self.silence(now)) > self.limit_us(limits)
    }

    /// From which silence on it is.
    pub fn limit(&self, limits: &Limits) -> Duration {
        Duration::from_micros(self.limit_us(limits))
    }

    /// How improbable the silence is.
    pub fn phi(&self, now: Instant, limits: &Limits) -> f64 {
        let (mean, deviation) = self.expected(limits);
        phi_at((micros(self.silence(now)) as f64 - mean as f64) / deviation as f64)
    }

    fn limit_us(&self, limits: &Limits) -> u64 {
        let (mean, deviation) = self.expected(limits);
        let failing = self.failures >= limits.failures_needed;
        let z = if failing { limits.z_after_failures_thousandths } else { limits.z_thousandths };
        mean.saturating_add(deviation.saturating_mul(z) / 1_000).min(limits.silence_max_us)
    }

    /// Mean and deviation of intervals, in microseconds.
    fn expected(&self, limits: &Limits) -> (u64, u64) {
        let count = self.intervals.len() as u64;
        if self.intervals.len() < INTERVALS_NEEDED {
            return (limits.guess_us, (limits.guess_us / 2).max(limits.deviation_min_us));
        }
        let of_squares = self.sum_of_squares.saturating_mul(u128::from(count));
        let variance = of_squares.saturating_sub(u128::from(self.sum).pow(2)) / u128::from(count).pow(2);
        let deviation = u64::try_from(variance.isqrt()).unwrap_or(u64::MAX);
        (self.sum / count, deviation.max(limits.deviation_min_us))
    }

    fn note(&mut self, interval_us: u64, window: usize) {
        let interval = u32::try_from(interval_us).unwrap_or(u32::MAX);
        self.intervals.push_back(interval);
        self.sum += u64::from(interval);
        self.sum_of_squares += u128::from(interval).pow(2);
        while self.intervals.len() > window {
            let Some(oldest) = self.intervals.pop_front() else { break };
            self.sum -= u64::from(oldest);
            self.sum_of_squares -= u128::from(oldest).pow(2);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Phi where a silence is `y` deviations longer than the mean: the normal distribution's tail by the formula of
/// Börjesson and Sundberg (1979), right to a third of a percent at any distance and with a logarithm that does not run
/// out of digits. (The logistic formula that others use for phi makes the tail too thin: 8 at 5.2 deviations, not 5.6.)
pub fn phi_at(y: f64) -> f64 {
    let tail_logarithm = |x: f64| {
        let factor = 0.661 * x + 0.339 * (x * x + 5.51).sqrt();
        -(x * x / 2.0) - (factor * std::f64::consts::TAU.sqrt()).ln()
    };
    let at_mean = -tail_logarithm(0.0);
    let natural = if y >= 0.0 {
        -tail_logarithm(y.min(1e6))
    } else {
        // The rest of what is as far on the other side. The two meet but for the formula's error.
        (-(-tail_logarithm((-y).min(1e6)).exp()).ln_1p()).min(at_mean)
    };
    natural / std::f64::consts::LN_10
}

/// How many thousandths of a deviation beyond the mean phi reaches `phi`.
fn z_of(phi: f64) -> u64 {
    let (mut low, mut high) = (0, 100_000);
    while low < high {
        let middle = (low + high) / 2;
        if phi_at(middle as f64 / 1_000.0) < phi {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
