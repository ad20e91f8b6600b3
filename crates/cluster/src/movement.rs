//! Movements: how a partition gets from the layout that it is at to another one.
//!
//! ```text
//!             reads are answered by   a write is acknowledged by   it goes on when
//!   (at rest)    the old owners          W of the old
//!   Filling      the old owners          W of the old and W of the new   every new owner has all that any old one had
//!   Switched     the new owners          W of the new and W of the old   so many old owners refuse what was routed before that
//!                                                                        no quorum of them is left
//!   Clearing     the new owners          W of the new                    those that leave have handed over the rest and dropped it
//!   (at rest)    the new owners
//! ```
//!
//! What must hold (INVARIANTS E1 to E4): each stage is a committed state, and a replica refuses what was routed by a state before
//! the last change to its partition; so quorums of two stages that follow each other meet, and those of stages further apart
//! cannot both be had. Nothing rests on an opinion of who is alive: a node that does not answer holds a movement up, until it
//! answers or people say that it is gone for good. A movement has a session, and what is sent under one is refused when it is over.
//!
//! Only a movement that is being filled can be given up: then the old owners have all that was acknowledged.

use serde::{Deserialize, Serialize};
use types::{Epoch, PartitionId};

use crate::layout::LayoutId;

/// The name of a movement of a partition, never used again: the epoch in which it began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Session(pub Epoch);

/// How far a movement is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Stage {
    /// Both sets of owners are written, the old ones are read; the new ones fetch what there is.
    Filling,
    /// Both are written, the new ones are read.
    Switched,
    /// The new ones alone are written and read; those that leave hand over what they have left, and drop it.
    Clearing,
}

impl Stage {
    /// What comes after it; nothing where that is rest.
    pub fn next(self) -> Option<Stage> {
        match self {
            Stage::Filling => Some(Stage::Switched),
            Stage::Switched => Some(Stage::Clearing),
            Stage::Clearing => None,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Filling => "filling",
            Stage::Switched => "switched",
            Stage::Clearing => "clearing",
        }
    }
}

/// A partition on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Movement {
    /// Its name.
    pub session: Session,
    /// Where it goes.
    pub to: LayoutId,
    /// How far it is.
    pub stage: Stage,
}

/// A movement of a partition at a stage, as a node reports on it and a command names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Which partition.
    pub partition: PartitionId,
    /// Which of its movements.
    pub session: Session,
    /// The stage that it is at.
    pub stage: Stage,
}
