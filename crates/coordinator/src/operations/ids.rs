//! The hash of operation ids in this node's own table.
//!
//! Ids are counted up by the node, so nobody can choose ones that collide, and what the standard library spends on that is
//! saved several times per operation. Multiplied by an odd number, ids that follow each other are in places of their own.

use std::hash::{BuildHasherDefault, Hasher};

/// Hashes ids that this node counts up, and nothing that comes from outside.
pub(super) type ById = BuildHasherDefault<IdHasher>;

/// The state of [`ById`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdHasher(u64);

/// 2^64 divided by the golden ratio, made odd: neighbours come far apart in the upper bits as well.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for IdHasher {
    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(SPREAD);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
