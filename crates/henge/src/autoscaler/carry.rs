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
            Deed::Change(Change::Remove { node: name.clone(), below_n: false, lose_data: false })
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
        Action::SplitPartition { .. } | Action::SplitAll => {
            Deed::Change(Change::Halve { partitions: u16::try_from(status.partitions).ok() })
        }
        Action::MergePartitions => {
            Deed::Change(Change::Merge { partitions: u16::try_from(status.partitions).ok() })
        }
    }
}

/// Where a new node reaches members that serve.
fn seeds(status: &Status) -> Vec<String> {
    let serving = status.nodes.iter().filter(|node| node.state.is_serving());
    serving.filter_map(|node| node.peer).map(|peer| peer.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use autoscale::Wanted;
    use types::{NodeId, PartitionId};

    use super::*;
    use crate::autoscaler::look::tests::status;

    fn wanted() -> Wanted {
        Wanted {
            request: "e7-dc1-r9-1".to_owned(),
            name: "auto".to_owned(),
            data_center: "dc1".to_owned(),
            rack: "r9".to_owned(),
            weight_thousandths: 1_000,
        }
    }

    /// A new node is sent to members that serve, and told whose place it takes where it takes one.
    #[test]
    fn a_node_is_asked_for_with_those_that_serve_as_seeds() {
        let mut status = status();
        for (place, node) in status.nodes.iter_mut().enumerate() {
            node.peer = Some(([10, 0, 0, u8::try_from(place).unwrap()], 9001).into());
        }
        status.nodes[1].state = api::NodeState::Down;
        status.nodes[2].state = api::NodeState::Gone;
        let Deed::Add(order) = deed(&Action::AddNode(wanted()), &status) else {
            panic!("a node is asked for")
        };
        assert_eq!(order.seeds, ["10.0.0.0:9001", "10.0.0.3:9001"]);
        assert_eq!((order.cluster.as_str(), order.replaces), ("example", None));
        let by = Replacement::New(wanted());
        let replace = Action::ReplaceNode { dead: NodeId(2), name: "n2".to_owned(), by };
        let Deed::Add(order) = deed(&replace, &status) else { panic!("a node is asked for") };
        assert_eq!(order.replaces.as_deref(), Some("n2"));
    }

    /// All else is what an operator could ask for, and never what would leave fewer nodes than N.
    #[test]
    fn what_is_decided_is_what_an_operator_could_ask_for() {
        let (status, name) = (status(), "n2".to_owned());
        let of = |action: &Action| deed(action, &status);
        let retire = Action::RetireNode { node: NodeId(2), name: name.clone() };
        assert_eq!(of(&retire), Deed::Change(Change::Drain { nodes: vec![name.clone()], below_n: false }));
        let replace = Action::ReplaceNode { dead: NodeId(2), name: name.clone(), by: Replacement::Remaining };
        assert_eq!(
            of(&replace),
            Deed::Change(Change::Remove { node: name.clone(), below_n: false, lose_data: false })
        );
        assert_eq!(of(&Action::EndRequested { name: name.clone() }), Deed::End(name.clone()));
        assert_eq!(of(&Action::Nothing), Deed::Nothing);
        let (from, to) = ((NodeId(2), name.clone()), (NodeId(4), "n4".to_owned()));
        let relocate = Action::MovePartition {
            partition: PartitionId(3),
            from: from.0,
            from_name: from.1,
            to: to.0,
            to_name: to.1,
        };
        let change = Change::MovePartition { partition: 3, from: Some(name), to: "n4".to_owned() };
        assert_eq!(of(&relocate), Deed::Change(change));
    }

    /// The same of merging.
    #[test]
    fn as_many_are_merged_as_were_seen() {
        let status = status();
        let partitions = u16::try_from(status.partitions).ok();
        assert_eq!(deed(&Action::MergePartitions, &status), Deed::Change(Change::Merge { partitions }));
        assert_eq!(deed(&Action::SplitAll, &status), Deed::Change(Change::Halve { partitions }));
    }

    /// All are halved, and by no more than one step though somebody else does so at the same time.
    #[test]
    fn one_partition_is_halved_by_halving_as_many_as_were_seen() {
        let status = status();
        let split = Action::SplitPartition { partition: PartitionId(3), node: NodeId(2) };
        let partitions = u16::try_from(status.partitions).ok();
        assert!(partitions.is_some());
        assert_eq!(deed(&split, &status), Deed::Change(Change::Halve { partitions }));
    }
}
