//! Founding: how a node that begins with nothing finds out that there was nothing to forget.
//!
//! An empty data directory is that of a new cluster, or one that was emptied. Who it was does not know. But where so many of a
//! key's owners are new at the same time that no write can have been acknowledged without one of them, either nobody has
//! written yet, or more owners have lost their disks at once than a write is safe against. So they begin to answer. A node
//! that is new among others which are not has to catch up with them ([`crate::healing`]).
//!
//! What must hold: as many owners as a write waits for by its keyspace are new, and more than half of them in any case.

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
}

impl Founding {
    /// This node is.
    pub(crate) fn new(here: NodeId, state: Arc<ClusterState>) -> Founding {
        Founding { state, new: BTreeSet::from([here]) }
    }

    /// A peer has said whether it is.
    pub(crate) fn heard(&mut self, peer: NodeId, is_new: bool) {
        if is_new {
            self.new.insert(peer);
        } else {
            self.new.remove(&peer);
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
                owners.is_empty() || new >= waits_for.unwrap_or_default().max(majority).min(owners.len())
            })
        })
    }
}
