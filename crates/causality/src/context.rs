//! Contexts: what a reader knows of a key, handed back with the next write or read.
//!
//! A context holds only what its client has read or written (INVARIANTS B2); a write discards nothing else. Its text
//! form is in `token`.

use std::borrow::Cow;

use crate::{Dot, DottedVector, PutError, Record, Stamp};

/// The opaque causal token, as the servers see it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Context {
    /// Nothing has been read: a write with it is blind, a read with it demands nothing.
    #[default]
    Empty,
    /// Of a record that keeps siblings: the writes that its client knows. Never the empty set, which is `Empty`.
    Causal(DottedVector),
    /// Of an `lww` record: the version that its client saw.
    Stamp {
        /// The version's stamp.
        stamp: Stamp,
        /// Its dot.
        dot: Dot,
    },
}

impl From<DottedVector> for Context {
    fn from(known: DottedVector) -> Context {
        if known.is_empty() { Context::Empty } else { Context::Causal(known) }
    }
}

impl Context {
    /// Whether it claims nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Context::Empty)
    }

    /// What either of the two contexts of one key knows.
    ///
    /// # Errors
    /// [`PutError::ContextOfAnotherKind`] if one is of an `lww` record and the other is not: not of one key.
    pub fn merge(&self, other: &Context) -> Result<Context, PutError> {
        match (self, other) {
            (Context::Empty, known) | (known, Context::Empty) => Ok(known.clone()),
            (Context::Causal(ours), Context::Causal(theirs)) => Ok(Context::Causal(ours.merge(theirs))),
            (&Context::Stamp { stamp, dot }, &Context::Stamp { stamp: other_stamp, dot: other_dot }) => {
                let (stamp, dot) = (stamp, dot).max((other_stamp, other_dot));
                Ok(Context::Stamp { stamp, dot })
            }
            (Context::Causal(_), Context::Stamp { .. }) | (Context::Stamp { .. }, Context::Causal(_)) => {
                Err(PutError::ContextOfAnotherKind)
            }
        }
    }

    /// Whether what a replica holds (nothing, if `None`) is recent enough for a reader who already knows this much.
    pub fn is_covered_by(&self, held: Option<&Record>) -> bool {
        match held {
            Some(record) => record.covers(self),
            None => self.is_empty(),
        }
    }

    /// The known writes, of a context of a record that keeps siblings.
    pub(crate) fn causal(&self) -> Result<Cow<'_, DottedVector>, PutError> {
        match self {
            Context::Empty => Ok(Cow::Owned(DottedVector::new())),
            Context::Causal(known) => Ok(Cow::Borrowed(known)),
            Context::Stamp { .. } => Err(PutError::ContextOfAnotherKind),
        }
    }
}
