//! What can be set, and its defaults.
//!
//! Always true of options that passed [`Options::check`]: a node's whole state fits into one message beside the
//! header, so a difference is sent whole or not at all and never cut (INVARIANTS J1 for the rest: all that grows is
//! bounded by these numbers and by the number of members).
//!
//! All nodes of a cluster should have the same; nothing breaks where they differ, but a node that beats more slowly
//! than others is judged by its own rhythm only after it has been heard a few times.
//!
//! Written about in `docs/protocols/gossip.md`.

use std::time::Duration;

use crate::seal::SEAL_BYTES;

/// The smallest limit for a message: what the largest state, header and seal take, and no more than any network
/// carries in one piece.
pub const MESSAGE_BYTES_MIN: usize = 1_200;
/// The largest limit for a message.
pub const MESSAGE_BYTES_CEILING: usize = 65_507;
/// What all facts of a node but its suspicions may take, with [`FACT_OVERHEAD_BYTES`] for each.
pub const FACTS_BYTES_MAX: usize = 448;
/// What a fact takes beside its value: key, version, length.
pub const FACT_OVERHEAD_BYTES: usize = 13;
/// What a node's suspicions may take as a fact: about eighty of them.
pub const SUSPECTS_BYTES_MAX: usize = 512;

/// How a node gossips and judges.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// The time from one round to the next, give or take a twentieth.
    pub round: Duration,
    /// How many random peers are asked in a round. One more is asked if there are any that are not heard of.
    pub fan_out: usize,
    /// The longest message, sealed, in bytes.
    pub message_bytes_max: usize,
    /// From which phi on a silent node is suspected. At 8, one interval in 10^8 is that long by chance.
    pub phi: f64,
    /// The same for a node that failed requests in its silence.
    pub phi_after_failures: f64,
    /// How many requests it must have failed for that, one after the other.
    pub failures_needed: u32,
    /// How many intervals between heartbeats the judgement rests on.
    pub window: usize,
    /// The deviation of intervals that is granted at least, however regular they are.
    pub deviation_min: Duration,
    /// The longest silence that is not suspected, however irregular intervals are.
    pub silence_max: Duration,
    /// How late its own round may come before a node mistrusts its own ears.
    pub lag_max: Duration,
    /// How long a verdict stands at least before it flips. It doubles with every second flip.
    pub dwell: Duration,
    /// How long it stands at least, however often it flipped.
    pub dwell_max: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            round: Duration::from_secs(1),
            fan_out: 3,
            message_bytes_max: 1_400,
            phi: 8.0,
            phi_after_failures: 3.0,
            failures_needed: 3,
            window: 64,
            deviation_min: Duration::from_millis(500),
            silence_max: Duration::from_secs(60),
            lag_max: Duration::from_millis(500),
            dwell: Duration::from_secs(2),
            dwell_max: Duration::from_secs(60),
        }
    }
}

/// Options with which nothing would work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("gossip.{option} is out of range: {wanted}")]
pub struct OptionsError {
    /// Which.
    pub option: &'static str,
    /// What it may be.
    pub wanted: &'static str,
}

impl Options {
    /// Refuses what could not work.
    pub fn check(&self) -> Result<(), OptionsError> {
        let ms = Duration::from_millis;
        let hour = Duration::from_secs(3_600);
        let within = |value: Duration, low: Duration| (low..=hour).contains(&value);
        let rules = [
            ("round", within(self.round, ms(10)), "10 ms to an hour"),
            ("fan_out", (1..=16).contains(&self.fan_out), "1 to 16 peers"),
            (
                "message_bytes_max",
                (MESSAGE_BYTES_MIN..=MESSAGE_BYTES_CEILING).contains(&self.message_bytes_max),
                "1,200 to 65,507 bytes",
            ),
            ("phi", (1.0..=100.0).contains(&self.phi), "1 to 100"),
            (
                "phi_after_failures",
                (1.0..=self.phi).contains(&self.phi_after_failures),
                "1 to the value of phi",
            ),
            ("failures_needed", self.failures_needed >= 1, "1 or more requests"),
            ("window", (4..=1_024).contains(&self.window), "4 to 1,024 intervals"),
            ("deviation_min", within(self.deviation_min, ms(1)), "1 ms to an hour"),
            ("silence_max", within(self.silence_max, self.round), "one round to an hour"),
            ("lag_max", within(self.lag_max, ms(1)), "1 ms to an hour"),
            ("dwell", self.dwell <= self.dwell_max, "no more than dwell_max"),
            ("dwell_max", self.dwell_max <= hour, "an hour at most"),
        ];
        let broken = rules.into_iter().find(|(_, kept, _)| !kept);
        broken.map_or(Ok(()), |(option, _, wanted)| Err(OptionsError { option, wanted }))
    }

    /// What a message may take before it is sealed.
    pub(crate) fn body_bytes_max(&self) -> usize {
        self.message_bytes_max.saturating_sub(SEAL_BYTES)
    }
}
