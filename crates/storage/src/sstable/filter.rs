//! A Bloom filter (Bloom 1970), blocked (Putze, Sanders, Singler 2007): all bits of a key lie in one 64-byte cache
//! line, so a probe costs one cache miss instead of one per bit.
//!
//! ```text
//!  | line 0: 512 bits | line 1: 512 bits | ... |      a key's line: high half of its hash, scaled to the number of lines
//! ```
//!
//! False positives. With b bits per key and k probes a classic filter errs in (1 - e^(-k/b))^k of the cases: for
//! b = 10, k = 6 in 0.84 %. Here a line of 512 bits gets a Poisson number of keys with mean 51.2, and the crowded lines
//! err more often than the empty ones make up for: summed over the distribution 1.0 %, and some more because six
//! 9-bit probes stepping through a line sometimes meet: 1.2 % measured. Ten bits per key are 1.25 bytes; sixteen would
//! bring 0.2 %.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

const LINE_BYTES: usize = 64;
const LINE_BITS: u64 = 512;
const PROBES: u32 = 6;

/// What a filter knows a key by.
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

#[derive(Clone, Debug)]
pub(crate) struct Filter {
    bits: Bytes,
    lines: usize,
}

/// The positions of a key's bits within its line: two independent 9-bit numbers, start and odd step, from the low half.
fn positions(hash: u64) -> impl Iterator<Item = (usize, u8)> {
    let step = (hash >> 9) | 1;
    (0..u64::from(PROBES)).map(move |probe| {
        let bit = hash.wrapping_add(probe.wrapping_mul(step)) % LINE_BITS;
        (usize::try_from(bit / 8).unwrap_or(0), 1 << (bit % 8))
    })
}

/// Where a key's line begins. The product's high half scales the hash's high half to the number of lines evenly.
fn line_start(hash: u64, lines: usize) -> usize {
    let line = ((hash >> 32) * lines as u64) >> 32;
    usize::try_from(line).unwrap_or(0) * LINE_BYTES
}

/// The bytes of a filter over keys with these hashes.
pub(crate) fn build(hashes: &[u64], bits_per_key: usize) -> Vec<u8> {
    let bits = hashes.len().saturating_mul(bits_per_key.max(1));
    let lines = bits.div_ceil(LINE_BYTES * 8).max(1);
    let mut out = vec![0; lines * LINE_BYTES];
    for &hash in hashes {
        let line = &mut out[line_start(hash, lines)..][..LINE_BYTES];
        for (byte, mask) in positions(hash) {
            line[byte] |= mask;
        }
    }
    out
}

impl Filter {
    pub(crate) fn parse(bits: Bytes) -> Option<Filter> {
        let lines = bits.len() / LINE_BYTES;
        let whole = lines > 0 && bits.len().is_multiple_of(LINE_BYTES) && u32::try_from(lines).is_ok();
        whole.then_some(Filter { bits, lines })
    }

    /// False only if no key with this hash is in the table.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let line = &self.bits[line_start(hash, self.lines)..][..LINE_BYTES];
        positions(hash).all(|(byte, mask)| line[byte] & mask != 0)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bits.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A filter never denies a key that is there.
        #[test]
        fn no_false_negatives(keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..10), 1..200), bits in 1usize..16) {
            let hashes: Vec<u64> = keys.iter().map(|key| hash(key)).collect();
            let filter = Filter::parse(Bytes::from(build(&hashes, bits))).unwrap();
            prop_assert!(hashes.iter().all(|hash| filter.may_contain(*hash)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), hash: u64) {
            if let Some(filter) = Filter::parse(Bytes::from(bytes)) {
                filter.may_contain(hash);
            }
        }
    }

    /// The derivation above holds: about 1.2 % at ten bits per key.
    #[test]
    fn false_positives_are_as_few_as_derived() {
        let hashes: Vec<u64> = (0..20_000u64).map(|n| hash(&n.to_le_bytes())).collect();
        let filter = Filter::parse(Bytes::from(build(&hashes, 10))).unwrap();
        let wrong = (20_000..120_000u64).filter(|n| filter.may_contain(hash(&n.to_le_bytes()))).count();
        assert!((800..1_500).contains(&wrong), "{wrong} of 100000");
    }
}
