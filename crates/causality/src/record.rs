//! All that a replica stores for one key, and the one merge.
//!
//! Replication, read repair, hints, exchange and handoff all move records and call [`Record::merge`]; none of them knows
//! the policy of the keyspace. It is commutative, associative and idempotent, and its result is the same on all nodes
//! (INVARIANTS B5).

use thiserror::Error;

use crate::{Actor, Context, Dot, DottedVector, Expiry, Lww, Policy, Siblings, Stamp, Version};
use types::OperationId;

/// A join-semilattice: what a replica stores for one key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Record {
    /// Of a keyspace with the policy `lww`.
    Lww(Lww),
    /// Of a keyspace with the policy `siblings` or `priority`.
    Siblings(Siblings),
}

/// Two records of one key are of different kinds: one of them is not of this keyspace, or is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "a record of a single version and one of siblings were to be merged: the policy of a keyspace never changes, so one of them is of another keyspace or damaged"
)]
pub struct MergeError;

/// A write cannot be made on top of what is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PutError {
    /// The stamp must be minted again, above `held`.
    #[error("stamp {offered} is not above {held}, which is held: stamp the write again above that")]
    Outranked {
        /// The stamp of the version held.
        held: Stamp,
        /// The stamp of the version offered.
        offered: Stamp,
    },
    /// The actor must begin a fresh stint.
    #[error(
        "the context shows {actor} at {shown} and its own record knows it up to {known} only: it has forgotten, and must write under a fresh stint"
    )]
    ActorHasForgotten {
        /// Who was to write.
        actor: Actor,
        /// Up to which of its writes its own record knows.
        known: u64,
        /// How far the context shows it to be.
        shown: u64,
    },
    /// The dot must be minted again, above `known`; or the context is made up.
    #[error("dot {dot} is not above {known}, which is already claimed for its actor: mint it above that")]
    DotIsNotNew {
        /// The dot offered.
        dot: Dot,
        /// The highest counter that record or context show for its actor.
        known: u64,
    },
    /// The context is not of this key.
    #[error(
        "the context is of a keyspace with another policy: read the key again and pass what that returns"
    )]
    ContextOfAnotherKind,
    /// The record held is not of this keyspace's policy.
    #[error(transparent)]
    MixedKinds(#[from] MergeError),
}

impl Record {
    /// A client's write (or delete, with a tombstone as payload) on top of what its maker holds, if anything.
    ///
    /// # Errors
    /// As [`Lww::put`] and [`Siblings::put`]; [`PutError::MixedKinds`] if `held` is not of the policy.
    pub fn put(
        held: Option<&Record>,
        policy: Policy,
        context: &Context,
        version: Version,
    ) -> Result<Record, PutError> {
        match (policy.keeps_siblings(), held) {
            (false, None) => Ok(Record::Lww(Lww::new(version))),
            (false, Some(Record::Lww(lww))) => Ok(Record::Lww(lww.put(version)?)),
            (true, None) => Ok(Record::Siblings(Siblings::new().put(context, version)?)),
            (true, Some(Record::Siblings(siblings))) => Ok(Record::Siblings(siblings.put(context, version)?)),
            (false, Some(Record::Siblings(_))) | (true, Some(Record::Lww(_))) => Err(MergeError.into()),
        }
    }

    /// What both records together amount to.
    ///
    /// # Errors
    /// [`MergeError`] if they are of different kinds.
    pub fn merge(&self, other: &Record) -> Result<Record, MergeError> {
        match (self, other) {
            (Record::Lww(ours), Record::Lww(theirs)) => Ok(Record::Lww(ours.merge(theirs))),
            (Record::Siblings(ours), Record::Siblings(theirs)) => Ok(Record::Siblings(ours.merge(theirs))),
            (Record::Lww(_), Record::Siblings(_)) | (Record::Siblings(_), Record::Lww(_)) => Err(MergeError),
        }
    }

