//! Preference lists: for a partition, its owners and then its fallbacks.
//!
//! "The list of nodes that is responsible for storing a particular key" (Dynamo, SOSP 2007, section 4.3), with N
//! counted in each data center. Data centers stand in the order of their names; a coordinator that prefers its own
//! sorts for itself.

use std::collections::BTreeMap;

use types::{NodeId, PartitionId};

use crate::rings::Rings;

/// N: how many replicas each data center keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplicaCount {
    /// As many in every data center there is, or ever will be.
    Everywhere(u8),
    /// So many in each that is named, none elsewhere.
    PerDataCenter(BTreeMap<String, u8>),
}

impl ReplicaCount {
    /// How many replicas `data_center` should keep; it keeps fewer while it has fewer nodes.
    pub fn in_data_center(&self, data_center: &str) -> usize {
        match self {
            ReplicaCount::Everywhere(count) => usize::from(*count),
            ReplicaCount::PerDataCenter(counts) => counts.get(data_center).copied().map_or(0, usize::from),
        }
    }
}

/// The nodes met on the walk from a partition, each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PreferenceList {
    /// The first N of each data center: they keep the partition's replicas.
    pub owners: Vec<NodeId>,
    /// All the rest, in the order in which they stand in for an owner; per data center, like the owners.
    pub fallbacks: Vec<NodeId>,
}

impl Rings {
    /// Writes the owners of `partition` behind what is in `into`: N of each data center, or all of its nodes where
    /// they are fewer.
    pub fn owners_into(&self, partition: PartitionId, count: &ReplicaCount, into: &mut Vec<NodeId>) {
        for (data_center, ring) in self.iter() {
            ring.walk_into(partition, count.in_data_center(data_center), into);
        }
    }

    /// The owners and all fallbacks of `partition`. A data center that keeps no replica lends no fallbacks either.
    pub fn preference_list(&self, partition: PartitionId, count: &ReplicaCount) -> PreferenceList {
        let mut list = PreferenceList::default();
        for (data_center, ring) in self.iter() {
            let owners = count.in_data_center(data_center);
            if owners > 0 {
                let walk = ring.walk(partition);
                let (first, rest) = walk.split_at(owners.min(walk.len()));
                list.owners.extend_from_slice(first);
                list.fallbacks.extend_from_slice(rest);
            }
        }
        list
    }
}
