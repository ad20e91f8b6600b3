//! The newest entries, in memory: one per key.
//!
//! A point read must be cheap and a flush needs order, so the table is kept twice: a hash table holds the entries, and
//! an ordered set holds their keys. A tree alone would cost a dozen cache misses per read. The set compares the first
//! 16 bytes of a key as one number, which decides nearly always (slot, keyspace and key hash are 14 bytes), so an
//! insert seldom follows a pointer to a key. Key and value are reference-counted: the two indexes, a scan, a frozen
//! copy share them.
//!
//! An operand that meets an entry of its key is merged with it at once: a key never has two entries here. A delete marker
//! takes the place of what it hides, and stays: what it hides may also be in a table.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::ops::Bound;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::key_range::KeyRange;
use crate::merge::Kind;
use crate::options::ENTRY_OVERHEAD_BYTES;

/// One key's entry.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    pub(crate) value: Bytes,
}

/// An entry with its key, as scans, flushes and compactions pass it on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Bytes,
    pub(crate) kind: Kind,
    pub(crate) value: Bytes,
}

#[derive(Debug)]
pub(crate) struct Memtable {
    slots: HashMap<Bytes, Slot, SeededXxh3>,
    order: BTreeSet<OrderedKey>,
    bytes: usize,
    /// The sequence number that it follows.
    after: u64,
    /// Every entry up to this sequence number that is not in a table or an older memtable is here.
    last_sequence: u64,
}

impl Memtable {
    /// An empty one that follows `last_sequence`.
    pub(crate) fn new(secret: u64, last_sequence: u64) -> Memtable {
        Memtable {
            slots: HashMap::with_hasher(SeededXxh3(secret)),
            order: BTreeSet::new(),
            bytes: 0,
            after: last_sequence,
            last_sequence,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Slot> {
        self.slots.get(key)
    }

    /// Sets a key's one entry; the caller has merged it with the one that it replaces. Whether the key is new here.
    pub(crate) fn set(&mut self, key: &[u8], slot: Slot, sequence: u64) -> bool {
        self.last_sequence = sequence;
        self.bytes += slot.value.len();
        if let Some(present) = self.slots.get_mut(key) {
            self.bytes -= present.value.len();
            *present = slot;
            return false;
        }
        let key = Bytes::copy_from_slice(key);
        self.bytes += key.len() + ENTRY_OVERHEAD_BYTES;
        self.order.insert(OrderedKey::new(key.clone()));
        self.slots.insert(key, slot);
        true
    }

    /// Takes out what there is of a range, which something of this sequence number has made dead.
    pub(crate) fn take_out(&mut self, range: &KeyRange, sequence: u64) {
        self.last_sequence = sequence;
        let keys: Vec<Bytes> = self.range(range).map(|entry| entry.key).collect();
        for key in keys {
            self.order.remove(&OrderedKey::new(key.clone()));
            if let Some(slot) = self.slots.remove(&key) {
                self.bytes -= key.len() + slot.value.len() + ENTRY_OVERHEAD_BYTES;
            }
        }
    }

    /// An estimate of the memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether nothing was ever put or taken out.
    pub(crate) fn is_untouched(&self) -> bool {
        self.slots.is_empty() && self.last_sequence == self.after
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// The entries in a range, in key order.
    pub(crate) fn range(&self, range: &KeyRange) -> impl Iterator<Item = Entry> + '_ {
        let start = Bound::Included(OrderedKey::new(range.start.clone()));
        let end = match &range.end {
            // A range that ends before it starts holds nothing; the set would refuse it.
            Some(end) => Bound::Excluded(OrderedKey::new(end.clone().max(range.start.clone()))),
            None => Bound::Unbounded,
        };
        self.order.range((start, end)).filter_map(|ordered| {
            let slot = self.slots.get(&ordered.key)?;
            Some(Entry { key: ordered.key.clone(), kind: slot.kind, value: slot.value.clone() })
        })
    }
}

/// Orders as the key's bytes do. A shorter key is padded with zeros in the prefix; where that makes two prefixes
/// equal, the keys themselves decide.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct OrderedKey {
    prefix: u128,
    key: Bytes,
}

impl OrderedKey {
    fn new(key: Bytes) -> OrderedKey {
        let mut prefix = [0; 16];
        let len = key.len().min(16);
        prefix[..len].copy_from_slice(&key[..len]);
        OrderedKey { prefix: u128::from_be_bytes(prefix), key }
    }
}

/// Hashes keys with xxh3 under a secret, so that no client can choose keys that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeededXxh3(pub(crate) u64);

impl BuildHasher for SeededXxh3 {
    type Hasher = Xxh3Hasher;
    fn build_hasher(&self) -> Xxh3Hasher {
        Xxh3Hasher(self.0)
    }
}

#[derive(Debug)]
pub(crate) struct Xxh3Hasher(u64);

impl Hasher for Xxh3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    /// The length that the standard library writes before a slice says nothing that xxh3 does not know.
    fn write_usize(&mut self, _number: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The prefix is an optimisation: the order is that of the bytes.
        #[test]
        fn keys_are_ordered_as_bytes(a in prop::collection::vec(0u8..3, 0..20), b in prop::collection::vec(0u8..3, 0..20)) {
            let (x, y) = (OrderedKey::new(Bytes::from(a.clone())), OrderedKey::new(Bytes::from(b.clone())));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }

    fn full(value: &'static str) -> Slot {
        Slot { kind: Kind::Full, value: Bytes::from_static(value.as_bytes()) }
    }

    #[test]
    fn memory_is_counted_once_per_key() {
        let mut table = Memtable::new(1, 0);
        assert!(table.set(b"k", full("first value"), 1));
        assert!(!table.set(b"k", full("v"), 2));
        assert_eq!((table.bytes(), table.len(), table.last_sequence()), (2 + ENTRY_OVERHEAD_BYTES, 1, 2));
    }

    /// What is taken out leaves nothing behind, neither its order nor its bytes.
    #[test]
    fn what_is_taken_out_is_gone() {
        let mut table = Memtable::new(1, 0);
        for key in ["a", "b", "c"] {
            table.set(key.as_bytes(), full("v"), 1);
        }
        table.take_out(&KeyRange::new(b"a", Some(b"c")), 2);
        assert_eq!(table.range(&KeyRange::all()).map(|e| e.key).collect::<Vec<_>>(), ["c"]);
        assert_eq!((table.bytes(), table.len(), table.last_sequence()), (2 + ENTRY_OVERHEAD_BYTES, 1, 2));
        assert!(table.get(b"a").is_none());
    }

    #[test]
    fn a_range_is_in_order_and_excludes_its_end() {
        let mut table = Memtable::new(1, 0);
        for key in ["c", "a", "b", "d"] {
            table.set(key.as_bytes(), full("v"), 1);
        }
        let keys = |range: &KeyRange| table.range(range).map(|e| e.key).collect::<Vec<_>>();
        assert_eq!(keys(&KeyRange::new(b"b", Some(b"d"))), ["b", "c"]);
        assert_eq!(keys(&KeyRange::new(b"", None)), ["a", "b", "c", "d"]);
        assert!(keys(&KeyRange::new(b"d", Some(b"a"))).is_empty());
    }
}
