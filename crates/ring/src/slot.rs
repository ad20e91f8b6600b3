//! Hash slots, exactly as the Redis Cluster specification computes them ("Key distribution model", "Hash tags").
//!
//! What must hold: every node and every cluster-aware Redis client agree on the slot of a key. That is why this is
//! CRC16/XMODEM and not a better hash: the clients have already chosen.
//!
//! Inside a slot keys are ordered by [`key_hash`], which no client computes, so there a fast hash is free to serve.

use std::fmt;

use crc::{CRC_16_XMODEM, Crc, Table};
use xxhash_rust::xxh3::xxh3_64;

/// How many slots there are.
pub const SLOTS: u16 = 16_384;

/// Sixteen tables take sixteen bytes a step: 4 KiB of constants for a checksum that every request pays.
static CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// One of the 16,384 hash slots; always below [`SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot that `number` names, or `None` from [`SLOTS`] upwards.
    pub const fn new(number: u16) -> Option<Slot> {
        if number < SLOTS { Some(Slot(number)) } else { None }
    }

    /// The slot of a key: of its hash tag where it has one, so that keys which share a tag share a slot.
    pub fn of_key(key: &[u8]) -> Slot {
        Slot(CRC16.checksum(hashed_part(key)) % SLOTS)
    }

    /// The number, `0..SLOTS`.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

/// The bytes of a key that are hashed: what stands between the first `{` and the first `}` after it, or the whole
/// key if there is no such pair or nothing between them.
fn hashed_part(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else {
        return key;
    };
    let after = &key[open + 1..];
    match after.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(close) => &after[..close],
    }
}

/// The place of a key among the keys of its slot (xxh3, 64 bits, seed 0): the stored order is (slot, keyspace,
/// this, key). It is on disk and in SCAN cursors, so it never changes.
pub fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(key: &str) -> u16 {
        Slot::of_key(key.as_bytes()).number()
    }

    /// Specification, "Key distribution model": the CRC16 of "123456789" is 0x31C3.
    #[test]
    fn the_check_value_of_the_specification() {
        assert_eq!(CRC16.checksum(b"123456789"), 0x31c3);
        assert_eq!(slot("123456789"), 0x31c3);
    }

    /// What `CLUSTER KEYSLOT` of a Redis server answers.
    #[test]
    fn slots_that_every_redis_client_knows() {
        for (key, expected) in [("foo", 12_182), ("bar", 5_061), ("hello", 866), ("", 0), ("somekey", 11_058)]
        {
            assert_eq!(slot(key), expected, "{key}");
        }
    }

    /// Specification, "Hash tags", its own examples.
    #[test]
    fn a_hash_tag_decides_alone() {
        assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
        assert_eq!(slot("{user1000}.following"), slot("user1000"));
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
        assert_eq!(slot("foo{bar}{zap}"), slot("bar"));
        assert_eq!(slot("foo{hash_tag}"), slot("bar{hash_tag}"));
    }

    /// Specification, "Hash tags": an empty tag, or one that never closes, makes the whole key count.
    #[test]
    fn without_a_tag_the_whole_key_is_hashed() {
        for key in ["foo{}{bar}", "{}", "foo{", "foo}bar{", "}{", "{unclosed"] {
            assert_eq!(hashed_part(key.as_bytes()), key.as_bytes());
        }
    }

    #[test]
    fn a_slot_is_below_the_number_of_slots() {
        assert_eq!(Slot::new(16_383).map(Slot::number), Some(16_383));
        assert_eq!(Slot::new(16_384), None);
    }

    /// The hash is in files: this value may never change.
    #[test]
    fn the_order_inside_a_slot_is_fixed_for_ever() {
        assert_eq!(key_hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(key_hash(b"foo"), 0xab6e_5f64_077e_7d8a);
    }

    proptest::proptest! {
        /// Binary keys of any shape have a slot, and braces never reach outside the key.
        #[test]
        fn every_key_has_a_slot(key: Vec<u8>) {
            proptest::prop_assert!(Slot::of_key(&key).number() < SLOTS);
        }

        #[test]
        fn keys_with_one_tag_share_a_slot(tag in "[a-z]{1,8}", before in "[a-z]{0,5}", after in "[a-z{}]{0,5}") {
            proptest::prop_assert_eq!(slot(&format!("{before}{{{tag}}}{after}")), slot(&tag));
        }
    }
}
