//! What all blocks of a table have in common: compression, and a checksum that knows where the block belongs.
//!
//! ```text
//!  0       4               8             12     13            14     16
//!  +-------+---------------+-------------+------+-------------+------+------------------------+
//!  |crc32c | stored length | raw length  | kind | compression | zero | stored bytes ...       |
//!  +-------+---------------+-------------+------+-------------+------+------------------------+
//! ```
//!
//! The checksum covers everything from `stored length` on and is bound to (store and file number, offset of the block).

use bytes::Bytes;

use crate::decode::{Decoder, length32};
use crate::home::Home;

pub(crate) const HEADER_BYTES: usize = 16;
/// LZ4 never makes more than this of one byte, so a raw length beyond it is a lie.
const LZ4_RATIO_MAX: usize = 255;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BlockKind {
    Data = 1,
    Filter = 2,
    Index = 3,
    Properties = 4,
}

const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// Where a block lies: its offset, and its length with the frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handle {
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

/// Frames a block that will lie at `offset` of this file, and appends it to `out`.
pub(crate) fn append(
    out: &mut Vec<u8>,
    home: Home,
    offset: u64,
    kind: BlockKind,
    raw: &[u8],
    compress: bool,
) -> Handle {
    let compressed = if compress { compressed_if_worth_it(raw) } else { None };
    let (compression, stored) = compressed.as_deref().map_or((PLAIN, raw), |stored| (LZ4, stored));
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length32(stored.len()).to_le_bytes());
    out.extend_from_slice(&length32(raw.len()).to_le_bytes());
    out.extend_from_slice(&[kind as u8, compression, 0, 0]);
    out.extend_from_slice(stored);
    let checksum = home.checksum_at(offset, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    Handle { offset, len: length32(out.len() - start) }
}

/// Compression that saves less than an eighth is not worth the work of undoing it.
fn compressed_if_worth_it(raw: &[u8]) -> Option<Vec<u8>> {
    let compressed = lz4_flex::block::compress(raw);
    (compressed.len() <= raw.len() - raw.len() / 8).then_some(compressed)
}

/// The raw bytes of a framed block, if it is whole, of this kind, and at home here. The error says what is wrong.
pub(crate) fn open(framed: &Bytes, home: Home, offset: u64, kind: BlockKind) -> Result<Bytes, &'static str> {
    let mut decoder = Decoder::new(framed);
    let header =
        (|| Some((decoder.u32()?, decoder.len32()?, decoder.len32()?, decoder.u8()?, decoder.u8()?)))();
    let (expected, stored_len, raw_len, found_kind, compression) = header.ok_or("the block is cut off")?;
    if stored_len != framed.len() - HEADER_BYTES.min(framed.len()) {
        return Err("the block's length is not what the index says");
    }
    if home.checksum_at(offset, &framed[4..]) != expected {
        return Err("the block fails its checksum");
    }
    if found_kind != kind as u8 {
        return Err("the block is of another kind than the one wanted");
    }
    let stored = framed.slice(HEADER_BYTES..);
    match compression {
        PLAIN if raw_len == stored_len => Ok(stored),
        LZ4 if raw_len <= stored_len.saturating_mul(LZ4_RATIO_MAX) => decompress(&stored, raw_len),
        _ => Err("the block's compression is unknown or its raw length impossible"),
    }
}

fn decompress(stored: &[u8], raw_len: usize) -> Result<Bytes, &'static str> {
    let mut raw = vec![0; raw_len];
    match lz4_flex::block::decompress_into(stored, &mut raw) {
        Ok(len) if len == raw_len => Ok(Bytes::from(raw)),
        _ => Err("the block does not decompress to the length it names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOME: Home = Home { store: 9, file: 1 };

    proptest! {
        #[test]
        fn a_block_round_trips(raw in prop::collection::vec(0u8..4, 0..400), compress: bool) {
            let mut out = Vec::new();
            let handle = append(&mut out, HOME, 32, BlockKind::Data, &raw, compress);
            prop_assert_eq!(handle.len as usize, out.len());
            prop_assert_eq!(open(&Bytes::from(out), HOME, 32, BlockKind::Data).unwrap(), raw);
        }

        /// Damage, and a block that belongs elsewhere, are found.
        #[test]
        fn a_changed_or_misplaced_block_is_refused(at in 0usize..40, bit in 0u8..8) {
            let mut out = Vec::new();
            append(&mut out, HOME, 32, BlockKind::Data, b"some content that is stored", false);
            let intact = Bytes::from(out.clone());
            for other in [Home { file: 2, ..HOME }, Home { store: 8, ..HOME }] {
                prop_assert!(open(&intact, other, 32, BlockKind::Data).is_err());
            }
            prop_assert!(open(&intact, HOME, 64, BlockKind::Data).is_err());
            prop_assert!(open(&intact, HOME, 32, BlockKind::Index).is_err());
            out[at] ^= 1 << bit;
            prop_assert!(open(&Bytes::from(out), HOME, 32, BlockKind::Data).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), raw_len in any::<u16>()) {
            let _ = open(&Bytes::from(bytes.clone()), HOME, 0, BlockKind::Data);
            let _ = decompress(&bytes, usize::from(raw_len));
        }
    }
}
