//! The index: which block a key would be in.
//!
//! ```text
//!  entry:  | block's offset u64 | block's length u32 | bound length u16 | bound |
//! ```
//!
//! An entry's bound is the shortest string that is above every key of the block before and not above the block's own
//! first key; the first block's bound is empty. So the block of a key is the last one whose bound is not above it, and
//! a bound is a few bytes, not a key.

use bytes::Bytes;

use super::frame::Handle;
use crate::decode::Decoder;

#[derive(Clone, Debug)]
struct IndexEntry {
    handle: Handle,
    bound_at: u32,
    bound_len: u16,
}

#[derive(Clone, Debug)]
pub(crate) struct Index {
    bytes: Bytes,
    entries: Vec<IndexEntry>,
}

/// The shortest string above `below` and not above `first`, given `below < first`.
pub(crate) fn shortest_bound<'a>(below: &[u8], first: &'a [u8]) -> &'a [u8] {
    let common = below.iter().zip(first).take_while(|(a, b)| a == b).count();
    &first[..(common + 1).min(first.len())]
}

pub(crate) fn append(out: &mut Vec<u8>, handle: Handle, bound: &[u8]) {
    let bound_len = u16::try_from(bound.len()).expect("put refuses keys whose length does not fit 16 bits");
    out.extend_from_slice(&handle.offset.to_le_bytes());
    out.extend_from_slice(&handle.len.to_le_bytes());
    out.extend_from_slice(&bound_len.to_le_bytes());
    out.extend_from_slice(bound);
}

impl Index {
    pub(crate) fn parse(bytes: Bytes) -> Option<Index> {
        let mut decoder = Decoder::new(&bytes);
        let mut entries = Vec::new();
        let mut at = 0usize;
        while !decoder.is_empty() {
            let handle = Handle { offset: decoder.u64()?, len: decoder.u32()? };
            let bound_len = decoder.u16()?;
            decoder.take(usize::from(bound_len))?;
            entries.push(IndexEntry { handle, bound_at: u32::try_from(at + 14).ok()?, bound_len });
            at += 14 + usize::from(bound_len);
        }
        entries.shrink_to_fit();
        Some(Index { bytes, entries })
    }

    fn bound(&self, entry: &IndexEntry) -> &[u8] {
        let at = entry.bound_at as usize;
        &self.bytes[at..at + usize::from(entry.bound_len)]
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn handle(&self, block: usize) -> Option<Handle> {
        self.entries.get(block).map(|entry| entry.handle)
    }

    /// The number of the block at this offset.
    pub(crate) fn block_at(&self, offset: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.handle.offset == offset)
    }

    /// The bound of a block; nothing where there is no such block.
    pub(crate) fn bound_of(&self, block: usize) -> Option<Bytes> {
        self.entries.get(block).map(|entry| Bytes::copy_from_slice(self.bound(entry)))
    }

    /// The number of the block that holds `key` if any does.
    pub(crate) fn find(&self, key: &[u8]) -> usize {
        self.entries.partition_point(|entry| self.bound(entry) <= key).saturating_sub(1)
    }

    /// The first block that has no key below this one.
    pub(crate) fn first_from(&self, key: &[u8]) -> usize {
        self.entries.partition_point(|entry| self.bound(entry) < key)
    }

    /// How many bytes these blocks take in the file.
    pub(crate) fn bytes_of(&self, blocks: std::ops::Range<usize>) -> u64 {
        let of = self.entries.get(blocks).unwrap_or_default();
        let end = of.last().map_or(0, |last| last.handle.offset + u64::from(last.handle.len));
        end.saturating_sub(of.first().map_or(0, |first| first.handle.offset))
    }

    /// Memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<IndexEntry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bound_separates(a in prop::collection::vec(0u8..3, 0..6), b in prop::collection::vec(0u8..3, 0..6)) {
            prop_assume!(a < b);
            let bound = shortest_bound(&a, &b);
            prop_assert!(a.as_slice() < bound && bound <= b.as_slice());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(index) = Index::parse(Bytes::from(bytes)) {
                let block = index.find(b"key");
                prop_assert!(block == 0 || block < index.len());
            }
        }
    }

    #[test]
    fn a_key_is_in_the_last_block_that_begins_at_or_below_it() {
        let mut bytes = Vec::new();
        for (number, bound) in [&b""[..], b"c", b"f"].into_iter().enumerate() {
            append(&mut bytes, Handle { offset: number as u64, len: 1 }, bound);
        }
        let index = Index::parse(Bytes::from(bytes)).unwrap();
        let find = |key: &[u8]| index.find(key);
        assert_eq!(
            (find(b""), find(b"b"), find(b"c"), find(b"e"), find(b"f"), find(b"zz")),
            (0, 0, 1, 1, 2, 2)
        );
    }
}
