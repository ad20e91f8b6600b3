//! A data block: a run of entries in key order, searched by halving.
//!
//! ```text
//!  | entry | entry | ... | offset of entry 0: u32 | offset of entry 1: u32 | ... | number of entries: u32 |
//!  entry:  | kind u8 | key length u16 | value length u32 | key | value |      kind: 1 full, 2 operand, 3 delete marker
//! ```
//!
//! Keys are stored whole. What neighbours have in common LZ4 takes out anyway, and a whole key can be compared where
//! it lies. A block's checksum is verified before it is parsed; parsing still trusts no length.

use bytes::Bytes;

use crate::decode::{Decoder, length32};
use crate::memtable::Entry;
use crate::merge::Kind;

const ENTRY_HEADER_BYTES: usize = 7;
const OFFSET_BYTES: usize = 4;

/// Gathers entries for a block. The buffers are kept from block to block.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl BlockBuilder {
    /// Adds an entry whose key is above all before it.
    pub(crate) fn add(&mut self, key: &[u8], kind: Kind, value: &[u8]) {
        let key_len = u16::try_from(key.len()).expect("put refuses keys whose length does not fit 16 bits");
        self.offsets.push(length32(self.bytes.len()));
        self.bytes.reserve(ENTRY_HEADER_BYTES + key.len() + value.len());
        self.bytes.push(kind.to_byte());
        self.bytes.extend_from_slice(&key_len.to_le_bytes());
        self.bytes.extend_from_slice(&length32(value.len()).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + OFFSET_BYTES * (self.offsets.len() + 1)
    }

    /// The finished block; the builder is empty again.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.append(&mut self.bytes);
        for offset in &self.offsets {
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        bytes.extend_from_slice(&length32(self.offsets.len()).to_le_bytes());
        self.offsets.clear();
        bytes
    }
}

/// A parsed block. Keys and values that it hands out share its memory.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    bytes: Bytes,
    /// Where the entries end and the offsets begin.
    entries_end: usize,
    count: usize,
}

/// What is wrong with a block whose checksum was right: nothing that this program wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

impl Block {
    pub(crate) fn parse(bytes: Bytes) -> Result<Block, Malformed> {
        let count_at = bytes.len().checked_sub(OFFSET_BYTES).ok_or(Malformed)?;
        let count = Decoder::new(&bytes[count_at..]).len32().ok_or(Malformed)?;
        let offsets_len = count.checked_mul(OFFSET_BYTES).ok_or(Malformed)?;
        let entries_end = count_at.checked_sub(offsets_len).ok_or(Malformed)?;
        Ok(Block { bytes, entries_end, count })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Entry number `index`: (kind, key, value) as ranges of the block.
    fn parts(&self, index: usize) -> Result<(Kind, usize, usize, usize), Malformed> {
        let at = self.entries_end + index * OFFSET_BYTES;
        let offset = self.bytes.get(at..).and_then(|b| Decoder::new(b).len32()).ok_or(Malformed)?;
        let mut decoder = Decoder::new(self.bytes.get(offset..self.entries_end).ok_or(Malformed)?);
        let header =
            (|| Some((Kind::from_byte(decoder.u8()?)?, usize::from(decoder.u16()?), decoder.len32()?)))();
        let (kind, key_len, value_len) = header.ok_or(Malformed)?;
        let key_at = offset + ENTRY_HEADER_BYTES;
        let fits = key_len.checked_add(value_len).is_some_and(|len| len <= self.entries_end - key_at);
        if fits { Ok((kind, key_at, key_at + key_len, key_at + key_len + value_len)) } else { Err(Malformed) }
    }

    pub(crate) fn entry(&self, index: usize) -> Result<Entry, Malformed> {
        let (kind, key_at, value_at, end) = self.parts(index)?;
        Ok(Entry { key: self.bytes.slice(key_at..value_at), kind, value: self.bytes.slice(value_at..end) })
    }

    fn key(&self, index: usize) -> Result<&[u8], Malformed> {
        let (_, key_at, value_at, _) = self.parts(index)?;
        Ok(&self.bytes[key_at..value_at])
    }

    /// The first entry whose key is not below `key`; the number of entries if there is none.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> Result<usize, Malformed> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle)? < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Entry>, Malformed> {
        let index = self.lower_bound(key)?;
        if index == self.count || self.key(index)? != key {
            return Ok(None);
        }
        self.entry(index).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_block_finds_what_was_added(map in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..6), prop::collection::vec(any::<u8>(), 0..9), 0..30), probe in prop::collection::vec(any::<u8>(), 0..6)) {
            let map: BTreeMap<Vec<u8>, Vec<u8>> = map;
            let mut builder = BlockBuilder::default();
            for (key, value) in &map {
                builder.add(key, Kind::Merge, value);
            }
            let block = Block::parse(Bytes::from(builder.finish())).unwrap();
            prop_assert_eq!(block.count(), map.len());
            prop_assert_eq!(block.lower_bound(&probe).unwrap(), map.range(..probe.clone()).count());
            for key in map.keys().chain([&probe]) {
                let found = block.get(key).unwrap().map(|entry| entry.value.to_vec());
                prop_assert_eq!(found.as_ref(), map.get(key));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0u32..8) {
            let mut with_count = bytes.clone();
            with_count.extend_from_slice(&count.to_le_bytes());
            for bytes in [bytes, with_count] {
                if let Ok(block) = Block::parse(Bytes::from(bytes)) {
                    let _ = block.get(b"k");
                    for index in 0..block.count().min(9) {
                        let _ = block.entry(index);
                    }
                }
            }
        }
    }
}
