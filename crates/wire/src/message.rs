//! What one node asks of another, and what it is told.
//!
//! A replica request names a key's owner's work: read this record, merge that one. The coordinator sends the same message
//! to itself when it is an owner, so that local and remote replicas cannot drift apart.

use bytes::Bytes;
use causality::{Actor, Context, Dot, Outline, Stamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{Epoch, Incarnation, KeyspaceId, NodeId, OperationId, PartitionId, Stint};

use crate::collect::{CollectAnswer, CollectAsk};
use crate::fetch::{FetchAnswer, FetchAsk};
use crate::govern::Govern;
use crate::relay::{Relay, Relayed};

/// A message and where it belongs.
#[derive(Clone, PartialEq, Debug)]
pub struct Envelope {
    /// The operation at its coordinator; a reply carries it back.
    pub operation: OperationId,
    /// Which of the operation's rounds of questions this is, so that a late answer is not taken for a newer one.
    pub round: u32,
    /// Of a request, the epoch since when the owners of what it is about are who the sender takes them to be, and its keyspace is
    /// what he takes it to be. Another is refused, or waits until the node asked knows as much.
    pub epoch: Epoch,
    /// The partition that it is about.
    pub partition: PartitionId,
    /// How long the asker still waits, in milliseconds; work beyond that is for nobody.
    pub deadline_ms: u32,
    /// What it says.
    pub body: Body,
}

/// A question or an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// To an owner.
    Request(ReplicaRequest),
    /// From an owner.
    Reply(ReplicaReply),
    /// About the cluster state.
    Govern(Box<Govern>),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
}

/// What an owner is asked.
#[derive(Clone, PartialEq, Debug)]
pub enum ReplicaRequest {
    /// The record of a key.
    Read {
        /// Of this keyspace.
        keyspace: KeyspaceId,
        /// Which key.
        key: Bytes,
        /// For which owner the node asked stands in; nothing where it is one itself.
        in_place_of: Option<NodeId>,
    },
    /// The record of a key, of an owner, for a reader who knows this much: if what is held does not cover that, and yet
    /// nothing of it is missing, because it is settled, then so it is answered ([`ReplicaReply::Covering`]).
    ReadCovering {
        /// Of this keyspace.
        keyspace: KeyspaceId,
        /// Which key.
        key: Bytes,
        /// What the reader knows.
        context: Box<Context>,
    },
    /// The record of a key, of an owner, for one that compares: what is held, and where something was lost to damage, what is
    /// left. For merging, and never to be taken for all that there was. Where what the asker holds already is the same, or has
    /// all of it, then so it is answered ([`ReplicaReply::Same`], [`ReplicaReply::Older`]), and no record travels.
    ReadHeld {
        /// Of this keyspace.
        keyspace: KeyspaceId,
        /// Which key.
        key: Bytes,
        /// What the asker holds of it himself; nothing, or nothing that he says.
        own: Option<Box<Own>>,
    },
    /// Merge this record into what is held of the key.
    Write {
        /// Of this keyspace.
        keyspace: KeyspaceId,
        /// Which key.
        key: Bytes,
        /// In causality's canonical encoding.
        record: Bytes,
        /// On whose behalf.
        path: WritePath,
        /// For which owner the node asked stands in, and keeps it as a hint; nothing where it is one itself.
        in_place_of: Option<NodeId>,
    },
    /// A write for an owner in another data center, who passes it on to others there.
    Relay(Box<Relay>),
    /// Such a write, passed on.
    Relayed(Box<Relayed>),
    /// A run of keys of a partition, with their records stripped of values.
    Scan(ScanAsk),
    /// How many live keys there are in such a run.
    Count(ScanAsk),
    /// A client's request that only an owner can make the record for.
    Forward(Box<Forward>),
    /// To a maker that has said [`ReplicaReply::NotAsNamed`], about the same operation: the write is its own to name from now
    /// on, and no other maker's to make.
    Unname,
    /// How much the node asked takes in of what is not a client's: hints that are handed off, and what an exchange found. Whoever
    /// asks sends no more than he was granted.
    Grant {
        /// How many bytes of records there are to be sent.
        wanted: u32,
    },
    /// Another owner compares its hash tree of the partition with the one here.
    Compare(Box<merkle::Ask>),
    /// A question of a round in which the nodes of a partition agree on what is settled.
    Collect(Box<CollectAsk>),
    /// A run of the records of a partition that moves, for one who is to own it.
    Fetch(FetchAsk),
}

impl ReplicaRequest {
    /// The keyspace that it is about; nothing where it is about all, or about none.
    pub fn keyspace(&self) -> Option<KeyspaceId> {
        match self {
            ReplicaRequest::Read { keyspace, .. }
            | ReplicaRequest::ReadCovering { keyspace, .. }
            | ReplicaRequest::ReadHeld { keyspace, .. }
            | ReplicaRequest::Write { keyspace, .. } => Some(*keyspace),
            ReplicaRequest::Relay(relay) => Some(relay.write.keyspace),
            ReplicaRequest::Relayed(relayed) => Some(relayed.write.keyspace),
            ReplicaRequest::Scan(ask) | ReplicaRequest::Count(ask) => Some(ask.keyspace),
            ReplicaRequest::Forward(passed) => Some(passed.request.keyspace),
            ReplicaRequest::Compare(ask) => Some(ask.terms.keyspace),
            ReplicaRequest::Unname
            | ReplicaRequest::Grant { .. }
            | ReplicaRequest::Collect(_)
            | ReplicaRequest::Fetch(_) => None,
        }
    }
}

