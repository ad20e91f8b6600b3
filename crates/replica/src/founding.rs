//! Founding: how a node that begins with nothing finds out that there was nothing to forget.
//!
//! An empty data directory is that of a new cluster, or one that was emptied. Who it was does not know. But where so many of a
//! key's owners are new at the same time that no write can have been acknowledged without one of them, either nobody has
//! written yet, or more owners have lost their disks at once than a write is safe against. So they begin to answer. And where
//! all other owners lack nothing and have never met this node before, it has acknowledged nothing that they would not know
//! of: it comes late to its own founding. Any other node that is new has to catch up ([`crate::healing`]).
//!
//! What must hold: as many owners as a write waits for by its keyspace are new, and more than half of them in any case; or
//! every other owner is new or vouches for this one.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::ClusterState;
use quorum::{Owner, required};
use types::{NodeId, PartitionId};

/// Who is new, as far as is known.
#[derive(Debug)]
pub(crate) struct Founding {
    state: Arc<ClusterState>,
    new: BTreeSet<NodeId>,
    /// Who lacks nothing, and has never met this node before.
    vouching: BTreeSet<NodeId>,
}

impl Founding {
    /// This node is.
    pub(crate) fn new(here: NodeId, state: Arc<ClusterState>) -> Founding {
        Founding { state, new: BTreeSet::from([here]), vouching: BTreeSet::new() }
    }

    /// From now on the owners are as this state says.
    pub(crate) fn adopt(&mut self, state: &Arc<ClusterState>) {
        self.state = Arc::clone(state);
    }

    /// A peer has said whether it is, and whether it vouches for this node.
    pub(crate) fn heard(&mut self, peer: NodeId, is_new: bool, vouches: bool) {
        for (set, is_in) in [(&mut self.new, is_new), (&mut self.vouching, vouches)] {
            if is_in {
                set.insert(peer);
            } else {
                set.remove(&peer);
            }
        }
    }

    /// Whether there was nothing to forget in any of these partitions, whose owner this node is.
    pub(crate) fn is_founded(&self, partitions: &[PartitionId]) -> bool {
        partitions.iter().all(|partition| {
            self.state.keyspaces().iter().all(|keyspace| {
                let owner = |node: &NodeId| (*node, self.state.data_center_of(*node));
                let owners: Vec<Owner> =
                    self.state.owners(keyspace.id, *partition).iter().map(owner).collect();
                let new = owners.iter().filter(|(node, _)| self.new.contains(node)).count();
                let local = owners.iter().map(|(_, data_center)| *data_center);
                let waits_for = local.map(|local| required(keyspace.w, &owners, local).total()).max();
                let majority = owners.len() / 2 + 1;
                let enough = waits_for.unwrap_or_default().max(majority).min(owners.len());
                let is_vouched_for =
                    owners.iter().all(|(node, _)| self.new.contains(node) || self.vouching.contains(node));
                owners.is_empty() || new >= enough || is_vouched_for
            })
        })
    }
}
