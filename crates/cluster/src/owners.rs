//! The owners of every partition for one keyspace, worked out when a state is made, since every request asks for them.

use ring::{ReplicaCount, Rings};
use types::{NodeId, PartitionId};

/// A table with one row per partition; all rows have the same length, because N and the nodes of a data center are the
/// same for every partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OwnerTable {
    per_partition: usize,
    nodes: Vec<NodeId>,
}

impl OwnerTable {
    pub(crate) fn new(rings: &Rings, count: &ReplicaCount) -> OwnerTable {
        let mut nodes = Vec::new();
        for partition in rings.partitions().iter() {
            rings.owners_into(partition, count, &mut nodes);
        }
        OwnerTable { per_partition: nodes.len() / usize::from(rings.partitions().count()), nodes }
    }

    /// The owners of `partition`; none if there is no such partition.
    pub(crate) fn of(&self, partition: PartitionId) -> &[NodeId] {
        let first = usize::from(partition.0) * self.per_partition;
        self.nodes.get(first..first + self.per_partition).unwrap_or(&[])
    }
}
