//! Drawing times.

use std::time::Duration;

use env::Rng;

/// Uniform between the two, both in microseconds.
pub(crate) fn micros(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_micros(from + rng.below(to.saturating_sub(from) + 1))
}

/// Uniform between the two, both in milliseconds.
pub(crate) fn millis(rng: &mut Rng, from: u64, to: u64) -> Duration {
    micros(rng, from * 1000, to * 1000)
}

/// Mostly short, sometimes long: a tenth of the draws are up to five times `usual_micros`, a hundredth up to twenty-five.
pub(crate) fn heavy_tailed(rng: &mut Rng, usual_micros: u64) -> Duration {
    let reach = match rng.below(100) {
        0 => 25,
        1..10 => 5,
        _ => 1,
    };
    micros(rng, usual_micros / 2, usual_micros * reach)
}
