//! Messages sealed with the cluster's secret, for ways that vouch for nobody, such as datagrams.
//!
//! ```text
//!   0  version u8 = 1 | 1  from u16 | 3  to u16 | 5  message .. | end - 16  MAC, 16 bytes
//! ```
//!
//! The MAC is HMAC-SHA256 cut to 16 bytes, over everything before it, under a key made of the secret and the cluster's
//! name. Always true: what opens was sealed by somebody who has the secret, for this cluster, in the name of `from` and
//! for `to`; so clusters that share a secret do not merge, and a message cannot be turned to somebody else or given
//! another sender. All who have the secret can seal in anybody's name; only certificates keep them from that
//! (INVARIANTS K2).
//!
//! There is no nonce and nothing against replay, because a replay is harmless: what a message says is versioned, and
//! what was said before is neither news nor a sign of life. Nor is anything hidden: who is alive and how loaded is no
//! secret here. `hmac` and not a hash over secret and message, which could be lengthened.
//!
//! Written about in `docs/protocols/gossip.md`.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use types::NodeId;

/// The version of the seal.
pub const VERSION: u8 = 1;
/// By how many bytes a sealed message is longer.
pub const SEAL_BYTES: usize = HEAD_BYTES + MAC_BYTES;
/// The shortest secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;

const HEAD_BYTES: usize = 5;
const MAC_BYTES: usize = 16;
const PURPOSE: &[u8] = b"henge gossip 1";

/// Why there is no seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the cluster's secret has {0} bytes; use {SECRET_BYTES_MIN} random ones or more")]
pub struct SecretError(pub usize);

/// Why a sealed message is not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Too short to be one.
    #[error("{0} bytes are too few for a sealed message")]
    Short(usize),
    /// From a later version of Henge, or no gossip at all.
    #[error("a seal of version {0}, and this version opens version {VERSION} only")]
    Version(u8),
    /// Not sealed with this secret, for this cluster, or not any more as it was sealed. Who sent it is not known.
    #[error("a message that was not sealed with this cluster's name and secret, or that was changed since")]
    Forged,
    /// Truly sealed, for somebody else.
    #[error("a message that {from} sealed for {to}, which this node is not")]
    Misdirected {
        /// Who sealed it.
        from: NodeId,
        /// For whom.
        to: NodeId,
    },
}

/// Seals and opens the messages of one cluster.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl Seal {
    /// For the cluster of this name, with the secret that its nodes share.
    pub fn new(secret: &[u8], cluster: &str) -> Result<Seal, SecretError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(SecretError(secret.len()));
        }
        let mut deriving = keyed(secret);
        deriving.update(PURPOSE);
        deriving.update(cluster.as_bytes());
        Ok(Seal(keyed(&deriving.finalize().into_bytes())))
    }

    /// `message`, sealed by `from` for `to`.
    pub fn seal(&self, from: NodeId, to: NodeId, message: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(message.len() + SEAL_BYTES);
        sealed.push(VERSION);
        sealed.extend(from.0.to_le_bytes());
        sealed.extend(to.0.to_le_bytes());
        sealed.extend(message);
        let code = self.0.clone().chain_update(&sealed).finalize().into_bytes();
        sealed.extend(code.iter().take(MAC_BYTES));
        sealed
    }

    /// Who sealed this message for `me`, and the message.
    pub fn open<'a>(&self, me: NodeId, sealed: &'a [u8]) -> Result<(NodeId, &'a [u8]), OpenError> {
        let short = OpenError::Short(sealed.len());
        let (rest, code) = sealed.split_last_chunk::<MAC_BYTES>().ok_or(short)?;
        let (head, message) = rest.split_first_chunk::<HEAD_BYTES>().ok_or(short)?;
        let [version, from_low, from_high, to_low, to_high] = *head;
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        // In constant time, which a comparison of slices is not.
        let genuine = self.0.clone().chain_update(rest).verify_truncated_left(code);
        genuine.map_err(|_| OpenError::Forged)?;
        let from = NodeId(u16::from_le_bytes([from_low, from_high]));
        let to = NodeId(u16::from_le_bytes([to_low, to_high]));
        if to == me { Ok((from, message)) } else { Err(OpenError::Misdirected { from, to }) }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}
