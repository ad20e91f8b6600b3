//! What a decider is shown: the cluster as its leader sees it at one moment.
//!
//! What must hold: `members` are those of the cluster state of `epoch`; what is known of each by gossip is beside it and
//! may be some seconds old. Nodes are in the order of their numbers, and everything else in an order of its own, so that
//! two that look see the same.

use types::{Epoch, Instant, NodeId, PartitionId};

/// The cluster at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// When it was looked at, by the clock of whoever looks.
    pub now: Instant,
    /// Of which cluster state the members are.
    pub epoch: Epoch,
    /// The members.
    pub nodes: Vec<NodeView>,
    /// What the keyspaces need of each data center.
    pub needs: Vec<DataCenterNeeds>,
    /// The movements of partitions that are under way.
    pub movements: Vec<MovementView>,
    /// How many more partitions are to move, and do not yet.
    pub waiting: usize,
    /// How many partitions there are.
    pub partitions: u32,
    /// Whether they can be halved: they have two slots at least, and the ring has room.
    pub is_splittable: bool,
    /// Whether each two are being merged.
    pub is_merging: bool,
    /// What the provider has started, or is about to, and is no member: nodes that are yet to join, that never will, or
    /// that have left and still run.
    pub requested: Vec<Requested>,
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeView {
    /// Its number.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// How it is.
    pub state: NodeState,
    /// Its data center.
    pub data_center: String,
    /// Its rack.
    pub rack: String,
    /// Its capacity beside the others', in thousandths.
    pub weight_thousandths: u32,
    /// How much of its cores is busy, in thousandths of all of them.
    pub cpu_permille: u32,
    /// How many operations it does each second, for clients and for peers, as an owner.
    pub operations_per_second: u64,
    /// How many it is good for, as far as that was learned.
    pub operations_per_second_max: Option<u64>,
    /// What is taken of its disk, in bytes.
    pub disk_used_bytes: u64,
    /// What its disk holds, in bytes; 0 where that is not known.
    pub disk_bytes: u64,
    /// How many partitions it owns.
    pub partitions: u32,
    /// Those of them on which it does most, the hottest first.
    pub hottest: Vec<HotPartition>,
    /// Whether the provider has started it.
    pub is_provided: bool,
    /// Whether the provider could end it now: where pods are numbered, that is the last one only.
    pub is_retirable: bool,
}

/// How a member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeState {
    /// It takes its partitions over.
    Joining,
    /// It serves.
    Up,
    /// It gives its partitions away, or others take them over because it is dead and is being taken out.
    Leaving,
    /// It is down, and nobody has begun to take it out.
    Down {
        /// Since when, by the clock that `View::now` is of.
        since: Instant,
    },
}

/// A partition on which much is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HotPartition {
    /// Which.
    pub partition: PartitionId,
    /// How many operations each second this node does on it.
    pub operations_per_second: u64,
    /// Who owns it, in this node's data center, the node itself included.
    pub owners: Vec<NodeId>,
    /// Whether it can be halved: it has two slots at least, and the ring has room.
    pub is_splittable: bool,
}

/// What the keyspaces need of a data center.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataCenterNeeds {
    /// Which.
    pub data_center: String,
    /// The greatest N that a keyspace has there.
    pub replicas: u32,
}

/// A partition that is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MovementView {
    /// Which.
    pub partition: PartitionId,
    /// Who gives it away.
    pub from: NodeId,
    /// Who takes it over.
    pub to: NodeId,
    /// A node that is down and without which it does not go on.
    pub held_up_by: Option<NodeId>,
}

/// A node of the provider's that is no member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requested {
    /// What it is called.
    pub name: String,
    /// Its data center, as far as the provider knows.
    pub data_center: String,
    /// Its rack.
    pub rack: String,
}

impl View {
    /// A member by its number.
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The members of a data center.
    pub fn within<'a>(&'a self, data_center: &'a str) -> impl Iterator<Item = &'a NodeView> {
        self.nodes.iter().filter(move |node| node.data_center == data_center)
    }

    /// The greatest N that a keyspace has in a data center.
    pub fn replicas(&self, data_center: &str) -> u32 {
        let needs = self.needs.iter().filter(|needs| needs.data_center == data_center);
        needs.map(|needs| needs.replicas).max().unwrap_or(0)
    }
}

impl MovementView {
    /// Whether it will not end without a node.
    pub fn waits_for(&self, node: NodeId) -> bool {
        self.from == node || self.to == node || self.held_up_by == Some(node)
    }
}

impl NodeView {
    /// Whether it serves, and stays.
    pub fn is_up(&self) -> bool {
        self.state == NodeState::Up
    }

    /// Whether it is down.
    pub fn is_down(&self) -> bool {
        matches!(self.state, NodeState::Down { .. })
    }
}
