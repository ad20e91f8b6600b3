//! Where a record lives in storage.
//!
//! ```text
//!   0  slot       u16, big endian
//!   2  keyspace   u32, big endian
//!   6  key hash   u64, big endian
//!  14  key        ..
//! ```
//!
//! Big endian, so that the order of bytes is the order of (slot, keyspace, hash, key): a partition is a run of slots and
//! so one range, either half of it is one too, and an iteration can go on at (slot, hash) on any node (DESIGN 6).
//!
//! What is kept for an owner who cannot be reached is not this node's: it has a place behind all slots, by owner, so that
//! all that waits for one is one range ([`hint_key`]).
//!
//! ```text
//!   0  0xFFFF
//!   2  owner      u16, big endian
//!   4  the storage key that the record has with him
//! ```
//!
//! Before these are the marks of partitions, up to which their deletes were collected ([`mark_key`]). They are named by their slots,
//! for their numbers become those of others when partitions are halved.
//!
//! ```text
//!   0  0xFFFE
//!   2  first slot  u16, big endian
//!   4  slots       u16, big endian: how many
//! ```
//!
//! And before those is how far this node is with partitions that move ([`note_key`]): the same under 0xFFFD.

use bytes::{BufMut, Bytes, BytesMut};
use cluster::ClusterState;
use ring::{Partitions, Slot};
use types::{KeyspaceId, NodeId, PartitionId};

/// Bytes before the key itself.
pub const PREFIX_BYTES: usize = 14;

/// The parts of a storage key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreKey {
    /// The slot that the key hashes to.
    pub slot: u16,
    /// The keyspace that it is in.
    pub keyspace: KeyspaceId,
    /// Its hash, for order and cursors.
    pub hash: u64,
    /// The key as the client gave it.
    pub key: Bytes,
}

/// The storage key of a client's key.
pub fn store_key(keyspace: KeyspaceId, key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + key.len());
    bytes.put_u16(Slot::of_key(key).number());
    bytes.put_u32(keyspace.0);
    bytes.put_u64(ring::key_hash(key));
    bytes.put_slice(key);
    bytes.freeze()
}

/// The first storage key at or after this place.
pub fn position(slot: u16, keyspace: KeyspaceId, hash: u64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES);
    bytes.put_u16(slot);
    bytes.put_u32(keyspace.0);
    bytes.put_u64(hash);
    bytes.freeze()
}

/// Where records are that are this node's own.
pub fn records() -> storage::KeyRange {
    storage::KeyRange { start: start_of_slot(0), end: end_of_slot(ring::SLOTS - 1) }
}

/// Where hints are: behind all slots.
const HINTS: u16 = u16::MAX;

/// The storage key of what is kept for an owner: [`HINTS`], the owner, and the storage key that the record has with him.
pub fn hint_key(owner: NodeId, key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(4 + key.len());
    bytes.put_u16(HINTS);
    bytes.put_u16(owner.0);
    bytes.put_slice(key);
    bytes.freeze()
}

/// Where marks are: behind all slots, before the hints.
const MARKS: u16 = u16::MAX - 1;

/// The slots of a partition, whatever its number is by now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slots {
    /// The first.
    pub first: u16,
    /// How many there are.
    pub count: u16,
}

impl Slots {
    /// Those of a partition, of so many.
    pub fn of(partition: PartitionId, of: Partitions) -> Slots {
        let count = of.slots_each();
        Slots { first: partition.0.saturating_mul(count), count }
    }

    /// Whether all of those are among these.
    pub fn contain(self, other: Slots) -> bool {
        self.first <= other.first && other.end() <= self.end()
    }

    /// The first half of these, and the second: there are two at least.
    pub fn halves(self) -> [Slots; 2] {
        let count = self.count / 2;
        [Slots { count, ..self }, Slots { first: self.first + count, count }]
    }

    /// The partitions that have some of these, of so many.
    pub fn partitions(self, of: Partitions) -> impl Iterator<Item = PartitionId> + use<> {
        let each = of.slots_each();
        let last = u16::try_from(self.end().saturating_sub(1) / u32::from(each)).unwrap_or(u16::MAX);
        (self.first / each..=last.min(of.count() - 1)).map(PartitionId)
    }

    fn end(self) -> u32 {
        u32::from(self.first) + u32::from(self.count)
    }

