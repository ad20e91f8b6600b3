//! What a decision comes to: a change that an operator could ask for, or something that the provider is asked to do.

use api::{Change, Status};
use autoscale::{Action, Replacement};
use provider::Order;

/// What is to be done for a decision.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Deed {
    /// Nothing.
    Nothing,
    /// The cluster is asked for a change.
    Change(Change),
    /// The provider is asked to start a node.
    Add(Order),
    /// The provider is asked to end one that is no member.
    End(String),
}

/// What an action comes to in a cluster that looks so.
pub(super) fn deed(action: &Action, status: &Status) -> Deed {
    let order = |wanted: &autoscale::Wanted, replaces: Option<String>| {
        Deed::Add(Order {
            wanted: wanted.clone(),
            cluster: status.name.clone(),
            seeds: seeds(status),
            replaces,
        })
    };
    match action {
        Action::Nothing => Deed::Nothing,
        Action::AddNode(wanted) => order(wanted, None),
        // A data center is not left with fewer nodes than N: that was looked at, and is looked at again when it is agreed on.
        Action::RetireNode { name, .. } => {
            Deed::Change(Change::Drain { nodes: vec![name.clone()], below_n: false })
        }
        Action::ReplaceNode { name, by: Replacement::Remaining, .. } => {
            Deed::Change(Change::Remove { node: name.clone(), below_n: false })
        }
        Action::ReplaceNode { name, by: Replacement::New(wanted), .. } => order(wanted, Some(name.clone())),
        Action::EndRequested { name } => Deed::End(name.clone()),
        Action::MovePartition { partition, from_name, to_name, .. } => Deed::Change(Change::MovePartition {
            partition: partition.0,
            from: Some(from_name.clone()),
            to: to_name.clone(),
        }),
        // One partition is halved by halving all: it costs nothing to move, and each can go where there is room then. Who is overtaken
        // by somebody else's halving looks again.
        Action::SplitPartition { .. } => {
            Deed::Change(Change::Halve { partitions: u16::try_from(status.partitions).ok() })
        }
    }
}

/// Where a new node reaches members that serve.
fn seeds(status: &Status) -> Vec<String> {
    let serving = status.nodes.iter().filter(|node| node.state.is_serving());
    serving.filter_map(|node| node.peer).map(|peer| peer.to_string()).collect()
}
