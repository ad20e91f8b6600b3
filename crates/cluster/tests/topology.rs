//! What one node sees of the cluster, and what it shows.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::sync::Arc;

use api::NodeState;
use cluster::{Durability, Keyspace, Topology};
use common::found;
use types::{Incarnation, NodeId};

const HERE: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

fn topology(nodes: usize) -> Topology {
    Topology::new(Arc::new(found(nodes, vec![])), HERE, Incarnation(0xa)).unwrap()
}

#[test]
fn a_node_that_starts_reaches_itself_alone() {
    let topology = topology(3);
    assert!(topology.is_reachable(HERE));
    assert!(!topology.is_reachable(PEER));
    assert_eq!(topology.this_member().name, "n1");
    assert_eq!(topology.local_data_center(), 0);
}

#[test]
fn only_a_member_has_a_topology() {
    assert_eq!(Topology::new(Arc::new(found(3, vec![])), NodeId(4), Incarnation(1)), None);
}

/// Clocks name writers by node also while the node is away; an incarnation that nobody introduced has no name.
#[test]
fn an_incarnation_keeps_its_name_while_its_node_is_away() {
    let topology = topology(3).with_reachable(PEER, Incarnation(0xb)).with_unreachable(PEER);
    assert!(!topology.is_reachable(PEER));
    assert_eq!(topology.name_of_incarnation(Incarnation(0xa)), Some("n1"));
    assert_eq!(topology.name_of_incarnation(Incarnation(0xb)), Some("n2"));
    assert_eq!(topology.name_of_incarnation(Incarnation(0xc)), None);
}

/// A request holds its snapshot: what is seen later makes another one.
#[test]
fn a_snapshot_never_changes() {
    let before = topology(3);
    let after = before.with_reachable(PEER, Incarnation(0xb));
    assert!(!before.is_reachable(PEER) && after.is_reachable(PEER));
    assert_eq!(after.with_unreachable(HERE), after, "a node never loses sight of itself");
    assert_eq!(after.with_unreachable(NodeId(99)), after, "strangers change nothing");
}

/// A cluster client is sent to the first owner that lives.
#[test]
fn the_primary_is_the_first_owner_that_is_reachable() {
    let all = topology(3).with_reachable(PEER, Incarnation(2)).with_reachable(NodeId(3), Incarnation(3));
    let cut_off = all.with_unreachable(PEER);
    for partition in all.state.partitions().iter() {
        let owners = all.state.default_owners(partition);
        assert_eq!(all.primary(partition), Some(owners[0]));
        let expected = if owners[0] == PEER { owners[1] } else { owners[0] };
        assert_eq!(cut_off.primary(partition), Some(expected));
    }
    for (range, run) in cut_off.slot_ranges().iter().zip(cut_off.state.slot_runs()) {
        assert_ne!(range.primary, 1, "the second member is away");
        assert_eq!((range.first, range.last, range.owners.len()), (run.first, run.last, run.owners.len()));
    }
}

#[test]
fn the_shown_partitions_add_up() {
    let topology = topology(5).with_reachable(PEER, Incarnation(2));
    let nodes = topology.node_statuses();
    assert_eq!(nodes.iter().map(|node| node.partitions).sum::<u32>(), 256);
    assert_eq!(nodes.iter().map(|node| node.replicas).sum::<u32>(), 3 * 256);
    let states: Vec<NodeState> = nodes.iter().map(|node| node.state).collect();
    assert_eq!(states[..3], [NodeState::Up, NodeState::Up, NodeState::Down]);
}

/// Nothing is shown stronger than it is.
#[test]
fn what_is_weaker_than_it_reads_is_said_in_words() {
    let relaxed = Keyspace { durability: Durability::Interval, ..Keyspace::new(1, "relaxed") };
    let topology = Topology::new(Arc::new(found(2, vec![relaxed])), HERE, Incarnation(1)).unwrap();
    let notices = topology.notices();
    let said = |text: &str| notices.iter().any(|notice| notice.contains(text));
    assert!(said("keyspace relaxed: durability is interval"), "{notices:?}");
    assert!(said("keyspace default: under-replicated: data center dc1 keeps 2 of 3 replicas"));

    let shown = topology.state.keyspace_statuses();
    assert_eq!((shown[0].name.as_str(), shown[0].n, shown[0].model.as_str()), ("default", 3, "eventual"));
    assert_eq!((shown[1].name.as_str(), shown[1].number), ("relaxed", 1));
}
