//! Which of two `lww` writes outranks the other, while a partition moves: those who are read say so first.
//!
//! What must hold (INVARIANTS B6): a write that is acknowledged outranks all that was acknowledged before it began. While owners
//! change, this is why: W owners of a set that is read took it when they were asked whether it outranks what they hold. Whatever
//! was acknowledged before is with W of these as well, so one of them had that, and would have refused what does not outrank it. Such a
//! write is *ranked*, and stays so.
//!
//! - Before it is ranked, nobody gets it who is in the other set alone. What those who are read refuse is nowhere else then, and
//!   may be stamped again (`docs/decisions/2026-12-01-those-who-are-read-are-written-first.md`).
//! - Once it is, nobody is asked any more whether it outranks what he holds: it is merged with that. Whoever refused it before is asked
//!   once more if he is needed. What he holds outranks it and was not acknowledged before it began, so this write comes just before that
//!   one; and what he says is that he has the one or the other on stable storage, which is all that W promises (A1).
//!
//! When those who are read change with a write under way, those who were read by the state before go on ranking it, for they are written
//! still. So do those who are read by now, and what they took by the state before counts there too: a new owner has all that was
//! acknowledged before he is read; and W of those who are in both sets are W of the old one. Where a data center is to keep fewer copies
//! they need not be, and there only those rank it who were read before.
//!
//! Why a write is not *done* because what outranks it is with W owners, though it was not ranked: that one may have been
//! acknowledged before this one began, where its maker's clock is ahead. Then this one has to outrank it, or to fail.

use std::collections::BTreeSet;

use quorum::{Decision, Owner, Tracker};
use types::NodeId;
use wire::WritePath;

use super::writing::Writing;
use crate::stand_ins::StandIns;
use crate::target::{Target, Turn};

/// How far that is known.
#[derive(Debug)]
pub(super) struct Ranking {
    /// W of a set that is read, or was by a state that it went by, have taken it.
    is_ranked: bool,
    /// Whether W of those who are read rank it.
    by_read: bool,
    /// Whether W of the others do, who were read.
    by_others: bool,
    /// Who is not read, and gets it once W of those who are hold it.
    pub(super) later: BTreeSet<NodeId>,
}

impl Default for Ranking {
    fn default() -> Ranking {
        Ranking { is_ranked: false, by_read: true, by_others: false, later: BTreeSet::new() }
    }
}

impl Ranking {
    /// The owners are others than before. Nobody is kept waiting by what is over.
    pub(super) fn go_by(&mut self, before: &Target, target: &Target) {
        let goes_on = self.by_others && target.also_written == before.also_written;
        self.by_others = goes_on || target.also_written == before.owners;
        self.by_read &= !are_fewer_somewhere(&target.owners, &before.owners);
        self.later.clear();
    }

    /// It is stamped again, and nobody has taken it under its new stamp.
    pub(super) fn begin_anew(&mut self) {
        *self = Ranking { by_others: self.by_others, ..Ranking::default() };
    }

    /// Whether this node is one of the others, and those were read.
    pub(super) fn were_read(&self, node: NodeId, target: &Target) -> bool {
        self.by_others && target.also_written.iter().any(|(other, _)| *other == node)
    }
}

impl Writing {
    /// How whoever is sent it now is to take it.
    pub(super) fn path(&self) -> WritePath {
        if self.ranking.is_ranked { WritePath::Merge } else { self.made.path }
    }

    /// Asks these to hold it: now, or when it is their turn.
    pub(super) fn ask(
        &mut self,
        nodes: &[NodeId],
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        let is_refused_by_none = self.path() == WritePath::Merge || is_never_refused(target);
        let read = self.holding.sets().next();
        let is_now = |node: &NodeId| is_refused_by_none || read.is_none_or(|read| read.counts(*node));
        let (now, later): (Vec<NodeId>, Vec<NodeId>) = nodes.iter().partition(|node| is_now(node));
        self.ranking.later.extend(later);
        self.send_to(&now, target, stand_ins, turn);
    }

    /// Sends it to those who are not read, once so many of those who are hold it. Where those who are read refuse it, the others
    /// never get it.
    pub(super) fn send_on(&mut self, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        if !self.is_sent {
            return;
        }
        self.rank(target);
        if self.ranking.later.is_empty() {
            return;
        }
        let read = self.holding.sets().next().map(Tracker::decided);
        if self.ranking.is_ranked || read == Some(Decision::Met) {
            let later: Vec<NodeId> = std::mem::take(&mut self.ranking.later).into_iter().collect();
            self.send_to(&later, target, stand_ins, turn);
        } else if read == Some(Decision::Impossible) {
            for node in std::mem::take(&mut self.ranking.later) {
                self.holding.failed(node);
            }
        }
    }

    fn rank(&mut self, target: &Target) {
        if is_never_refused(target) {
            return;
        }
        let Ranking { by_read, by_others, .. } = self.ranking;
        let mut sets = self.holding.sets().zip([by_read, by_others]);
        self.ranking.is_ranked |= sets.any(|(set, ranks)| ranks && set.decided() == Decision::Met);
    }

    /// Has it merged by those who refused it, where it is ranked. False where there is nobody to ask.
    pub(super) fn merge_where_refused(
        &mut self,
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) -> bool {
        if !self.ranking.is_ranked {
            return false;
        }
        let refused = std::mem::take(&mut self.refused);
        let refused: Vec<NodeId> = self.holding.failures().filter(|node| refused.contains(node)).collect();
        for node in &refused {
            self.holding.asked_again(*node);
        }
        self.send_to(&refused, target, stand_ins, turn);
        !refused.is_empty()
    }
}

/// Whether owners take whatever comes.
fn is_never_refused(target: &Target) -> bool {
    target.keyspace().policy.keeps_siblings()
}

/// Whether there is a data center that has fewer of these than of those.
fn are_fewer_somewhere(these: &[Owner], those: &[Owner]) -> bool {
    let count = |owners: &[Owner], home| owners.iter().filter(|(_, other)| *other == home).count();
    those.iter().any(|(_, home)| count(these, *home) < count(those, *home))
}
