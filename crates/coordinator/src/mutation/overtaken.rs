//! What becomes of a write when the owners of its key, or the settings of its keyspace, change while it is under way.
//!
//! What must hold (INVARIANTS A1, A5, A6, E1): it is acknowledged only when quorums of the owners of one and the same state hold it;
//! it stays one write, under the dot, the stamp and the operation that it was made with; and it is *not done* only where it was
//! made nowhere.
//!
//! - **Not made yet:** it is begun anew, with the read that it rests on. Where this node may not make it any more, another does:
//!   the coordinator passes it on, and a maker says to the coordinator that the write was routed by an earlier state.
//! - **The store is making it:** whatever that says comes first. A store that knows of the change makes nothing.
//! - **Made:** the same record is sent to those of the present owners that have not acknowledged it, and of whom no answer is due.
//!   Whoever was asked by the state before may hold it by that; if he took nothing because he knew of the change, he says so, and is
//!   asked by the present state then. Who is asked first is in [`ranking`](super::ranking).
//!
//! Why nobody is asked again while he has yet to answer: nothing would tell to which of the two he answers. He may have taken it the
//! first time, shown it, and refuse it the second time because something outranked it between. So a write that all refused, by the
//! one state or the other, could not be stamped again, and was *unknown*.
//!
//! Why acknowledgements count on: they say that a node has the record on its disk, whoever else was an owner then. One that is an
//! owner still has it still; one that left and came back meanwhile has handed over all it had to every owner that was to stay
//! before it dropped it, and gets all from them before it answers reads. Only a node that was being filled drops what it has and hands
//! nothing over, where its movement is given up: what it acknowledged counts while that same movement goes on, and not in another.
//!
//! Why nothing more need be done about a write whose last acknowledgement came before any refusal: a replica refuses what was
//! routed by an earlier state than its own *when it applies it*. So W old owners applied it before they adopted the change, and
//! the new ones compare with each of them after it has (`cluster::movement`).

use api::Operation;
use causality::Context;
use cluster::Stage;
use types::NodeId;

use super::refusal::{NEWS_DID_NOT_COME, not_made};
use super::{Ask, Mutation, Naming, Phase};
use crate::stand_ins::StandIns;
use crate::target::{Step, Target, Turn};

impl Mutation {
    /// The owners or settings are others than they were before.
    pub fn overtaken(&mut self, before: &Target, target: &Target, turn: &mut Turn<'_>) {
        if turn.is_dropped(target) {
            self.is_dropped(target, turn);
            return;
        }
        match &self.phase {
            Phase::Reading(_) | Phase::Settling(_) | Phase::Overtaken => self.begin_anew(target, turn),
            Phase::Making(_) if self.naming == Naming::Asked && !target.may_make() => self.pass_on(turn),
            Phase::Writing(_) => self.write_on(before, target, turn),
            Phase::Begun | Phase::Making(_) => {}
        }
        if matches!(self.phase, Phase::Making(_)) {
            self.go_by(target, turn);
        }
    }

    /// The local store knows of other owners or settings than those that it was to make the write by, and has made nothing.
    pub(super) fn not_made_of_late(&mut self, target: &Target, turn: &mut Turn<'_>) {
        self.hidden = false;
        if turn.is_dropped(target) {
            self.finish(Err(target.dropped()), turn);
        } else if target.since() > self.made_by {
            self.begin_anew(target, turn);
        } else if turn.is_told_of_news {
            self.phase = Phase::Overtaken;
        } else {
            self.finish(Err(not_made(target, self.level, NEWS_DID_NOT_COME.to_owned())), turn);
        }
    }

    /// The keyspace is no more. What the store is making is waited for, to say truly whether it was stored.
    pub(super) fn is_dropped(&mut self, target: &Target, turn: &mut Turn<'_>) {
        let error = match &mut self.phase {
            Phase::Making(_) if self.naming != Naming::Asked => return,
            Phase::Writing(writing) => {
                writing.problems.push((target.here, "the keyspace was dropped meanwhile".to_owned()));
                self.unknown_of(target)
            }
            Phase::Begun | Phase::Reading(_) | Phase::Settling(_) | Phase::Making(_) | Phase::Overtaken => {
                target.dropped()
            }
        };
        self.finish(Err(error), turn);
    }

    /// Whether this node may make the write once more, above what it was refused with: it is to the key what it was when it made it, or is
    /// not read any more but written still: those who are read rank it.
    pub(super) fn is_still_maker(&self, target: &Target) -> bool {
        let Phase::Writing(writing) = &self.phase else {
            return false;
        };
        let stands_in_for = self.stand_ins.owner_of(target.here);
        let is_written_still = || writing.ranking.were_read(target.here, target);
        self.made_for == stands_in_for && (target.is_owner() || stands_in_for.is_some() || is_written_still())
    }

