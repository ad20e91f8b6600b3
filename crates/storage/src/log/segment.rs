//! The first 4096 bytes of a segment: whose life it is.
//!
//! ```text
//!  0         8       12      16        24      32               40               48       52
//!  +---------+-------+-------+---------+-------+----------------+----------------+--------+----- ... -+
//!  |HENGELOG |version| store | segment | salt  | length         | synced through | crc32c | zero      |  records from 4096
//!  +---------+-------+-------+---------+-------+----------------+----------------+--------+----- ... -+
//! ```
//!
//! The header is written and synced before the segment's first record and never while it has records that count. It
//! has a page of its own, so that a torn write of a record cannot hurt it. The salt is derived from a secret of the
//! process: a client that stores a piece of a log as a value cannot make recovery take it for a record. The checksum is bound
//! to the numbers of store and file: the header of another segment, of a later life, would make this one look unused.

use std::sync::Arc;

use env::File;

use crate::checksum;
use crate::decode::Decoder;
use crate::home::Home;

pub(crate) const MAGIC: &[u8; 8] = b"HENGELOG";
/// 1 is read too: it has zeros in the place of the store's number, and its checksum is bound to nothing.
pub(crate) const VERSION: u32 = 2;
pub(crate) const HEADER_BYTES: usize = 52;
/// Where the first record begins.
pub(crate) const FIRST_RECORD_OFFSET: usize = 4096;

/// One life of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Life {
    /// The number of the store.
    pub(crate) store: u32,
    /// Which life: greater than that of every segment before it in the log.
    pub(crate) segment: u64,
    pub(crate) salt: u64,
    /// The length of the file in bytes.
    pub(crate) bytes: u64,
    /// Every entry up to this one was synced when this life began.
    pub(crate) synced_through: u64,
}

/// Why a header cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HeaderError {
    Damaged(&'static str),
    Newer(u32),
}

impl Life {
    pub(crate) fn new(store: u32, segment: u64, secret: u64, bytes: usize, synced_through: u64) -> Life {
        let salt = xxhash_rust::xxh3::xxh3_64_with_seed(&segment.to_le_bytes(), secret ^ u64::from(store));
        Life { store, segment, salt, bytes: bytes as u64, synced_through }
    }

    /// The header page of file number `file`, and behind it the end mark: a segment without records.
    pub(crate) fn encode(&self, file: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(crate::log::OVERHEAD_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.store.to_le_bytes());
        for number in [self.segment, self.salt, self.bytes, self.synced_through] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum::bound_to(&[Home { store: self.store, file }.word()], &bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.resize(FIRST_RECORD_OFFSET + super::record::ALIGNMENT, 0);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8], home: Home) -> Result<Life, HeaderError> {
        let header =
            bytes.get(..HEADER_BYTES).ok_or(HeaderError::Damaged("the segment's header is cut off"))?;
        let mut decoder = Decoder::new(header);
        if decoder.take(8) != Some(MAGIC) {
            return Err(HeaderError::Damaged("the segment does not begin with HENGELOG"));
        }
        let fields = Self::decode_fields(&mut decoder);
        let (version, life, expected) =
            fields.ok_or(HeaderError::Damaged("the segment's header is cut off"))?;
        let content = &header[..HEADER_BYTES - 4];
        let checksum =
            if version == 1 { checksum::of(content) } else { checksum::bound_to(&[home.word()], content) };
        if checksum != expected {
            return Err(HeaderError::Damaged("the segment's header fails its checksum"));
        }
        if version > VERSION {
            return Err(HeaderError::Newer(version));
        }
        Ok(life)
    }

    fn decode_fields(decoder: &mut Decoder<'_>) -> Option<(u32, Life, u32)> {
        let version = decoder.u32()?;
        let life = Life {
            store: decoder.u32()?,
            segment: decoder.u64()?,
            salt: decoder.u64()?,
            bytes: decoder.u64()?,
            synced_through: decoder.u64()?,
        };
        Some((version, life, decoder.u32()?))
    }
}

/// A segment's file: its number (which names it) and an open handle.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) number: u64,
    pub(crate) handle: Arc<dyn File>,
}

/// A segment that is laid out on disk, synced and named in the manifest, and has no records yet.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) file: SegmentFile,
    pub(crate) life: Life,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOME: Home = Home { store: 9, file: 2 };

    proptest! {
        #[test]
        fn a_header_round_trips(segment: u64, secret: u64, synced: u64) {
            let life = Life::new(HOME.store, segment, secret, 1 << 20, synced);
            prop_assert_eq!(Life::decode(&life.encode(HOME.file), HOME), Ok(life));
        }

        /// That of another file or store is none.
        #[test]
        fn a_misplaced_header_is_refused(store in 8u32..11, file in 1u64..4) {
            let bytes = Life::new(store, 5, 6, 1 << 20, 4).encode(file);
            prop_assert_eq!(Life::decode(&bytes, HOME).is_ok(), (Home { store, file }) == HOME);
        }

        #[test]
        fn a_changed_header_is_refused(at in 0..HEADER_BYTES, bit in 0u8..8) {
            let mut bytes = Life::new(HOME.store, 3, 4, 1 << 20, 5).encode(HOME.file);
            bytes[at] ^= 1 << bit;
            prop_assert!(matches!(Life::decode(&bytes, HOME), Err(HeaderError::Damaged(_))));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Life::decode(&bytes, HOME);
        }
    }
}