/// What one who compares holds of a key himself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Own {
    /// His record's digest, as in the trees of the keyspace.
    pub digest: merkle::Short,
    /// What tells of a record whether it has anything that his lacks; nothing where it would save nothing.
    pub outline: Option<Outline>,
}

/// On whose behalf a record is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WritePath {
    /// A client's put or delete: an owner refuses a stamp that is not above what it holds (INVARIANTS B6).
    Client,
    /// The same, stamped above one that was held and not by its maker's clock: exempt from the limit on drift, so that a
    /// key with a far stamp can still be written, and no reason for any clock to move.
    ClientAboveHeld,
    /// A repair, or a change to a register beside the value: merged whatever is held.
    Merge,
}

/// Part of a partition's keys of one keyspace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScanAsk {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The first slot and hash looked at.
    pub from: (u16, u64),
    /// The last slot looked at.
    pub last_slot: u16,
    /// About how many keys to look at.
    pub limit: u32,
}

/// A client's request, passed on to an owner. Its sender is the node that the client asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Forward {
    /// What the client asked.
    pub request: api::KeyRequest,
    /// What the sender calls the write. Its maker makes no other than this one, or says that it cannot.
    pub name: Option<WriteName>,
}

/// What makes a write to an `lww` keyspace the write that it is, together with the id of its operation: whoever makes it under
/// this name makes the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteName {
    /// Minted by the node that the client asked.
    pub dot: Dot,
    /// By its clock.
    pub stamp: Stamp,
}

impl Serialize for WriteName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Dot { actor, counter } = self.dot;
        (actor.incarnation, actor.stint, counter, self.stamp).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WriteName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WriteName, D::Error> {
        let (incarnation, stint, counter, stamp): (Incarnation, Stint, u64, Stamp) =
            Deserialize::deserialize(deserializer)?;
        let actor = Actor { incarnation, stint };
        if counter == 0 {
            return Err(D::Error::custom("no dot has the counter 0"));
        }
        Ok(WriteName { dot: Dot { actor, counter }, stamp })
    }
}

/// What an owner answers.
#[derive(Clone, PartialEq, Debug)]
pub enum ReplicaReply {
    /// The record that it holds. It may show a delete.
    Found {
        /// In causality's canonical encoding.
        record: Bytes,
        /// Whether it is on stable storage.
        synced: bool,
    },
    /// It holds nothing of this key, and it would know.
    Absent,
    /// What it holds does not cover what the reader knows, and nothing of that is missing: it is settled, and what of it is
    /// not here was deleted or overwritten.
    Covering {
        /// The record, in causality's canonical encoding, if it holds one.
        record: Option<Bytes>,
        /// Whether that is on stable storage.
        synced: bool,
    },
    /// To one who compares and has said what he holds: the very same is held here.
    Same,
    /// To one who compares and has said what he holds: what is held here is something else, and he has all of it.
    Older,
    /// It cannot say: damage, or not an owner. Never counts as an answer (INVARIANTS C3).
    CannotSay {
        /// Why, for people.
        why: String,
    },
    /// It holds the record, or one that covers it, as durably as the keyspace asks.
    Stored,
    /// It holds a stamp that is not below the write's, and did not take the write.
    Refused {
        /// The stamp that it holds.
        held: Stamp,
    },
    /// It did not take the write, and never will.
    Failed {
        /// Why, for people.
        why: String,
    },
    /// To a write that was to be passed on: this node was not sent it. What the relay says of itself it says apart.
    NotPassedOn {
        /// Who was not.
        to: NodeId,
    },
    /// Some keys.
    Scanned(ScanAnswer),
    /// How many live keys, and where to go on.
    Counted {
        /// Live keys in the run.
        live: u64,
        /// Where the next run begins; nothing where this was the last.
        next: Option<(u16, u64)>,
    },
    /// What came of a forwarded request.
    Forwarded(Box<api::Outcome>),
    /// To a forwarded write that has a name: it cannot be made so. Nobody else was shown it, and the maker waits to be told that
    /// it may name it itself ([`ReplicaRequest::Unname`]).
    NotAsNamed,
    /// So many bytes may be handed off now; none for the moment, if zero.
    Granted {
        /// Of records.
        bytes: u32,
    },
    /// To a comparison.
    Compared(Box<merkle::Answer>),
    /// It was sent a record to be merged, of which all is settled, and holds nothing of it: it was deleted or overwritten
    /// here, and the record that says so may have been dropped. Whoever sent it holds what is of no more use.
    Settled,
    /// To a question of a round.
    Collected(Box<CollectAnswer>),
    /// Records of a partition that moves.
    Fetched(Box<FetchAnswer>),
    /// The request was routed by a state before the last change to the owners or to the keyspace, and was not served.
    StaleEpoch {
        /// When that was.
        newest: Epoch,
    },
}

/// A run of keys.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ScanAnswer {
    /// In the order of (slot, hash, key).
    pub entries: Vec<ScanEntry>,
    /// Where the next run begins; nothing where this was the last. Keys of equal slot and hash are never parted.
    pub next: Option<(u16, u64)>,
}

/// A key and what an owner knows of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScanEntry {
    /// Its slot.
    pub slot: u16,
    /// Its hash.
    pub hash: u64,
    /// The key.
    pub key: Bytes,
    /// Its record without the values.
    pub record: Bytes,
}
