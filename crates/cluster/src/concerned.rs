//! Who has something to do before a movement goes on to its next stage.
//!
//! While a partition is *filled*, a node that is new among its owners fetches all that any old one has. One that is among both sets
//! has what it acknowledged and no more; and that is enough where the new set has as many nodes in every data center as the old one:
//! each new node has everything, and takes the place of one that leaves, so no fewer nodes have a write than before, of no more
//! nodes in all, and quorums that met go on meeting. Where a data center is to keep *fewer* copies than it did, a write may be with
//! its W of the old set and with none of the new one: W = 2 of three nodes, and the third is the one that stays. There every node of
//! the new set compares with all old ones.
//!
//! While a partition is *cleared*, those have something to hand over that are not among the owners any more.

use quorum::DataCenter;
use types::{KeyspaceId, NodeId, PartitionId};

use crate::movement::Stage;
use crate::state::ClusterState;

impl ClusterState {
    /// Whether a node is to get what the old owners of a partition have of a keyspace, before the partition's new owners are read.
    pub fn is_filled(&self, node: NodeId, keyspace: KeyspaceId, partition: PartitionId) -> bool {
        let owners = self.all_owners(keyspace, partition);
        let is_filling = self.movement(partition).is_some_and(|movement| movement.stage == Stage::Filling);
        let is_to_be_read = is_filling && owners.also_written.contains(&node);
        is_to_be_read
            && (!owners.read.contains(&node) || self.are_fewer_somewhere(owners.also_written, owners.read))
    }

    /// Whether a node is to hand over what it has left of a partition in a keyspace, and to drop it.
    pub fn is_cleared(&self, node: NodeId, keyspace: KeyspaceId, partition: PartitionId) -> bool {
        let owners = self.all_owners(keyspace, partition);
        owners.clearing.contains(&node) && !owners.read.contains(&node)
    }

    /// Whether there is a data center that has fewer of these nodes than of those.
    fn are_fewer_somewhere(&self, these: &[NodeId], those: &[NodeId]) -> bool {
        let count = |nodes: &[NodeId], data_center: DataCenter| {
            nodes.iter().filter(|node| self.data_center_of(**node) == data_center).count()
        };
        those
            .iter()
            .map(|node| self.data_center_of(*node))
            .any(|data_center| count(these, data_center) < count(those, data_center))
    }
}
