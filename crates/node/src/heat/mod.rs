//! What is asked for most: which keys, and how much each partition has to do. Always on, in every shard, for its own partitions.
//!
//! What must hold: the cost of a request is a countdown. Only one request of sixteen is looked at, drawn at random, since traffic that has a
//! rhythm would else show one of its beats alone. Memory is bounded: so many keys ([`top`]), and the partitions that a
//! shard has. And what is told has an age: requests count half as much every half minute ([`decay`]), so a rate is about that of the last minute,
//! and what was hot an hour ago is forgotten.
//!
//! Counted is what a replica is asked on behalf of clients, by this node or another, where its records lie: so the load of a partition is that of
//! its owners, whoever coordinates. What owners ask to compare themselves, and what stand-ins keep for others, is no client's.
//!
//! In reading order: [`decay`], [`top`], then this.

pub mod decay;
pub mod top;

use std::collections::BTreeMap;

use api::{HeatStatus, HotKey, PartitionHeat};
use bytes::Bytes;
use env::Rng;
use ring::Partitions;
use types::{Instant, KeyspaceId, PartitionId};

use self::decay::Decay;
use self::top::{TopKeys, Weights};

/// How many keys are watched. Each that gets more than such a part of a shard's requests is among them, and the figure of each is too high
/// by no more than that part.
pub const KEYS_WATCHED: usize = 64;

/// One of so many requests is looked at.
pub const SAMPLED_ONE_OF: u32 = 16;

/// How many partitions are shown, those with the most to do.
const PARTITIONS_SHOWN: usize = 64;

/// What is done with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It is read.
    Read,
    /// It is written, or deleted.
    Write,
}

/// The figures of a shard's heat.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct HeatFigures {
    /// Of all partitions.
    pub operations_per_second: f64,
    /// Of all partitions.
    pub bytes_per_second: f64,
    /// Of the key that has the most.
    pub hottest_key_per_second: f64,
    /// Of the partition that has the most.
    pub hottest_partition_per_second: f64,
}

/// What a partition has to do.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Load {
    operations: Weights,
    bytes: f64,
}

/// Draws what is looked at.
#[derive(Debug)]
struct Sampling {
    rng: Rng,
    one_of: u32,
    passed_over: u32,
}

impl Sampling {
    /// Whether this one is looked at. The gaps are drawn evenly, so that on average one of so many is.
    fn draws(&mut self) -> bool {
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return false;
        }
        let gap = self.rng.below(u64::from(self.one_of) * 2 - 1);
        self.passed_over = u32::try_from(gap).unwrap_or(u32::MAX);
        true
    }
}

/// The heat of one shard.
#[derive(Debug)]
pub struct Heat {
    operations: Sampling,
    transfers: Sampling,
    decay: Decay,
    keys: TopKeys,
    partitions: BTreeMap<PartitionId, Load>,
    /// All requests since the start, looked at or not.
    asked: u64,
}

impl Heat {
    /// Nothing yet. What is looked at follows from the seed.
    pub fn new(seed: u64) -> Heat {
        Heat::sampled(seed, SAMPLED_ONE_OF)
    }

    /// The same with one of so many requests looked at.
    pub fn sampled(seed: u64, one_of: u32) -> Heat {
        let sampling = |seed| Sampling { rng: Rng::from_seed(seed), one_of: one_of.max(1), passed_over: 0 };
        Heat {
            operations: sampling(seed),
            transfers: sampling(seed.rotate_left(32)),
            decay: Decay::default(),
            keys: TopKeys::new(KEYS_WATCHED),
            partitions: BTreeMap::new(),
            asked: 0,
        }
    }

    /// How many requests of clients have reached records since the start: all of them, not samples.
    pub fn asked_in_all(&self) -> u64 {
        self.asked
    }

    /// A client's request reached the records of a partition.
    pub fn asked(
        &mut self,
        now: Instant,
        partition: PartitionId,
        keyspace: KeyspaceId,
        key: &[u8],
        access: Access,
    ) {
        self.asked += 1;
        if !self.operations.draws() {
            return;
        }
        let weight = self.weight(now);
        self.keys.add(keyspace, partition, key, access, weight);
        self.partitions.entry(partition).or_default().operations.add(access, weight);
    }

