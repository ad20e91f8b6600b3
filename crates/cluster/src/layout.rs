//! Layouts: who would own every partition, if all of them were where they are to be.
//!
//! A layout is a set of rings and, for each keyspace, its N: together they say who owns each partition of each keyspace. It never
//! changes. A change to members, weights or an N makes a new one, and the partitions go there one after the other, each by a
//! [movement](crate::movement). Until then a partition is *at* the layout that it was at before, so a few layouts are in use at
//! once; the last is where all are going.

use std::collections::BTreeMap;

use ring::{PreferenceList, ReplicaCount, Rings};
use serde::{Deserialize, Serialize};
use types::{KeyspaceId, NodeId, PartitionId};

/// The most layouts in use at once: further changes to them wait until partitions have arrived.
pub const LAYOUTS_MAX: usize = 16;

/// The number of a layout, never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct LayoutId(pub u32);

/// Rings and an N for each keyspace.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    pub(crate) id: LayoutId,
    pub(crate) rings: Rings,
    /// N of each keyspace that there is.
    pub(crate) counts: BTreeMap<KeyspaceId, ReplicaCount>,
}

impl Layout {
    /// Its number.
    pub fn id(&self) -> LayoutId {
        self.id
    }

    /// Its rings.
    pub fn rings(&self) -> &Rings {
        &self.rings
    }

    /// Writes the owners of a partition of a keyspace behind what is in `into`.
    pub(crate) fn owners_into(&self, keyspace: KeyspaceId, partition: PartitionId, into: &mut Vec<NodeId>) {
        if let Some(count) = self.counts.get(&keyspace) {
            self.rings.owners_into(partition, count, into);
        }
    }

    /// The owners of a partition of a keyspace, in the order of the preference list.
    pub fn owners(&self, keyspace: KeyspaceId, partition: PartitionId) -> Vec<NodeId> {
        let mut owners = Vec::new();
        self.owners_into(keyspace, partition, &mut owners);
        owners
    }

    /// The owners and fallbacks of a partition of a keyspace.
    pub(crate) fn preference_list(&self, keyspace: KeyspaceId, partition: PartitionId) -> PreferenceList {
        let count = self.counts.get(&keyspace);
        count.map_or_else(PreferenceList::default, |count| self.rings.preference_list(partition, count))
    }

    /// Whether the same nodes own a partition in both, in whatever order, of every keyspace.
    pub(crate) fn agrees_with(&self, other: &Layout, partition: PartitionId) -> bool {
        let sorted = |layout: &Layout, keyspace| {
            let mut owners = layout.owners(keyspace, partition);
            owners.sort_unstable();
            owners
        };
        self.counts.keys().all(|keyspace| sorted(self, *keyspace) == sorted(other, *keyspace))
    }

    /// Whether a node claims anything in it.
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.rings
            .iter()
            .any(|(_, ring)| ring.members().binary_search_by_key(&node, |member| member.node).is_ok())
    }
}
