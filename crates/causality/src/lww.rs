//! The record of an `lww` keyspace: one version, the greatest by (stamp, actor, counter).
//!
//! That order is a chain, so taking the greater is a merge. Where stamp and dot are both equal the two are copies of
//! one version and are joined field by field. The expiry register is therefore bound to (stamp, dot), not to the dot
//! alone: a version that was stamped again starts with the register that it was stamped with. Joining registers over
//! different stamps of one dot would not be associative: of a = (dot 1, stamp 1, late register), b = (dot 2, stamp 2)
//! and c = (dot 1, stamp 3), the merge (a, b) forgets a's register before c arrives, and (a, c) does not. It also
//! means what it should: a write that is stamped again comes after the EXPIRE that slipped in between.

use bytes::Bytes;

use crate::{Dot, Expiry, PutError, Stamp, Version, VersionVector};

/// One version; the greatest wins.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lww {
    version: Version,
}

impl Lww {
    /// The record that holds `version`. What its writer had read is dropped: contexts mean nothing to this policy.
    pub fn new(version: Version) -> Lww {
        Lww { version: Version { past: VersionVector::new(), ..version } }
    }

    /// The version held.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The version held, by value.
    pub fn into_version(self) -> Version {
        self.version
    }

    /// Whether this version outranks the other's.
    pub fn supersedes(&self, other: &Lww) -> bool {
        self.rank() > other.rank()
    }

    /// A client's write on top of this record: what an owner does before it stores it.
    ///
    /// A copy of what is held, or the same write stamped again, is applied: a resend is never refused.
    ///
    /// # Errors
    /// [`PutError::Outranked`] if the stamp is not above what is held; the coordinator then stamps again above that.
    pub fn put(&self, version: Version) -> Result<Lww, PutError> {
        let offered = Lww::new(version);
        let resend = offered.version.dot == self.version.dot;
        if !resend && offered.version.stamp <= self.version.stamp {
            return Err(PutError::Outranked { held: self.version.stamp, offered: offered.version.stamp });
        }
        // What merging comes to, without a copy.
        if offered.supersedes(self) { Ok(offered) } else { Ok(self.merge(&offered)) }
    }

    /// The same version with its expiry register set, if it is still the one named by `dot`.
    pub fn with_expiry(&self, dot: Dot, expiry: Expiry) -> Lww {
        let mut changed = self.clone();
        if dot == changed.version.dot {
            changed.version.expiry = changed.version.expiry.max(expiry);
        }
        changed
    }

    /// The greater of the two; copies of one version are joined.
    pub fn merge(&self, other: &Lww) -> Lww {
        match self.rank().cmp(&other.rank()) {
            std::cmp::Ordering::Less => other.clone(),
            std::cmp::Ordering::Greater => self.clone(),
            std::cmp::Ordering::Equal => Lww { version: self.version.join(&other.version) },
        }
    }

    fn rank(&self) -> (Stamp, Dot) {
        (self.version.stamp, self.version.dot)
    }

    pub(crate) fn stripped(&self) -> Lww {
        Lww { version: self.version.stripped() }
    }

    /// The value's bytes; none of a tombstone.
    pub fn value(&self) -> Option<&Bytes> {
        self.version.payload.value()
    }
}
