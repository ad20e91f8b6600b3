//! Dotted version vectors: a version vector and, beside it, single writes that are known without their predecessors.
//!
//! A client that wrote (A, 58) without having read (A, 57) knows the one and not the other; no plain vector can say
//! that. If its next write claimed "A up to 58", it would silently discard (A, 57), a value it never saw; if it
//! claimed nothing, it would become a sibling of its own earlier write, one more with each write. So contexts, and
//! what a record has seen, are a vector *and* dots: Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Dotted Version
//! Vectors" (2010) and "Brief Announcement: Efficient Causality Tracking in Distributed Storage Systems With Dotted
//! Version Vectors" (2012).
//!
//! Always true: the dots are strictly ascending, none is covered by the vector, and none directly follows the
//! vector's entry (it would have been folded in). The pair therefore stands for a set of dots in exactly one way,
//! and merging is the union of sets. Dots beside the vector are rare and short-lived: they fold in as soon as the
//! record of the actor that issued them arrives.

use crate::{Actor, Dot, VersionVector};

/// A set of known writes: all that the vector covers, and single dots beyond it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DottedVector {
    vector: VersionVector,
    dots: Vec<Dot>,
}

impl DottedVector {
    /// The set without a write.
    pub const fn new() -> DottedVector {
        DottedVector { vector: VersionVector::new(), dots: Vec::new() }
    }

    /// What `vector` covers and `dots` name, in its one canonical form.
    pub fn from_parts(vector: VersionVector, dots: Vec<Dot>) -> DottedVector {
        let mut known = DottedVector { vector, dots };
        known.fold();
        known
    }

    /// The part in which no predecessor is missing.
    pub fn vector(&self) -> &VersionVector {
        &self.vector
    }

    /// The single writes beyond the vector, ascending.
    pub fn dots(&self) -> &[Dot] {
        &self.dots
    }

    /// Whether no write is known.
    pub fn is_empty(&self) -> bool {
        self.vector.is_empty() && self.dots.is_empty()
    }

    /// Whether the write named by `dot` is known.
    pub fn covers(&self, dot: &Dot) -> bool {
        self.vector.covers(dot) || self.dots.binary_search(dot).is_ok()
    }

    /// Whether everything that `other` knows is known here too.
    pub fn descends(&self, other: &DottedVector) -> bool {
        let prefixes = other.vector.iter().all(|(actor, counter)| self.covers_up_to(actor, counter));
        prefixes && other.dots.iter().all(|dot| self.covers(dot))
    }

    /// Adds one write, and claims none of those before it.
    pub fn add(&mut self, dot: Dot) {
        self.dots.push(dot);
        self.fold();
    }

    /// Adds one write and claims all of its actor's writes before it. Only the actor itself may do so, and only
    /// where it holds its own earlier writes (INVARIANTS B2).
    pub fn extend_own(&mut self, dot: Dot) {
        self.vector.advance(dot.actor, dot.counter);
        self.fold();
    }

    /// What either of the two knows.
    pub fn merge(&self, other: &DottedVector) -> DottedVector {
        let mut merged = self.clone();
        merged.absorb(other);
        merged
    }

    /// Merges `other` into this set.
    pub fn absorb(&mut self, other: &DottedVector) {
        self.vector.absorb(&other.vector);
        self.dots.extend_from_slice(&other.dots);
        self.fold();
    }

    /// The highest counter of `actor` that appears at all, whether or not its predecessors are known; 0 if none.
    pub fn highest_of(&self, actor: Actor) -> u64 {
        let beyond = self.dots.iter().filter(|dot| dot.actor == actor).map(|dot| dot.counter).max();
        beyond.unwrap_or(0).max(self.vector.counter_of(actor))
    }

    /// The classic vector clock: for each actor its highest counter. For people, and never for a decision, because
    /// it forgets which writes before the highest are unknown.
    pub fn flattened(&self) -> VersionVector {
        let mut flat = self.vector.clone();
        for dot in &self.dots {
            flat.advance(dot.actor, dot.counter);
        }
        flat
    }

    /// Every actor that appears, ascending, each once.
    pub(crate) fn actors(&self) -> Vec<Actor> {
        let mut actors: Vec<Actor> = self.vector.iter().map(|(actor, _)| actor).collect();
        actors.extend(self.dots.iter().map(|dot| dot.actor));
        actors.sort_unstable();
        actors.dedup();
        actors
    }

    /// Forgets all that is known of `actor`.
    pub(crate) fn forget(&mut self, actor: Actor) {
        self.vector.retain(|known| known != actor);
        self.dots.retain(|dot| dot.actor != actor);
    }

    /// Whether every counter of `actor` from 1 to `counter` is known; the canonical form keeps no such run of dots.
    fn covers_up_to(&self, actor: Actor, counter: u64) -> bool {
        counter <= self.vector.counter_of(actor)
    }

    /// Restores the canonical form: in ascending order, a dot that the vector covers goes, and one that directly
    /// follows the vector's entry extends it.
    fn fold(&mut self) {
        if self.dots.is_empty() {
            return;
        }
        self.dots.sort_unstable();
        self.dots.dedup();
        let vector = &mut self.vector;
        self.dots.retain(|dot| {
            let known = vector.counter_of(dot.actor);
            if dot.counter == known.saturating_add(1) {
                vector.advance(dot.actor, dot.counter);
            }
            dot.counter > known.saturating_add(1)
        });
    }
}

impl From<VersionVector> for DottedVector {
    fn from(vector: VersionVector) -> DottedVector {
        DottedVector { vector, dots: Vec::new() }
    }
}
