//! One version of a key: a value or a tombstone, with all that merging and showing it needs.

use bytes::Bytes;
use types::{OperationId, WallTime};

use crate::{Dot, Stamp, VersionVector};

/// What was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Payload {
    /// A delete. Less than every value, so that a stripped and a whole copy of one version merge to the whole one.
    Tombstone,
    /// These bytes.
    Value(Bytes),
}

impl Payload {
    /// The value's bytes; none of a tombstone.
    pub fn value(&self) -> Option<&Bytes> {
        match self {
            Payload::Value(bytes) => Some(bytes),
            Payload::Tombstone => None,
        }
    }

    /// The same kind of payload without a body.
    pub(crate) fn stripped(&self) -> Payload {
        match self {
            Payload::Value(_) => Payload::Value(Bytes::new()),
            Payload::Tombstone => Payload::Tombstone,
        }
    }
}

/// When a version ends, as a register of its own: bound to the version's dot, set anew without a new dot or value, and
/// merged by taking the greater (stamp, at). Absolute, so that copying a record never prolongs it (INVARIANTS D3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Expiry {
    /// When the register was set.
    pub stamp: Stamp,
    /// From when on the version counts as deleted; never, if none.
    pub at: Option<WallTime>,
}

impl Expiry {
    /// Whether the version has ended at `now`.
    pub fn has_passed(&self, now: WallTime) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}

/// One write, as it is stored.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Version {
    /// Its name.
    pub dot: Dot,
    /// When it was written, in hybrid time.
    pub stamp: Stamp,
    /// What was written.
    pub payload: Payload,
    /// How important its writer is; higher is more important. Only the `priority` policy looks at it.
    pub priority: u8,
    /// When it ends.
    pub expiry: Expiry,
    /// The client operation that wrote it, by which a resend is known, and a twin: one operation under two dots.
    pub operation: OperationId,
    /// What its writer had read, for people: with the dot it makes the classic vector clock, see
    /// [`clock`](Self::clock). Merging never looks at it; empty in an `lww` record, whose writers are not asked.
    pub past: VersionVector,
}

impl Version {
    /// A version of ordinary priority (0) that never ends.
    pub fn new(dot: Dot, stamp: Stamp, payload: Payload, operation: OperationId) -> Version {
        let expiry = Expiry { stamp, at: None };
        Version { dot, stamp, payload, priority: 0, expiry, operation, past: VersionVector::new() }
    }

    /// The same with another priority.
    pub fn with_priority(self, priority: u8) -> Version {
        Version { priority, ..self }
    }

    /// The same, ending at `at`; the register counts as set when the version was.
    pub fn ending(self, at: Option<WallTime>) -> Version {
        Version { expiry: Expiry { stamp: self.stamp, at }, ..self }
    }

    /// Whether a reader at `now` may be shown it: a value, and not expired.
    pub fn is_live(&self, now: WallTime) -> bool {
        matches!(self.payload, Payload::Value(_)) && !self.expiry.has_passed(now)
    }

    /// The classic vector clock, `[(server, counter), ...]`, of this version: what its writer had read, with the
    /// server's own entry raised to this write. For people.
    pub fn clock(&self) -> VersionVector {
        let mut clock = self.past.clone();
        clock.advance(self.dot.actor, self.dot.counter);
        clock
    }

    /// The version with an empty body.
    pub(crate) fn stripped(&self) -> Version {
        Version { payload: self.payload.stripped(), ..self.clone() }
    }

    /// Whether the two differ in their bodies at most.
    pub(crate) fn same_metadata(&self, other: &Version) -> bool {
        self.metadata() == other.metadata()
    }

    fn metadata(&self) -> (Dot, Stamp, bool, u8, Expiry, OperationId, &VersionVector) {
        let is_value = self.payload.value().is_some();
        (self.dot, self.stamp, is_value, self.priority, self.expiry, self.operation, &self.past)
    }

    /// Joins another copy of the version that this dot names. Healthy copies differ in their expiry register, stamp
    /// and stripped body at most; each field takes the greater, so that even copies that should not exist come out
    /// the same on every node.
    pub(crate) fn join(&self, copy: &Version) -> Version {
        debug_assert_eq!(self.dot, copy.dot, "only copies of one version are joined");
        Version {
            dot: self.dot,
            stamp: self.stamp.max(copy.stamp),
            payload: (&self.payload).max(&copy.payload).clone(),
            priority: self.priority.max(copy.priority),
            expiry: self.expiry.max(copy.expiry),
            operation: self.operation.max(copy.operation),
            past: self.past.merge(&copy.past),
        }
    }
}