    /// So many bytes of a record were read or written.
    pub fn moved(&mut self, now: Instant, partition: PartitionId, bytes: usize) {
        if !self.transfers.draws() {
            return;
        }
        let weight = self.weight(now);
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.partitions.entry(partition).or_default().bytes += weight * bytes;
    }

    /// Other partitions have the slots of each from now on. What it had to do is taken to be that of its parts in equal shares, until it
    /// is seen, and what parts had to do is the whole's.
    pub fn recut(&mut self, was: Partitions, of: Partitions) {
        self.keys.recut(of);
        let share = (f64::from(was.count()) / f64::from(of.count())).min(1.0);
        for (partition, mut load) in std::mem::take(&mut self.partitions) {
            load.operations.scale(share);
            load.bytes *= share;
            for now in of.with_slots_of(partition, was) {
                let all = self.partitions.entry(now).or_default();
                all.operations.absorb(&load.operations);
                all.bytes += load.bytes;
            }
        }
    }

    fn weight(&mut self, now: Instant) -> f64 {
        if let Some(shrink) = self.decay.begin_anew(now) {
            self.keys.scale(shrink);
            for load in self.partitions.values_mut() {
                load.operations.scale(shrink);
                load.bytes *= shrink;
            }
            // A request of that long ago is less than a thousandth of one.
            self.partitions.retain(|_, load| load.operations.sum() > 1e-3 || load.bytes > 1.0);
        }
        self.decay.weight(now)
    }

    /// What each partition has to do, in their order.
    pub fn partitions(&self, now: Instant) -> impl Iterator<Item = PartitionHeat> + '_ {
        let per_second = self.per_second(now);
        self.partitions.iter().map(move |(partition, load)| PartitionHeat {
            partition: *partition,
            reads_per_second: load.operations.reads * per_second,
            writes_per_second: load.operations.writes * per_second,
            bytes_per_second: load.bytes * per_second,
        })
    }

    /// The keys that are watched, the hottest first.
    pub fn keys(&self, now: Instant) -> impl Iterator<Item = HotKey> + '_ {
        let per_second = self.per_second(now);
        self.keys.hottest_first().into_iter().map(move |watched| HotKey {
            keyspace: watched.keyspace,
            partition: watched.partition,
            key: watched.key.clone(),
            reads_per_second: watched.seen.reads * per_second,
            writes_per_second: watched.seen.writes * per_second,
            missed_per_second: watched.missed * per_second,
        })
    }

    /// All of it in four figures.
    pub fn figures(&self, now: Instant) -> HeatFigures {
        let mut figures = HeatFigures::default();
        for partition in self.partitions(now) {
            let operations = partition.operations_per_second();
            figures.operations_per_second += operations;
            figures.bytes_per_second += partition.bytes_per_second;
            figures.hottest_partition_per_second = figures.hottest_partition_per_second.max(operations);
        }
        let keys = self.keys(now).map(|key| key.operations_per_second());
        figures.hottest_key_per_second = keys.fold(0.0, f64::max);
        figures
    }

    /// Both, for people: the keys, and the partitions that have the most to do.
    pub fn status(&self, now: Instant) -> HeatStatus {
        HeatStatus { keys: self.keys(now).collect(), partitions: self.partitions(now).collect() }
            .hottest(KEYS_WATCHED, PARTITIONS_SHOWN)
    }

    fn per_second(&self, now: Instant) -> f64 {
        self.decay.per_second(now) * f64::from(self.operations.one_of)
    }
}

/// What several shards have, as that of their node.
pub fn together(shards: impl IntoIterator<Item = HeatStatus>) -> HeatStatus {
    let (mut keys, mut partitions) = (Vec::new(), Vec::new());
    for shard in shards {
        keys.extend(shard.keys);
        partitions.extend(shard.partitions);
    }
    HeatStatus { keys, partitions }.hottest(KEYS_WATCHED, PARTITIONS_SHOWN)
}

