//! What people ask to be changed of the cluster: keyspaces and members.
//!
//! Settings are words, as people give them by any of the front ends, and are understood in one place behind them, so that one and
//! the same error tells all what is wrong. What is left out of a new keyspace is the default; of an alteration, what it was.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use types::Epoch;

/// A change, asked for by people.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A new keyspace.
    CreateKeyspace {
        /// What it is to be called.
        name: String,
        /// Its settings.
        settings: Box<KeyspaceSettings>,
    },
    /// Other settings for a keyspace.
    AlterKeyspace {
        /// What it is called.
        name: String,
        /// Those that are to be others.
        settings: Box<KeyspaceSettings>,
    },
    /// A keyspace and all its keys are to go.
    DropKeyspace {
        /// What it is called.
        name: String,
    },
    /// A new member.
    Join(Box<NodePlan>),
    /// Members are to hand over what they have, and leave.
    Drain {
        /// What they are called.
        nodes: Vec<String>,
        /// Whether fewer nodes than N may be left.
        below_n: bool,
    },
    /// A member is gone for good, and its data with it.
    Remove {
        /// What it is called.
        node: String,
        /// Whether fewer nodes than N may be left.
        below_n: bool,
        /// Whether partitions may be lost of which it has the last copy.
        lose_data: bool,
    },
    /// A member's capacity is another.
    Weigh {
        /// What it is called.
        node: String,
        /// Its weight beside the others'.
        weight: f64,
    },
    /// A partition is to be another node's.
    MovePartition {
        /// Its number.
        partition: u16,
        /// Who is to give it up; whoever gives way where nobody is said.
        from: Option<String>,
        /// Who is to get it.
        to: String,
    },
    /// A member that joins or leaves is to do so no more.
    Cancel {
        /// What it is called.
        node: String,
    },
    /// Each partition is to become two.
    Halve {
        /// How many there are, as far as the asker knows: where there are others by now it is refused.
        partitions: Option<u16>,
    },
    /// Each two halves are to become one: they go to where they can, and are joined when all are there.
    Merge {
        /// How many partitions there are, as far as the asker knows: where there are others by now it is refused.
        partitions: Option<u16>,
    },
    /// Partitions that are being merged are to stay as they are.
    KeepHalves,
    /// The majority of those who keep the cluster state is lost for good: the node that is asked is to begin its history again.
    Recover(Box<Recovery>),
}

/// How the history of the cluster state is to be begun again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// Members that are gone for good with their data, and are to be none any more.
    pub without: Vec<String>,
    /// Members that have a later state, or one of another history, which is to be given up.
    pub losing: Vec<String>,
}

/// Settings of a keyspace, in words. See `henge keyspace create --help`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeyspaceSettings {
    /// What `SELECT` takes.
    pub number: Option<u32>,
    /// N: `3`, or `dc1=2,dc2=1`.
    pub n: Option<String>,
    /// R: a number or a level.
    pub r: Option<String>,
    /// W: a number or a level.
    pub w: Option<String>,
    /// R and W by a name.
    pub preset: Option<String>,
    /// `siblings`, `lww` or `priority`.
    pub policy: Option<String>,
    /// `sloppy` or `strict`.
    pub quorum: Option<String>,
    /// `always` or `interval`.
    pub durability: Option<String>,
    /// Whether overwriting needs a context.
    pub require_context: Option<bool>,
    /// Whether all its keys may be deleted at once.
    pub allow_flush: Option<bool>,
    /// The classic size threshold of vector clocks; 0 is none.
    pub max_clock_entries: Option<u32>,
    /// The longest value, in bytes.
    pub value_bytes_max: Option<u64>,
}

/// A node that wants to be a member, as it speaks of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NodePlan {
    /// The name of the cluster that it means, if it says one.
    pub cluster: Option<String>,
    /// What it is called.
    pub name: String,
    /// Its data center.
    pub data_center: String,
    /// Its rack.
    pub rack: String,
    /// Its weight beside the others'. Where nothing is said it follows from its capacity.
    pub weight: Option<f64>,
    /// What it has measured of its machine: in a cluster of which a node has weight 1 and half of this, it has weight 2.
    pub capacity: f64,
    /// Where it speaks RESP as one store.
    pub resp: Option<SocketAddr>,
    /// Where it speaks RESP as a Redis Cluster.
    pub cluster_address: Option<SocketAddr>,
    /// Where it speaks HTTP.
    pub http: Option<SocketAddr>,
    /// Where its peers reach it.
    pub peer: Option<SocketAddr>,
    /// The member whose place it takes.
    pub replaces: Option<Replaced>,
}

/// A member in whose place another one comes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replaced {
    /// What it is called.
    pub name: String,
    /// Whether it runs, and hands over what it has before it leaves. Else it is gone for good, and its data with it.
    pub hands_over: bool,
}

/// What came of a change.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Changed {
    /// The epoch of the state in which it is so.
    pub epoch: Epoch,
    /// The number of a keyspace that was created.
    pub number: Option<u32>,
    /// How many partitions are to move because of it.
    pub partitions: u32,
    /// What people should know of it.
    pub notes: Vec<String>,
}

/// What a change would come to, if it were made now.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Planned {
    /// The epoch of the state that it was worked out from.
    pub epoch: Epoch,
    /// What would move, in order.
    pub moves: Vec<PlannedMove>,
    /// What people should know of it.
    pub notes: Vec<String>,
}

/// A partition that would move.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedMove {
    /// Its number.
    pub partition: u16,
    /// The keyspaces whose owners would be others.
    pub keyspaces: Vec<String>,
    /// The nodes that would give it away.
    pub from: Vec<String>,
    /// The nodes that would get it.
    pub to: Vec<String>,
    /// Because of what, for people.
    pub why: String,
    /// About how many bytes each of those would get; nothing where the node asked does not know.
    pub bytes: Option<u64>,
}
