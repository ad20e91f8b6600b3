//! What one key and its record come to: 128 bits, of which lists carry 64.
//!
//! What must hold: a digest depends on the key, on the record's canonical bytes and on a seed that all owners share, and
//! on nothing else, least of all the present time (INVARIANTS B5, D3). Equal records are equal bytes, so equal on all
//! owners. The values are compared between nodes of different versions: they never change.
//!
//! Why XXH3 and not a cryptographic hash: a digest is computed twice for each write, for what was there and for what is
//! there now. Nobody gains by making two different records come to the same: it would hide a difference of *his own* keys
//! from the exchange, provided that he also decides which owner gets which, and reads would repair it still. The seed
//! is not one that clients are told, so that chosen keys cannot collide by plan either; this is a courtesy, not a
//! defence.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// What the digests of one keyspace begin from. Equal on all owners for as long as the keyspace lives: of the cluster's
/// name and the keyspace's number, say, and not of anything that an epoch changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// The digest of a key with this record.
    ///
    /// The record's bytes are those of `causality`, with or without values, as long as all owners do the same: a dot
    /// names its value, so bytes without values find every missing write, and bytes with values find damage too.
    pub fn digest(self, key: &[u8], record: &[u8]) -> Digest {
        // The key decides the seed of the record, so that no byte can move from one to the other unnoticed.
        Digest(xxh3_128_with_seed(record, xxh3_64_with_seed(key, self.0)))
    }
}

/// 128 bits of a key with its record, or of a part of a tree. In messages 16 bytes, little endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "[u8; 16]", into = "[u8; 16]")]
pub struct Digest(pub u128);

/// The lower half of a [`Digest`]. In messages 8 bytes, little endian.
///
/// A comparison of two halves that should differ fails to show it once in 2^64 times; of two halves of the whole data,
/// the root, 128 bits are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "[u8; 8]", into = "[u8; 8]")]
pub struct Short(pub u64);

impl Digest {
    /// The half of it that lists carry.
    #[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    pub const fn short(self) -> Short {
        Short(self.0 as u64)
    }
}

impl From<[u8; 16]> for Digest {
    fn from(bytes: [u8; 16]) -> Digest {
        Digest(u128::from_le_bytes(bytes))
    }
}

impl From<Digest> for [u8; 16] {
    fn from(digest: Digest) -> [u8; 16] {
        digest.0.to_le_bytes()
    }
}

impl From<[u8; 8]> for Short {
    fn from(bytes: [u8; 8]) -> Short {
        Short(u64::from_le_bytes(bytes))
    }
}

impl From<Short> for [u8; 8] {
    fn from(short: Short) -> [u8; 8] {
        short.0.to_le_bytes()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
