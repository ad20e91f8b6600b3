//! What can be decided.

use std::fmt;

use serde::Serialize;
use types::{NodeId, PartitionId};

/// A node to be started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Wanted {
    /// The name of this request: the same for whoever decides the same of the same cluster state, so that a provider that
    /// is asked twice starts one node.
    pub request: String,
    /// What its name is to begin with.
    pub name: String,
    /// In which data center.
    pub data_center: String,
    /// In which rack.
    pub rack: String,
    /// Its weight, in thousandths.
    pub weight_thousandths: u32,
}

/// Who takes the place of a dead node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replacement {
    /// The nodes that remain take its partitions over.
    Remaining,
    /// A new one, for those that remain are too few.
    New(Wanted),
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing.
    Nothing,
    /// The provider is to start a node, which joins by itself.
    AddNode(Wanted),
    /// A node is to be drained, and then ended by the provider.
    RetireNode {
        /// Which.
        node: NodeId,
        /// Its name.
        name: String,
    },
    /// A node is dead: it is to be taken out, and others take its partitions over.
    ReplaceNode {
        /// Which.
        dead: NodeId,
        /// Its name.
        name: String,
        /// Who takes its place.
        by: Replacement,
    },
    /// What the provider has started and is no member is to be ended: it never joined, or has left.
    EndRequested {
        /// What it is called.
        name: String,
    },
    /// One owner's copy of a partition is to be another node's.
    MovePartition {
        /// Which.
        partition: PartitionId,
        /// Who owns it and does too much.
        from: NodeId,
        /// Its name.
        from_name: String,
        /// Who is to own it instead.
        to: NodeId,
        /// Its name.
        to_name: String,
    },
    /// Each two partitions are to become one.
    MergePartitions,
    /// All partitions are to be halved: they are too large.
    SplitAll,
    /// A partition is to be halved.
    SplitPartition {
        /// Which.
        partition: PartitionId,
        /// Who is too small for it.
        node: NodeId,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Nothing => write!(f, "nothing"),
            Action::AddNode(wanted) => write!(f, "add {wanted}"),
            Action::RetireNode { name, .. } => write!(f, "retire {name}"),
            Action::ReplaceNode { name, by: Replacement::Remaining, .. } => {
                write!(f, "replace {name} by those that remain")
            }
            Action::ReplaceNode { name, by: Replacement::New(wanted), .. } => {
                write!(f, "replace {name} by {wanted}")
            }
            Action::EndRequested { name } => write!(f, "end {name}, which is no member"),
            Action::MovePartition { partition, from_name, to_name, .. } => {
                write!(f, "move {partition} from {from_name} to {to_name}")
            }
            Action::MergePartitions => write!(f, "merge partitions"),
            Action::SplitAll => write!(f, "split all partitions"),
            Action::SplitPartition { partition, .. } => write!(f, "split {partition}"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a node in {}/{} ({})", self.data_center, self.rack, self.request)
    }
}
