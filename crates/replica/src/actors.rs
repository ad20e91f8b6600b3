//! Who issues dots: for each partition an actor, (incarnation, stint), and its counter.
//!
//! What must hold: a dot is never issued twice (INVARIANTS B1), and within a stint an actor has forgotten nothing of its
//! partition (B2), because an entry (A, 57) in a record claims all of A's writes to the key up to 57.
//!
//! Every start of a node is a new stint for all its partitions, reserved on disk before the first dot is minted, so a
//! counter need never be found again after a crash: it starts at 1. A partition that may have forgotten something while
//! the node runs moves to the next stint of the block that the start reserved. Why not one counter kept on disk:
//! after an unclean stop a counter alone cannot say whether peers hold writes that this disk has lost, and extending it
//! would claim them.
//!
//! That these stints were never used is known for certain only once a peer has let this run in: the directory may have been
//! rolled back to an earlier state. Until then a run mints under a *provisional* incarnation, drawn for it alone, so that a
//! node that reaches nobody can be written to all the same.

use std::ops::Range;

use causality::{Actor, Dot};
use ring::Partitions;
use types::{Incarnation, PartitionId, Stint};

/// The dot issuers of one node.
#[derive(Debug)]
pub struct Actors {
    incarnation: Incarnation,
    /// Under which this run mints until it is known that its stints are fresh.
    provisional: Option<Incarnation>,
    /// Stints reserved on disk for this run. Each partition goes through them by itself: a dot is told apart by its partition
    /// too, so what one has used is still there for another.
    reserved: Range<u32>,
    /// By partition; as long as the highest partition that was asked for.
    issuers: Vec<Issuer>,
}

#[derive(Clone, Copy, Debug)]
struct Issuer {
    stint: Stint,
    counter: u64,
}

impl Actors {
    /// The actors of a run for which these stints are durably reserved. The range must not be empty.
    pub fn new(incarnation: Incarnation, reserved: Range<u32>) -> Actors {
        assert!(!reserved.is_empty(), "a run reserves at least one stint");
        Actors { incarnation, provisional: None, reserved, issuers: Vec::new() }
    }

    /// The same, minting under this incarnation, which nobody else has, until [`confirm`](Self::confirm).
    #[must_use]
    pub fn under(self, provisional: Incarnation) -> Actors {
        Actors { provisional: Some(provisional), ..self }
    }

    /// The stints of this run are fresh: from now on it mints under them, and under its provisional incarnation, which comes
    /// back, never again.
    pub fn confirm(&mut self) -> Option<Incarnation> {
        let provisional = self.provisional.take();
        if provisional.is_some() {
            self.issuers.clear();
        }
        provisional
    }

    /// Whether it is known that its stints are fresh.
    pub fn is_confirmed(&self) -> bool {
        self.provisional.is_none()
    }

    /// Under which it mints now.
    fn minting(&self) -> Incarnation {
        self.provisional.unwrap_or(self.incarnation)
    }

    fn first(&self) -> Stint {
        Stint(self.reserved.start)
    }

    /// The life that they are of.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The first stint that is reserved for this run.
    pub fn first_stint(&self) -> u32 {
        self.reserved.start
    }

    /// Who issues dots for this partition now.
    pub fn actor(&self, partition: PartitionId) -> Actor {
        let stint = self.issuers.get(usize::from(partition.0)).map_or(self.first(), |issuer| issuer.stint);
        Actor { incarnation: self.minting(), stint }
    }

    /// The counter of the last dot issued for this partition in its stint; 0 before the first.
    pub fn issued(&self, partition: PartitionId) -> u64 {
        self.issuers.get(usize::from(partition.0)).map_or(0, |issuer| issuer.counter)
    }

    /// A dot that was never issued and never will be again.
    pub fn mint(&mut self, partition: PartitionId) -> Dot {
        let incarnation = self.minting();
        let issuer = self.issuer(partition);
        issuer.counter += 1;
        Dot { actor: Actor { incarnation, stint: issuer.stint }, counter: issuer.counter }
    }

    /// Begins a new stint for a partition that may have forgotten something. False where the stints reserved for this
    /// run are used up; then nothing may be minted for the partition until the node starts again.
    #[must_use]
    pub fn begin_stint(&mut self, partition: PartitionId) -> bool {
        let end = self.reserved.end;
        let issuer = self.issuer(partition);
        let next = issuer.stint.0 + 1;
        if next < end {
            *issuer = Issuer { stint: Stint(next), counter: 0 };
        }
        next < end
    }

