//! What a node shows of the cluster, itself and its keyspaces: one immutable snapshot, from which `CLUSTER`, `INFO`,
//! `/v1/cluster`, `henge status` and the dashboard all speak, so that none can say what another does not know.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quorum::Level;
use types::{Epoch, KeyspaceId, NodeId, WallTime};

use crate::load::NodeLoad;

/// The cluster as one node sees it.
#[derive(Clone, Debug)]
pub struct Status {
    /// The cluster's name.
    pub name: String,
    /// The epoch of the cluster state.
    pub epoch: Epoch,
    /// The node that says so: its place in `nodes`.
    pub here: usize,
    /// All members, in the order of their ids.
    pub nodes: Vec<NodeStatus>,
    /// All keyspaces, in the order of their numbers.
    pub keyspaces: Vec<KeyspaceStatus>,
    /// How many partitions the ring has.
    pub partitions: u32,
    /// All slots, in order, as runs with the same owners in the `default` keyspace.
    pub slots: Vec<SlotRange>,
    /// The partitions that move, in order.
    pub movements: Vec<MovementStatus>,
    /// How many more are to move, and do not yet.
    pub waiting: u32,
    /// Whether each two partitions are to become one, and go to where they can.
    pub is_merging: bool,
    /// Who keeps the cluster state.
    pub group: GroupStatus,
    /// Where this node keeps its data.
    pub data_dir: PathBuf,
    /// Henge's version.
    pub version: String,
    /// When this node started.
    pub started: WallTime,
    /// What people should know: under-replicated keyspaces, quorum modes that act as another, relaxed durability.
    pub notices: Vec<String>,
}

impl Status {
    /// The node that says so.
    pub fn this_node(&self) -> &NodeStatus {
        &self.nodes[self.here]
    }

    /// The keyspace with this name or number.
    pub fn keyspace(&self, name_or_number: &str) -> Option<&KeyspaceStatus> {
        let number = name_or_number.parse::<u32>().ok();
        self.keyspaces.iter().find(|k| k.name == name_or_number || Some(k.number) == number)
    }

    /// The keyspace with this id.
    pub fn keyspace_by_id(&self, id: KeyspaceId) -> Option<&KeyspaceStatus> {
        self.keyspaces.iter().find(|k| k.id == id)
    }
}

/// A member.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// As the cluster state numbers it.
    pub id: NodeId,
    /// As people call it.
    pub name: String,
    /// In a word, as this node sees it.
    pub state: NodeState,
    /// How it stands to the cluster, whether or not it can be reached.
    pub standing: NodeStanding,
    /// Its data center.
    pub data_center: String,
    /// Its rack.
    pub rack: String,
    /// Its capacity.
    pub weight: f64,
    /// How many partitions it is first owner of.
    pub partitions: u32,
    /// How many replicas of partitions it keeps, by the `default` keyspace's N.
    pub replicas: u32,
    /// Where it speaks RESP as one store.
    pub resp: Option<SocketAddr>,
    /// Where it speaks RESP as a Redis Cluster.
    pub cluster: Option<SocketAddr>,
    /// Where it speaks HTTP.
    pub http: Option<SocketAddr>,
    /// Where its peers reach it.
    pub peer: Option<SocketAddr>,
}

/// A member in a word: the first of `gone`, `down`, `joining` or `leaving`, and `up` that is so. Who must know whether a member that
/// is down joins or leaves looks at its [`NodeStanding`] beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeState {
    /// Reachable, and here to stay.
    Up,
    /// Not reachable from the node that says so.
    Down,
    /// Reachable, on its way in.
    Joining,
    /// Reachable, on its way out.
    Leaving,
    /// Gone for good, whether or not something still answers there; others have yet to take over what it had.
    Gone,
}

impl NodeState {
    /// The word for a member that stands so, and can be reached or not.
    pub fn of(standing: NodeStanding, is_reachable: bool) -> NodeState {
        match (standing, is_reachable) {
            (NodeStanding::Gone, _) => NodeState::Gone,
            (_, false) => NodeState::Down,
            (NodeStanding::Joining, true) => NodeState::Joining,
            (NodeStanding::Leaving, true) => NodeState::Leaving,
            (NodeStanding::Settled, true) => NodeState::Up,
        }
    }

    /// Whether it answers for what it owns: who joins or leaves does.
    pub fn is_serving(self) -> bool {
        matches!(self, NodeState::Up | NodeState::Joining | NodeState::Leaving)
    }

    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeState::Up => "up",
            NodeState::Down => "down",
            NodeState::Joining => "joining",
            NodeState::Leaving => "leaving",
            NodeState::Gone => "gone",
        }
    }
}