/// A key in memory of its own: as a slice of what the network read it would keep all of that.
fn own(key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(key)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEYSPACE: KeyspaceId = KeyspaceId(1);

    /// Half of all requests go to one key, a tenth of them writes; the others to many. Both the key's rate and its partition's are told
    /// within a tenth, from one request of sixteen, and each request has the same chance: the rhythm of the traffic is also sixteen.
    #[test]
    fn rates_are_told_from_samples() {
        let mut heat = Heat::new(7);
        let mut now = Instant(0);
        for number in 0..200_000_u32 {
            now = now + Duration::from_micros(500);
            let (key, partition) = match number % 16 {
                0..8 => (0, PartitionId(3)),
                _ => (number, PartitionId(4)),
            };
            let access = if number % 80 < 8 && key == 0 { Access::Write } else { Access::Read };
            heat.asked(now, partition, KEYSPACE, &key.to_be_bytes(), access);
            heat.moved(now, partition, 100);
        }
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.1;
        let hottest = heat.keys(now).next().unwrap();
        assert_eq!(hottest.key, 0_u32.to_be_bytes().as_slice());
        assert!(near(hottest.reads_per_second + hottest.writes_per_second, 1000.0), "{hottest:?}");
        assert!(hottest.writes_per_second > 100.0 && hottest.writes_per_second < 300.0, "{hottest:?}");
        let partitions: Vec<PartitionHeat> = heat.partitions(now).collect();
        for partition in &partitions {
            assert!(near(partition.operations_per_second(), 1000.0), "{partition:?}");
            assert!(near(partition.bytes_per_second, 100_000.0), "{partition:?}");
        }
        assert_eq!(partitions.len(), 2);
    }

    /// What is told is the same after a split, shared out among the halves; a key is in the half that it is in.
    #[test]
    fn halves_have_what_the_whole_had() {
        let (was, of) = (Partitions::new(4).unwrap(), Partitions::new(8).unwrap());
        let mut heat = Heat::sampled(7, 1);
        let partition = was.of_key(b"key");
        for _ in 0..1000 {
            heat.asked(Instant(0), partition, KEYSPACE, b"key", Access::Read);
            heat.moved(Instant(0), partition, 10);
        }
        let before = heat.figures(Instant(0));
        heat.recut(was, of);
        let halves: Vec<PartitionId> = heat.partitions(Instant(0)).map(|one| one.partition).collect();
        assert_eq!(halves, of.with_slots_of(partition, was).collect::<Vec<_>>());
        let after = heat.figures(Instant(0));
        assert!((after.operations_per_second / before.operations_per_second - 1.0).abs() < 1e-9);
        assert!((after.bytes_per_second / before.bytes_per_second - 1.0).abs() < 1e-9);
        assert_eq!(heat.keys(Instant(0)).next().unwrap().partition, of.of_key(b"key"));
        heat.recut(of, was);
        let joined = heat.figures(Instant(0));
        assert!((joined.operations_per_second / before.operations_per_second - 1.0).abs() < 1e-9);
        assert_eq!(heat.partitions(Instant(0)).map(|one| one.partition).collect::<Vec<_>>(), [partition]);
        assert_eq!(heat.keys(Instant(0)).next().unwrap().partition, partition);
    }

    /// What is no longer asked for fades, and is let go of in the end.
    #[test]
    fn what_was_hot_is_forgotten() {
        let mut heat = Heat::sampled(7, 1);
        for _ in 0..1000 {
            heat.asked(Instant(0), PartitionId(1), KEYSPACE, b"old", Access::Read);
        }
        let later = Instant(0) + Duration::from_secs(120);
        let rate =
            |heat: &Heat, at| heat.keys(at).find(|key| key.key == "old").map(|key| key.reads_per_second);
        assert!(rate(&heat, later).unwrap() < 2.0);
        let much_later = Instant(0) + Duration::from_secs(86_400);
        heat.asked(much_later, PartitionId(2), KEYSPACE, b"new", Access::Read);
        assert!(rate(&heat, much_later).unwrap_or_default() < 1e-9);
        assert_eq!(
            heat.partitions(much_later).map(|one| one.partition).collect::<Vec<_>>(),
            [PartitionId(2)]
        );
    }
}
