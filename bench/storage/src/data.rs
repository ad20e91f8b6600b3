//! The keys and values, the same for every engine.
//!
//! Keys are 16 bytes and in no order, as hashes are: number `n` is mixed by a bijection, so no two are equal and the keys
//! of numbers beyond the last one loaded are absent ones that lie between those present. Values are half noise, half
//! one byte repeated: they compress to about half, as much real data does.

use bytes::Bytes;
use env::Rng;

pub(crate) type Key = [u8; 16];

pub(crate) fn key(number: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(number).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Values of one length. Their noise is cut from a pool that was drawn before, because drawing it would cost as much as
/// some of what is measured.
pub(crate) struct Values {
    noise: Vec<u8>,
    bytes: usize,
}

impl Values {
    const POOL_BYTES: usize = 1 << 20;

    pub(crate) fn new(bytes: usize) -> Values {
        let mut rng = Rng::from_seed(1);
        let words = std::iter::repeat_with(|| rng.next_u64().to_le_bytes());
        Values {
            noise: words.take((Values::POOL_BYTES + bytes) / 8).flatten().collect(),
            bytes,
        }
    }

    pub(crate) fn value(&self, number: u64) -> Bytes {
        let half = self.bytes / 2;
        let start = usize::try_from(mixed(number) % (Values::POOL_BYTES as u64)).unwrap_or(0);
        let mut value = vec![b'r'; self.bytes];
        value[..half].copy_from_slice(&self.noise[start..start + half]);
        Bytes::from(value)
    }
}
