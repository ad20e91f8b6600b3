//! The one door through which front ends reach a node.

use std::future::Future;
use std::sync::Arc;

use crate::heat::HeatStatus;
use crate::reply::Outcome;
use crate::request::Request;
use crate::status::{Counter, MemberStatus, Status};

/// What a request gives at once: its outcome where memory sufficed, else something to wait for.
#[derive(Debug)]
pub enum Answer<P> {
    /// Answered. The hot path: no task, no wake-up, no allocation for waiting.
    Ready(Outcome),
    /// To be awaited. It ends by the request's deadline.
    Pending(P),
}

/// A node, as front ends see it. Cheap to clone.
pub trait Store: Clone + 'static {
    /// What a request that is not answered at once is awaited by.
    type Pending: Future<Output = Outcome> + Unpin + 'static;

    /// Takes a request. Never blocks.
    fn call(&self, request: Request) -> Answer<Self::Pending>;

    /// The cluster as this node sees it, as of now.
    fn status(&self) -> Arc<Status>;

    /// The node's figures, as of now.
    fn counters(&self) -> Vec<Counter>;

    /// What this node has heard of all members by gossip, in the order of their ids; as of half a second ago at the most.
    fn members(&self) -> Arc<[MemberStatus]>;

    /// Which keys and partitions of this node are asked for most; as of half a second ago at the most.
    fn heat(&self) -> HeatStatus;
}