    /// There are so many partitions from now on, and were so many. A half goes on where the whole was: so a dot of a key is new, for all
    /// that the key has were issued for the whole, and its actor has forgotten nothing that the whole's had not. A whole goes on where
    /// that half was that is further on, in the later stint: which has forgotten nothing of the other half, where it issued no dot or
    /// was that one's too.
    pub fn recut(&mut self, was: Partitions, of: Partitions) {
        let parts = usize::from(of.count() / was.count());
        let together = usize::from((was.count() / of.count()).max(1));
        let each = std::mem::take(&mut self.issuers);
        let further_on = |halves: &[Issuer]| {
            halves
                .iter()
                .copied()
                .max_by_key(|issuer| (issuer.stint, issuer.counter))
                .expect("some of each chunk")
        };
        let of_each = each.chunks(together).map(further_on);
        self.issuers = of_each.flat_map(|issuer| std::iter::repeat_n(issuer, parts.max(1))).collect();
    }

    fn issuer(&mut self, partition: PartitionId) -> &mut Issuer {
        let place = usize::from(partition.0);
        if place >= self.issuers.len() {
            let first = self.first();
            self.issuers.resize(place + 1, Issuer { stint: first, counter: 0 });
        }
        &mut self.issuers[place]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const P: PartitionId = PartitionId(3);

    #[test]
    fn a_counter_goes_up_by_one_and_starts_at_one() {
        let mut actors = Actors::new(Incarnation(7), 1..10);
        assert_eq!([1, 2, 3].map(|_| actors.mint(P).counter), [1, 2, 3]);
    }

    #[test]
    fn a_new_stint_is_another_actor_whose_counter_starts_again() {
        let mut actors = Actors::new(Incarnation(7), 1..10);
        let before = actors.mint(P);
        assert!(actors.begin_stint(P));
        let after = actors.mint(P);
        assert_ne!(before.actor, after.actor);
        assert_eq!(after.counter, 1);
    }

    #[test]
    fn until_its_stints_are_known_to_be_fresh_a_run_mints_under_another_name() {
        let mut actors = Actors::new(Incarnation(7), 1..10).under(Incarnation(99));
        assert_eq!(actors.mint(P).actor, Actor { incarnation: Incarnation(99), stint: Stint(1) });
        assert_eq!(actors.incarnation(), Incarnation(7), "whose directory it is does not change");
        assert_eq!(actors.confirm(), Some(Incarnation(99)));
        let first = actors.mint(P);
        assert_eq!((first.actor, first.counter), (Actor { incarnation: Incarnation(7), stint: Stint(1) }, 1));
        assert_eq!(actors.confirm(), None);
        assert_eq!(actors.mint(P).counter, 2, "that it is known twice changes nothing");
    }

    #[test]
    fn when_the_reserved_stints_are_used_up_none_is_made_up() {
        let mut actors = Actors::new(Incarnation(7), 1..3);
        assert!(actors.begin_stint(P));
        assert!(!actors.begin_stint(P));
    }

    proptest! {
        /// B1: whatever the partitions and stints, and however often partitions are halved and joined, no dot of a slot is issued twice;
        /// and what is issued is above all that was issued for the slot before.
        #[test]
        fn no_dot_is_issued_twice(steps in proptest::collection::vec((0u16..32, 0u8..16), 0..200)) {
            let mut actors = Actors::new(Incarnation(7), 1..1000);
            let (mut issued, mut of) = (BTreeSet::new(), Partitions::new(1).unwrap());
            let mut highest = BTreeMap::new();
            for (slot, what) in steps {
                let partition = PartitionId(slot * of.count() / 32);
                let cut = match what {
                    0 if of.count() < 32 => of.count() * 2,
                    1 if of.count() > 1 => of.count() / 2,
                    _ => of.count(),
                };
                if cut != of.count() {
                    let was = std::mem::replace(&mut of, Partitions::new(u64::from(cut)).unwrap());
                    actors.recut(was, of);
                    continue;
                }
                if matches!(what, 1..8) {
                    prop_assert!(actors.begin_stint(partition));
                }
                let dot = actors.mint(partition);
                prop_assert!(issued.insert((slot, dot)));
                let is_above = |last: Dot| (last.actor.stint, last.counter) < (dot.actor.stint, dot.counter);
                prop_assert!(highest.insert(slot, dot).is_none_or(is_above));
            }
        }
    }
}
