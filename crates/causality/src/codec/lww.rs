//! The body of an `lww` record: fixed offsets, so that a read needs a few loads and no parsing.
//!
//! ```text
//!  0  kind u8 = 1
//!  1  format u8 = 1
//!  2  flags u8           bit 0: tombstone, bit 1: ends
//!  3  priority u8
//!  4  stamp u64
//! 12  incarnation u64    \
//! 20  stint u32           } the dot
//! 24  counter u64        /
//! 32  operation u64
//! 40  expiry stamp u64
//! 48  expiry at u64      milliseconds; 0 unless bit 1
//! 56  value              to the end; empty if bit 0
//! ```
//!
//! 56 bytes a key against about 30 with variable numbers: what a hot GET saves in time is worth more than that.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};
use types::{Incarnation, OperationId, Stint, WallTime};

use super::{DecodeError, FORMAT, KIND_LWW};
use crate::{Actor, Dot, Expiry, Lww, Payload, Stamp, Version, VersionVector};

const TOMBSTONE: u8 = 1;
const ENDS: u8 = 2;
const HEADER_BYTES: usize = 56;

/// All of an encoded `lww` record but the body of its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LwwPeek {
    /// When the version was written.
    pub stamp: Stamp,
    /// Its name.
    pub dot: Dot,
    /// When it ends.
    pub expiry: Expiry,
    /// How important its writer is.
    pub priority: u8,
    /// The client operation that wrote it.
    pub operation: OperationId,
    /// Whether it is a delete.
    pub is_tombstone: bool,
    /// Where in the encoded record the value's bytes are; empty for a delete.
    pub value: Range<usize>,
}

impl LwwPeek {
    /// Whether a reader at `now` may be shown the value.
    pub fn is_live(&self, now: WallTime) -> bool {
        !self.is_tombstone && !self.expiry.has_passed(now)
    }

    /// Whether this version outranks the other: what [`Lww::supersedes`] says of the records.
    pub fn supersedes(&self, other: &LwwPeek) -> bool {
        (self.stamp, self.dot) > (other.stamp, other.dot)
    }

    pub(super) fn of(bytes: &[u8]) -> Result<LwwPeek, DecodeError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(DecodeError::Truncated { at: bytes.len(), wanted: HEADER_BYTES - bytes.len() });
        };
        let (flags, at) = (header[2], u64_at::<48>(header));
        let actor =
            Actor { incarnation: Incarnation(u64_at::<12>(header)), stint: Stint(u32_at::<20>(header)) };
        let peek = LwwPeek {
            stamp: Stamp(u64_at::<4>(header)),
            dot: Dot { actor, counter: u64_at::<24>(header) },
            expiry: Expiry {
                stamp: Stamp(u64_at::<40>(header)),
                at: (flags & ENDS != 0).then_some(WallTime(at)),
            },
            priority: header[3],
            operation: OperationId(u64_at::<32>(header)),
            is_tombstone: flags & TOMBSTONE != 0,
            value: HEADER_BYTES..bytes.len(),
        };
        match () {
            () if flags & !(TOMBSTONE | ENDS) != 0 => malformed(2, "unknown flags"),
            () if flags & ENDS == 0 && at != 0 => malformed(48, "an end without its flag"),
            () if peek.is_tombstone && !body.is_empty() => malformed(HEADER_BYTES, "a delete with a value"),
            () => Ok(peek),
        }
    }
}

fn malformed(at: usize, what: &'static str) -> Result<LwwPeek, DecodeError> {
    Err(DecodeError::Malformed { at, what })
}

/// The number at offset `AT`; that it lies inside the header is checked when this is compiled.
fn u64_at<const AT: usize>(header: &[u8; HEADER_BYTES]) -> u64 {
    const { assert!(AT + 8 <= HEADER_BYTES) };
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[AT..AT + 8]);
    u64::from_le_bytes(bytes)
}

fn u32_at<const AT: usize>(header: &[u8; HEADER_BYTES]) -> u32 {
    const { assert!(AT + 4 <= HEADER_BYTES) };
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[AT..AT + 4]);
    u32::from_le_bytes(bytes)
}

pub(super) fn encoded_len(record: &Lww) -> usize {
    HEADER_BYTES + record.value().map_or(0, Bytes::len)
}

pub(super) fn encode(record: &Lww, out: &mut Vec<u8>) {
    let version = record.version();
    let tombstone = if record.value().is_none() { TOMBSTONE } else { 0 };
    let ends = if version.expiry.at.is_some() { ENDS } else { 0 };
    let mut header = [0; HEADER_BYTES];
    let mut fields = &mut header[..];
    fields.put_slice(&[KIND_LWW, FORMAT, tombstone | ends, version.priority]);
    fields.put_u64_le(version.stamp.0);
    fields.put_u64_le(version.dot.actor.incarnation.0);
    fields.put_u32_le(version.dot.actor.stint.0);
    fields.put_u64_le(version.dot.counter);
    fields.put_u64_le(version.operation.0);
    fields.put_u64_le(version.expiry.stamp.0);
    fields.put_u64_le(version.expiry.at.map_or(0, |at| at.0));
    out.extend_from_slice(&header);
    out.extend_from_slice(record.value().map_or(&[], |value| value));
}

pub(super) fn decode(mut bytes: Bytes) -> Result<Lww, DecodeError> {
    let peek = LwwPeek::of(&bytes)?;
    bytes.advance(HEADER_BYTES);
    let payload = if peek.is_tombstone { Payload::Tombstone } else { Payload::Value(bytes) };
    Ok(Lww::new(Version {
        dot: peek.dot,
        stamp: peek.stamp,
        payload,
        priority: peek.priority,
        expiry: peek.expiry,
        operation: peek.operation,
        past: VersionVector::new(),
    }))
}