/// How a member stands to the cluster, by the cluster state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeStanding {
    /// It has yet to get all that it is to have.
    Joining,
    /// It has all that it is to have.
    Settled,
    /// It hands over what it has, and goes.
    Leaving,
    /// It is gone for good, and its data with it.
    Gone,
}

impl NodeStanding {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeStanding::Joining => "joining",
            NodeStanding::Settled => "settled",
            NodeStanding::Leaving => "leaving",
            NodeStanding::Gone => "gone",
        }
    }
}

/// A partition that moves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovementStatus {
    /// Its number.
    pub partition: u16,
    /// Which of its movements: the epoch in which that began.
    pub session: Epoch,
    /// How far it is: `filling`, `switched` or `clearing`.
    pub stage: &'static str,
    /// The nodes that give it away, by name.
    pub from: Vec<String>,
    /// The nodes that get it, by name.
    pub to: Vec<String>,
    /// The keyspaces whose owners become others.
    pub keyspaces: Vec<String>,
    /// About how many bytes all who get it are to be sent; nothing where this node does not know.
    pub bytes_total: Option<u64>,
    /// How many of them they have; nothing where this node does not know.
    pub bytes_done: Option<u64>,
    /// Whom it waits for, by name; nothing where this node does not know, and none where it waits for nobody.
    pub waits_for: Option<Vec<String>>,
}

/// Who keeps the cluster state, as far as a node knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupStatus {
    /// Those whose majority decides, by name.
    pub voters: Vec<String>,
    /// Who leads them; nothing where nobody does or this node has not heard of it.
    pub leader: Option<String>,
    /// The number of the term in which he does.
    pub term: u64,
    /// How often the history was begun again, because the majority of them was lost for good.
    pub generation: u32,
}

/// What a node has heard of a member by gossip.
#[derive(Clone, PartialEq, Debug)]
pub struct MemberStatus {
    /// As people call it.
    pub name: String,
    /// `up`, `suspected`, `down` or `never heard`. The node itself is up.
    pub verdict: &'static str,
    /// The number of its start, which rises; nothing where it was never heard.
    pub generation: Option<u64>,
    /// Its newest heartbeat, counted from its start; 0 where none was heard.
    pub heartbeat: u64,
    /// How long ago that was heard, or a request answered; nothing where it was never heard.
    pub age: Option<Duration>,
    /// How improbable such a silence is, as a negative decimal logarithm.
    pub phi: f64,
    /// Who suspects it, by name, the node itself perhaps among them.
    pub suspected_by: Vec<String>,
    /// Whether it says that its disk is full: it takes deletes, and no values.
    pub disk_is_full: bool,
    /// How much it says that it has to do, if it has said so.
    pub load: Option<NodeLoad>,
}

/// A keyspace and what it promises.
#[derive(Clone, Debug)]
pub struct KeyspaceStatus {
    /// Its id, never used again.
    pub id: KeyspaceId,
    /// What `SELECT` takes.
    pub number: u32,
    /// What people call it.
    pub name: String,
    /// Owners of each key, over all data centers.
    pub n: u8,
    /// The same by data center, in words: `3` or `dc1=2,dc2=1`.
    pub n_text: String,
    /// How many owners answer a read.
    pub r: Level,
    /// How many owners hold a write before it is acknowledged.
    pub w: Level,
    /// `siblings`, `lww` or `priority`.
    pub policy: String,
    /// `sloppy` or `strict`.
    pub quorum: String,
    /// `always` or `interval`.
    pub durability: String,
    /// `strong`, `eventual` or `weak`.
    pub model: String,
    /// What that means, in a sentence.
    pub model_sentence: String,
    /// The longest key, in bytes.
    pub key_bytes_max: u64,
    /// The longest value, in bytes.
    pub value_bytes_max: u64,
    /// The most siblings of a key.
    pub siblings_max: u32,
    /// Whether overwriting needs a context.
    pub require_context: bool,
    /// Whether `FLUSHDB` is allowed.
    pub allow_flush: bool,
}

/// A run of slots with the same owners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotRange {
    /// The first slot.
    pub first: u16,
    /// The last slot, included.
    pub last: u16,
    /// The first live owner: its place in `nodes`.
    pub primary: usize,
    /// All owners in the order of the preference list: places in `nodes`.
    pub owners: Vec<usize>,
}

/// One figure of a node: a count since it started, or a gauge.
#[derive(Clone, PartialEq, Debug)]
pub struct Counter {
    /// What it is called, in the form `commands_processed_total` (a count) or `memory_used_bytes` (a gauge).
    pub name: &'static str,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// The figure.
    pub value: f64,
}
