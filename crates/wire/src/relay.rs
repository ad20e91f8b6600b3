//! Writes that cross between two data centers once: one owner there is sent the write with a list of the others, and passes it on.
//!
//! What must hold: the relay speaks for itself alone. Each of the others answers the node that asked, by the connection that
//! node made with it, so an answer is known by who sent it and never by what it says (INVARIANTS A2, K2). A relay that cannot pass
//! it on says so ([`ReplicaReply::NotPassedOn`](crate::ReplicaReply::NotPassedOn)), and nothing more.
//!
//! Operation, round, epoch, partition and deadline are those of the envelope, in both messages: each owner judges by itself whether
//! he was asked by the state that he goes by, and in time.

use bytes::Bytes;
use types::{KeyspaceId, NodeId, ShardId};

use crate::message::{ReplicaRequest, WritePath};

/// How many others one relay passes a write on to at most.
pub const OTHERS_MAX: usize = u8::MAX as usize;

/// A record for an owner.
#[derive(Clone, PartialEq, Debug)]
pub struct Write {
    /// Of this keyspace.
    pub keyspace: KeyspaceId,
    /// Which key.
    pub key: Bytes,
    /// In causality's canonical encoding.
    pub record: Bytes,
    /// On whose behalf.
    pub path: WritePath,
}

/// Who is to have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Which node.
    pub node: NodeId,
    /// For which owner it stands in; nothing where it is one itself.
    pub in_place_of: Option<NodeId>,
}

/// To the relay.
#[derive(Clone, PartialEq, Debug)]
pub struct Relay {
    /// What is to be merged, there and by the others.
    pub write: Write,
    /// For which owner the relay itself stands in; nothing where it is one.
    pub in_place_of: Option<NodeId>,
    /// To whom it passes the write on.
    pub others: Vec<Holder>,
}

/// From the relay.
#[derive(Clone, PartialEq, Debug)]
pub struct Relayed {
    /// Who asked, and is to be answered.
    pub asker: NodeId,
    /// Whose shard's operation it is.
    pub shard: ShardId,
    /// What is to be merged.
    pub write: Write,
    /// For which owner the node asked stands in; nothing where it is one itself.
    pub in_place_of: Option<NodeId>,
}

impl Write {
    /// As one owner is asked it.
    pub fn asked(self, in_place_of: Option<NodeId>) -> ReplicaRequest {
        let Write { keyspace, key, record, path } = self;
        ReplicaRequest::Write { keyspace, key, record, path, in_place_of }
    }
}

impl Relay {
    /// What the relay passes on to one of the others, for a shard of the node that asked.
    pub fn passed_on(&self, asker: NodeId, shard: ShardId, to: Holder) -> ReplicaRequest {
        let (write, in_place_of) = (self.write.clone(), to.in_place_of);
        ReplicaRequest::Relayed(Box::new(Relayed { asker, shard, write, in_place_of }))
    }
}
