//! Who serves in whose place: fallbacks of the preference list for owners that cannot be reached, in keyspaces whose quorums
//! are sloppy.
//!
//! What must hold: a node stands in for one owner at a time, and each owner has one stand-in at a time, of its own data
//! center; so N distinct nodes serve, and they are counted where the owner would be. In a strict keyspace there are none. While a
//! partition moves, nobody stands in for a node that only joins or only leaves: it fails in its set. Where an owner is in both
//! sets, its stand-in counts in both, as it would.
//!
//! This is the "sloppy quorum" of Dynamo (SOSP 2007, section 4.6): "all read and write operations are performed on the first N
//! healthy nodes from the preference list".

use cluster::Topology;
use quorum::{Joint, Level, Owner, Tracker};
use types::NodeId;

use crate::target::Target;

/// The stand-ins of one operation.
#[derive(Clone, Debug, Default)]
pub struct StandIns {
    /// Who stands in, and for which owner.
    serving: Vec<(NodeId, NodeId)>,
    /// Owners that were not asked at all, because they could not be reached at the beginning.
    passed_over: Vec<NodeId>,
}

impl StandIns {
    /// For the owners that cannot be reached now. Where this node makes a write and is no owner, it is one of them.
    pub fn begin(target: &Target, topology: &Topology, makes: bool) -> StandIns {
        let mut stand_ins = StandIns::default();
        if !target.is_sloppy() {
            return stand_ins;
        }
        let reachable = |node: NodeId| node == target.here || topology.is_reachable(node);
        let mut missing: Vec<Owner> =
            target.owners.iter().copied().filter(|(node, _)| !reachable(*node)).collect();
        if makes && !target.is_owner() {
            // Whoever had it make the write saw no owner. If this node does, the first is as good as any.
            let place = missing.first().or(target.owners.first()).copied();
            if let Some((owner, _)) = place {
                missing.retain(|(node, _)| *node != owner);
                stand_ins.serving.push((target.here, owner));
            }
        }
        for owner in missing {
            if stand_ins.next(target, topology, owner.0).is_some() {
                stand_ins.passed_over.push(owner.0);
            }
        }
        stand_ins
    }

    /// The same by the owners of a later state: whoever serves goes on for the same owner, if he still may and it still is one.
    #[must_use]
    pub fn by(&self, target: &Target, topology: &Topology) -> StandIns {
        let mut stand_ins = StandIns::default();
        if !target.is_sloppy() {
            return stand_ins;
        }
        let fallbacks = target.state().fallbacks(target.keyspace_id, target.partition);
        let is_owner = |node: NodeId| target.owners.iter().any(|(owner, _)| *owner == node);
        let still = self.serving.iter().filter(|(node, owner)| fallbacks.contains(node) && is_owner(*owner));
        stand_ins.serving.extend(still);
        let passed_over = self.passed_over.iter().filter(|owner| stand_ins.of(**owner).is_some());
        let passed_over = passed_over.copied().collect();
        stand_ins.passed_over = passed_over;
        for (owner, _) in &target.owners {
            let is_missing = *owner != target.here && !topology.is_reachable(*owner);
            if is_missing
                && stand_ins.of(*owner).is_none()
                && stand_ins.next(target, topology, *owner).is_some()
            {
                stand_ins.passed_over.push(*owner);
            }
        }
        stand_ins
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.serving.is_empty()
    }

    /// For which owner a node stands in; nothing where it does not.
    pub fn owner_of(&self, node: NodeId) -> Option<NodeId> {
        self.serving.iter().find(|(stand_in, _)| *stand_in == node).map(|(_, owner)| *owner)
    }

    /// Who stands in for an owner now; nothing where nobody does.
    pub fn of(&self, owner: NodeId) -> Option<NodeId> {
        self.serving.iter().rev().find(|(_, of)| *of == owner).map(|(stand_in, _)| *stand_in)
    }

    /// All that stand in or did.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.serving.iter().map(|(stand_in, _)| *stand_in)
    }

    /// Whether an owner was never asked.
    pub fn passed_over(&self, owner: NodeId) -> bool {
        self.passed_over.contains(&owner)
    }

    /// Lets the next fallback stand in for a node that has turned out not to be reachable, an owner or a stand-in; nothing
    /// where there is no other, or where that one does not answer reads.
    pub fn next(&mut self, target: &Target, topology: &Topology, node: NodeId) -> Option<NodeId> {
        if !target.is_sloppy() {
            return None;
        }
        let owner = self.owner_of(node).unwrap_or(node);
        if target.owners.iter().all(|(other, _)| *other != owner) {
            return None;
        }
        let home = target.state().data_center_of(owner);
        let fallbacks = target.state().fallbacks(target.keyspace_id, target.partition);
        let mut able = fallbacks.into_iter().filter(|fallback| {
            (*fallback == target.here || topology.is_reachable(*fallback))
                && target.state().data_center_of(*fallback) == home
                && self.owner_of(*fallback).is_none()
        });
        // One whose disk is full takes deletes at least.
        let first = able.next()?;
        let next = if topology.has_room(first) {
            first
        } else {
            able.find(|fallback| topology.has_room(*fallback)).unwrap_or(first)
        };
        self.serving.push((next, owner));
        Some(next)
    }

    /// Counts the answers of all that serve reads.
    pub fn tracker(&self, level: Level, target: &Target) -> Tracker {
        let mut tracker = Tracker::new(level, &target.owners, target.local);
        self.replace_in(|owner, stand_in| tracker.replace(owner, stand_in));
        tracker
    }

    /// Counts who holds a write, in each set that is to.
    pub fn joint(&self, level: Level, target: &Target) -> Joint {
        let mut joint = target.joint(level);
        self.replace_in(|owner, stand_in| joint.replace(owner, stand_in));
        joint
    }

    fn replace_in(&self, mut replace: impl FnMut(NodeId, NodeId) -> bool) {
        for (stand_in, owner) in &self.serving {
            if !replace(*owner, *stand_in) {
                // The owner has a stand-in already, who could not be reached either.
                let before = self.serving.iter().filter(|(_, of)| of == owner).map(|(node, _)| *node);
                let _ = before.filter(|node| node != stand_in).any(|node| replace(node, *stand_in));
            }
        }
    }
}
