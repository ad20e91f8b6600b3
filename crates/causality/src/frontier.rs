//! Frontiers: up to which write of each incarnation all that a partition's writers wrote has reached all of its owners.
//!
//! A write behind the frontier is *settled*: every owner has merged it, or something that covers it. From then on nobody
//! learns anything from a copy of it, and two things follow that make deletes end. A record of which nothing is left but
//! settled deletes may be dropped by its owners ([`Record::is_collectable`]). And a copy of a settled write that turns up
//! where it is not held was deleted or overwritten there, and is not taken in again ([`Record::unsettled`]): so what was
//! dropped cannot come back (INVARIANTS D1), from whatever place and after however long a time.
//!
//! A delete may be dropped only once a *second* frontier is agreed on, behind which all is that was written until the first
//! was. Where one value is kept per key, a write that was made behind the back of a settled delete, by a slow clock, may be
//! outranked by it; its copies that are still under way must be settled too before the delete is forgotten.
//!
//! One entry per incarnation and not per actor: an incarnation mints under one stint of a partition after the other, so
//! (stint, counter) rises, and an entry claims all that is not above it.
//!
//! This is the idea of the node clock in Gonçalves, Almeida, Baquero, Fonte, "Concise Server-Wide Causality Management for
//! Eventually Consistent Data Stores" (2015), with agreement in the place of gossiped matrices.

use types::{Incarnation, Stint, WallTime};

use crate::{Actor, Context, Dot, Lww, Policy, Record, Siblings};

/// For each incarnation the last of its writes to a partition that is settled, and with it all before it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frontier {
    /// Strictly ascending by incarnation.
    entries: Vec<(Incarnation, Stint, u64)>,
}

impl Frontier {
    /// Behind which there is no write.
    pub const fn new() -> Frontier {
        Frontier { entries: Vec::new() }
    }

    /// Settles all writes of this actor up to `counter`, and all of the incarnation's earlier stints. An entry never falls.
    pub fn raise(&mut self, actor: Actor, counter: u64) {
        match self.find(actor.incarnation) {
            Ok(at) => {
                let (_, stint, known) = &mut self.entries[at];
                (*stint, *known) = (*stint, *known).max((actor.stint, counter));
            }
            Err(at) => self.entries.insert(at, (actor.incarnation, actor.stint, counter)),
        }
    }

    /// Settles all writes of an incarnation that will never write again.
    pub fn retire(&mut self, incarnation: Incarnation) {
        self.raise(Actor { incarnation, stint: Stint(u32::MAX) }, u64::MAX);
    }

    /// Settles what `other` settles.
    pub fn absorb(&mut self, other: &Frontier) {
        for (actor, counter) in other.iter() {
            self.raise(actor, counter);
        }
    }

    /// What this and `other` settle both.
    #[must_use]
    pub fn meet(&self, other: &Frontier) -> Frontier {
        let both = self.entries.iter().filter_map(|&(incarnation, stint, counter)| {
            let (_, other_stint, other_counter) = other.entries[other.find(incarnation).ok()?];
            let (stint, counter) = (stint, counter).min((other_stint, other_counter));
            Some((incarnation, stint, counter))
        });
        Frontier { entries: both.collect() }
    }

    /// Whether the write named by `dot` is settled.
    pub fn covers(&self, dot: &Dot) -> bool {
        let Ok(at) = self.find(dot.actor.incarnation) else {
            return false;
        };
        let (_, stint, counter) = self.entries[at];
        (dot.actor.stint, dot.counter) <= (stint, counter)
    }

    /// Up to which counter the writes of this very actor are settled; 0 if none is.
    pub fn counter_of(&self, actor: Actor) -> u64 {
        let Ok(at) = self.find(actor.incarnation) else {
            return 0;
        };
        let (_, stint, counter) = self.entries[at];
        match stint.cmp(&actor.stint) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => counter,
            std::cmp::Ordering::Greater => u64::MAX,
        }
    }

    /// The entries, ascending by incarnation.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Actor, u64)> + '_ {
        self.entries.iter().map(|&(incarnation, stint, counter)| (Actor { incarnation, stint }, counter))
    }

    /// Whether nothing is settled.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, incarnation: Incarnation) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&incarnation, |&(known, _, _)| known)
    }
}

impl FromIterator<(Actor, u64)> for Frontier {
    fn from_iter<I: IntoIterator<Item = (Actor, u64)>>(entries: I) -> Frontier {
        let mut frontier = Frontier::new();
        for (actor, counter) in entries {
            frontier.raise(actor, counter);
        }
        frontier
    }
}

impl Record {
    /// Whether it has nothing to show to anybody from `at` on: all its versions are deletes, or end by then.
    pub fn is_dead(&self, at: WallTime) -> bool {
        self.versions().iter().all(|version| !version.is_live(at))
    }

    /// Whether an owner may drop it: it was dead at `at`, which is past for every owner, and all that it knows of is
    /// settled.
    pub fn is_collectable(&self, frontier: &Frontier, at: WallTime) -> bool {
        self.is_dead(at) && self.is_settled(frontier)
    }

