//! What is shown of members and partitions on their way.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{NodeStanding, NodeState};
use cluster::{ClusterState, Command, Keepers, MovementFigures, Topology};
use common::{found, member};
use types::{Incarnation, NodeId};

const HERE: NodeId = NodeId(1);

fn changed(state: &ClusterState, command: &Command) -> ClusterState {
    state.apply(command).unwrap()
}

fn joined(nodes: usize) -> ClusterState {
    let plan = member("new", "dc1", "r9");
    changed(&found(nodes, Vec::new()), &Command::Join { plan: Box::new(plan), replaces: None })
}

/// Of what is so of a member the gravest is its state, and how it stands to the cluster is told beside that.
#[test]
fn what_is_gravest_is_the_state_of_a_member() {
    let drain = Command::Drain { names: vec!["n2".to_owned(), "n3".to_owned()], below_n: false };
    let state = changed(&joined(6), &drain);
    let state = changed(&state, &Command::Remove { name: "n4".to_owned(), below_n: false, lose_data: false });
    let mut topology = Topology::new(Arc::new(state), HERE, Incarnation(1)).unwrap();
    for id in [2, 4, 7] {
        topology = topology.with_reachable(NodeId(id), Incarnation(u64::from(id)));
    }
    let shown: Vec<_> =
        topology.node_statuses().into_iter().map(|node| (node.state, node.standing)).collect();
    let expected = [
        (NodeState::Up, NodeStanding::Settled),
        (NodeState::Leaving, NodeStanding::Leaving),
        (NodeState::Down, NodeStanding::Leaving),
        (NodeState::Gone, NodeStanding::Gone),
        (NodeState::Down, NodeStanding::Settled),
        (NodeState::Down, NodeStanding::Settled),
        (NodeState::Joining, NodeStanding::Joining),
    ];
    assert_eq!(shown, expected);
}

/// What would move is shown with who gives it to whom, whether or not it does yet; who joins gives nothing away.
#[test]
fn moves_name_who_gives_to_whom() {
    let state = joined(3);
    let planned = state.planned_moves();
    assert_eq!(planned.len(), usize::try_from(state.waiting_count()).unwrap());
    assert!(!planned.is_empty());
    for one in &planned {
        assert_eq!((one.to.as_slice(), one.from.len()), (&["new".to_owned()][..], 1), "{one:?}");
        assert_eq!((one.keyspaces.as_slice(), one.bytes), (&["default".to_owned()][..], None));
        assert_eq!(one.why, "new joins");
    }
    let partitions = state.waiting_to_move().take(2).collect();
    let state = changed(&state, &Command::Begin { partitions });
    let moving = state.movement_statuses(&BTreeMap::new());
    for (one, plan) in moving.iter().zip(&planned) {
        assert_eq!((one.partition, &one.from, &one.to), (plan.partition, &plan.from, &plan.to));
        assert_eq!((one.stage, one.session), ("filling", state.epoch()));
        assert_eq!((one.bytes_total, one.bytes_done, &one.waits_for), (None, None, &None), "it is not known");
    }
    assert_eq!(state.waiting_count() as usize + moving.len(), planned.len());
}

/// A plan says because of what each partition moves: who leaves or is gone outweighs who joins, and where it is neither it is for balance.
#[test]
fn moves_say_why() {
    let why = |state: &ClusterState| -> BTreeSet<String> {
        state.planned_moves().into_iter().map(|one| one.why).collect()
    };
    let rest = found(5, Vec::new());
    let drained = changed(&rest, &Command::Drain { names: vec!["n2".to_owned()], below_n: false });
    assert!(why(&drained).contains("n2 leaves"), "{:?}", why(&drained));
    let removed =
        changed(&rest, &Command::Remove { name: "n3".to_owned(), below_n: false, lose_data: false });
    assert!(why(&removed).contains("n3 gone for good"), "{:?}", why(&removed));
    let heavier = changed(&rest, &Command::Weigh { name: "n1".to_owned(), weight: 3.0 });
    assert_eq!(why(&heavier), BTreeSet::from(["weights and racks".to_owned()]));
}

/// What some node knows beside the state is shown with the movement that it is about.
#[test]
fn figures_are_shown_with_their_movement() {
    let state = joined(3);
    let partitions: Vec<_> = state.waiting_to_move().take(2).collect();
    let state = changed(&state, &Command::Begin { partitions: partitions.clone() });
    let known = MovementFigures {
        bytes_total: Some(100),
        bytes_done: Some(40),
        waits_for: Some(vec![NodeId(4), NodeId(99)]),
    };
    let shown = state.movement_statuses(&BTreeMap::from([(partitions[1], known)]));
    assert_eq!(shown[0].bytes_total, None);
    assert_eq!((shown[1].bytes_total, shown[1].bytes_done), (Some(100), Some(40)));
    assert_eq!(shown[1].waits_for, Some(vec!["new".to_owned(), NodeId(99).to_string()]));
    let keepers = Keepers { voters: vec![NodeId(1), NodeId(2)], leader: Some(NodeId(2)), term: 7 };
    let group = state.group_status(&keepers);
    assert_eq!(
        (group.voters, group.leader.as_deref(), group.term),
        (vec!["n1".into(), "n2".into()], Some("n2"), 7)
    );
}
