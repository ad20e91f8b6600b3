//! Identifiers and units, and nothing else.
//!
//! A number that names something is a type of its own here, so that a partition can never be passed where a
//! node is wanted. Types with behaviour live with their concept: slots in `ring`, dots in `causality`, levels in
//! `quorum`. What lands in this crate is only what several of those must agree on.
//!
//! In reading order: [`id`] names things, [`time`] measures.

pub mod id;
pub mod time;

pub use id::{Epoch, Incarnation, KeyspaceId, NodeId, OperationId, PartitionId, ShardId, Stint};
pub use time::{Instant, Moment, WallTime};
