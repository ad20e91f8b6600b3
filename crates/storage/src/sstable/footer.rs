//! The two ends of a table: the header that says what the file is, and the footer that says where its parts are.
//!
//! ```text
//!  header:  |HENGESST| version u32 | store u32 | file number u64 | crc32c u32 | zero u32 |                  32 bytes
//!  footer:  |HENGESST| version u32 | store u32 | file number u64 | filter offset u64 | index offset u64
//!           | properties offset u64 | filter length u32 | index length u32 | properties length u32 | crc32c u32 |  64 bytes
//!  properties: | entries u64 | last sequence u64 | raw bytes u64 | smallest key: u16 + bytes | largest key: u16 + bytes |
//! ```
//!
//! The checksums cover all bytes of header and footer before them, and the footer's is bound to the numbers of store and file
//! and to the file's length: a table of another store or number, or one that was cut short or continued, is refused.

use bytes::Bytes;

use super::frame::Handle;
use crate::checksum;
use crate::decode::Decoder;
use crate::home::Home;

pub(crate) const MAGIC: &[u8; 8] = b"HENGESST";
/// 1 is read too: it has zeros in the place of the store's number.
pub(crate) const VERSION: u32 = 2;
pub(crate) const FILE_HEADER_BYTES: usize = 32;
pub(crate) const FOOTER_BYTES: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Footer {
    pub(crate) filter: Handle,
    pub(crate) index: Handle,
    pub(crate) properties: Handle,
}

/// What a table says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Properties {
    pub(crate) entries: u64,
    pub(crate) last_sequence: u64,
    /// Bytes of keys and values before compression.
    pub(crate) raw_bytes: u64,
    pub(crate) smallest: Bytes,
    pub(crate) largest: Bytes,
}

/// Why a footer cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum FooterError {
    Damaged(&'static str),
    Newer(u32),
}

fn begin(home: Home) -> Vec<u8> {
    let version = if home.store == 0 { 1 } else { VERSION };
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&home.store.to_le_bytes());
    out.extend_from_slice(&home.file.to_le_bytes());
    out
}

pub(crate) fn encode_file_header(home: Home) -> Vec<u8> {
    let mut out = begin(home);
    let checksum = checksum::of(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.resize(FILE_HEADER_BYTES, 0);
    out
}

impl Footer {
    /// The footer of a file that with the footer is `file_len` bytes long.
    pub(crate) fn encode(&self, home: Home, file_len: u64) -> Vec<u8> {
        let mut out = begin(home);
        for handle in [self.filter, self.index, self.properties] {
            out.extend_from_slice(&handle.offset.to_le_bytes());
        }
        for handle in [self.filter, self.index, self.properties] {
            out.extend_from_slice(&handle.len.to_le_bytes());
        }
        let checksum = home.checksum_at(file_len, &out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The footer that `wanted` has at its end, and where its blocks are at home: in store 0 if version 1 wrote it.
    pub(crate) fn decode(bytes: &[u8], wanted: Home, file_len: u64) -> Result<(Footer, Home), FooterError> {
        let mut decoder = Decoder::new(bytes);
        if decoder.take(8) != Some(MAGIC) {
            return Err(FooterError::Damaged("the table does not end with its footer"));
        }
        let fields = Self::decode_fields(&mut decoder);
        let (version, store, footer, expected) =
            fields.ok_or(FooterError::Damaged("the footer is cut off"))?;
        let home = Home { store, ..wanted };
        if home.checksum_at(file_len, &bytes[..FOOTER_BYTES - 4]) != expected {
            return Err(FooterError::Damaged("the footer fails its checksum"));
        }
        if version > VERSION {
            return Err(FooterError::Newer(version));
        }
        if version == VERSION && home != wanted {
            return Err(FooterError::Damaged("the footer is that of another store's table"));
        }
        let parts = [footer.filter, footer.index, footer.properties];
        let inside = parts.iter().all(|part| part.offset.saturating_add(u64::from(part.len)) <= file_len);
        if inside {
            Ok((footer, home))
        } else {
            Err(FooterError::Damaged("the footer points outside the file"))
        }
    }

    fn decode_fields(decoder: &mut Decoder<'_>) -> Option<(u32, u32, Footer, u32)> {
        let (version, store) = (decoder.u32()?, decoder.u32()?);
        decoder.take(8)?;
        let offsets = [decoder.u64()?, decoder.u64()?, decoder.u64()?];
        let mut parts = offsets.map(|offset| Handle { offset, len: 0 });
        for part in &mut parts {
            part.len = decoder.u32()?;
        }
        let [filter, index, properties] = parts;
        Some((version, store, Footer { filter, index, properties }, decoder.u32()?))
    }
}

impl Properties {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.entries, self.last_sequence, self.raw_bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for key in [&self.smallest, &self.largest] {
            let len = u16::try_from(key.len()).expect("put refuses keys whose length does not fit 16 bits");
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(key);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Properties> {
        let mut decoder = Decoder::new(bytes);
        let (entries, last_sequence, raw_bytes) = (decoder.u64()?, decoder.u64()?, decoder.u64()?);
        let mut key = || {
            let len = usize::from(decoder.u16()?);
            decoder.take(len).map(Bytes::copy_from_slice)
        };
        Some(Properties { entries, last_sequence, raw_bytes, smallest: key()?, largest: key()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOOTER: Footer = Footer {
        filter: Handle { offset: 32, len: 80 },
        index: Handle { offset: 112, len: 40 },
        properties: Handle { offset: 152, len: 50 },
    };

    const HOME: Home = Home { store: 9, file: 5 };

    #[test]
    fn a_footer_belongs_to_one_file_of_one_length() {
        let bytes = FOOTER.encode(HOME, 266);
        assert_eq!(bytes.len(), FOOTER_BYTES);
        assert_eq!(Footer::decode(&bytes, HOME, 266), Ok((FOOTER, HOME)));
        for (home, len) in [(Home { file: 6, ..HOME }, 266), (Home { store: 8, ..HOME }, 266), (HOME, 330)] {
            assert!(Footer::decode(&bytes, home, len).is_err());
        }
        let cut = FOOTER.encode(HOME, 100);
        assert!(Footer::decode(&cut, HOME, 100).is_err(), "a part that lies outside the file");
    }

    /// What version 1 wrote is read in whichever store, and is no other file for it.
    #[test]
    fn a_footer_of_version_1_is_at_home_in_store_0() {
        let none = Home { store: 0, ..HOME };
        let bytes = FOOTER.encode(none, 266);
        assert_eq!(Footer::decode(&bytes, HOME, 266), Ok((FOOTER, none)));
        assert!(Footer::decode(&bytes, Home { file: 6, ..HOME }, 266).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_footer_is_refused(at in 0..FOOTER_BYTES, bit in 0u8..8) {
            let mut bytes = FOOTER.encode(HOME, 266);
            bytes[at] ^= 1 << bit;
            prop_assert!(matches!(Footer::decode(&bytes, HOME, 266), Err(FooterError::Damaged(_))));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Footer::decode(&bytes, HOME, 0);
            let _ = Properties::decode(&bytes);
        }
    }
}
