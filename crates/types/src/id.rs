//! The numbers that name things. Each is small, `Copy` and ordered; none is ever used again for another thing.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// A member of the cluster, as the cluster state numbers it. The name that people gave it (`n1`) is in the
    /// cluster state; a number is what messages and quorums carry, because it is compared and copied on every request.
    NodeId(u16), "n#{}"
}

id! {
    /// A run of consecutive slots: the unit of placement and movement.
    PartitionId(u16), "p{}"
}

id! {
    /// One of the parts of a node that work side by side, each on a thread of its own with its share of the partitions.
    ShardId(u8), "shard {}"
}

id! {
    /// A keyspace. Never used again once the keyspace is dropped (INVARIANTS D4).
    KeyspaceId(u32), "ks{}"
}

id! {
    /// The number of a committed version of the cluster state.
    Epoch(u64), "e{}"
}

id! {
    /// One life of one data directory: random, and new whenever the directory is empty, restored or copied.
    Incarnation(u64), "{:016x}"
}

id! {
    /// A stretch of an incarnation's life in which it has provably forgotten nothing of a partition. Only within one
    /// stint may an actor extend its own counter (INVARIANTS B2).
    Stint(u32), "s{}"
}

id! {
    /// One client operation, the same on every resend, so that a replica can tell a resend from a new operation
    /// (INVARIANTS A6). Unique per incarnation of the node that minted it.
    OperationId(u64), "op{:x}"
}
