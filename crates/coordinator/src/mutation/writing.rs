//! Who holds a write that was made, who refused it, and who may have it.
//!
//! What must hold: nobody is asked while an answer of his is due, but for those behind a relay that has failed. So each answer is to
//! one question, whatever state that was routed by, and whoever refused provably does not have the write.

use std::collections::{BTreeMap, BTreeSet};

use causality::{Dot, Stamp};
use quorum::Joint;
use replica::Made;
use types::{Epoch, NodeId};
use wire::{ReplicaReply, ReplicaRequest};

use super::Ingredients;
use super::ranking::Ranking;
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
    /// Whether the store here knows of other owners or settings than those that it was to be stamped again by, and has not done so.
    pub(super) awaits_news: bool,
    pub(super) holding: Joint,
    /// Who refused, in this round; the greatest stamp that any refused with.
    pub(super) refused: BTreeSet<NodeId>,
    pub(super) refused_with: Stamp,
    /// Whether it outranks what was acknowledged before it, and who is told only then.
    pub(super) ranking: Ranking,
    /// Who has it, or may have it, under whatever stamp it had, besides this node.
    pub(super) may_have_it: BTreeSet<NodeId>,
    /// Who said that the owners or settings are others by now, and took nothing: asked again once this operation has heard of it.
    pub(super) ahead: Vec<(NodeId, Epoch)>,
    /// Who was asked by a state of before and has yet to answer; whether it counts if he says that he holds it. It does not where he was
    /// asked to keep it for another and is an owner by now, or the other way round, or where he drops what he took.
    pub(super) asked_before: BTreeMap<NodeId, bool>,
    /// Whom relays are to pass it on to.
    pub(super) passing: Vec<Passing>,
    pub(super) problems: Vec<(NodeId, String)>,
}

impl Writing {
    pub(super) fn send_to_others(&mut self, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        self.is_sent = true;
        let others: Vec<NodeId> = self.holding.awaited().filter(|node| *node != target.here).collect();
        self.ask(&others, target, stand_ins, turn);
    }

    pub(super) fn send(&self, node: NodeId, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        let request = ReplicaRequest::Write {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            record: self.made.record.clone(),
            path: self.path(),
            in_place_of: stand_ins.owner_of(node),
        };
        turn.send(node, self.round, request);
    }

    /// Takes an answer. Whether he who gave it is to be asked by the state that there is now.
    pub(super) fn reply(
        &mut self,
        from: NodeId,
        reply: ReplicaReply,
        target: &Target,
        awaits: impl Fn(Epoch) -> bool,
    ) -> bool {
        if reply == ReplicaReply::Stored && from != target.here {
            self.may_have_it.insert(from);
        }
        let is_stale = matches!(reply, ReplicaReply::StaleEpoch { .. });
        if self.asked_before.remove(&from).is_some_and(|counts| is_stale || !counts) {
            return self.is_awaited(from);
        }
        match reply {
            ReplicaReply::Stored => {
                self.holding.succeeded(from);
                self.refused.remove(&from);
            }
            ReplicaReply::Refused { held } => {
                self.holding.failed(from);
                self.refused.insert(from);
                self.refused_with = self.refused_with.max(held);
            }
            ReplicaReply::Failed { why } | ReplicaReply::CannotSay { why } => {
                self.holding.failed(from);
                self.problems.push((from, why));
            }
            ReplicaReply::Settled => {
                self.holding.failed(from);
                self.problems.push((from, "what the change is about was deleted there long ago".to_owned()));
            }
            ReplicaReply::StaleEpoch { newest } if awaits(newest) => self.ahead.push((from, newest)),
            ReplicaReply::StaleEpoch { newest } => {
                self.holding.failed(from);
                self.problems
                    .push((from, format!("it knows epoch {newest}, and the request is of an older one")));
            }
            ReplicaReply::Found { .. }
            | ReplicaReply::Absent
            | ReplicaReply::Covering { .. }
            | ReplicaReply::Same
            | ReplicaReply::Older
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
        false
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
        let is_later = self.ranking.later.remove(&from);
        let was_asked = self.is_awaited(from) && !is_later && !self.is_ahead(from);
        let is_due = self.asked_before.remove(&from).is_some() || was_asked;
        if is_due && failure == Failure::Lost {
            self.may_have_it.insert(from);
        }
        if !self.is_awaited(from) {
            return;
        }
        self.holding.failed(from);
        let why = if is_later || failure == Failure::NotSent {
            "it cannot be reached"
        } else {
            "the connection to it was lost"
        };
        self.problems.push((from, why.to_owned()));
        if !self.made.record.is_empty()
            && let Some(next) = stand_ins.next(target, turn.topology, from)
            && self.holding.replace(from, next)
        {
            if is_later {
                self.ranking.later.insert(next);
            } else {
                self.send(next, target, stand_ins, turn);
            }
        }
    }

    pub(super) fn is_held_elsewhere(&self, target: &Target) -> bool {
        self.holding.successes().any(|node| node != target.here)
    }

    /// Whether an answer of this node is due, or it is yet to be asked.
    pub(super) fn is_awaited(&self, node: NodeId) -> bool {
        self.holding.awaited().any(|awaited| awaited == node)
    }

    /// Whether nothing can come any more of what anybody was asked.
    pub(super) fn is_all_answered(&self) -> bool {
        self.holding.all_answered() && self.asked_before.is_empty()
    }

    pub(super) fn is_ahead(&self, node: NodeId) -> bool {
        self.ahead.iter().any(|(other, _)| *other == node)
    }

    /// Who has not answered, or waits for this node to hear what he knows already, as messages say it.
    pub(super) fn silent(&self, target: &Target) -> Vec<String> {
        let awaited = self.holding.awaited().filter(|node| !self.is_ahead(*node));
        let silent: Vec<&str> = awaited.map(|node| target.name_of(node)).collect();
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
