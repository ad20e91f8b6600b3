//! What a cluster state is made of, and what must hold between these parts, whoever put them together.

use std::collections::BTreeMap;

use ring::Rings;
use types::{Epoch, KeyspaceId, NodeId, PartitionId};

use crate::error::ConfigError;
use crate::keyspace::Keyspace;
use crate::layout::{Layout, LayoutId};
use crate::member::Member;
use crate::movement::{Movement, Stage};
use crate::owners::OwnerTable;

/// What a state is made of: all the rest follows from it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parts {
    /// The cluster's name.
    pub(crate) name: String,
    /// The fingerprint of the first state, for ever; 0 before there is one.
    pub(crate) founding: u64,
    /// How often the history was begun again, because its keepers were lost for good.
    pub(crate) generation: u32,
    /// The number of the history: 0 of the first, and drawn at random when it was begun again.
    pub(crate) history: u64,
    pub(crate) epoch: Epoch,
    /// Ascending by id.
    pub(crate) members: Vec<Member>,
    /// Those in use, ascending by id. The last is where all partitions are going.
    pub(crate) layouts: Vec<Layout>,
    /// For each partition, the layout that it is at.
    pub(crate) at: Vec<LayoutId>,
    /// For each partition, the epoch of the last change to who its owners are.
    pub(crate) since: Vec<Epoch>,
    pub(crate) movements: BTreeMap<PartitionId, Movement>,
    /// Whether each two halves are to become one, and every layout keeps them together until they do.
    pub(crate) is_merging: bool,
    /// Ascending by id.
    pub(crate) keyspaces: Vec<Keyspace>,
    pub(crate) next_node: NodeId,
    pub(crate) next_keyspace: KeyspaceId,
    pub(crate) next_layout: LayoutId,
}

impl Parts {
    /// Of a state that nothing was before.
    pub(crate) fn first(name: String, members: Vec<Member>, rings: Rings, keyspaces: Vec<Keyspace>) -> Parts {
        let counts = keyspaces.iter().map(|keyspace| (keyspace.id, keyspace.n.clone())).collect();
        let partitions = usize::from(rings.partitions().count());
        let last_node = members.iter().map(|member| member.id.0).max().unwrap_or_default();
        let last_keyspace = keyspaces.iter().map(|keyspace| keyspace.id.0).max().unwrap_or_default();
        Parts {
            name,
            founding: 0,
            generation: 0,
            history: 0,
            epoch: Epoch(1),
            members,
            layouts: vec![Layout { id: LayoutId(1), rings, counts }],
            at: vec![LayoutId(1); partitions],
            since: vec![Epoch(1); partitions],
            movements: BTreeMap::new(),
            is_merging: false,
            keyspaces,
            next_node: NodeId(last_node.saturating_add(1)),
            next_keyspace: KeyspaceId(last_keyspace.saturating_add(1)),
            next_layout: LayoutId(2),
        }
    }

    /// The layout to which all partitions are going.
    pub(crate) fn target(&self) -> &Layout {
        self.layouts.last().expect("a state has at least one layout")
    }

    pub(crate) fn layout(&self, id: LayoutId) -> Option<&Layout> {
        self.layouts.binary_search_by_key(&id, |layout| layout.id).ok().map(|place| &self.layouts[place])
    }

    /// The layout that a partition is at.
    pub(crate) fn layout_of(&self, partition: PartitionId) -> Option<&Layout> {
        self.layout(*self.at.get(usize::from(partition.0))?)
    }

    /// The layout by which its reads are answered.
    pub(crate) fn read_layout(&self, partition: PartitionId) -> Option<&Layout> {
        match self.movements.get(&partition) {
            Some(movement) if movement.stage != Stage::Filling => self.layout(movement.to),
            _ => self.layout_of(partition),
        }
    }

    pub(crate) fn owners(&self, keyspace: KeyspaceId) -> OwnerTable {
        let known = "what partitions refer to is checked when a state is made";
        let of = |id| self.layout(id).expect(known);
        let partitions = self.target().rings.partitions().iter().zip(&self.at);
        OwnerTable::new(
            keyspace,
            partitions.map(|(partition, at)| {
                let movement = self.movements.get(&partition);
                (partition, of(*at), movement.map(|movement| (movement.stage, of(movement.to))))
            }),
        )
    }

    /// What must hold between layouts, partitions and members, whoever made them.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |what: &str, wanted: &str| Err(ConfigError::new("cluster.layouts", what, wanted));
        let Some(target) = self.layouts.last() else {
            return wrong("none", "a state has at least one");
        };
        let partitions = usize::from(target.rings.partitions().count());
        if self.layouts.windows(2).any(|pair| pair[0].id >= pair[1].id) || target.id >= self.next_layout {
            return wrong("out of order", "their numbers go up");
        }
        if self.layouts.iter().any(|layout| layout.rings.partitions() != target.rings.partitions()) {
            return wrong("of different rings", "all have the same partitions");
        }
        if self.at.len() != partitions || self.since.len() != partitions {
            return wrong("not for every partition", "each partition is at one");
        }
        let targets = self.movements.values().map(|movement| movement.to);
        if self.at.iter().copied().chain(targets).any(|id| self.layout(id).is_none()) {
            return wrong("missing", "partitions are at layouts that there are");
        }
        if self.movements.keys().any(|partition| usize::from(partition.0) >= partitions) {
            return wrong("of fewer partitions", "what moves is a partition");
        }
        let has_counts = |layout: &Layout| {
            layout.counts.len() == self.keyspaces.len()
                && self.keyspaces.iter().all(|keyspace| layout.counts.contains_key(&keyspace.id))
        };
        if !self.layouts.iter().all(has_counts) {
            return wrong("without an N of each keyspace", "each has one");
        }
        if self.members.iter().any(|member| member.id >= self.next_node)
            || self.keyspaces.iter().any(|keyspace| keyspace.id >= self.next_keyspace)
        {
            return Err(ConfigError::new("cluster", "used", "numbers of members and keyspaces go up"));
        }
        Ok(())
    }
}
