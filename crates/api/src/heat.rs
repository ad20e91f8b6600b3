//! What is asked for most of a node, over about the last minute: keys, and partitions.

use bytes::Bytes;
use types::{KeyspaceId, PartitionId};

/// The hottest keys and partitions of a node, the hottest first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct HeatStatus {
    /// Keys. Each that gets more than one of 64 of the node's requests is among them.
    pub keys: Vec<HotKey>,
    /// Partitions, of those whose records this node keeps.
    pub partitions: Vec<PartitionHeat>,
}

impl HeatStatus {
    /// So many keys and partitions of it, the hottest first.
    #[must_use]
    pub fn hottest(mut self, keys: usize, partitions: usize) -> HeatStatus {
        // By what they have at most. Those figures come to no more than all requests, so no more than 64 can be above one of 64.
        self.keys.sort_by(|a, b| b.at_most_per_second().total_cmp(&a.at_most_per_second()));
        self.partitions.sort_by(|a, b| b.operations_per_second().total_cmp(&a.operations_per_second()));
        self.keys.truncate(keys);
        self.partitions.truncate(partitions);
        self
    }
}

/// A key that is asked for often. Rates are of samples, and decay: they follow a change within a minute or so.
#[derive(Clone, PartialEq, Debug)]
pub struct HotKey {
    /// The keyspace that it is in.
    pub keyspace: KeyspaceId,
    /// The partition that it is in.
    pub partition: PartitionId,
    /// The key.
    pub key: Bytes,
    /// Reads that reached this node's records.
    pub reads_per_second: f64,
    /// Writes and deletes that did.
    pub writes_per_second: f64,
    /// How much more it may be, because the key was not watched all the time.
    pub missed_per_second: f64,
}

impl HotKey {
    /// Reads and writes.
    pub fn operations_per_second(&self) -> f64 {
        self.reads_per_second + self.writes_per_second
    }

    /// With what may have been missed.
    pub fn at_most_per_second(&self) -> f64 {
        self.operations_per_second() + self.missed_per_second
    }
}

/// What a partition has to do on this node.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PartitionHeat {
    /// Which partition.
    pub partition: PartitionId,
    /// Reads that reached this node's records.
    pub reads_per_second: f64,
    /// Writes and deletes that did.
    pub writes_per_second: f64,
    /// Bytes of records that were read and written.
    pub bytes_per_second: f64,
}

impl PartitionHeat {
    /// Reads and writes.
    pub fn operations_per_second(&self) -> f64 {
        self.reads_per_second + self.writes_per_second
    }
}
