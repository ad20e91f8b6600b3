//! The keys that are asked for most, in bounded memory: Space-Saving (Metwally et al. 2005, "Efficient Computation of Frequent and
//! Top-k Elements in Data Streams"), with weights instead of counts, so that it can forget ([`super::decay`]).
//!
//! So many keys are watched. One that comes and is not takes the place of the one with the least, and takes over its weight as what
//! it may itself have had before, unseen. Therefore, with K watched and W the weight of all that came:
//!
//! - a key with more than W/K is watched;
//! - what was seen of a key is at most its true weight, and with what it may have been missed at least that;
//! - what it may have been missed is at most W/K.
//!
//! K is small and only samples come here, so a key is found by looking at all: 64 hashes are eight lines of a cache, and there is no
//! heap and no table to keep in step.

use bytes::Bytes;
use ring::Partitions;
use types::{KeyspaceId, PartitionId};

use super::{Access, own};

/// Weights of requests, by what they did.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Weights {
    /// Of reads.
    pub reads: f64,
    /// Of writes and deletes.
    pub writes: f64,
}

impl Weights {
    /// One more request.
    pub fn add(&mut self, access: Access, weight: f64) {
        match access {
            Access::Read => self.reads += weight,
            Access::Write => self.writes += weight,
        }
    }

    /// Those of another.
    pub fn absorb(&mut self, other: &Weights) {
        self.reads += other.reads;
        self.writes += other.writes;
    }

    /// Of all.
    pub fn sum(&self) -> f64 {
        self.reads + self.writes
    }

    /// Multiplies all.
    pub fn scale(&mut self, by: f64) {
        self.reads *= by;
        self.writes *= by;
    }
}

/// A key that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The keyspace that it is in.
    pub keyspace: KeyspaceId,
    /// The partition that it is in.
    pub partition: PartitionId,
    /// The key.
    pub key: Bytes,
    /// What was seen of it since it is watched.
    pub seen: Weights,
    /// What it may have had before, at most.
    pub missed: f64,
    hash: u64,
}

impl Watched {
    /// Its weight, at most.
    pub fn at_most(&self) -> f64 {
        self.seen.sum() + self.missed
    }
}

/// The keys that are watched.
#[derive(Debug)]
pub struct TopKeys {
    /// In no order.
    watched: Vec<Watched>,
    capacity: usize,
}

impl TopKeys {
    /// None yet; at least one and at most so many.
    pub fn new(capacity: usize) -> TopKeys {
        TopKeys { watched: Vec::new(), capacity: capacity.max(1) }
    }

    /// A request of this weight.
    pub fn add(
        &mut self,
        keyspace: KeyspaceId,
        partition: PartitionId,
        key: &[u8],
        access: Access,
        weight: f64,
    ) {
        let hash = ring::key_hash(key);
        let is_it = |one: &&mut Watched| one.hash == hash && one.keyspace == keyspace && one.key == key;
        if let Some(one) = self.watched.iter_mut().find(is_it) {
            one.seen.add(access, weight);
            return;
        }
        let mut fresh =
            Watched { keyspace, partition, key: own(key), seen: Weights::default(), missed: 0.0, hash };
        fresh.seen.add(access, weight);
        if self.watched.len() < self.capacity {
            self.watched.push(fresh);
            return;
        }
        let coldest = self.watched.iter_mut().min_by(|a, b| a.at_most().total_cmp(&b.at_most()));
        if let Some(coldest) = coldest {
            *coldest = Watched { missed: coldest.at_most(), ..fresh };
        }
    }

    /// There are so many partitions from now on.
    pub fn recut(&mut self, of: Partitions) {
        for one in &mut self.watched {
            one.partition = of.of_key(&one.key);
        }
    }

    /// Multiplies all weights.
    pub fn scale(&mut self, by: f64) {
        for one in &mut self.watched {
            one.seen.scale(by);
            one.missed *= by;
        }
    }

    /// Those with the most, at most, first.
    pub fn hottest_first(&self) -> Vec<&Watched> {
        let mut watched: Vec<&Watched> = self.watched.iter().collect();
        watched.sort_by(|a, b| b.at_most().total_cmp(&a.at_most()).then_with(|| a.key.cmp(&b.key)));
        watched
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;
    use types::Instant;

    use super::*;
    use crate::heat::decay::Decay;

    const CAPACITY: usize = 8;

    proptest! {
        /// Beside exact counts of decaying weights: each key above 1/K of them is listed, and each that is listed has what is said of
        /// it, within what is said, which is at most 1/K of all.
        #[test]
        fn what_is_said_is_true(
            requests in prop::collection::vec((0u16..400, 0u64..40_000, any::<bool>()), 1..600),
            skew in 1u16..5,
        ) {
            let (mut decay, mut now) = (Decay::default(), Instant(0));
            let mut top = TopKeys::new(CAPACITY);
            let mut exact: BTreeMap<u16, f64> = BTreeMap::new();
            for (key, pause_ms, is_write) in requests {
                now = now + Duration::from_millis(pause_ms);
                // Many of the few, few of the many.
                let key = key / (1 << (key % (4 * skew)).min(9));
                if let Some(shrink) = decay.begin_anew(now) {
                    top.scale(shrink);
                    exact.values_mut().for_each(|weight| *weight *= shrink);
                }
                let weight = decay.weight(now);
                let access = if is_write { Access::Write } else { Access::Read };
                top.add(KeyspaceId(1), PartitionId(key % 7), &key.to_be_bytes(), access, weight);
                *exact.entry(key).or_default() += weight;
            }
            let all: f64 = exact.values().sum();
            let share = all / 8.0;
            let slack = all * 1e-9;
            let listed = top.hottest_first();
            prop_assert!(listed.len() <= CAPACITY);
            prop_assert!(listed.windows(2).all(|pair| pair[0].at_most() >= pair[1].at_most()));
            for one in &listed {
                let key = u16::from_be_bytes([one.key[0], one.key[1]]);
                let truth = exact[&key];
                prop_assert!(one.seen.sum() <= truth + slack && truth <= one.at_most() + slack);
                prop_assert!(one.missed <= share + slack);
                prop_assert_eq!(one.partition, PartitionId(key % 7));
            }
            for (key, truth) in &exact {
                let is_listed = listed.iter().any(|one| one.key == key.to_be_bytes().as_slice());
                prop_assert!(is_listed || *truth <= share + slack, "key {} with {} of {}", key, truth, all);
            }
        }
    }
}