    /// The same record with the expiry register set on every version that `context` covers.
    ///
    /// # Errors
    /// [`PutError::ContextOfAnotherKind`] if the context is of a record of the other kind.
    pub fn with_expiry(&self, context: &Context, expiry: Expiry) -> Result<Record, PutError> {
        match (self, context) {
            (Record::Siblings(siblings), _) => Ok(Record::Siblings(siblings.with_expiry(context, expiry)?)),
            (Record::Lww(lww), Context::Stamp { dot, .. }) => Ok(Record::Lww(lww.with_expiry(*dot, expiry))),
            (Record::Lww(_), Context::Empty) => Ok(self.clone()),
            (Record::Lww(_), Context::Causal(_)) => Err(PutError::ContextOfAnotherKind),
        }
    }

    /// What a reader of this record knows.
    pub fn context(&self) -> Context {
        match self {
            Record::Lww(lww) => Context::Stamp { stamp: lww.version().stamp, dot: lww.version().dot },
            Record::Siblings(siblings) => siblings.context(),
        }
    }

    /// What the writer of `dot` knows once this record has come of its write, having passed `passed`.
    ///
    /// # Errors
    /// [`PutError::ContextOfAnotherKind`] if `passed` is of a record of the other kind.
    pub fn context_after(&self, passed: &Context, dot: Dot) -> Result<Context, PutError> {
        match self {
            Record::Lww(_) => Ok(self.context()),
            Record::Siblings(siblings) => siblings.context_after(passed, dot),
        }
    }

    /// Whether a reader who knows `context` may be answered with this record without going back in time. A context of
    /// the other kind is never covered.
    pub fn covers(&self, context: &Context) -> bool {
        match (self, context) {
            (_, Context::Empty) => true,
            (Record::Lww(lww), Context::Stamp { stamp, dot }) => {
                (lww.version().stamp, lww.version().dot) >= (*stamp, *dot)
            }
            (Record::Siblings(siblings), Context::Causal(known)) => siblings.seen().descends(known),
            (Record::Lww(_), Context::Causal(_)) | (Record::Siblings(_), Context::Stamp { .. }) => false,
        }
    }

    /// The versions that stand, tombstones and expired ones included, ascending by dot.
    pub fn versions(&self) -> &[Version] {
        match self {
            Record::Lww(lww) => std::slice::from_ref(lww.version()),
            Record::Siblings(siblings) => siblings.versions(),
        }
    }

    /// The version that `operation` wrote, if it stands: by it a resend is known.
    pub fn written_by(&self, operation: OperationId) -> Option<&Version> {
        self.versions().iter().find(|version| version.operation == operation)
    }

    /// Whether what arrives shows `actor` further on than this record, its own, does: see [`Siblings::is_behind`].
    /// Always false for `lww`, whose dots claim nothing of their predecessors.
    pub fn is_behind(&self, actor: Actor, incoming: &DottedVector) -> bool {
        match self {
            Record::Lww(_) => false,
            Record::Siblings(siblings) => siblings.is_behind(actor, incoming),
        }
    }

    /// The same record with empty bodies, values still told from tombstones: what scans and digests need. Merging
    /// commutes with it. Not to be stored: merged with the whole record it gives the whole record, alone it has lost
    /// the values.
    pub fn strip_values(&self) -> Record {
        match self {
            Record::Lww(lww) => Record::Lww(lww.stripped()),
            Record::Siblings(siblings) => Record::Siblings(siblings.stripped()),
        }
    }

    /// Whether the two records differ in the bodies of their values at most.
    pub fn same_metadata(&self, other: &Record) -> bool {
        match (self, other) {
            (Record::Lww(ours), Record::Lww(theirs)) => ours.version().same_metadata(theirs.version()),
            (Record::Siblings(ours), Record::Siblings(theirs)) => ours.same_metadata(theirs),
            (Record::Lww(_), Record::Siblings(_)) | (Record::Siblings(_), Record::Lww(_)) => false,
        }
    }

    /// How large the record has grown, for the limits of its keyspace.
    pub fn usage(&self) -> Usage {
        let clock_entries = match self {
            Record::Lww(_) => 1,
            Record::Siblings(siblings) => siblings.seen().actors().len(),
        };
        Usage { versions: self.versions().len(), clock_entries, encoded_bytes: self.encoded_len() }
    }
}

/// How large a record has grown. Limits are enforced on write, with an error, never by dropping a value (INVARIANTS B3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Versions that stand.
    pub versions: usize,
    /// Actors known.
    pub clock_entries: usize,
    /// Bytes of the encoded record.
    pub encoded_bytes: usize,
}
