//! How a message travels: framed, versioned, checksummed.
//!
//! ```text
//!   0  length       u32   bytes from `version` to the end of the body
//!   4  checksum     u32   CRC-32C of those bytes
//!   8  version      u8    2
//!   9  kind         u8    see codec
//!  10  partition    varint
//!      deadline     varint   milliseconds that the asker still waits
//!      operation    varint   turned left by four bits
//!      epoch        varint
//!      round        varint
//!      body
//! ```
//!
//! Variable numbers are LEB128: seven bits a byte, the lowest first, in as few bytes as will do. A node tells its own operations from
//! its clients' by the highest bits of their names; turned, those are the lowest, and a small number stays small. A header takes some
//! 18 bytes so, where it would take 36 with fixed numbers: between data centers most messages are of small records, or of none.
//!
//! A frame is at most [`FRAME_BYTES_MAX`] long; a longer claim ends the connection before memory is set aside for it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::{Epoch, OperationId, PartitionId};

use crate::codec::{self, DecodeError};
use crate::message::Envelope;
use crate::varint;

/// The only version that is spoken.
pub const WIRE_VERSION: u8 = 2;

/// Values go to 64 MiB and a record may hold several siblings; beyond this a length is taken for damage.
pub const FRAME_BYTES_MAX: usize = 192 * 1024 * 1024;

const PREFIX_BYTES: usize = 8;

/// Version, kind, and a byte for each variable number at the least.
const HEADER_BYTES_MIN: usize = 7;

/// By how much the number of an operation is turned.
const OPERATION_TURNED: u32 = 4;

/// A frame whose checksum held, with the header's fields still to be made sense of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// See [`codec`].
    pub kind: u8,
    header: Header,
    body: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Header {
    partition: PartitionId,
    deadline_ms: u32,
    operation: OperationId,
    epoch: Epoch,
    round: u32,
}

/// Bytes that are no frame. The connection that they came by is of no more use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// A length that no frame has.
    #[error("a frame claims {0} bytes; frames have {HEADER_BYTES_MIN} to {FRAME_BYTES_MAX}")]
    Length(usize),
    /// Damage on the way, or not a peer at all.
    #[error("a frame's checksum is {found:08x}, not {expected:08x}: it was damaged on the way")]
    Checksum {
        /// As the frame says.
        expected: u32,
        /// As its bytes give.
        found: u32,
    },
    /// A peer of another version.
    #[error("a frame has version {0}; this node speaks {WIRE_VERSION}")]
    Version(u8),
    /// A header that cannot be read.
    #[error("a frame's header cannot be read: {0}")]
    Header(&'static str),
    /// A body that cannot be read.
    #[error(transparent)]
    Body(#[from] DecodeError),
}

/// Writes an envelope as a frame behind what `out` holds.
pub fn encode_frame(envelope: &Envelope, out: &mut BytesMut) {
    let header = Header {
        partition: envelope.partition,
        deadline_ms: envelope.deadline_ms,
        operation: envelope.operation,
        epoch: envelope.epoch,
        round: envelope.round,
    };
    write_frame(codec::kind_of(&envelope.body), header, out, |out| {
        codec::encode_body(&envelope.body, out);
    });
}

/// Writes a frame that is no envelope: the handshake's.
pub(crate) fn encode_bare(kind: u8, body: &[u8], out: &mut BytesMut) {
    let header = Header {
        partition: PartitionId(0),
        deadline_ms: 0,
        operation: OperationId(0),
        epoch: Epoch(0),
        round: 0,
    };
    write_frame(kind, header, out, |out| out.put_slice(body));
}

fn write_frame(kind: u8, header: Header, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u64_le(0);
    out.put_u8(WIRE_VERSION);
    out.put_u8(kind);
    varint::put(out, u64::from(header.partition.0));
    varint::put(out, u64::from(header.deadline_ms));
    varint::put(out, header.operation.0.rotate_left(OPERATION_TURNED));
    varint::put(out, header.epoch.0);
    varint::put(out, u64::from(header.round));
    body(out);
    let checked = &out[start + PREFIX_BYTES..];
    let length = u32::try_from(checked.len()).expect("records are bounded far below 4 GiB");
    let checksum = crc32c(checked);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Takes the next whole frame off the front of `buffer`, if there is one.
pub fn decode_frame(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    if buffer.len() < PREFIX_BYTES {
        return Ok(None);
    }
    let length = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
    if !(HEADER_BYTES_MIN..=FRAME_BYTES_MAX).contains(&length) {
        return Err(FrameError::Length(length));
    }
    if buffer.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    let mut frame = buffer.split_to(PREFIX_BYTES + length).freeze();
    frame.advance(4);
    let expected = frame.get_u32_le();
    let found = crc32c(&frame);
    if found != expected {
        return Err(FrameError::Checksum { expected, found });
    }
    let version = frame.get_u8();
    if version != WIRE_VERSION {
        return Err(FrameError::Version(version));
    }
    let kind = frame.get_u8();
    let header = Header {
        partition: PartitionId(number(&mut frame)?),
        deadline_ms: number(&mut frame)?,
        operation: OperationId(number::<u64>(&mut frame)?.rotate_right(OPERATION_TURNED)),
        epoch: Epoch(number(&mut frame)?),
        round: number(&mut frame)?,
    };
    Ok(Some(Frame { kind, header, body: frame }))
}

impl Frame {
    /// The envelope that this frame carries.
    pub fn into_envelope(self) -> Result<Envelope, FrameError> {
        let body = codec::decode_body(self.kind, self.body)?;
        let Header { partition, deadline_ms, operation, epoch, round } = self.header;
        Ok(Envelope { operation, round, epoch, partition, deadline_ms, body })
    }

    /// The bytes behind the header.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

fn number<T: TryFrom<u64>>(header: &mut Bytes) -> Result<T, FrameError> {
    varint::get(header).map_err(FrameError::Header)
}

fn crc32c(bytes: &[u8]) -> u32 {
    let wide = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(wide).expect("a 32-bit checksum fits 32 bits")
}
