//! The checksum of the small files that a node keeps beside its stores.

/// CRC-32C of these bytes.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let wide = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(wide).expect("a 32-bit checksum fits 32 bits")
}