    /// The incarnations of whose writes it knows, each once or more.
    pub fn incarnations(&self) -> impl Iterator<Item = Incarnation> + '_ {
        let (seen, version) = match self {
            Record::Lww(lww) => (None, Some(lww.version().dot.actor.incarnation)),
            Record::Siblings(siblings) => (Some(siblings.seen()), None),
        };
        let vector =
            seen.into_iter().flat_map(|seen| seen.vector().iter().map(|(actor, _)| actor.incarnation));
        let dots = seen.into_iter().flat_map(|seen| seen.dots().iter().map(|dot| dot.actor.incarnation));
        vector.chain(dots).chain(version)
    }

    /// Whether it knows of no write that is not settled.
    pub fn is_settled(&self, frontier: &Frontier) -> bool {
        match self {
            Record::Lww(lww) => frontier.covers(&lww.version().dot),
            Record::Siblings(siblings) => {
                let seen = siblings.seen();
                let covers = |(actor, counter)| frontier.covers(&Dot { actor, counter });
                seen.vector().iter().all(covers) && seen.dots().iter().all(|dot| frontier.covers(dot))
            }
        }
    }

    /// Whether all that a reader knows (`context`) is in `held`, or settled. What is settled and not held, where all owners
    /// have agreed on the frontier, was deleted or overwritten: the holder is not behind such a reader.
    pub fn covers_but_for(held: Option<&Record>, context: &Context, frontier: &Frontier) -> bool {
        let seen = match held {
            Some(Record::Siblings(held)) => Some(held.seen()),
            _ => None,
        };
        let is_seen = |dot: &Dot| frontier.covers(dot) || seen.is_some_and(|seen| seen.covers(dot));
        match context {
            Context::Empty => true,
            Context::Stamp { dot, .. } => frontier.covers(dot) || context.is_covered_by(held),
            Context::Causal(known) => {
                let is_all_seen = |(actor, counter): (Actor, u64)| {
                    let here = seen.map_or(0, |seen| seen.vector().counter_of(actor));
                    let prefix = frontier.counter_of(actor).max(here).min(counter);
                    // Beyond that each write is one that was seen by itself. The first that was not ends it, so it takes no longer than
                    // there are of those, whatever a client claims to know.
                    (prefix..counter).all(|before| is_seen(&Dot { actor, counter: before + 1 }))
                };
                known.vector().iter().all(is_all_seen) && known.dots().iter().all(is_seen)
            }
        }
    }

    /// Of this record, which has arrived where `held` is held: what may be merged into that. Left out are versions which
    /// are settled and not held: they were deleted or overwritten here, and the record that said so may be gone. Nothing,
    /// where nothing is left that the holder could learn.
    pub fn unsettled(self, held: Option<&Record>, frontier: &Frontier) -> Option<Record> {
        let arrived = match (self, held) {
            (Record::Lww(arrived), Some(Record::Lww(held))) => {
                Record::Lww(lww_unsettled(arrived, Some(held), frontier)?)
            }
            (Record::Lww(arrived), None) => Record::Lww(lww_unsettled(arrived, None, frontier)?),
            (Record::Siblings(arrived), Some(Record::Siblings(held))) => {
                Record::Siblings(arrived.without(|dot| frontier.covers(&dot) && held.get(dot).is_none()))
            }
            (Record::Siblings(arrived), None) => {
                Record::Siblings(arrived.without(|dot| frontier.covers(&dot)))
            }
            // Of two policies: merging will say so.
            (arrived, _) => return Some(arrived),
        };
        let teaches = held.is_some() || !arrived.versions().is_empty() || !arrived.is_settled(frontier);
        teaches.then_some(arrived)
    }

    /// What an actor whose own writes up to `counter` are all settled may take the record for that it holds, if any: for
    /// one that has seen them. It has not forgotten those that the record does not show; nothing of them is left to know.
    pub fn claiming(held: Option<Record>, policy: Policy, actor: Actor, counter: u64) -> Option<Record> {
        match held {
            Some(Record::Siblings(siblings)) => Some(Record::Siblings(siblings.claiming(actor, counter))),
            None if policy.keeps_siblings() && counter > 0 => {
                Some(Record::Siblings(Siblings::new().claiming(actor, counter)))
            }
            held => held,
        }
    }
}

fn lww_unsettled(arrived: Lww, held: Option<&Lww>, frontier: &Frontier) -> Option<Lww> {
    let dot = arrived.version().dot;
    let is_held = held.is_some_and(|held| held.version().dot == dot);
    (is_held || !frontier.covers(&dot)).then_some(arrived)
}

impl Siblings {
    /// The same record with versions covered for which `settled` holds.
    fn without(mut self, settled: impl Fn(Dot) -> bool) -> Siblings {
        self.retain(|version| !settled(version.dot));
        self
    }
}

#[cfg(test)]
mod tests {
    use types::Stint;

    use super::*;
    use crate::{DottedVector, Siblings, VersionVector};

    /// C1: who has seen the last write of an actor by itself has not seen those before it. A reader who knows them all is not told
    /// that this is all there is.
    #[test]
    fn a_write_that_was_seen_by_itself_covers_none_before_it() {
        let actor = Actor { incarnation: Incarnation(1), stint: Stint(1) };
        let vector = |counter| {
            let mut vector = VersionVector::new();
            vector.advance(actor, counter);
            vector
        };
        let covers = |dots: &[u64], settled: u64, counter: u64| {
            let known = Context::Causal(DottedVector::from_parts(vector(counter), Vec::new()));
            let dots = dots.iter().map(|counter| Dot { actor, counter: *counter }).collect();
            let seen = DottedVector::from_parts(vector(7), dots);
            let held = Record::Siblings(Siblings::from_parts(seen, Vec::new()).expect("no versions"));
            let frontier: Frontier = [(actor, settled)].into_iter().collect();
            Record::covers_but_for(Some(&held), &known, &frontier)
        };
        assert!(!covers(&[11], 3, 11), "8, 9 and 10 are missing");
        assert!(!covers(&[9, 11], 8, 11), "10 is missing");
        assert!(
            covers(&[9, 10, 11], 8, 11) && covers(&[], 11, 11) && covers(&[], 0, 7) && covers(&[8], 3, 8)
        );
        assert!(!covers(&[9], 3, u64::MAX) && covers(&[], u64::MAX, u64::MAX));
    }
}
