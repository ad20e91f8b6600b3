//! The bytes of a record, on disk and between nodes.
//!
//! ```text
//! record    kind u8 (1 = lww, 2 = siblings) | format u8 (1) | body
//! ```
//!
//! The bodies are drawn at the top of `lww.rs` and `siblings.rs` beside this file, and the whole in `docs/formats/record.md`.
//! Fixed numbers are little endian. Variable ones are LEB128: seven bits a byte, the lowest first, in as few bytes as
//! will do.
//!
//! Always true: equal records are equal bytes, and bytes that are not what encoding gives are refused; the bytes are
//! what is hashed and compared (INVARIANTS B5). Decoding is total: whatever the bytes, the answer is a record or an
//! error, and memory grows with the bytes that came, not with the counts that they claim.
//!
//! There is no checksum here and no length: a record always travels in something that has both.

mod lww;
mod reader;
mod siblings;

use bytes::Bytes;
use thiserror::Error;

use crate::Record;

pub use lww::LwwPeek;
pub(crate) use reader::{Reader, put_varint};
pub(crate) use siblings::{known_len, put_known, read_known};

pub(crate) const KIND_LWW: u8 = 1;
pub(crate) const KIND_SIBLINGS: u8 = 2;
/// The version of the layout that is written. Kind and version stay the first two bytes whatever follows.
pub(crate) const FORMAT: u8 = 1;

/// The bytes are not a record that this program can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// The bytes end where `wanted` more were due: a torn or truncated record.
    #[error("the record ends at byte {at}, where {wanted} more bytes were due")]
    Truncated {
        /// The offset at which they were due.
        at: usize,
        /// How many.
        wanted: usize,
    },
    /// Written by a newer version of the program, which must read it.
    #[error(
        "the record has kind {kind} in format {format}, which this version cannot read (kinds 1 and 2, format 1)"
    )]
    Unknown {
        /// The first byte.
        kind: u8,
        /// The second.
        format: u8,
    },
    /// Not what encoding any record gives: damage.
    #[error("the record is damaged at byte {at}: {what}")]
    Malformed {
        /// The offset.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl Record {
    /// The number of bytes that [`encode`](Self::encode) writes.
    pub fn encoded_len(&self) -> usize {
        match self {
            Record::Lww(record) => lww::encoded_len(record),
            Record::Siblings(record) => siblings::encoded_len(record),
        }
    }

    /// Appends the record's bytes to `out`, which grows at most once.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = self.encoded_len();
        out.reserve(length);
        match self {
            Record::Lww(record) => lww::encode(record, out),
            Record::Siblings(record) => siblings::encode(record, out),
        }
        debug_assert_eq!(out.len() - start, length, "the length computed is the length written");
    }

    /// The record's bytes, in one allocation.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode(&mut out);
        Bytes::from(out)
    }

    /// Reads a record from all of `bytes`. Values are slices of `bytes`, not copies.
    ///
    /// # Errors
    /// [`DecodeError`], for anything that [`encode`](Self::encode) would not have written.
    pub fn decode(bytes: Bytes) -> Result<Record, DecodeError> {
        match kind_of(&bytes)? {
            KIND_LWW => Ok(Record::Lww(lww::decode(bytes)?)),
            _ => Ok(Record::Siblings(siblings::decode(bytes)?)),
        }
    }
}

/// What can be told of an encoded record without building it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peek {
    /// All but the body of a single version.
    Lww(LwwPeek),
    /// Siblings: decode it.
    Siblings,
}

/// Looks at an encoded record without building it: no allocation, a few loads. Of siblings it checks the kind only.
///
/// # Errors
/// [`DecodeError`], where [`Record::decode`] would find the same in the part looked at.
pub fn peek(bytes: &[u8]) -> Result<Peek, DecodeError> {
    match kind_of(bytes)? {
        KIND_LWW => Ok(Peek::Lww(LwwPeek::of(bytes)?)),
        _ => Ok(Peek::Siblings),
    }
}

fn kind_of(bytes: &[u8]) -> Result<u8, DecodeError> {
    match *bytes {
        [kind @ (KIND_LWW | KIND_SIBLINGS), FORMAT, ..] => Ok(kind),
        [kind, format, ..] => Err(DecodeError::Unknown { kind, format }),
        _ => Err(DecodeError::Truncated { at: bytes.len(), wanted: 2 - bytes.len() }),
    }
}
