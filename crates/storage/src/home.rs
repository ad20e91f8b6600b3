//! Where bytes are at home: which file of which store.
//!
//! What must hold: bytes that a device wrote to another place than it was told are not taken for what belongs there. A node
//! has a store for each shard, machines have several nodes, and each store numbers its files from 1; so that a file's number
//! alone does not tell one from another. A store draws a number when it is begun, the headers of all its files say it, and
//! checksums are bound to it.

use crate::checksum;

/// A file of a store. Version 1 of the formats knew no stores: what it wrote is at home in store 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Home {
    pub(crate) store: u32,
    /// The file's number in its store.
    pub(crate) file: u64,
}

impl Home {
    /// Both numbers in one; of store 0 that of the file by itself.
    pub(crate) fn word(self) -> u64 {
        self.file ^ (u64::from(self.store) << 32)
    }

    /// The checksum of what is in this file at `offset`.
    pub(crate) fn checksum_at(self, offset: u64, content: &[u8]) -> u32 {
        checksum::bound_to(&[self.word(), offset], content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Equal bytes have another checksum in another file, at another offset, and in another store at the same place.
    #[test]
    fn every_place_has_a_checksum_of_its_own() {
        let home = Home { store: 7, file: 3 };
        let here = home.checksum_at(32, b"x");
        assert_ne!(here, home.checksum_at(64, b"x"));
        assert_ne!(here, Home { file: 4, ..home }.checksum_at(32, b"x"));
        assert_ne!(here, Home { store: 8, ..home }.checksum_at(32, b"x"));
        assert_eq!(Home { store: 0, ..home }.checksum_at(32, b"x"), checksum::bound_to(&[3, 32], b"x"));
    }
}
