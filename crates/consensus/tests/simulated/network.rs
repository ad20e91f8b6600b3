//! What carries messages, and what it does to them.

use std::collections::BTreeSet;
use std::time::Duration;

use consensus::MemberId;
use env::Rng;

#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// From whom to whom nothing comes through.
    pub(crate) cuts: BTreeSet<(MemberId, MemberId)>,
    /// Of a thousand messages.
    pub(crate) lost: u64,
    /// Of a thousand messages.
    pub(crate) doubled: u64,
    pub(crate) delay_millis_max: u64,
}

impl Network {
    /// After how long the copies of a message arrive.
    pub(crate) fn arrivals(&self, from: MemberId, to: MemberId, rng: &mut Rng) -> Vec<Duration> {
        let copies = if self.cuts.contains(&(from, to)) || rng.chance(self.lost, 1000) {
            0
        } else {
            1 + usize::from(rng.chance(self.doubled, 1000))
        };
        let mut delay = || Duration::from_micros(200 + rng.below(self.delay_millis_max * 1000 + 1));
        (0..copies).map(|_| delay()).collect()
    }

    pub(crate) fn heal(&mut self) {
        *self = Network { delay_millis_max: 3, ..Network::default() };
    }
}
