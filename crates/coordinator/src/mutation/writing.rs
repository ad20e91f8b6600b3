//! Who holds a write that was made, who refused it, and who provably never got it.

use std::collections::{BTreeMap, BTreeSet};

use causality::{Dot, Stamp};
use quorum::{Decision, Joint, Tracker};
use replica::Made;
use types::{Epoch, NodeId};
use wire::{ReplicaReply, ReplicaRequest, WritePath};

use super::Ingredients;
use super::relays::Passing;
use crate::stand_ins::StandIns;
use crate::target::{Failure, Target, Turn};

/// A round of asking the other owners to hold the write.
#[derive(Debug)]
pub(super) struct Writing {
    /// Nothing where no owner refuses a stamp. Let go once the client has been answered: a write that only counts
    /// acknowledgements holds no value.
    pub(super) ingredients: Option<Box<Ingredients>>,
    pub(super) round: u32,
    pub(super) made: Made,
    pub(super) dot: Option<Dot>,
    /// Whether the record of this round was sent to the others; it is, once it is made.
    pub(super) is_sent: bool,
    pub(super) holding: Joint,
    /// Who refused, in this round; the greatest stamp that any refused with.
    pub(super) refused: BTreeSet<NodeId>,
    pub(super) refused_with: Stamp,
    /// Who is not read and was not sent it yet: while a partition moves, the owners that are read decide first which of two writes
    /// outranks the other. Where they refuse it, nobody else has it, and it may be stamped again.
    pub(super) later: BTreeSet<NodeId>,
    /// Who provably never got it, or said that it did not take it.
    pub(super) without: BTreeSet<NodeId>,
    /// Who said that the owners or settings are others by now, and took nothing: asked again once this operation has heard of it.
    pub(super) ahead: Vec<(NodeId, Epoch)>,
    /// Who is none of the owners any more, and may have it.
    pub(super) former: BTreeSet<NodeId>,
    /// Who was sent it once more, by a later state or because a relay failed, and may have taken it the first time. If he refuses it the second time,
    /// something has outranked it between, and that says nothing of whether it was seen.
    pub(super) asked_again: BTreeSet<NodeId>,
    /// Who was asked to keep it for another and is an owner by now, or the other way round, and has yet to answer both; with what he has
    /// answered. An answer does not say which of the two it is to.
    pub(super) asked_in_two_roles: BTreeMap<NodeId, Option<ReplicaReply>>,
    /// Whom relays are to pass it on to.
    pub(super) passing: Vec<Passing>,
    pub(super) problems: Vec<(NodeId, String)>,
}

impl Writing {
    pub(super) fn send_to_others(&mut self, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        self.is_sent = true;
        self.later.clear();
        if self.made.path != WritePath::Merge && !target.keyspace().policy.keeps_siblings() {
            let read = self.holding.sets().next();
            let is_read = |node: NodeId| read.is_none_or(|read| read.counts(node));
            let later = self.holding.awaited().filter(|node| *node != target.here && !is_read(*node));
            self.later = later.collect();
        }
        let is_now = |node: &NodeId| *node != target.here && !self.later.contains(node);
        let others: Vec<NodeId> = self.holding.awaited().filter(is_now).collect();
        self.send_to(&others, target, stand_ins, turn);
    }

    /// Sends it to those who are not read, once so many of those who are hold it. Whatever they hold is merged with it: that it outranks
    /// all that was acknowledged before is known by then. Where those who are read refuse it, the others never get it.
    pub(super) fn send_on(&mut self, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        if self.later.is_empty() || !self.is_sent {
            return;
        }
        let decided = self.holding.sets().next().map(Tracker::decided);
        match decided {
            None | Some(Decision::Waiting) => {}
            Some(Decision::Met) => {
                for node in std::mem::take(&mut self.later) {
                    self.send_by(WritePath::Merge, node, target, stand_ins, turn);
                }
            }
            Some(Decision::Impossible) => {
                for node in std::mem::take(&mut self.later) {
                    self.holding.failed(node);
                    self.without.insert(node);
                }
            }
        }
    }

    pub(super) fn send(&self, node: NodeId, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        self.send_by(self.made.path, node, target, stand_ins, turn);
    }

    fn send_by(
        &self,
        path: WritePath,
        node: NodeId,
        target: &Target,
        stand_ins: &StandIns,
        turn: &mut Turn<'_>,
    ) {
        let request = ReplicaRequest::Write {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            record: self.made.record.clone(),
            path,
            in_place_of: stand_ins.owner_of(node),
        };
        turn.send(node, self.round, request);
    }

