//! What two owners say to each other to find where they differ.
//!
//! ```text
//!   asker                                                          answerer
//!   Root      its root                                      ->
//!                                          <-  Same, or Branches   the hashes of all branches
//!   Leaves    which branches differ                         ->
//!                                                     <-  Leaves   the leaves of those
//!   Spans     which leaves differ (then: which parts)       ->
//!                             <-  Spans   of each either Parts     the sums of its parts, if many keys are in it
//!                                             or Digests           of all of its keys
//!   Keys      which digests it does not have                ->
//!                                                       <-  Keys   the keys that they are of
//! ```
//!
//! What must hold: every question can be answered without a memory of the ones before it, so the answerer keeps nothing
//! between them and a lost message costs one question. Every message has a bound, whatever the data. Nothing of a message
//! is used as an index, a length or a shape before it was compared with our own.
//!
//! Plain data; `wire` carries it, and rows of sums as `sums` has it. Sizes below are those of `postcard`.

use serde::{Deserialize, Serialize};
use types::{Epoch, KeyspaceId};

use crate::{Digest, Shape, Short, Span};

/// The most spans in one question: an answer of parts or digests of all of them is at most 17 KiB.
pub const SPANS_MAX: usize = 32;

/// The most digests that a span is answered with, and asked by. With more keys it is answered with its parts.
pub const DIGESTS_MAX: usize = 64;

/// The most bytes of keys in one answer. The key that exceeds it is the last, so it has at least one.
pub const KEYS_BYTES_MAX: usize = 256 * 1024;

/// The longest key that there is.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// What a question is about. Only trees of equal terms are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// The epoch of the cluster state by which both are owners.
    pub epoch: Epoch,
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The partition's slots, and how the tree branches.
    pub shape: Shape,
}

/// A question to another owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ask {
    /// What it is about.
    pub terms: Terms,
    /// What is asked.
    pub question: Question,
}

/// What one owner asks of another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Question {
    /// My root is this; and yours?
    Root(Digest),
    /// The leaves of those branches whose bit is set.
    Leaves(u32),
    /// What is in these spans.
    Spans(Vec<SpanAsk>),
    /// The keys that these digests are of.
    Keys(Vec<Wanted>),
}

/// A span to be told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpanAsk {
    /// Which.
    pub span: Span,
    /// Only digests above this one: the last one of the answer before. Then the answer is digests.
    pub after: Option<Short>,
}

/// Digests whose keys are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// The span that they are in.
    pub span: Span,
    /// The digests.
    pub digests: Vec<Short>,
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The question is not answered.
    Refused(Refusal),
    /// My root is the same.
    Same {
        /// There is a reason to doubt my tree: do not conclude that we are equal.
        doubted: bool,
    },
    /// It is not; these are all branches, in order.
    Branches(#[serde(with = "crate::sums")] Vec<Short>),
    /// The leaves of the branches that were asked for, in order.
    Leaves(#[serde(with = "crate::sums")] Vec<Short>),
    /// What is in each span that was asked for, in order.
    Spans(#[serde(deserialize_with = "crate::sums::spans")] Vec<Contents>),
    /// Keys of digests that were asked for. Those not named are no longer there, unless there is more.
    Keys {
        /// The keys.
        keys: Vec<NamedKey>,
        /// Whether some are left out for want of room.
        more: bool,
    },
}

/// What an owner has in a span.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Contents {
    /// Many keys. The sums of the digests in each of its parts, in order.
    Parts(#[serde(with = "crate::sums")] Vec<Short>),
    /// The digests of its keys, ascending.
    Digests {
        /// At most [`DIGESTS_MAX`].
        digests: Vec<Short>,
        /// Whether there are more above these. Only of spans that are cut as finely as can be.
        more: bool,
    },
}

/// A key, and the digest by which it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamedKey {
    /// The key as the client gave it.
    pub key: Vec<u8>,
    /// Its digest.
    pub digest: Short,
}

/// Why a question is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// The tree here is on these terms.
    OtherTerms(Terms),
    /// There is no tree here yet.
    Unknown,
    /// The question makes no sense: beyond a bound, or about a span that the tree does not have.
    Nonsense,
    /// All that was here is with every owner of these terms, and dropped here: there is nothing left to be compared with.
    HandedOver,
}
