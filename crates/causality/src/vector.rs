//! Version vectors: for each actor, how many of its writes are known.
//!
//! An entry (A, 57) claims *every* write of A to this key up to 57. That is what makes a vector short, and what makes
//! it dangerous: only an actor that has forgotten nothing may extend its own entry (INVARIANTS B2). A single write
//! whose predecessors may be unknown is kept as a dot beside the vector, in [`crate::DottedVector`].
//!
//! Always true: entries are strictly ascending by actor and no counter is 0, so equal knowledge is equal bytes.
//! A sorted `Vec` and not a map: a vector has about as many entries as a key has owners, an empty one allocates
//! nothing, and a binary search over a few words beats any tree.
//!
//! The rules are those of DeCandia et al., "Dynamo: Amazon's Highly Available Key-value Store" (2007), section 4.4.

use std::cmp::Ordering;
use std::fmt;

use crate::{Actor, Dot};

/// For each actor, the highest counter up to which all of its writes are known.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct VersionVector {
    entries: Vec<(Actor, u64)>,
}

impl VersionVector {
    /// The vector that knows of no write.
    pub const fn new() -> VersionVector {
        VersionVector { entries: Vec::new() }
    }

    /// A vector from entries in strictly ascending order of actor with counters above 0, or nothing if they are not.
    pub(crate) fn from_sorted(entries: Vec<(Actor, u64)>) -> Option<VersionVector> {
        let ascending = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let positive = entries.iter().all(|&(_, counter)| counter > 0);
        (ascending && positive).then_some(VersionVector { entries })
    }

    /// Whether no write is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of actors with an entry.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries, ascending by actor.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Actor, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// Up to which counter the writes of `actor` are known; 0 if none is.
    pub fn counter_of(&self, actor: Actor) -> u64 {
        self.find(actor).map_or(0, |at| self.entries[at].1)
    }

    /// Increments the actor's entry, or creates it at 1, and returns the dot that it now ends with.
    ///
    /// A counter at its end stays there; nobody reaches it by writing, and a put refuses a dot that is not new.
    pub fn increment(&mut self, actor: Actor) -> Dot {
        self.increment_above(actor, 0)
    }

    /// Like [`increment`](Self::increment), but above `floor` too: counters are per partition, and the actor may have
    /// issued higher ones for other keys.
    pub fn increment_above(&mut self, actor: Actor, floor: u64) -> Dot {
        let counter = self.counter_of(actor).max(floor).saturating_add(1);
        self.advance(actor, counter);
        Dot { actor, counter }
    }

    /// Raises the actor's entry to `counter`; an entry never falls.
    pub fn advance(&mut self, actor: Actor, counter: u64) {
        match self.find(actor) {
            Ok(at) => self.entries[at].1 = self.entries[at].1.max(counter),
            Err(at) if counter > 0 => self.entries.insert(at, (actor, counter)),
            Err(_) => {}
        }
    }

    /// Whether the write named by `dot` is among those known.
    pub fn covers(&self, dot: &Dot) -> bool {
        dot.counter <= self.counter_of(dot.actor)
    }

    /// Whether everything that `other` knows is known here too.
    pub fn descends(&self, other: &VersionVector) -> bool {
        other.entries.iter().all(|&(actor, counter)| counter <= self.counter_of(actor))
    }

    /// The order of knowledge: `Less` is an ancestor (every counter less or equal), `None` means concurrent.
    pub fn compare(&self, other: &VersionVector) -> Option<Ordering> {
        match (self.descends(other), other.descends(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }

    /// What either of the two knows: the least vector that descends both.
    pub fn merge(&self, other: &VersionVector) -> VersionVector {
        let mut merged = self.clone();
        merged.absorb(other);
        merged
    }

    /// Merges `other` into this vector.
    pub fn absorb(&mut self, other: &VersionVector) {
        for &(actor, counter) in &other.entries {
            self.advance(actor, counter);
        }
    }

    /// Keeps the entries of those actors for which `keep` holds.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Actor) -> bool) {
        self.entries.retain(|&(actor, _)| keep(actor));
    }

    fn find(&self, actor: Actor) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&actor, |&(known, _)| known)
    }
}

impl FromIterator<(Actor, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (Actor, u64)>>(entries: I) -> VersionVector {
        let mut vector = VersionVector::new();
        for (actor, counter) in entries {
            vector.advance(actor, counter);
        }
        vector
    }
}

impl fmt::Display for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (actor, counter)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{actor}:{counter}")?;
        }
        Ok(())
    }
}
