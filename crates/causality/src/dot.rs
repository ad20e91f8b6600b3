//! The names of writes.
//!
//! A [`Dot`] names one write and is never issued twice (INVARIANTS B1). The [`Actor`] that issues it is
//! (incarnation, partition, stint), but the partition is not written down here: a dot is only ever stored or sent
//! beside its key, the key fixes the partition, and every record would otherwise repeat it in each entry. Two dots
//! are therefore comparable only within one key, which is all that this crate ever does with them.
//!
//! Counters are per actor and partition, not per key: one durable counter can be reserved in blocks where millions
//! could not. Seen from one key the counters of an actor rise with gaps.

use std::fmt;

use types::{Incarnation, Stint};

/// Who issues dots for a partition. Ordered by incarnation, then stint, so that the stints of one life are neighbours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Actor {
    /// The life of the data directory that the actor writes to.
    pub incarnation: Incarnation,
    /// The stretch of that life in which it has forgotten nothing of the partition.
    pub stint: Stint,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.incarnation, self.stint.0)
    }
}

/// The name of one write: the `counter`th that `actor` issued in the key's partition. Counters start at 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Dot {
    /// Who issued it.
    pub actor: Actor,
    /// Which of the actor's writes it is; 0 names none.
    pub counter: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.actor, self.counter)
    }
}
