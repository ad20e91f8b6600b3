//! What nodes say to each other about the cluster state.
//!
//! Each of these stands for itself: there is no reply that an operation waits for, and any may be lost, or come twice. States are
//! whole or follow from commands, and say for themselves whether they are right, so who brings one does not matter.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{Epoch, Incarnation, NodeId};

/// A message about the cluster state. Bytes are read by whoever they are for: the group's, commands and states are not this
/// crate's to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Govern {
    /// Of the group of those who keep the history, from one of them to another.
    Group(Bytes),
    /// The sender has this state. Who has a later one sends it.
    Have {
        /// Of which history it is.
        history: History,
        /// Its epoch.
        epoch: Epoch,
        /// What it comes to.
        fingerprint: u64,
        /// That the sender leads the group, if it does.
        leads: Option<Leads>,
        /// The life of the receiver, where the sender lacks nothing, knows of no change to the first state, and has met no other
        /// life of the receiver: then that one has forgotten nothing that the sender would know of.
        only_life: Option<Incarnation>,
    },
    /// A state, whole.
    State(Bytes),
    /// How the state of this epoch became what it is now.
    Commands {
        /// The epoch of the state that the first was applied to.
        after: Epoch,
        /// One for each epoch that follows.
        commands: Vec<Bytes>,
        /// What the last state comes to.
        fingerprint: u64,
    },
    /// To one who keeps the history: this is to be done.
    Propose {
        /// By which the sender will know the answer.
        number: u64,
        /// What.
        command: Bytes,
    },
    /// What came of that.
    Proposed {
        /// Of what the sender asked under this number.
        number: u64,
        /// What.
        outcome: Proposed,
    },
    /// To the one who leads: how far the sender is with what the state asks of it.
    Report(Bytes),
    /// From the one who leads: this life of the node is in the group, under this number.
    Invite {
        /// Of which history the group is.
        history: History,
        /// The number.
        member: u64,
        /// The life.
        incarnation: Incarnation,
    },
    /// From the one who leads: nobody goes by this number any more.
    Dismiss {
        /// Of which history the group is.
        history: History,
        /// The number.
        member: u64,
    },
    /// Of somebody who is about to begin the history again: how far is the receiver?
    HowFar {
        /// By which the sender will know the answer.
        number: u64,
    },
    /// So far, in answer to that.
    SoFar {
        /// Of what the sender was asked.
        number: u64,
        /// How far.
        far: Box<Far>,
    },
}

/// Which of the histories that a cluster can have had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// How often it was begun again.
    pub generation: u32,
    /// Its number, by which two of one generation are told apart.
    pub number: u64,
}

/// How far a node is with the history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Far {
    /// Of which history its state is.
    pub history: History,
    /// The epoch of its state.
    pub epoch: Epoch,
    /// What it comes to.
    pub fingerprint: u64,
    /// Its log, where it keeps the history.
    pub log: Option<FarLog>,
    /// Whether it leads those who keep the history.
    pub leads: bool,
    /// Whether it was asked to begin it again too.
    pub recovers: bool,
}

/// How far the log of a node goes that keeps the history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FarLog {
    /// The term of the last entry.
    pub term: u64,
    /// Its index.
    pub index: u64,
    /// The epoch to which the log leads, agreed on or not.
    pub epoch: Epoch,
    /// Who votes, as it knows.
    pub voters: Vec<NodeId>,
}

/// Who keeps the history of the state, as the one who leads them says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leads {
    /// In which term he leads.
    pub term: u64,
    /// Those whose majority decides.
    pub voters: Vec<NodeId>,
}

/// What came of a proposal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Proposed {
    /// It is so since this epoch.
    Done(Epoch),
    /// It changed nothing; why, in words.
    Refused(String),
    /// It was overtaken by another change to the same, in this epoch.
    Overtaken(Epoch),
    /// It was not taken on: the node asked does not lead, nor can say who does.
    NotLed,
    /// It was taken on, and whether it was done is not known: the node asked leads no more.
    Unknown,
}