    /// Takes an answer, to a question that may have been routed by an earlier state than what there is `since` then.
    pub(super) fn reply(
        &mut self,
        from: NodeId,
        reply: ReplicaReply,
        since: Epoch,
        awaits: impl Fn(Epoch) -> bool,
    ) {
        let Some(reply) = self.answer_to_both(from, reply, since) else { return };
        match reply {
            ReplicaReply::Stored => {
                self.holding.succeeded(from);
                self.refused.remove(&from);
                self.without.remove(&from);
            }
            ReplicaReply::Refused { held } => {
                self.holding.failed(from);
                self.refused.insert(from);
                self.refused_with = self.refused_with.max(held);
            }
            ReplicaReply::Failed { why } | ReplicaReply::CannotSay { why } => {
                self.holding.failed(from);
                self.without.insert(from);
                self.problems.push((from, why));
            }
            ReplicaReply::Settled => {
                self.holding.failed(from);
                self.without.insert(from);
                self.problems.push((from, "what the change is about was deleted there long ago".to_owned()));
            }
            // What it was sent before. It has been sent the record once more since.
            ReplicaReply::StaleEpoch { newest } if newest <= since => {}
            ReplicaReply::StaleEpoch { newest } if awaits(newest) => self.ahead.push((from, newest)),
            ReplicaReply::StaleEpoch { newest } => {
                self.holding.failed(from);
                self.without.insert(from);
                self.problems
                    .push((from, format!("it knows epoch {newest}, and the request is of an older one")));
            }
            ReplicaReply::Found { .. }
            | ReplicaReply::Absent
            | ReplicaReply::Covering { .. }
            | ReplicaReply::Scanned(_)
            | ReplicaReply::Counted { .. }
            | ReplicaReply::Granted { .. }
            | ReplicaReply::Compared(_)
            | ReplicaReply::Collected(_)
            | ReplicaReply::Fetched(_)
            | ReplicaReply::Forwarded(_)
            | ReplicaReply::NotAsNamed
            | ReplicaReply::NotPassedOn { .. } => {}
        }
    }

    /// What an answer comes to. Of two from one who was asked in two roles, what is less counts, for each may be to either; but that
    /// the first question was routed by what is over says nothing of the second.
    fn answer_to_both(&mut self, from: NodeId, reply: ReplicaReply, since: Epoch) -> Option<ReplicaReply> {
        let is_over =
            |reply: &ReplicaReply| matches!(reply, ReplicaReply::StaleEpoch { newest } if *newest <= since);
        let Some(first) = self.asked_in_two_roles.get_mut(&from) else { return Some(reply) };
        match first.take() {
            None => {
                *first = Some(reply);
                None
            }
            Some(first) => {
                self.asked_in_two_roles.remove(&from);
                let is_less = first != ReplicaReply::Stored || is_over(&reply);
                Some(if is_less && !is_over(&first) { first } else { reply })
            }
        }
    }

    /// A node that was asked cannot be reached: where fallbacks may stand in, the next one is asked to keep the write for it.
    pub(super) fn peer_failed(
        &mut self,
        target: &Target,
        from: NodeId,
        failure: Failure,
        stand_ins: &mut StandIns,
        turn: &mut Turn<'_>,
    ) {
        if !self.holding.awaited().any(|node| node == from) {
            return;
        }
        self.holding.failed(from);
        self.asked_in_two_roles.remove(&from);
        let is_later = self.later.remove(&from);
        match failure {
            _ if is_later => {
                self.without.insert(from);
                self.problems.push((from, "it cannot be reached".to_owned()));
            }
            Failure::NotSent => {
                self.without.insert(from);
                self.problems.push((from, "it cannot be reached".to_owned()));
            }
            Failure::Lost => self.problems.push((from, "the connection to it was lost".to_owned())),
        }
        if !self.made.record.is_empty()
            && let Some(next) = stand_ins.next(target, turn.topology, from)
            && self.holding.replace(from, next)
        {
            if is_later {
                self.later.insert(next);
            } else {
                self.send(next, target, stand_ins, turn);
            }
        }
    }

    pub(super) fn is_held_elsewhere(&self, target: &Target) -> bool {
        self.holding.successes().any(|node| node != target.here)
    }

    /// Whether nobody but this node can have the write, of whichever set, or of those that were in one before.
    pub(super) fn nobody_else_may_have_it(&self, target: &Target, stand_ins: &StandIns) -> bool {
        let owners = target.written().filter(|node| !stand_ins.passed_over(*node));
        owners
            .chain(stand_ins.nodes())
            .filter(|node| Some(*node) != stand_ins.owner_of(target.here))
            .chain(self.former.iter().copied())
            .filter(|node| *node != target.here)
            .all(|node| {
                let refuses = self.refused.contains(&node) || self.without.contains(&node);
                refuses && !self.asked_again.contains(&node)
            })
    }

    /// Who has not answered, or waits for this node to hear what he knows already, as messages say it.
    pub(super) fn silent(&self, target: &Target) -> Vec<String> {
        let is_ahead = |node: &NodeId| self.ahead.iter().any(|(other, _)| other == node);
        let silent: Vec<&str> =
            self.holding.awaited().filter(|node| !is_ahead(node)).map(|node| target.name_of(node)).collect();
        let ahead = self.ahead.iter().map(|(node, newest)| {
            let name = target.name_of(*node);
            format!("{name}: it knows epoch {newest}, of which this node has yet to hear")
        });
        let silent = (!silent.is_empty()).then(|| format!("no answer in time from {}", silent.join(", ")));
        ahead.chain(silent).collect()
    }

    /// What each set needed and got, as messages say it; nothing where there is one.
    pub(super) fn in_each_set(&self, target: &Target) -> Option<String> {
        if target.also_written.is_empty() {
            return None;
        }
        let of_each = self.holding.sets().zip(target.sets()).map(|(set, owners)| {
            let names: Vec<&str> = owners.iter().map(|(node, _)| target.name_of(*node)).collect();
            format!("{} of {} and {} said so", set.requirement(), names.join(", "), set.got())
        });
        let of_each: Vec<String> = of_each.collect();
        Some(format!("the partition moves, so it takes {}", of_each.join("; and ")))
    }
}