    fn key(self, kind: u16) -> Bytes {
        let mut bytes = BytesMut::with_capacity(6);
        bytes.put_u16(kind);
        bytes.put_u16(self.first);
        bytes.put_u16(self.count);
        bytes.freeze()
    }

    fn parse(bytes: &[u8], kind: u16) -> Option<Slots> {
        let [a, b, c, d, e, f] = *<&[u8; 6]>::try_from(bytes).ok()?;
        let slots = Slots { first: u16::from_be_bytes([c, d]), count: u16::from_be_bytes([e, f]) };
        let are_slots = slots.count > 0 && slots.end() <= u32::from(ring::SLOTS);
        (u16::from_be_bytes([a, b]) == kind && are_slots).then_some(slots)
    }
}

/// The storage key of the mark of a partition with these slots.
pub fn mark_key(slots: Slots) -> Bytes {
    slots.key(MARKS)
}

/// Where it is noted how far partitions are that move: before the marks.
const NOTES: u16 = u16::MAX - 2;

/// The storage key of the note on a partition that moves, with these slots.
pub fn note_key(slots: Slots) -> Bytes {
    slots.key(NOTES)
}

/// The first key of all notes, and their end.
pub fn notes() -> (Bytes, Bytes) {
    (note_key(Slots { first: 0, count: 0 }), mark_key(Slots { first: 0, count: 0 }))
}

/// On which slots a note is; nothing where the bytes are no note's key.
pub fn parse_note(bytes: &[u8]) -> Option<Slots> {
    Slots::parse(bytes, NOTES)
}

/// The first key of all marks, and their end.
pub fn marks() -> (Bytes, Bytes) {
    (mark_key(Slots { first: 0, count: 0 }), hints())
}

/// Of which slots a mark is; nothing where the bytes are no mark's.
pub fn parse_mark(bytes: &[u8]) -> Option<Slots> {
    Slots::parse(bytes, MARKS)
}

/// The first key of all hints.
pub fn hints() -> Bytes {
    hint_key(NodeId(0), b"")
}

/// The first key and the end of the hints for one owner.
pub fn hints_of(owner: NodeId) -> (Bytes, Option<Bytes>) {
    (hint_key(owner, b""), owner.0.checked_add(1).map(|next| hint_key(NodeId(next), b"")))
}

