//! CRC32C, as iSCSI (RFC 3720) defines it: what every byte on disk is checked with before it is used.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of `content` bound to `place`: equal bytes at another place have another checksum, so that a block
/// or record that a device wrote to the wrong place, or failed to overwrite, is not mistaken for the one wanted.
pub(crate) fn bound_to(place: &[u64], content: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for word in place {
        digest.update(&word.to_le_bytes());
    }
    digest.update(content);
    low_half(digest.finalize())
}

/// The checksum of `content` by itself.
pub(crate) fn of(content: &[u8]) -> u32 {
    low_half(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, content))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a 32-bit checksum is the low half of what the library returns"
)]
fn low_half(checksum: u64) -> u32 {
    checksum as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32/ISCSI: any other polynomial or bit order would give another.
    #[test]
    fn it_is_crc32c() {
        assert_eq!(of(b"123456789"), 0xE306_9283);
        assert_eq!(bound_to(&[], b"123456789"), 0xE306_9283);
    }

    #[test]
    fn equal_bytes_elsewhere_differ() {
        assert_ne!(bound_to(&[1, 0], b"x"), bound_to(&[1, 4096], b"x"));
    }
}
