//! The first 4096 bytes of a segment: whose life it is.
//!
//! ```text
//!  0         8       12      16        24      32               40               48       52
//!  +---------+-------+-------+---------+-------+----------------+----------------+--------+----- ... -+
//!  |HENGELOG |version| zero  | segment | salt  | length         | synced through | crc32c | zero      |  records from 4096
//!  +---------+-------+-------+---------+-------+----------------+----------------+--------+----- ... -+
//! ```
//!
//! The header is written and synced before the segment's first record and never while it has records that count. It
//! has a page of its own, so that a torn write of a record cannot hurt it. The salt is derived from a secret of the
//! process: a client that stores a piece of a log as a value cannot make recovery take it for a record.

use std::sync::Arc;

use env::File;

use crate::checksum;
use crate::decode::Decoder;

pub(crate) const MAGIC: &[u8; 8] = b"HENGELOG";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 52;
/// Where the first record begins.
pub(crate) const FIRST_RECORD_OFFSET: usize = 4096;

/// One life of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Life {
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
    pub(crate) fn new(segment: u64, secret: u64, bytes: usize, synced_through: u64) -> Life {
        let salt = xxhash_rust::xxh3::xxh3_64_with_seed(&segment.to_le_bytes(), secret);
        Life { segment, salt, bytes: bytes as u64, synced_through }
    }

    /// The header page, and behind it the end mark: a segment without records.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(crate::log::OVERHEAD_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        for number in [self.segment, self.salt, self.bytes, self.synced_through] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum::of(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.resize(FIRST_RECORD_OFFSET + super::record::ALIGNMENT, 0);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Life, HeaderError> {
        let header =
            bytes.get(..HEADER_BYTES).ok_or(HeaderError::Damaged("the segment's header is cut off"))?;
        let mut decoder = Decoder::new(header);
        if decoder.take(8) != Some(MAGIC) {
            return Err(HeaderError::Damaged("the segment does not begin with HENGELOG"));
        }
        let fields = Self::decode_fields(&mut decoder);
        let (version, life, expected) =
            fields.ok_or(HeaderError::Damaged("the segment's header is cut off"))?;
        if checksum::of(&header[..HEADER_BYTES - 4]) != expected {
            return Err(HeaderError::Damaged("the segment's header fails its checksum"));
        }
        if version != VERSION {
            return Err(HeaderError::Newer(version));
        }
        Ok(life)
    }

    fn decode_fields(decoder: &mut Decoder<'_>) -> Option<(u32, Life, u32)> {
        let version = decoder.u32()?;
        decoder.take(4)?;
        let life = Life {
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

    proptest! {
        #[test]
        fn a_header_round_trips(segment: u64, secret: u64, synced: u64) {
            let life = Life::new(segment, secret, 1 << 20, synced);
            prop_assert_eq!(Life::decode(&life.encode()), Ok(life));
        }

        #[test]
        fn a_changed_header_is_refused(at in 0..HEADER_BYTES, bit in 0u8..8) {
            let mut bytes = Life::new(3, 4, 1 << 20, 5).encode();
            bytes[at] ^= 1 << bit;
            prop_assert!(matches!(Life::decode(&bytes), Err(HeaderError::Damaged(_))));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Life::decode(&bytes);
        }
    }
}