/// For which owner a hint is, and the parts of the key that its record has with him; nothing where the bytes are no hint's.
pub fn parse_hint(bytes: &Bytes) -> Option<(NodeId, StoreKey)> {
    let kind = u16::from_be_bytes(bytes.get(0..2)?.try_into().ok()?);
    let owner = NodeId(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    (kind == HINTS).then(|| parse(&bytes.slice(4..))).flatten().map(|place| (owner, place))
}

/// The slot of a record, whether it is this node's own or kept for an owner.
pub fn slot_of(bytes: &Bytes) -> Option<u16> {
    parse_hint(bytes).map(|(_, place)| place).or_else(|| parse(bytes)).map(|place| place.slot)
}

/// The keyspace of a record, whether it is this node's own or kept for an owner.
pub fn keyspace_of(bytes: &Bytes) -> Option<KeyspaceId> {
    parse_hint(bytes).map(|(_, place)| place).or_else(|| parse(bytes)).map(|place| place.keyspace)
}

/// The first storage key behind a keyspace's part of a slot; nothing where that is the last of all.
pub fn end_of_keyspace(slot: u16, keyspace: KeyspaceId) -> Option<Bytes> {
    match keyspace.0.checked_add(1) {
        Some(next) => Some(position(slot, KeyspaceId(next), 0)),
        None => end_of_slot(slot),
    }
}

/// Slot, keyspace and hash of a storage key, or of the beginning of one; nothing where the bytes are too few.
pub fn parse_place(bytes: &Bytes) -> Option<(u16, KeyspaceId, u64)> {
    parse(bytes).map(|key| (key.slot, key.keyspace, key.hash))
}

/// The slot of a record of this node's own; nothing of a hint's key, or of a mark's.
pub fn own_slot(bytes: &[u8]) -> Option<u16> {
    let (slot, _) = bytes.split_first_chunk::<2>()?;
    Some(u16::from_be_bytes(*slot)).filter(|slot| *slot < ring::SLOTS)
}

/// Where a slot begins: before all of its storage keys, and whatever else may stand between two of them.
pub fn start_of_slot(slot: u16) -> Bytes {
    if slot == 0 { Bytes::new() } else { Bytes::copy_from_slice(&slot.to_be_bytes()) }
}

/// The first storage key behind a slot; nothing where it is the last.
pub fn end_of_slot(slot: u16) -> Option<Bytes> {
    slot.checked_add(1).map(|next| Bytes::copy_from_slice(&next.to_be_bytes()))
}

/// All storage keys of a partition's records, of all keyspaces; nothing where there is no such partition.
pub(crate) fn range_of(state: &ClusterState, partition: PartitionId) -> Option<storage::KeyRange> {
    let slots = state.partitions().slots_of(partition)?;
    Some(storage::KeyRange { start: start_of_slot(*slots.start()), end: end_of_slot(*slots.end()) })
}

/// The parts of a storage key; nothing where the bytes are none.
pub fn parse(bytes: &Bytes) -> Option<StoreKey> {
    let slot = u16::from_be_bytes(bytes.get(0..2)?.try_into().ok()?);
    let keyspace = KeyspaceId(u32::from_be_bytes(bytes.get(2..6)?.try_into().ok()?));
    let hash = u64::from_be_bytes(bytes.get(6..14)?.try_into().ok()?);
    Some(StoreKey { slot, keyspace, hash, key: bytes.slice(PREFIX_BYTES..) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What was put together comes apart again.
        #[test]
        fn parts_survive(keyspace in any::<u32>(), key in proptest::collection::vec(any::<u8>(), 0..64)) {
            let parsed = parse(&store_key(KeyspaceId(keyspace), &key)).expect("a storage key");
            prop_assert_eq!(parsed.slot, Slot::of_key(&key).number());
            prop_assert_eq!(parsed.keyspace, KeyspaceId(keyspace));
            prop_assert_eq!(parsed.hash, ring::key_hash(&key));
            prop_assert_eq!(&parsed.key[..], &key[..]);
        }

        /// A hint names its owner and the key that it is of, behind all keys of this node's own.
        #[test]
        fn hints_are_told_apart(owner in any::<u16>(), key in proptest::collection::vec(any::<u8>(), 0..64)) {
            let own = store_key(KeyspaceId(3), &key);
            let hint = hint_key(NodeId(owner), &own);
            let (parsed, place) = parse_hint(&hint).expect("a hint");
            prop_assert_eq!((parsed, &place.key[..]), (NodeId(owner), &key[..]));
            prop_assert_eq!(parse_hint(&own), None);
            prop_assert_eq!((slot_of(&own), slot_of(&hint)), (Some(place.slot), Some(place.slot)));
            prop_assert!(hint > own);
            let (start, end) = hints_of(NodeId(owner));
            prop_assert!(start <= hint && end.is_none_or(|end| hint < end));
        }

        /// Marks and notes name slots, and from these the partitions that have them are found, however many there are by then.
        #[test]
        fn marks_and_notes_are_found_by_their_slots(
            (exponent, at) in (0_u32..=14, any::<u16>()),
            (by_then, other) in (0_u32..=14, any::<u16>()),
        ) {
            let (of, now) = (Partitions::new(1 << exponent).unwrap(), Partitions::new(1 << by_then).unwrap());
            let slots = Slots::of(PartitionId(at % of.count()), of);
            prop_assert_eq!(parse_mark(&mark_key(slots)), Some(slots));
            prop_assert_eq!(parse_note(&note_key(slots)), Some(slots));
            prop_assert_eq!((parse_note(&mark_key(slots)), parse_mark(&note_key(slots))), (None, None));
            let first = now.of_slot(Slot::new(slots.first).unwrap());
            for partition in [first, PartitionId(other % now.count())] {
                let its = Slots::of(partition, now);
                let has_some = slots.partitions(now).any(|one| one == partition);
                prop_assert_eq!(has_some, slots.contain(its) || its.contain(slots));
            }
        }

        /// The order of storage keys is that of (slot, keyspace, hash, key).
        #[test]
        fn order_is_by_place(a in (0u32..3, proptest::collection::vec(any::<u8>(), 0..8)),
                             b in (0u32..3, proptest::collection::vec(any::<u8>(), 0..8))) {
            let place = |(keyspace, key): &(u32, Vec<u8>)| {
                (Slot::of_key(key).number(), *keyspace, ring::key_hash(key), key.clone())
            };
            let bytes = |(keyspace, key): &(u32, Vec<u8>)| store_key(KeyspaceId(*keyspace), key);
            prop_assert_eq!(bytes(&a).cmp(&bytes(&b)), place(&a).cmp(&place(&b)));
        }
    }
}
