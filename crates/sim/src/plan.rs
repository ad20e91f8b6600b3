//! A change of the cluster that is made on purpose, and whose machine stops at each border of what follows from it.
//!
//! Seeds come upon borders by chance. A plan goes by all of them: whenever a node has come to the next step of a movement, the one that
//! the plan names loses its power in that moment, with all that it had not synced. What must hold is what holds in any run, and that
//! everything that was asked for ends; and that so many different borders were met as the test that has the plan expects.

use std::collections::BTreeSet;

/// What is asked for, one act after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Each is asked for until the cluster has it; then the next is.
    pub acts: Vec<Act>,
    /// Whether all that moves must have moved before the next is asked for.
    pub one_by_one: bool,
    /// Who stops.
    pub victim: Victim,
}

/// A change of the cluster, or of a machine. Nodes are numbered from 0, and those that join come after those that found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// The next machine joins.
    Join,
    /// This node leaves, with all that it has.
    Drain(usize),
    /// This node is off for good, and is said to be.
    Lose(usize),
    /// It is off for good, and the next machine takes its place.
    Replace(usize),
    /// It stands still, is said to be gone for good, and wakes up later: an owner that does not know.
    Bury(usize),
    /// The next machine takes the place of this node, which is up, hands over what it has, and leaves.
    TakeOver(usize),
    /// The keyspace of the clients is to have so many replicas.
    Alter(u64),
    /// A partition that this node has no part in is to be its own.
    Move(usize),
    /// Each partition is to become two.
    Halve,
    /// Each two halves are to become one.
    Merge,
    /// It is to own three times as much.
    Weigh(usize),
    /// It is to join no more.
    Cancel(usize),
    /// It is to leave no more.
    Stay(usize),
    /// Two nodes are to leave, and each of two administrators asks for one of them.
    Race(usize, usize),
    /// It stands still for eight seconds.
    Pause(usize),
    /// The nodes of this data center, and those of others, cannot reach each other any more, until all is healed.
    Cut(usize),
    /// Nothing is asked for until something moves.
    AwaitMoving,
}

/// Who stops at a border.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Victim {
    /// Nobody.
    Nobody,
    /// The node that gets a partition, at each border that it comes to.
    NewOwner,
    /// The node that gives it away, at each border that it comes to.
    OldOwner,
    /// Who leads those who keep the cluster state, at each border that anybody comes to.
    Leader,
}

/// A step of a movement that a node has come to: what the movement was at, by the state that the node goes by, and what it did for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Border {
    /// The movement's stage.
    pub stage: &'static str,
    /// What the node did: nothing where it has nothing to do at that stage.
    pub phase: &'static str,
}

/// The borders at which somebody stopped.
pub type Borders = BTreeSet<Border>;
