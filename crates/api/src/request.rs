//! What a client asks.

use std::time::Duration;

use bytes::Bytes;
use causality::Context;
use quorum::Level;
use serde::{Deserialize, Serialize};
use types::{KeyspaceId, OperationId, WallTime};

use crate::change::Change;

/// One request of a client, and how long it is willing to wait.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// How long the client waits, from when the node is handed the request; the node's own limit where absent. An
    /// answer is given by then, whatever happens.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request with the node's own time limit.
    pub fn new(command: Command) -> Request {
        Request { command, timeout: None }
    }

    /// A request about one key, with the node's own time limit.
    pub fn key(keyspace: KeyspaceId, key: Bytes, operation: Operation) -> Request {
        Request::new(Command::Key(KeyRequest { keyspace, key, operation }))
    }
}

/// The kinds of request.
#[derive(Clone, Debug)]
pub enum Command {
    /// Something about one key. Answered by the reply that belongs to the operation.
    Key(KeyRequest),
    /// Several keys, of any slots; each stands for itself and nothing binds them together. Answered by
    /// [`Reply::Batch`](crate::Reply::Batch), one outcome a key, in order.
    Batch(Vec<KeyRequest>),
    /// Some of the keys of a keyspace. Answered by [`Reply::Scan`](crate::Reply::Scan).
    Scan(ScanRequest),
    /// How many live keys there are. Answered by [`Reply::Count`](crate::Reply::Count).
    Count {
        /// Of this keyspace.
        keyspace: KeyspaceId,
        /// In this part of it.
        scope: Scope,
    },
    /// Any live key. Answered by [`Reply::RandomKey`](crate::Reply::RandomKey).
    RandomKey {
        /// Of this keyspace.
        keyspace: KeyspaceId,
        /// In this part of it.
        scope: Scope,
    },
    /// Where a key lives, and what each of its owners holds. Answered by [`Reply::Explain`](crate::Reply::Explain).
    Explain {
        /// The keyspace of the key.
        keyspace: KeyspaceId,
        /// The key.
        key: Bytes,
    },
    /// Wait until so many owners have acknowledged a write, or the request's timeout is over. Answered by
    /// [`Reply::Acknowledged`](crate::Reply::Acknowledged) with how many had, which may be fewer.
    AwaitAcknowledgements {
        /// The write, as [`Written`](crate::Written) named it. One too old to be remembered counts what it had when it
        /// was answered.
        operation: OperationId,
        /// How many owners to wait for.
        replicas: u8,
    },
    /// Compare all that the node owns with all other owners, now and without the usual pauses. Answered by
    /// [`Reply::Repairing`](crate::Reply::Repairing) when it has begun; the node's figures say how far it has come.
    Repair,
    /// Change the cluster. Answered by [`Reply::Changed`](crate::Reply::Changed) when the change is agreed on and the node that was
    /// asked goes by it, so that whoever asked finds what he made; what is to move because of it moves then.
    Change(Box<Change>),
    /// Say what that would come to. Answered by [`Reply::Planned`](crate::Reply::Planned).
    Plan(Box<Change>),
}

/// An operation on one key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeyRequest {
    /// Which keyspace.
    pub keyspace: KeyspaceId,
    /// Which key: any bytes, up to the keyspace's limit.
    pub key: Bytes,
    /// What to do.
    pub operation: Operation,
}

/// What to do with a key. Levels left out are the keyspace's own.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Read. Answered by [`Reply::Found`](crate::Reply::Found).
    Get {
        /// How many owners must answer (R).
        read: Option<Level>,
        /// Answer only from a state that covers this context (read your own writes).
        context: Option<Context>,
        /// How much to say of each value.
        detail: Detail,
    },
    /// Write. Answered by [`Reply::Written`](crate::Reply::Written).
    Put {
        /// The new value.
        value: Bytes,
        /// What the writer had read: these versions are replaced. Without one the write is blind, and in a keyspace of
        /// siblings leaves what is there beside it.
        context: Option<Context>,
        /// How many owners must hold it (W).
        write: Option<Level>,
        /// What becomes of the key's time to live.
        expiry: ExpiryChange,
        /// The importance of the writer, for keyspaces of the `priority` policy; higher is shown first.
        priority: u8,
    },
    /// Delete. Without a context it covers what a read finds. Answered by [`Reply::Deleted`](crate::Reply::Deleted).
    Delete {
        /// What the writer had read.
        context: Option<Context>,
        /// How many owners must hold the delete (W).
        write: Option<Level>,
        /// How many owners to read from, to learn what there is to delete (R).
        read: Option<Level>,
    },
    /// Change when the key expires, without touching its value or minting a new version. Answered by
    /// [`Reply::Touched`](crate::Reply::Touched).
    Expire {
        /// The change; [`ExpiryChange::Keep`] makes this a read.
        change: ExpiryChange,
        /// How many owners to read from (R).
        read: Option<Level>,
        /// How many owners must hold the change (W).
        write: Option<Level>,
    },
}

impl Operation {
    /// A read at the keyspace's level.
    pub fn get() -> Operation {
        Operation::Get { read: None, context: None, detail: Detail::Values }
    }

    /// A blind write without expiry at the keyspace's level.
    pub fn put(value: Bytes) -> Operation {
        Operation::Put { value, context: None, write: None, expiry: ExpiryChange::Clear, priority: 0 }
    }

    /// A delete of what is there, at the keyspace's levels.
    pub fn delete() -> Operation {
        Operation::Delete { context: None, write: None, read: None }
    }

    /// Whether this can change anything.
    pub fn is_write(&self) -> bool {
        !matches!(self, Operation::Get { .. })
    }
}

/// What becomes of the time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum ExpiryChange {
    /// Lives until it is deleted.
    #[default]
    Clear,
    /// What it was stays.
    Keep,
    /// Expires at this time; one that has passed deletes.
    At(WallTime),
}

/// How much to say of each value found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Detail {
    /// The value and its expiry.
    #[default]
    Values,
    /// Also the clock of each value, with the names of nodes, and its stamp.
    Clocks,
}

/// A step of an iteration over a keyspace's keys. What is there from the first step to the last is given at least once.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// Which keyspace.
    pub keyspace: KeyspaceId,
    /// Where to go on: zero to begin, then what the last step said. Good on any node; below 2^53.
    pub cursor: u64,
    /// About how many keys to look at.
    pub count: usize,
    /// In which part.
    pub scope: Scope,
}

/// A part of a keyspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All of it, on all nodes.
    Cluster,
    /// The slots that this node is first owner of, as a client of a Redis Cluster expects.
    Primaries,
    /// One slot.
    Slot(u16),
}
