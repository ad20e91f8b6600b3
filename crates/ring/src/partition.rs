//! Partitions: the slots cut into equal runs, the unit of placement and movement.
//!
//! What must hold: the count is a power of two, at most [`SLOTS`], so that every partition holds the same number of
//! slots and doubling the count splits each partition in two halves that are ranges themselves. A ring keeps the count
//! that it was made with until all of it is halved or joined again ([`crate::halves`]).

use std::ops::RangeInclusive;

use thiserror::Error;
use types::PartitionId;

use crate::slot::{SLOTS, Slot};

/// How many partitions make up the ring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Partitions {
    /// A power of two in `1..=SLOTS`.
    count: u16,
}

/// The count cannot be the number of partitions of a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{asked} partitions: the number must be a power of two from 1 to {SLOTS}, such as 256")]
pub struct PartitionsError {
    /// The count that was asked for.
    pub asked: u64,
}

impl Default for Partitions {
    /// 256: with it a cluster of eight nodes has 32 partitions on each, enough to balance within a few hundredths.
    fn default() -> Self {
        Partitions { count: 256 }
    }
}

impl Partitions {
    /// `count` partitions.
    ///
    /// # Errors
    /// Unless `count` is a power of two in `1..=16_384`.
    pub fn new(count: u64) -> Result<Partitions, PartitionsError> {
        match u16::try_from(count) {
            Ok(count) if count.is_power_of_two() && count <= SLOTS => Ok(Partitions { count }),
            _ => Err(PartitionsError { asked: count }),
        }
    }

    /// How many there are.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// How many slots each partition holds.
    pub const fn slots_each(self) -> u16 {
        SLOTS / self.count
    }

    /// The partition that holds `slot`.
    pub const fn of_slot(self, slot: Slot) -> PartitionId {
        PartitionId(slot.number() >> self.slots_each().trailing_zeros())
    }

    /// The partition that holds `key`.
    pub fn of_key(self, key: &[u8]) -> PartitionId {
        self.of_slot(Slot::of_key(key))
    }

    /// The slots of `partition`, first and last, or `None` if the ring has no such partition.
    pub fn slots_of(self, partition: PartitionId) -> Option<RangeInclusive<u16>> {
        let first = (partition.0 < self.count).then(|| partition.0 * self.slots_each())?;
        Some(first..=first + (self.slots_each() - 1))
    }

    /// Those of these partitions that have the slots of `partition`, which is one of `of`: its parts where these are more, itself where
    /// they are as many, and where they are fewer the one that it is part of.
    pub fn with_slots_of(
        self,
        partition: PartitionId,
        of: Partitions,
    ) -> impl Iterator<Item = PartitionId> + use<> {
        let (each, whole) = (self.count / of.count.min(self.count), of.count / self.count.min(of.count));
        let first = partition.0.saturating_mul(each) / whole;
        (first..first.saturating_add(each)).map(PartitionId)
    }

    /// Every partition, in ring order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = PartitionId> + ExactSizeIterator {
        (0..self.count).map(PartitionId)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_powers_of_two_up_to_the_slots_are_counts() {
        for good in [1, 2, 256, 16_384] {
            assert_eq!(Partitions::new(good).map(|partitions| u64::from(partitions.count())), Ok(good));
        }
        for bad in [0, 3, 255, 32_768, 65_536 + 256, u64::MAX] {
            assert_eq!(Partitions::new(bad), Err(PartitionsError { asked: bad }));
        }
    }

    #[test]
    fn a_refused_count_says_what_would_do() {
        let message = PartitionsError { asked: 100 }.to_string();
        assert_eq!(message, "100 partitions: the number must be a power of two from 1 to 16384, such as 256");
    }

    proptest! {
        /// The partitions cut the slots into disjoint runs with nothing left over.
        #[test]
        fn a_slot_is_in_its_partition_and_in_no_other(exponent in 0_u32..=14, number in 0..SLOTS) {
            let partitions = Partitions::new(1 << exponent).unwrap();
            let slot = Slot::new(number).unwrap();
            let home = partitions.of_slot(slot);
            let holders: Vec<_> =
                partitions.iter().filter(|&p| partitions.slots_of(p).unwrap().contains(&number)).collect();
            prop_assert_eq!(holders, vec![home]);
        }

        /// The parts of a partition have its slots, in order, and none is left over; and each is part of it.
        #[test]
        fn parts_have_the_slots_of_the_whole(exponent in 0_u32..=12, more in 0_u32..=2, at in any::<u16>()) {
            let whole = Partitions::new(1 << exponent).unwrap();
            let finer = Partitions::new(1 << (exponent + more)).unwrap();
            let partition = PartitionId(at % whole.count());
            let parts: Vec<PartitionId> = finer.with_slots_of(partition, whole).collect();
            let slots: Vec<u16> = parts.iter().flat_map(|part| finer.slots_of(*part).unwrap()).collect();
            prop_assert_eq!(slots, whole.slots_of(partition).unwrap().collect::<Vec<_>>());
            for part in parts {
                prop_assert_eq!(whole.with_slots_of(part, finer).collect::<Vec<_>>(), vec![partition]);
            }
        }

        #[test]
        fn there_is_no_partition_past_the_last(exponent in 0_u32..=14) {
            let partitions = Partitions::new(1 << exponent).unwrap();
            prop_assert_eq!(partitions.slots_of(PartitionId(partitions.count())), None);
            prop_assert_eq!(partitions.iter().len(), usize::from(partitions.count()));
        }
    }
}