    fn begin_anew(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if !target.may_make() {
            self.pass_on(turn);
            return;
        }
        turn.steps.push(Step::Anew);
        self.phase = Phase::Begun;
        self.levels_of(target);
        self.stand_ins = StandIns::begin(target, turn.topology, true);
        if let Err(error) = self.begin(target, turn) {
            self.finish(Err(error), turn);
        }
    }

    /// Another node is to make it.
    fn pass_on(&mut self, turn: &mut Turn<'_>) {
        let (write, read) = self.asked;
        let operation = match &mut self.ask {
            Ask::Put { value, context, expiry, priority } => Operation::Put {
                value: std::mem::take(value),
                context: Some(std::mem::take(context)).filter(|context| *context != Context::Empty),
                write,
                expiry: *expiry,
                priority: *priority,
            },
            Ask::Delete { context, .. } => Operation::Delete { context: context.take(), write, read },
            Ask::Expire { change, .. } => Operation::Expire { change: *change, read, write },
        };
        turn.steps.push(Step::PassOn(Box::new(operation)));
    }

    fn levels_of(&mut self, target: &Target) {
        let (write, read) = self.asked;
        self.level = write.unwrap_or(target.keyspace().w);
        self.read_level = read.unwrap_or(target.keyspace().r);
    }

    fn go_by(&mut self, target: &Target, turn: &Turn<'_>) -> StandIns {
        self.levels_of(target);
        self.promised |= self.readers_never_go_back(target);
        let stand_ins = self.stand_ins.by(target, turn.topology);
        std::mem::replace(&mut self.stand_ins, stand_ins)
    }

    /// Counts who holds the write among those who are its owners now, and sends it to the others.
    fn write_on(&mut self, before: &Target, target: &Target, turn: &mut Turn<'_>) {
        let stood_in = self.go_by(target, turn);
        let mut holding = self.stand_ins.joint(self.level, target);
        let Phase::Writing(writing) = &mut self.phase else {
            return;
        };
        // A hint that is kept for an owner is no copy of the keeper's own, nor is it another owner's.
        let is_as_it_was = |node: NodeId| stood_in.owner_of(node) == self.stand_ins.owner_of(node);
        for node in writing.holding.successes() {
            if is_as_it_was(node) && keeps_what_it_has(node, before, target) {
                holding.succeeded(node);
            }
        }
        for node in writing.holding.failures().filter(|node| is_as_it_was(*node)) {
            holding.failed(node);
        }
        if writing.is_sent {
            let is_due = |node: &NodeId| !writing.ranking.later.contains(node) && !writing.is_ahead(*node);
            let due: Vec<NodeId> = writing.holding.awaited().filter(is_due).collect();
            for node in due {
                writing.asked_before.entry(node).or_insert(true);
            }
            for (node, counts) in &mut writing.asked_before {
                *counts &= is_as_it_was(*node) && keeps_what_it_has(*node, before, target);
            }
        }
        writing.holding = holding;
        writing.ahead.clear();
        writing.ranking.go_by(before, target);
        if writing.awaits_news {
            self.make_again_by_the_news(target, turn);
            return;
        }
        // One that has not been sent yet, because it is being stamped again, is sent to the present owners when it is.
        if !writing.is_sent || self.naming == Naming::Asked {
            return;
        }
        let is_to_be_asked = |node: &NodeId| !writing.asked_before.contains_key(node);
        let lacking: Vec<NodeId> = writing.holding.awaited().filter(is_to_be_asked).collect();
        writing.ask(&lacking, target, &self.stand_ins, turn);
        self.consider(target, turn);
    }

    /// The store here was to stamp it again, and knows of other owners or settings: it is to do so by those, once this operation has
    /// heard of them.
    pub(super) fn make_again_by_the_news(&mut self, target: &Target, turn: &mut Turn<'_>) {
        if target.since() <= self.made_by {
            return;
        }
        if self.is_still_maker(target) {
            self.make_again(target, turn);
        } else {
            let error = self.unknown_of(target);
            self.finish(Err(error), turn);
        }
    }
}

/// Whether what a node has acknowledged is still there.
fn keeps_what_it_has(node: NodeId, before: &Target, target: &Target) -> bool {
    let movement = before.state().movement(before.partition);
    let filled = movement.filter(|movement| {
        movement.stage == Stage::Filling && before.owners.iter().all(|(owner, _)| *owner != node)
    });
    filled.is_none_or(|filled| {
        target.state().movement(target.partition).is_some_and(|now| now.session == filled.session)
    })
}
