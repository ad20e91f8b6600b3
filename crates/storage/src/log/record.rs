//! One record of the commit log: the entries of one turn of the event loop, whole or not at all.
//!
//! ```text
//!  0       4       8              16               24               32      36      40
//!  +-------+-------+--------------+----------------+----------------+-------+-------+---------...--+-----+
//!  |crc32c |length | segment      | first sequence | synced through |entries| flags | entries      | pad |
//!  +-------+-------+--------------+----------------+----------------+-------+-------+---------...--+-----+
//!
//!  entry:  | kind u8 | key length u16 | value length u32 | key | value |      kind: 1 full, 2 operand, 3 delete marker
//!          kind 4 drops a range: its key is the first one, its value 0, or 1 and the key that ends it
//! ```
//!
//! All numbers are little-endian. `length` counts from the record's first byte to the last entry's last byte; the
//! next record begins at the next multiple of 8. The checksum covers everything from `length` on, preceded by the
//! segment's salt. A record without entries is a mark: it only tells how far the log is synced. Behind the last record
//! stand 8 zero bytes, the end mark, which the next record overwrites.

use bytes::Bytes;

use crate::checksum;
use crate::decode::{Decoder, length32};
use crate::key_range::KeyRange;
use crate::memtable::Entry;
use crate::merge::Kind;

pub(crate) const HEADER_BYTES: usize = 40;
pub(crate) const ENTRY_HEADER_BYTES: usize = 7;
/// Records begin at multiples of this; the end mark has this length.
pub(crate) const ALIGNMENT: usize = 8;

const DROP: u8 = 4;
/// In a drop: the range goes on to the last key, or a key that ends it follows.
const TO_THE_LAST: u8 = 0;
const TO_A_KEY: u8 = 1;

/// What takes a sequence number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Logged {
    Entry(Entry),
    /// Everything before it of these keys is dead.
    Drop(KeyRange),
}

/// Set in the mark that a clean stop writes last.
pub(crate) const FLAG_CLEAN_STOP: u32 = 1;

/// What a record says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// From the first byte to the end of the last entry, in bytes.
    pub(crate) length: usize,
    /// The life of the segment that it belongs to.
    pub(crate) segment: u64,
    /// The sequence number of its first entry, or of the next one where it has none.
    pub(crate) first_sequence: u64,
    /// Every entry up to this one was synced when this record was written.
    pub(crate) synced_through: u64,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
}

impl Header {
    /// Reads a header; says nothing yet about whether the record is valid.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(u32, Header)> {
        let mut decoder = Decoder::new(bytes);
        let checksum = decoder.u32()?;
        let header = Header {
            length: decoder.len32()?,
            segment: decoder.u64()?,
            first_sequence: decoder.u64()?,
            synced_through: decoder.u64()?,
            entries: decoder.u32()?,
            flags: decoder.u32()?,
        };
        Some((checksum, header))
    }

    /// The sequence number after its last entry.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.entries))
    }

    /// How far the next record is from this one's start.
    pub(crate) fn stride(&self) -> usize {
        self.length.next_multiple_of(ALIGNMENT)
    }
}

/// The valid record at the start of `bytes`, if there is one: its header and its entries, still encoded.
pub(crate) fn read(bytes: &[u8], segment: u64, salt: u64) -> Option<(Header, &[u8])> {
    let (expected, header) = Header::decode(bytes)?;
    if header.segment != segment || header.length < HEADER_BYTES {
        return None;
    }
    let record = bytes.get(..header.length)?;
    let valid = checksum::bound_to(&[salt], &record[4..]) == expected;
    valid.then(|| (header, &record[HEADER_BYTES..]))
}

/// The entries of a record's payload. `None` where they are not what the header promised, which a valid checksum
/// makes all but impossible.
pub(crate) fn decode_entries(payload: &[u8], count: u32) -> Option<Vec<Logged>> {
    let mut decoder = Decoder::new(payload);
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(decode_entry(&mut decoder)?);
    }
    decoder.is_empty().then_some(entries)
}

fn decode_entry(decoder: &mut Decoder<'_>) -> Option<Logged> {
    let kind = decoder.u8()?;
    let key_len = usize::from(decoder.u16()?);
    let value_len = decoder.len32()?;
    let key = Bytes::copy_from_slice(decoder.take(key_len)?);
    let value = Bytes::copy_from_slice(decoder.take(value_len)?);
    if kind == DROP {
        return decode_end(&value).map(|end| Logged::Drop(KeyRange { start: key, end }));
    }
    Some(Logged::Entry(Entry { key, kind: Kind::from_byte(kind)?, value }))
}

fn decode_end(value: &Bytes) -> Option<Option<Bytes>> {
    match value.split_first()? {
        (&TO_THE_LAST, []) => Some(None),
        (&TO_A_KEY, _) => Some(Some(value.slice(1..))),
        _ => None,
    }
}

