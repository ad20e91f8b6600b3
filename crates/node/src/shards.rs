//! Which of a node's shards a thing belongs to.
//!
//! What must hold: every partition belongs to one shard, and all that is ever done to its records on this node is done by
//! that shard, in its thread. So shards share nothing, lock nothing, and each is to its partitions what a node with one
//! shard is to all of them.
//!
//! A shard has a run of partitions, not every n-th: an n-th of a run is again a run, so a store that is divided further is
//! cut in two, and placement, which deals partitions out in turns, would meet a rule of turns with one of its own: with
//! N=1 on two nodes and two shards, one shard of each node would have nothing. Therefore the count is a power of two, as
//! that of partitions is. It is a run of slots, whatever the number of partitions: the halves of a partition stay where it was.

use api::Command;
use ring::{Partitions, SLOTS, Slot};
use types::{OperationId, PartitionId, ShardId};

/// The most shards that a node may have.
pub const SHARDS_MAX: u8 = 64;

/// How a node's partitions are divided among its shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shards {
    /// A power of two, at most [`SHARDS_MAX`] and at most the number of partitions.
    count: u8,
}

/// A count that cannot be the number of a node's shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "node.shards is {asked}: the number must be a power of two from 1 to {}, because the ring has {} partitions",
    most(*partitions), partitions.count()
)]
pub struct ShardsError {
    /// The count that was asked for.
    pub asked: u8,
    /// Of the ring.
    pub partitions: Partitions,
}

fn most(partitions: Partitions) -> u16 {
    partitions.count().min(u16::from(SHARDS_MAX))
}

/// Who can do what a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// One shard.
    One(ShardId),
    /// Any; it asks the others as it goes.
    Any,
    /// Several, each a part.
    Several,
}

impl Shards {
    /// So many shards over these partitions.
    ///
    /// # Errors
    /// Unless `count` is a power of two, at most [`SHARDS_MAX`] and at most the number of partitions.
    pub fn new(count: u8, partitions: Partitions) -> Result<Shards, ShardsError> {
        if count.is_power_of_two() && u16::from(count) <= most(partitions) {
            Ok(Shards { count })
        } else {
            Err(ShardsError { asked: count, partitions })
        }
    }

    /// How many there are.
    pub fn count(self) -> u8 {
        self.count
    }

    /// All of them.
    pub fn iter(self) -> impl ExactSizeIterator<Item = ShardId> {
        (0..self.count).map(ShardId)
    }

    /// The shard that has this partition, of so many.
    pub fn of_partition(self, partition: PartitionId, of: Partitions) -> ShardId {
        self.of_slot(partition.0.saturating_mul(of.slots_each()))
    }

    /// The shard that has this key.
    pub fn of_key(self, key: &[u8]) -> ShardId {
        if self.count == 1 { ShardId(0) } else { self.of_slot(Slot::of_key(key).number()) }
    }

    fn of_slot(self, slot: u16) -> ShardId {
        let slots_each = SLOTS / u16::from(self.count);
        ShardId(u8::try_from(slot / slots_each).unwrap_or(u8::MAX).min(self.count - 1))
    }

    /// The shard whose operation this is. Ids are minted so that it can be told (`coordinator::Ids`).
    pub fn of_operation(self, operation: OperationId) -> ShardId {
        ShardId(u8::try_from(operation.0 % u64::from(self.count)).unwrap_or(0))
    }

    /// The shard that takes a connection which a peer's shard has made: the one with the same partitions, where both nodes
    /// are divided alike.
    pub fn facing(self, theirs: ShardId) -> ShardId {
        ShardId(theirs.0 % self.count)
    }

    /// Who can do this.
    pub fn home(self, command: &Command) -> Home {
        match command {
            _ if self.count == 1 => Home::One(ShardId(0)),
            Command::Key(request) => Home::One(self.of_key(&request.key)),
            Command::Explain { key, .. } => Home::One(self.of_key(key)),
            // The shard that speaks for the node.
            Command::Change(_) | Command::Plan(_) => Home::One(ShardId(0)),
            Command::AwaitAcknowledgements { operation, .. } => Home::One(self.of_operation(*operation)),
            Command::Scan(_) | Command::Count { .. } | Command::RandomKey { .. } | Command::Repair => {
                Home::Any
            }
            Command::Batch(requests) => {
                let mut homes = requests.iter().map(|request| self.of_key(&request.key));
                match homes.next() {
                    None => Home::Any,
                    Some(first) if homes.all(|other| other == first) => Home::One(first),
                    Some(_) => Home::Several,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_count_that_does_not_divide_the_ring_is_refused_and_says_what_would_do() {
        let partitions = Partitions::new(8).expect("a power of two");
        for good in [1, 2, 4, 8] {
            assert_eq!(Shards::new(good, partitions).map(Shards::count), Ok(good));
        }
        for bad in [0, 3, 16, 64, 255] {
            let error = Shards::new(bad, partitions).expect_err("no such division").to_string();
            assert!(
                error.contains(&format!("node.shards is {bad}")) && error.contains("from 1 to 8"),
                "{error}"
            );
        }
        assert!(Shards::new(128, Partitions::default()).is_err());
    }

    proptest! {
        /// Shards have equal runs of partitions, in order, with none left over; twice as many cut each run in two.
        #[test]
        fn every_partition_has_one_shard_and_doubling_halves_each(exponent in 0_u32..=5, more in 1_u32..=4) {
            let partitions = Partitions::new(1 << (exponent + more)).expect("a power of two");
            let shards = Shards::new(1 << exponent, partitions).expect("divides it");
            let doubled = Shards::new(2 << exponent, partitions).expect("divides it");
            let each = partitions.count() / u16::from(shards.count());
            for partition in partitions.iter() {
                let shard = shards.of_partition(partition, partitions);
                prop_assert_eq!(u16::from(shard.0), partition.0 / each);
                prop_assert_eq!(doubled.of_partition(partition, partitions).0 / 2, shard.0);
                let halved = Partitions::new(2 << (exponent + more)).expect("a power of two");
                for half in halved.with_slots_of(partition, partitions) {
                    prop_assert_eq!(shards.of_partition(half, halved), shard);
                }
            }
        }

        /// An operation is found again by its id, whatever the ids have come to.
        #[test]
        fn operations_tell_whose_they_are(exponent in 0_u32..=6, start in any::<u32>(), minted in 0_u64..1 << 20) {
            let shards = Shards::new(1 << exponent, Partitions::default()).expect("divides it");
            for shard in shards.iter() {
                let id = (u64::from(start) << 32) + u64::from(shard.0) + minted * u64::from(shards.count());
                prop_assert_eq!(shards.of_operation(OperationId(id)), shard);
            }
        }
    }
}
