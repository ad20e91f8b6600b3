//! Who holds a write that was made, who refused it, and who provably never got it.

use std::collections::BTreeSet;

use causality::{Dot, Stamp};
use quorum::Tracker;
use replica::Made;
use types::NodeId;
use wire::{ReplicaReply, ReplicaRequest};

use super::Ingredients;
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
    pub(super) fn send_to_others(&self, target: &Target, turn: &mut Turn<'_>) {
        for &(node, _) in target.owners.iter().filter(|(node, _)| *node != target.here) {
            let request = ReplicaRequest::Write {
                keyspace: target.keyspace_id,
                key: target.key.clone(),
                record: self.made.record.clone(),
                path: self.made.path,
            };
            turn.send(node, self.round, request);
        }
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
            ReplicaReply::StaleEpoch { newest } => {
                self.holding.failed(from);
                self.without.insert(from);
                self.problems
                    .push((from, format!("it knows epoch {newest}, and the request is of an older one")));
            }
            ReplicaReply::Found { .. }
            | ReplicaReply::Absent
            | ReplicaReply::Scanned(_)
            | ReplicaReply::Counted { .. }
            | ReplicaReply::Forwarded(_) => {}
        }
    }

    pub(super) fn peer_failed(&mut self, from: NodeId, failure: Failure) {
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
    }

    pub(super) fn is_held_elsewhere(&self, target: &Target) -> bool {
        self.holding.successes().any(|node| node != target.here)
    }

    pub(super) fn nobody_else_may_have_it(&self, target: &Target) -> bool {
        target
            .owners
            .iter()
            .filter(|(node, _)| *node != target.here)
            .all(|(node, _)| self.refused.contains(node) || self.without.contains(node))
    }
}
