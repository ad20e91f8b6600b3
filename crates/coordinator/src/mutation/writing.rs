//! Who holds a write that was made, who refused it, and who provably never got it.

use std::collections::BTreeSet;

use causality::{Dot, Stamp};
use quorum::Tracker;
use replica::Made;
use types::NodeId;
use wire::{ReplicaReply, ReplicaRequest};

use super::Ingredients;
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
    pub(super) holding: Tracker,
    /// Who refused, in this round; the greatest stamp that any refused with.
    pub(super) refused: BTreeSet<NodeId>,
    pub(super) refused_with: Stamp,
    /// Who provably never got it, or said that it did not take it.
    pub(super) without: BTreeSet<NodeId>,
    pub(super) problems: Vec<(NodeId, String)>,
}

impl Writing {
    pub(super) fn send_to_others(&self, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        for node in self.holding.awaited().filter(|node| *node != target.here) {
            self.send(node, target, stand_ins, turn);
        }
    }

    fn send(&self, node: NodeId, target: &Target, stand_ins: &StandIns, turn: &mut Turn<'_>) {
        let request = ReplicaRequest::Write {
            keyspace: target.keyspace_id,
            key: target.key.clone(),
            record: self.made.record.clone(),
            path: self.made.path,
            in_place_of: stand_ins.owner_of(node),
        };
        turn.send(node, self.round, request);
    }

    pub(super) fn reply(&mut self, from: NodeId, reply: ReplicaReply) {
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
            | ReplicaReply::NotAsNamed => {}
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
        match failure {
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
            self.send(next, target, stand_ins, turn);
        }
    }

    pub(super) fn is_held_elsewhere(&self, target: &Target) -> bool {
        self.holding.successes().any(|node| node != target.here)
    }

    pub(super) fn nobody_else_may_have_it(&self, target: &Target, stand_ins: &StandIns) -> bool {
        let owners = target.owners.iter().map(|(node, _)| *node).filter(|node| !stand_ins.passed_over(*node));
        owners
            .chain(stand_ins.nodes())
            .filter(|node| *node != target.here && Some(*node) != stand_ins.owner_of(target.here))
            .all(|node| self.refused.contains(&node) || self.without.contains(&node))
    }
}
