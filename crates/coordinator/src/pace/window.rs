//! How long a node took to answer of late, as counts in buckets, and any quantile of it.
//!
//! Two windows: the one being filled, and the one before it, which is forgotten when the next is begun. So a quantile is over
//! the last [`SAMPLES`] to twice as many samples, fewer at the beginning or where they are older than [`AGE_MAX`]. What must hold: a
//! quantile lies not below the exact one of those samples, and not above it by more than an eighth and a microsecond
//! (for samples up to [`LONGEST`]); and taking a sample in allocates nothing.
//!
//! Why not a streaming estimate (P², a decaying average of the quantile): those have no such bound, and are slow to believe that
//! a node is well again.

use std::time::Duration;

use types::Instant;

/// How many samples fill a window.
pub(super) const SAMPLES: u16 = 256;

/// A window is ended at this age, however few samples it has.
pub(super) const AGE_MAX: Duration = Duration::from_secs(10);

/// What takes longer counts as this.
pub(super) const LONGEST: Duration = Duration::from_micros((1 << OCTAVE_END) - 1);

/// Buckets per doubling: an eighth of the value is the most that a bucket is wide.
const STEPS: usize = 1 << STEP_BITS;
const STEP_BITS: u32 = 3;
const OCTAVE_END: u32 = 25;
const BUCKETS: usize = STEPS + (OCTAVE_END - STEP_BITS) as usize * STEPS;

/// The samples of late.
#[derive(Clone, Debug)]
pub(super) struct Window {
    filling: [u16; BUCKETS],
    before: [u16; BUCKETS],
    in_filling: u16,
    in_before: u16,
    /// When the one being filled was begun.
    since: Instant,
}

impl Window {
    /// Without samples.
    pub(super) fn new(now: Instant) -> Window {
        Window { filling: [0; BUCKETS], before: [0; BUCKETS], in_filling: 0, in_before: 0, since: now }
    }

    /// Takes a sample in.
    pub(super) fn add(&mut self, now: Instant, took: Duration) {
        if self.in_filling >= SAMPLES || now.since(self.since) > AGE_MAX {
            self.before = std::mem::replace(&mut self.filling, [0; BUCKETS]);
            self.in_before = std::mem::take(&mut self.in_filling);
            self.since = now;
        }
        self.filling[bucket_of(took)] += 1;
        self.in_filling += 1;
    }

    /// How many samples it speaks from.
    pub(super) fn len(&self) -> u16 {
        self.in_filling + self.in_before
    }

    /// What so many percent of the samples did not exceed; nothing where there are none.
    pub(super) fn quantile(&self, percent: u8) -> Option<Duration> {
        let rank = (u32::from(self.len()) * u32::from(percent.min(100))).div_ceil(100).max(1);
        let mut counted = 0;
        let mut both = self.filling.iter().zip(&self.before);
        let bucket = both.position(|(filling, before)| {
            counted += u32::from(*filling) + u32::from(*before);
            counted >= rank
        })?;
        Some(upper_end(bucket))
    }
}

/// Microseconds are counted one by one up to [`STEPS`], and from there on each doubling is parted into so many buckets.
fn bucket_of(took: Duration) -> usize {
    let micros = u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
    let micros = micros.min((1 << OCTAVE_END) - 1);
    let octave = micros.max(1).ilog2();
    if octave < STEP_BITS {
        return usize::try_from(micros).unwrap_or(0);
    }
    let above = octave - STEP_BITS;
    let step = usize::try_from(micros >> above).unwrap_or(0) - STEPS;
    STEPS + above as usize * STEPS + step
}

/// The longest time that a bucket counts.
fn upper_end(bucket: usize) -> Duration {
    if bucket < STEPS {
        return Duration::from_micros(bucket as u64);
    }
    let (above, step) = ((bucket - STEPS) / STEPS, (bucket - STEPS) % STEPS);
    Duration::from_micros((((STEPS + step + 1) as u64) << above) - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// The same by keeping every sample.
    #[derive(Default)]
    struct Model {
        filling: VecDeque<Duration>,
        before: VecDeque<Duration>,
        since: Instant,
    }

    impl Model {
        fn add(&mut self, now: Instant, took: Duration) {
            if self.filling.len() >= usize::from(SAMPLES) || now.since(self.since) > AGE_MAX {
                self.before = std::mem::take(&mut self.filling);
                self.since = now;
            }
            self.filling.push_back(took);
        }

        fn quantile(&self, percent: u8) -> Option<Duration> {
            let mut all: Vec<Duration> = self.filling.iter().chain(&self.before).copied().collect();
            all.sort();
            let rank = (all.len() * usize::from(percent)).div_ceil(100).max(1);
            all.get(rank - 1).copied()
        }
    }

    fn took() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0_u64..20_000).prop_map(Duration::from_nanos),
            (0_u64..5_000).prop_map(Duration::from_micros),
            (0_u64..30_000).prop_map(Duration::from_millis),
        ]
    }

    proptest! {
        /// Beside the exact quantile of the same samples: never below, and above by less than an eighth and a microsecond.
        #[test]
        fn a_quantile_is_as_near_as_it_says(
            samples in proptest::collection::vec((took(), 0_u64..100), 1..1200),
            percent in 1_u8..=100,
        ) {
            let (mut window, mut model) = (Window::new(Instant(0)), Model::default());
            let mut now = Instant(0);
            for (number, (took, pause_millis)) in samples.into_iter().enumerate() {
                now = now + Duration::from_millis(pause_millis);
                window.add(now, took);
                model.add(now, took);
                prop_assert_eq!(usize::from(window.len()), model.filling.len() + model.before.len());
                // The exact one has to sort, so it is not asked for every time.
                if number % 29 != 0 {
                    continue;
                }
                let exact = model.quantile(percent).expect("there is a sample");
                let told = window.quantile(percent).expect("there is a sample");
                let most = exact + exact / 8 + Duration::from_micros(1);
                prop_assert!(exact <= told && told <= most, "{exact:?} is told as {told:?}");
            }
        }
    }

    #[test]
    fn without_samples_there_is_no_quantile_and_what_takes_for_ever_counts_as_the_longest() {
        let mut window = Window::new(Instant(0));
        assert_eq!(window.quantile(95), None);
        window.add(Instant(0), Duration::from_secs(1 << 40));
        assert_eq!(window.quantile(95), Some(LONGEST));
    }
}