/// What a drop takes in a record.
pub(crate) fn drop_bytes(range: &KeyRange) -> usize {
    ENTRY_HEADER_BYTES + range.start.len() + 1 + range.end.as_ref().map_or(0, Bytes::len)
}

/// Entries gathered for one record. The buffer is kept from batch to batch.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: u32,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch { bytes: vec![0; HEADER_BYTES], entries: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(crate) fn entries(&self) -> u32 {
        self.entries
    }

    /// How much of a segment it will take, with another `more` bytes of entries and the end mark.
    pub(crate) fn stored_bytes(&self, more: usize) -> usize {
        (self.bytes.len() + more).next_multiple_of(ALIGNMENT) + ALIGNMENT
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn push(&mut self, key: &[u8], kind: Kind, value: &[u8]) {
        self.push_raw(key, kind.to_byte(), value);
    }

    pub(crate) fn push_drop(&mut self, range: &KeyRange) {
        let value = match &range.end {
            None => vec![TO_THE_LAST],
            Some(end) => [&[TO_A_KEY], end.as_ref()].concat(),
        };
        self.push_raw(&range.start, DROP, &value);
    }

    fn push_raw(&mut self, key: &[u8], kind: u8, value: &[u8]) {
        let key_len = u16::try_from(key.len()).expect("put refuses keys whose length does not fit 16 bits");
        self.bytes.reserve(ENTRY_HEADER_BYTES + key.len() + value.len());
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&key_len.to_le_bytes());
        self.bytes.extend_from_slice(&length32(value.len()).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.entries += 1;
    }

    /// Completes the record and appends the end mark: what one write brings to disk.
    pub(crate) fn seal(
        &mut self,
        segment: u64,
        salt: u64,
        first: u64,
        synced_through: u64,
        flags: u32,
    ) -> &[u8] {
        let length = self.bytes.len();
        let header = &mut self.bytes[..HEADER_BYTES];
        header[4..8].copy_from_slice(&length32(length).to_le_bytes());
        header[8..16].copy_from_slice(&segment.to_le_bytes());
        header[16..24].copy_from_slice(&first.to_le_bytes());
        header[24..32].copy_from_slice(&synced_through.to_le_bytes());
        header[32..36].copy_from_slice(&self.entries.to_le_bytes());
        header[36..40].copy_from_slice(&flags.to_le_bytes());
        let checksum = checksum::bound_to(&[salt], &self.bytes[4..]);
        self.bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.resize(length.next_multiple_of(ALIGNMENT) + ALIGNMENT, 0);
        &self.bytes
    }

    /// Empties it. A buffer that one huge batch has blown up is given back.
    pub(crate) fn clear(&mut self) {
        const KEEP_BYTES: usize = 1 << 20;
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES);
        self.bytes.resize(HEADER_BYTES, 0);
        self.entries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut batch = Batch::new();
        for (key, value) in entries {
            batch.push(key, Kind::Full, value);
        }
        batch.seal(7, 9, 100, 99, 0).to_vec()
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_read(entries in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..50)), 0..10)) {
            let bytes = sealed(&entries);
            prop_assert_eq!(bytes.len() % ALIGNMENT, 0);
            let (header, payload) = read(&bytes, 7, 9).unwrap();
            prop_assert_eq!((header.first_sequence, header.synced_through), (100, 99));
            let read = decode_entries(payload, header.entries).unwrap().into_iter().map(|logged| match logged {
                Logged::Entry(entry) => (entry.key.to_vec(), entry.value.to_vec()),
                Logged::Drop(_) => panic!("none was written"),
            });
            prop_assert_eq!(read.collect::<Vec<_>>(), entries);
        }

        /// A drop is read as it was written, and takes as many bytes as is said.
        #[test]
        fn a_drop_round_trips(start in prop::collection::vec(any::<u8>(), 0..20), end in prop::option::of(prop::collection::vec(any::<u8>(), 0..20))) {
            let range = KeyRange::new(&start, end.as_deref());
            let mut batch = Batch::new();
            batch.push_drop(&range);
            let bytes = batch.seal(7, 9, 1, 0, 0).to_vec();
            let (header, payload) = read(&bytes, 7, 9).unwrap();
            prop_assert_eq!(payload.len(), drop_bytes(&range));
            prop_assert_eq!(decode_entries(payload, header.entries), Some(vec![Logged::Drop(range)]));
        }

        /// A record that lost or changed a bit anywhere is not a record, and neither is one of another life.
        #[test]
        fn a_changed_record_is_refused(at in 0usize..56, bit in 0u8..8) {
            let mut bytes = sealed(&[(b"key".to_vec(), b"value".to_vec())]);
            prop_assert!(read(&bytes, 8, 9).is_none() && read(&bytes, 7, 8).is_none());
            let length = Header::decode(&bytes).unwrap().1.length;
            bytes[at % length] ^= 1 << bit;
            prop_assert!(read(&bytes, 7, 9).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in any::<u32>()) {
            let _ = read(&bytes, 0, 0);
            let _ = decode_entries(&bytes, count);
        }
    }
}
