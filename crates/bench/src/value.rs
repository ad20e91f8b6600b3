//! What is stored: bytes that do not compress, and in verify mode bytes that say whose they are.
//!
//! Plain values are slices of one block of random bytes, made once: a value costs one copy and no randomness, and
//! neither the server's compression nor a kernel's deduplication makes the figures look better than data would.
//!
//! A verifiable value is
//!
//! ```text
//!   key | '|' | sequence, 16 hex digits | '|' | checksum, 16 hex digits | '|' | filler
//! ```
//!
//! where the checksum (XXH3) covers everything but itself. Whoever reads it can tell a value of another key, a torn
//! or a damaged one from the right one, without remembering what was written.

use env::Rng;
use xxhash_rust::xxh3::Xxh3;

use crate::Error;
use crate::key::KeyForm;

/// Bytes of the block of randomness, beyond one value's size; enough that neighbours in time differ.
const POOL_BYTES: usize = 1 << 16;
const HEX: usize = 16;

/// Makes values of one size.
#[derive(Clone, Debug)]
pub(crate) struct ValueSource {
    pool: std::sync::Arc<[u8]>,
    size: usize,
    verifiable: bool,
    sequence: u64,
}

impl ValueSource {
    /// Values of `size` bytes. Verifiable ones need room for their header.
    pub(crate) fn new(
        size: usize,
        verifiable: bool,
        keys: KeyForm,
        rng: &mut Rng,
    ) -> Result<ValueSource, Error> {
        let header = header_bytes(keys.size());
        if verifiable && size < header {
            let reason =
                format!("with --verify a value carries its key and checksum; at least {header} bytes");
            return Err(Error::invalid("--value-size", &size, reason));
        }
        let pool = (0..(POOL_BYTES + size).div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
        Ok(ValueSource { pool, size, verifiable, sequence: 0 })
    }

    /// The same values for another client, whose sequence starts at `first` so that no two clients share a number.
    pub(crate) fn fork(&self, first: u64) -> ValueSource {
        ValueSource { sequence: first, ..self.clone() }
    }

    /// Bytes of every value.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Appends the next value for this key.
    pub(crate) fn write(&mut self, key: &[u8], out: &mut Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let offset = usize::try_from(self.sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48)
            .expect("48 bits shifted out of 64 leave 16, and the pool is as long as 16 bits reach");
        if !self.verifiable {
            out.extend_from_slice(&self.pool[offset..offset + self.size]);
            return;
        }
        let filler = self.size - header_bytes(key.len());
        let sequence = format!("{:016x}", self.sequence);
        let filler = &self.pool[offset..offset + filler];
        let checksum = format!("{:016x}", checksum(key, sequence.as_bytes(), filler));
        for part in [key, b"|", sequence.as_bytes(), b"|", checksum.as_bytes(), b"|", filler] {
            out.extend_from_slice(part);
        }
    }
}

/// What a read value turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The key's own, whole.
    Good,
    /// Whole, but another key's.
    OfAnotherKey,
    /// Not what was written, or never written by a run with `--verify`.
    Damaged,
}

/// Checks a value that was read under this key.
pub(crate) fn verify(key: &[u8], value: &[u8]) -> Verdict {
    let mut parts = value.splitn(4, |byte| *byte == b'|');
    let mut next = || parts.next().unwrap_or_default();
    let (owner, sequence, sum, filler) = (next(), next(), next(), next());
    let expected = format!("{:016x}", checksum(owner, sequence, filler));
    if value.len() < header_bytes(owner.len()) || sum != expected.as_bytes() {
        Verdict::Damaged
    } else if owner != key {
        Verdict::OfAnotherKey
    } else {
        Verdict::Good
    }
}

fn header_bytes(key: usize) -> usize {
    key + 1 + HEX + 1 + HEX + 1
}

fn checksum(key: &[u8], sequence: &[u8], filler: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    for part in [key, b"|", sequence, b"|", filler] {
        hasher.update(part);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(size: usize, verifiable: bool) -> Result<ValueSource, Error> {
        let keys = KeyForm::new(16, 10).unwrap();
        ValueSource::new(size, verifiable, keys, &mut Rng::from_seed(1))
    }

    fn next(source: &mut ValueSource, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        source.write(key, &mut out);
        out
    }

    #[test]
    fn values_have_their_size_and_differ() {
        for verifiable in [false, true] {
            let mut source = source(1_024, verifiable).unwrap();
            let (first, second) =
                (next(&mut source, b"key:000000000001"), next(&mut source, b"key:000000000001"));
            assert_eq!((first.len(), second.len()), (1_024, 1_024));
            assert_ne!(first, second);
        }
    }

    /// Every offset that a sequence number can give leaves room for a whole value.
    #[test]
    fn any_sequence_number_has_a_value() {
        let source = source(100, false).unwrap();
        for first in [0, 1, 0xFFFF, u64::MAX - 1, u64::MAX] {
            assert_eq!(next(&mut source.fork(first), b"k").len(), 100);
        }
    }

    /// A value is accepted under its own key only, and no changed byte goes unseen.
    #[test]
    fn verify_tells_good_from_foreign_and_damaged() {
        let key = b"key:000000000001";
        let value = next(&mut source(200, true).unwrap(), key);
        assert_eq!(verify(key, &value), Verdict::Good);
        assert_eq!(verify(b"key:000000000002", &value), Verdict::OfAnotherKey);
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert_ne!(verify(key, &changed), Verdict::Good, "byte {at}");
        }
        assert_eq!(verify(key, &value[..value.len() - 1]), Verdict::Damaged);
        assert_eq!(verify(key, b""), Verdict::Damaged);
    }

    #[test]
    fn a_size_without_room_for_the_header_is_refused() {
        assert!(source(51, true).is_ok());
        assert!(source(50, true).unwrap_err().to_string().contains("at least 51"));
        assert!(source(0, false).is_ok());
    }
}
