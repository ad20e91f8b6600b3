//! How the nodes of a partition agree that its deletes have reached everybody: what the first owner asks in a round, what
//! it is told, and the mark that a round ends with. See `replica::collection` for what the steps are for.

use causality::Stamp;
use serde::{Deserialize, Serialize};
use types::{Incarnation, Stint, WallTime};

/// A question of a round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectAsk {
    /// Which round of its asker; never used twice by one life of a node.
    pub round: u64,
    /// What is asked.
    pub step: CollectStep,
}

/// The steps of a round. Each is asked of everybody before the next is asked of anybody, until he says that it is done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CollectStep {
    /// Begin: how far have you written to this partition?
    Fence,
    /// Have all operations ended that were under way here when this was first asked? From now on make no write under a name
    /// that is behind this: what was written before the fence, and is to be settled.
    Operations(Vec<Written>),
    /// Do you keep no hint any more?
    Hints,
    /// Have you compared all that you own of it with every other owner since this was first asked, and is what came of that
    /// on stable storage?
    Comparing,
    /// Keep this mark.
    Adopt(Mark),
}

/// What all owners of a partition have agreed on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The writes that are settled: of each incarnation those up to here, ascending.
    pub settled: Vec<Written>,
    /// A time that had passed on all clocks when the round began.
    pub settled_by: WallTime,
    /// The writes behind which deletes may be dropped: what the mark before this one settled.
    pub droppable: Vec<Written>,
    /// A time that had passed on all clocks when that mark's round began. What ends by then has ended for everybody.
    pub droppable_by: WallTime,
    /// The newest stamp of all deletes that were settled, or earlier: what is written on top of one that was dropped is
    /// above this, for another owner may still have it.
    pub newest: Stamp,
    /// The owners that have all that is settled, by their lives. Only they may keep the mark: another life may lack it.
    pub owners: Vec<Incarnation>,
}

/// How far one incarnation has written to a partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Written {
    /// Whose writes.
    pub incarnation: Incarnation,
    /// Its stint at the time.
    pub stint: Stint,
    /// The counter of the last of them.
    pub counter: u64,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CollectAnswer {
    /// To [`CollectStep::Fence`].
    Fenced {
        /// How far the node asked has written.
        written: Written,
        /// What time it is there.
        now: WallTime,
        /// Other incarnations that its deletes of the partition know of.
        known: Vec<Incarnation>,
    },
    /// It is done.
    Done,
    /// To [`CollectStep::Comparing`]: it is done.
    Compared {
        /// The newest stamp of all deletes that the node asked holds, or has dropped.
        newest: Stamp,
    },
    /// Not yet.
    NotYet(CollectWait),
    /// It knows nothing of this round: it has been started anew since, or another round has begun.
    NoSuchRound,
    /// It must not keep this mark.
    NotAnOwner,
}

/// What a node is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CollectWait {
    /// Operations under way.
    Operations,
    /// Hints to be delivered, or looked for.
    Hints,
    /// Comparing with an owner.
    Comparing(types::NodeId),
    /// The disk.
    Sync,
}
