//! One process's share of a cluster: an event loop over pure state machines, and what carries their messages.
//!
//! [`core`] is the node without I/O: inputs in, outputs out, the same under the real [`runtime`] and under the simulator.
//! The runtime is one thread per node: its loop owns the replica, the coordinator's operations and the links to peers, and
//! the connections of RESP clients run as tasks of the same thread, so that a request that memory can answer crosses no
//! thread at all. What may block has threads of its own: one that syncs the commit log, one for flushes and compactions,
//! and a few that read what memory does not hold.
//!
//! In reading order: [`core`], [`job`], [`status`], then [`runtime`] and its parts.

pub mod core;
pub mod job;
pub mod runtime;
pub mod status;

pub use crate::core::{Input, Node, NodeOptions, OpenError, Output};
pub use job::{Completion, Job};
