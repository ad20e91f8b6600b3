//! How two nodes make sure that they belong together before anything else is said.
//!
//! The caller says [`Hello`]; the called one answers with a Hello of its own, or with a [`Refusal`] in words that an
//! operator can act on. What must hold: no request crosses between nodes of different clusters, or from a node to itself. Nodes
//! may go by different states of one cluster for a while: each request says by which it was routed.

use api::{NodePlan, Planned};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use types::{Epoch, Incarnation, NodeId, ShardId};

use crate::frame::{Frame, encode_bare};

const HELLO: u8 = 1;
const REFUSAL: u8 = 2;
const JOIN: u8 = 3;
const WELCOME: u8 = 7;
const PREVIEW: u8 = 8;
const PREVIEWED: u8 = 9;

/// Who is speaking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The name of the cluster.
    pub cluster: String,
    /// What the cluster's first state came to, by which it is told from others of its name.
    pub founding: u64,
    /// The epoch of the state that the speaker goes by.
    pub epoch: Epoch,
    /// The speaker's number.
    pub node: NodeId,
    /// The speaker's name.
    pub name: String,
    /// The speaker's data directory's life.
    pub incarnation: Incarnation,
    /// A random number for this run alone: a directory that was rolled back may begin with the stints of a run before.
    pub run: u64,
    /// The first stint of this run: above those of all runs of its life before.
    pub first_stint: u32,
    /// How far the speaker's data directory remembers to have told its peers that it has come. It rises while a run goes on that they
    /// have let in.
    pub tide: u32,
    /// Whether the speaker began with nothing and has not yet been told whether there was anything to forget.
    pub is_new: bool,
    /// Said by the one that was called: he lacks nothing, and has never met the caller before this run of his.
    pub never_met: bool,
    /// Lives that are over, of whichever node, and incarnations under which nobody mints any more: so that each is remembered by
    /// more than those who saw it.
    pub past_lives: Vec<Incarnation>,
    /// Which of the speaker's shards has this connection: each makes its own, and is best met by the shard with the same
    /// partitions.
    pub shard: ShardId,
}

/// Why the called one wants nothing to do with the caller.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// In words, for the operator of the caller.
    pub why: String,
    /// Whether a later life of the caller has been seen: he is to give up the one that he has.
    pub superseded: bool,
    /// Whether the caller was a member once and is none any more: he is to stop.
    pub removed: bool,
    /// Whether the reason may pass: he is to ask again.
    pub try_again: bool,
}

/// What a connection begins with.
#[derive(Clone, PartialEq, Debug)]
pub enum First {
    /// A node of the cluster, or so it says.
    Hello(Box<Hello>),
    /// One that wants to be.
    Join(Box<NodePlan>),
    /// One that wants to know what it would come to if it joined.
    Preview(Box<NodePlan>),
}

impl First {
    /// What a first frame says; nothing if it is neither.
    pub fn decode(frame: &Frame) -> Option<First> {
        match frame.kind {
            HELLO => postcard::from_bytes(frame.body()).ok().map(First::Hello),
            JOIN => postcard::from_bytes(frame.body()).ok().map(First::Join),
            PREVIEW => postcard::from_bytes(frame.body()).ok().map(First::Preview),
            _ => None,
        }
    }
}

/// A node's wish to join, as a frame behind what `out` holds.
pub fn encode_join(plan: &NodePlan, out: &mut BytesMut) {
    encode_bare(JOIN, &to_bytes(plan), out);
}

/// A question what joining would come to, as a frame behind what `out` holds.
pub fn encode_preview(plan: &NodePlan, out: &mut BytesMut) {
    encode_bare(PREVIEW, &to_bytes(plan), out);
}

/// The answer to that, as a frame behind what `out` holds.
pub fn encode_previewed(planned: &Planned, out: &mut BytesMut) {
    encode_bare(PREVIEWED, &to_bytes(planned), out);
}

/// What one that asked is told: what it would come to, or why it may not join; nothing if it is neither.
pub fn decode_previewed(frame: &Frame) -> Option<Result<Planned, Refusal>> {
    match frame.kind {
        PREVIEWED => postcard::from_bytes(frame.body()).ok().map(Ok),
        REFUSAL => postcard::from_bytes(frame.body()).ok().map(Err),
        _ => None,
    }
}

/// The answer to one that has joined, as a frame behind what `out` holds: the cluster state, in which it is a member.
pub fn encode_welcome(state: &[u8], out: &mut BytesMut) {
    encode_bare(WELCOME, state, out);
}

/// What one that wanted to join is told: the cluster state, or why not; nothing if it is neither.
pub fn decode_welcome(frame: &Frame) -> Option<Result<Bytes, Refusal>> {
    match frame.kind {
        WELCOME => Some(Ok(Bytes::copy_from_slice(frame.body()))),
        REFUSAL => postcard::from_bytes(frame.body()).ok().map(Err),
        _ => None,
    }
}

impl Hello {
    /// As a frame, behind what `out` holds.
    pub fn encode(&self, out: &mut BytesMut) {
        encode_bare(HELLO, &to_bytes(self), out);
    }

    /// What a first frame says: who is there, or why we were refused; nothing if it is neither.
    pub fn decode(frame: &Frame) -> Option<Result<Hello, Refusal>> {
        match frame.kind {
            HELLO => postcard::from_bytes(frame.body()).ok().map(Ok),
            REFUSAL => postcard::from_bytes(frame.body()).ok().map(Err),
            _ => None,
        }
    }

    /// Whether the speaker and the one that `ours` introduces may talk; if not, why, in words.
    pub fn check(&self, ours: &Hello) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::because(why));
        if self.cluster != ours.cluster {
            return refuse(format!(
                "node {} is of cluster `{}`, not of `{}`: check the addresses of the members",
                self.name, self.cluster, ours.cluster
            ));
        }
        if self.node == ours.node || self.name == ours.name {
            return refuse(format!(
                "two nodes say that they are {}: give each a node.id of its own",
                self.name
            ));
        }
        if self.founding != ours.founding {
            return refuse(format!(
                "nodes {} and {} are of two clusters that were founded differently ({:016x}, {:016x}): [[cluster.members]] and [[keyspaces]] must be the same on both when they start for the first time",
                self.name, ours.name, self.founding, ours.founding
            ));
        }
        Ok(())
    }
}

impl Refusal {
    /// A refusal of one who may be let in once something else is set right.
    pub fn because(why: String) -> Refusal {
        Refusal { why, superseded: false, removed: false, try_again: false }
    }

    /// As a frame, behind what `out` holds.
    pub fn encode(&self, out: &mut BytesMut) {
        encode_bare(REFUSAL, &to_bytes(self), out);
    }
}

fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("these types have no case that postcard cannot write")
}
