//! A write on its way through relays, and what becomes of it where a relay is lost, slow, or cannot pass it on.
//!
//! What must hold: whoever was to have the write through a relay is sent it once more, by another relay or directly, when that one
//! is known not to have passed it on, and when nothing was heard of him for a while. Who may have got it the first time is taken
//! down as one who may have it: what he refuses the second time says nothing of the first
//! (`docs/decisions/2026-11-20-stamping-again.md`). And which of the two he answers is not told apart, so he is not asked again where an
//! answer to the first would not count ([`overtaken`](super::overtaken)).
//!
//! What is sent once more because it *may* not have arrived comes out of the budget for what is asked again, or data centers
//! that are slow because they have much to do would get twice as much (INVARIANTS J2). Where that is spent, or the record is not kept
//! any more because its client was answered, the exchange between owners brings it.

use std::time::Duration;

use types::{Instant, NodeId};
use wire::{Holder, Relay, ReplicaRequest, Write};

use super::writing::Writing;
use crate::relaying::{Way, ways};
use crate::stand_ins::StandIns;
use crate::target::{Failure, Target, Turn};

/// How long it is waited for those behind a relay before they are asked by themselves: several times what data centers are apart.
pub(super) const RELAY_PATIENCE: Duration = Duration::from_millis(500);

/// A relay, and who is to get the write by it.
#[derive(Debug)]
pub(super) struct Passing {
    relay: NodeId,
    others: Vec<NodeId>,
    until: Instant,
}

impl Writing {
    /// Sends the write to all of these: once to each other data center.
    pub(super) fn send_to(
        &mut self,
        nodes: &[NodeId],
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        for way in ways(nodes.iter().copied(), target, turn) {
            match way {
                Way::Directly(node) => self.send(node, target, stand_ins, turn),
                Way::Through(relay, others) => self.send_through(relay, others, target, stand_ins, turn),
            }
        }
    }

    fn send_through(
        &mut self,
        relay: NodeId,
        others: Vec<NodeId>,
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        let write = Write {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            record: self.made.record.clone(),
            path: self.path(),
        };
        let holder = |node: &NodeId| Holder { node: *node, in_place_of: stand_ins.owner_of(*node) };
        let request = Relay {
            write,
            in_place_of: stand_ins.owner_of(relay),
            others: others.iter().map(holder).collect(),
        };
        turn.send(relay, self.round, ReplicaRequest::Relay(Box::new(request)));
        turn.pace.figures.relayed += others.len() as u64;
        let until = turn.now.mono + RELAY_PATIENCE;
        self.passing.push(Passing { relay, others, until });
        turn.wake(until);
    }

    /// Whether anybody has yet to answer who is to get it by a relay.
    pub(super) fn waits_for_relays(&self) -> bool {
        let mut behind = self.passing.iter().flat_map(|passing| &passing.others);
        behind.any(|node| self.is_awaited(*node))
    }

    /// A relay cannot be reached: those that were to get the write by it get it otherwise.
    pub(super) fn relay_failed(
        &mut self,
        relay: NodeId,
        failure: Failure,
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        let mut behind = Vec::new();
        while let Some(place) = self.passing.iter().position(|passing| passing.relay == relay) {
            behind.append(&mut self.passing.swap_remove(place).others);
        }
        behind.retain(|node| self.is_awaited(*node));
        self.send_again(&behind, failure == Failure::Lost, target, stand_ins, turn);
    }

    /// A relay says that it did not pass the write on to one of those behind it.
    pub(super) fn not_passed_on(
        &mut self,
        relay: NodeId,
        to: NodeId,
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        let mut was_behind = false;
        for passing in self.passing.iter_mut().filter(|passing| passing.relay == relay) {
            was_behind |= passing.others.contains(&to);
            passing.others.retain(|node| *node != to);
        }
        if was_behind && self.is_awaited(to) {
            self.send_again(&[to], false, target, stand_ins, turn);
        }
    }

    /// Asks those by themselves that have not been heard of for long, as far as the budget allows.
    pub(super) fn look_for_late_relays(
        &mut self,
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let (late, waiting): (Vec<Passing>, Vec<Passing>) =
            std::mem::take(&mut self.passing).into_iter().partition(|passing| passing.until <= now);
        self.passing = waiting;
        for node in late.into_iter().flat_map(|passing| passing.others) {
            let is_to_be_sent =
                self.is_awaited(node) && !self.made.record.is_empty() && self.answer_counts(node);
            if is_to_be_sent && turn.pace.may_retry(now) {
                self.asked_before.remove(&node);
                self.may_have_it.insert(node);
                self.send(node, target, stand_ins, turn);
                turn.pace.figures.relays_failed += 1;
            }
        }
        if let Some(next) = self.passing.iter().map(|passing| passing.until).min() {
            turn.wake(next);
        }
    }

    fn send_again(
        &mut self,
        nodes: &[NodeId],
        may_have_it: bool,
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        if self.made.record.is_empty() {
            return;
        }
        turn.pace.figures.relays_failed += nodes.len() as u64;
        let (nodes, others): (Vec<NodeId>, Vec<NodeId>) =
            nodes.iter().partition(|node| !may_have_it || self.answer_counts(**node));
        for node in &others {
            self.holding.failed(*node);
        }
        for node in nodes.iter().chain(&others) {
            self.asked_before.remove(node);
        }
        if may_have_it {
            self.may_have_it.extend(nodes.iter().chain(&others));
        }
        self.ask(&nodes, target, stand_ins, turn);
    }

    /// Whether what he was asked last still counts if he says that he holds it.
    fn answer_counts(&self, node: NodeId) -> bool {
        self.asked_before.get(&node).copied().unwrap_or(true)
    }
}
