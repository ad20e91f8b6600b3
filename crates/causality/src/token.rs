//! The text of a context, as clients carry it.
//!
//! ```text
//! base64url without padding of
//!   version u8 = 1 | binding u32 | kind u8 | body | CRC32C u32 of all before
//!   kind 0: empty, no body
//!   kind 1: the known writes, as in a record of siblings (`codec/siblings.rs`)
//!   kind 2: stamp u64 | incarnation u64 | stint u32 | counter u64
//! ```
//!
//! Opaque to clients, so it says nothing they would want to take apart. The binding is the caller's hash of keyspace
//! and key: a context of another key would claim writes that its client never read, and is refused by name instead.
//! The checksum finds tokens cut short or altered on their way; it is no signature, and a client who makes up a
//! context harms the key that it may write to anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes};
use thiserror::Error;
use types::{Incarnation, Stint};

use crate::codec::{Reader, known_len, put_known, read_known};
use crate::{Actor, Context, DecodeError, Dot, Stamp};

/// No token is longer than this, in bytes of text: room for some 3,000 actors. A record's limit on clock entries is
/// far below that.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;

const VERSION: u8 = 1;
const EMPTY: u8 = 0;
const CAUSAL: u8 = 1;
const STAMP: u8 = 2;
const BODY_AT: usize = 1 + 4 + 1;
const CHECKSUM_BYTES: usize = 4;

/// The text is not a context for this key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TokenError {
    /// It never was a token of this program.
    #[error("not a context: {0}; pass back what a read or write returned, unchanged")]
    Malformed(&'static str),
    /// It was one, and was altered or cut on its way.
    #[error(
        "the context is damaged: its checksum does not match; pass back what a read or write returned, unchanged"
    )]
    Damaged,
    /// It is one, of another key or keyspace.
    #[error("the context is of another key or keyspace: read this key and pass what that returns")]
    OfAnotherKey,
}

impl Context {
    /// The text of this context, bound to its key by `binding`.
    pub fn to_token(&self, binding: u32) -> String {
        let mut bytes = Vec::with_capacity(BODY_AT + self.body_len() + CHECKSUM_BYTES);
        bytes.put_u8(VERSION);
        bytes.put_u32_le(binding);
        self.put_body(&mut bytes);
        let checksum = crc_fast::crc32_iscsi(&bytes);
        bytes.put_u32_le(checksum);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The context that `text` stands for, if it is bound to the same key.
    ///
    /// # Errors
    /// [`TokenError`], which tells what never was a token from one that was damaged and one of another key.
    pub fn from_token(text: &str, binding: u32) -> Result<Context, TokenError> {
        let bytes = checked(text)?;
        let found = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        if bytes[0] != VERSION {
            return Err(TokenError::Malformed("it was made by a version that this one does not know"));
        }
        if found != binding {
            return Err(TokenError::OfAnotherKey);
        }
        let kind = bytes[BODY_AT - 1];
        let mut reader = Reader::new(bytes, BODY_AT);
        let context = read_body(kind, &mut reader).and_then(|context| reader.finish().map(|()| context));
        context.map_err(|_| TokenError::Malformed("its contents make no sense"))
    }

    fn body_len(&self) -> usize {
        match self {
            Context::Empty => 0,
            Context::Causal(known) => known_len(known),
            Context::Stamp { .. } => 8 + 8 + 4 + 8,
        }
    }

    fn put_body(&self, bytes: &mut Vec<u8>) {
        match self {
            Context::Causal(known) if !known.is_empty() => {
                bytes.put_u8(CAUSAL);
                put_known(bytes, known);
            }
            Context::Empty | Context::Causal(_) => bytes.put_u8(EMPTY),
            Context::Stamp { stamp, dot } => {
                bytes.put_u8(STAMP);
                bytes.put_u64_le(stamp.0);
                bytes.put_u64_le(dot.actor.incarnation.0);
                bytes.put_u32_le(dot.actor.stint.0);
                bytes.put_u64_le(dot.counter);
            }
        }
    }
}

/// The bytes of a token without their checksum, which has been found right. They reach at least to the body.
fn checked(text: &str) -> Result<Bytes, TokenError> {
    if text.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed("it is longer than any context"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed("it is not base64url"))?;
    let split = bytes.len().checked_sub(CHECKSUM_BYTES).filter(|&split| split >= BODY_AT);
    let split = split.ok_or(TokenError::Malformed("it is shorter than any context"))?;
    let bytes = Bytes::from(bytes);
    if crc_fast::crc32_iscsi(&bytes[..split]).to_le_bytes() != bytes[split..] {
        return Err(TokenError::Damaged);
    }
    Ok(bytes.slice(..split))
}

fn read_body(kind: u8, reader: &mut Reader) -> Result<Context, DecodeError> {
    match kind {
        EMPTY => Ok(Context::Empty),
        CAUSAL => match Context::from(read_known(reader)?) {
            Context::Empty => Err(reader.malformed("a set without a write")),
            context => Ok(context),
        },
        STAMP => {
            let stamp = Stamp(reader.u64()?);
            let incarnation = Incarnation(reader.u64()?);
            let stint = Stint(reader.u32()?);
            let dot = Dot { actor: Actor { incarnation, stint }, counter: reader.u64()? };
            Ok(Context::Stamp { stamp, dot })
        }
        _ => Err(reader.malformed("an unknown kind")),
    }
}
