//! How much a node has to do, as it says of itself to the others.

use types::PartitionId;

/// The load of a node. It says so by gossip, rounded, so that small changes are no news.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeLoad {
    /// How much of its cores its process keeps busy, in thousandths of all of them.
    pub cpu_permille: u16,
    /// Reads and writes of clients that reach its records each second, whoever coordinates them.
    pub operations_per_second: u32,
    /// What its store takes of the disk, in bytes.
    pub disk_used_bytes: u64,
    /// What its store may come to, in bytes: what it takes, and what is free. 0 where that is not known.
    pub disk_bytes: u64,
    /// The partitions on which it does most, the hottest first.
    pub hottest: Vec<PartitionRate>,
}

/// How much is done on a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionRate {
    /// Which.
    pub partition: PartitionId,
    /// Operations each second, of those of its node.
    pub operations_per_second: u32,
}
