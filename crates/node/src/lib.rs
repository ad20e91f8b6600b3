//! One process's share of a cluster: event loops over pure state machines, and what carries their messages.
//!
//! A node is divided into [`shards`], which share nothing. [`core`] is a shard without I/O: inputs in, outputs out, the same
//! under the real [`runtime`] and under the simulator. The runtime is one thread per shard: its loop owns the replica, the
//! coordinator's operations and the links to peers, and connections of RESP clients run as tasks of the same thread, so that
//! a request that memory can answer, and that is this shard's, crosses no thread at all. What may block has threads of its
//! own: one that syncs the commit log, some for segments, flushes and compactions, and a few that read what memory does not
//! hold.
//!
//! In reading order: [`shards`], [`core`], [`job`], [`division`], [`heat`], [`status`], then [`runtime`] and its parts.

mod checksum;
pub mod core;
pub mod division;
pub mod heat;
pub mod job;
pub mod runtime;
pub mod shards;
pub mod status;

pub use crate::core::{
    Directory, Evidence, Input, LIVES_FILE, Liveness, Lives, NodeOptions, Noticed, OpenError, Output, Passed,
    Secret, Sender, Shard, known_state,
};
pub use coordinator::Options as CoordinatorOptions;
pub use coordinator::pace::Share as BudgetShare;
pub use division::Wanted;
pub use job::{Completion, Job};
pub use shards::Shards;
