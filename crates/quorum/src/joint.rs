//! Counts replies in one set of owners, or in two that must each be satisfied: while a partition moves, a write counts among the
//! owners that it leaves and among those that it goes to (INVARIANTS E2).
//!
//! Always true: each set is judged by its own requirement, and a node that is in both counts in both, once in each. So where most
//! owners stay, one that joins and is slow costs a write nothing that a slow owner would not have cost it.
//!
//! Why not one requirement over the union of both sets: a majority of the union need hold a majority of neither.

use types::NodeId;

use crate::tracker::{Decision, Tracker, worse};

/// One request's replies, counted in each set that must be satisfied.
#[derive(Clone, Debug)]
pub struct Joint {
    first: Tracker,
    second: Option<Tracker>,
}

impl Joint {
    /// Counts in one set, or in two.
    pub fn new(first: Tracker, second: Option<Tracker>) -> Joint {
        Joint { first, second }
    }

    /// The sets; one where nothing moves.
    pub fn sets(&self) -> impl Iterator<Item = &Tracker> + Clone {
        std::iter::once(&self.first).chain(&self.second)
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Tracker> {
        std::iter::once(&mut self.first).chain(&mut self.second)
    }

    /// Takes note of a success of `node`, in each set that it is in.
    pub fn succeeded(&mut self, node: NodeId) {
        self.each().for_each(|set| set.succeeded(node));
    }

    /// Takes note of a failure of `node`; of no effect where it has succeeded.
    pub fn failed(&mut self, node: NodeId) {
        self.each().for_each(|set| set.failed(node));
    }

    /// A node that has failed is asked once more, in each set that it is in.
    pub fn asked_again(&mut self, node: NodeId) {
        self.each().for_each(|set| set.asked_again(node));
    }

    /// Lets another node stand in for one that has not succeeded, in each set that it is in. False, and of no effect, where it
    /// is in none or has succeeded, or the other is counted already, in whichever set (INVARIANTS A2).
    pub fn replace(&mut self, node: NodeId, by: NodeId) -> bool {
        if self.counts(by) {
            return false;
        }
        let mut is_replaced = false;
        for set in self.each() {
            is_replaced |= set.replace(node, by);
        }
        is_replaced
    }

    /// Whether a node is in any of the sets.
    pub fn counts(&self, node: NodeId) -> bool {
        self.sets().any(|set| set.counts(node))
    }

    /// Whether each set is satisfied, or one cannot be.
    pub fn decided(&self) -> Decision {
        self.sets().map(Tracker::decided).fold(Decision::Met, worse)
    }

    /// The set by which messages say what was needed: the first that is not satisfied, or the first where both are.
    pub fn short(&self) -> &Tracker {
        self.sets().find(|set| set.decided() != Decision::Met).unwrap_or(&self.first)
    }

    /// The nodes that have succeeded, each once.
    pub fn successes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.once_each(self.first.successes(), self.second.iter().flat_map(Tracker::successes))
    }

    /// The nodes that have failed, each once.
    pub fn failures(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.once_each(self.first.failures(), self.second.iter().flat_map(Tracker::failures))
    }

    /// The nodes that have not answered, each once.
    pub fn awaited(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.once_each(self.first.awaited(), self.second.iter().flat_map(Tracker::awaited))
    }

    /// Whether every node of each set has answered.
    pub fn all_answered(&self) -> bool {
        self.awaited().next().is_none()
    }

    /// A node in both sets has been told the same in both, so it is among the first.
    fn once_each<'a>(
        &'a self,
        first: impl Iterator<Item = NodeId> + 'a,
        second: impl Iterator<Item = NodeId> + 'a,
    ) -> impl Iterator<Item = NodeId> + 'a {
        first.chain(second.filter(|node| !self.first.counts(*node)))
    }
}
