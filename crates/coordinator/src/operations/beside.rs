//! What operations need of the replica beside them when they begin.

use api::KeyRequest;
use replica::Replica;
use types::{Moment, PartitionId};
use wire::WriteName;

/// The replica of this node, or what stands for it.
pub trait Beside {
    /// Why this node cannot make a change of a key though it owns it, if it cannot: something of what it had is lost, or its
    /// disk is full.
    fn cannot_make(&self, request: &KeyRequest) -> Option<String>;

    /// A name for a write that another node is to make, if this one can mint any: a dot that no other write has, and a stamp by
    /// this node's clock.
    fn name(&mut self, now: Moment, partition: PartitionId) -> Option<WriteName>;
}

impl Beside for Replica {
    fn cannot_make(&self, request: &KeyRequest) -> Option<String> {
        Replica::cannot_make(self, request)
    }

    fn name(&mut self, now: Moment, partition: PartitionId) -> Option<WriteName> {
        Some(Replica::name(self, now, partition))
    }
}

/// Nothing: changes of what the node owns it makes, and it names none.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Beside for Alone {
    fn cannot_make(&self, _: &KeyRequest) -> Option<String> {
        None
    }

    fn name(&mut self, _: Moment, _: PartitionId) -> Option<WriteName> {
        None
    }
}
