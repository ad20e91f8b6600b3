//! Who compares with whom across data centers, so that what differs crosses once.
//!
//! Of a partition one owner here and one there are the *bridge*: the first of each data center that this node can reach. They compare
//! as neighbours do, but that only one of them asks. Whatever the bridge brings the owners of each data center have from each other.
//! Were all owners to compare with all, each would fetch for himself what a data center has missed, as many times as there are owners.
//!
//! What must hold (INVARIANTS F1): every pair is compared in the end. Two nodes may see different bridges, or none that works, as when
//! a link is cut that others do not need; so pairs that are no bridge are compared too, only seldom, and not while a bridge
//! has something to do: not soon after the other one came within reach. At rest that costs two small frames.
//!
//! What somebody waits for (a partition that heals or moves, an agreement about deletes, an operator) is compared at once, whoever is
//! the bridge.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::ClusterState;
use types::{Instant, NodeId};

use super::pairs::Turn;

/// Pairs that are no bridge are compared once in so many cycles.
const APART_CYCLES: u32 = 6;

/// For so many cycles whoever does not lead leaves it to the other one to ask. A round may take more than one.
const LEFT_CYCLES: u32 = 3;

/// Whether a pair of owners in different data centers is not to be compared by this node now.
pub(super) fn is_left_to_others(
    now: Instant,
    (here, turn): (NodeId, &Turn),
    state: &ClusterState,
    reached: &BTreeMap<NodeId, Instant>,
    cycle: Duration,
) -> bool {
    let home = |node: NodeId| state.data_center_of(node);
    let Some(since) = reached.get(&turn.peer).filter(|_| home(here) != home(turn.peer)) else {
        return false;
    };
    if turn.is_wanted || turn.is_asked_for {
        return false;
    }
    let lately = |at: Instant, cycles: u32| now.since(at) < cycle * cycles;
    let owners = state.owners(turn.id.keyspace, turn.id.partition);
    let first_beside = |one: NodeId| {
        let mut beside = owners.iter().copied().filter(|node| home(*node) == home(one));
        beside.find(|node| *node == here || reached.contains_key(node))
    };
    // Who is to be an owner, or was one, is wanted where it matters.
    let is_bridge = first_beside(here) == Some(here) && first_beside(turn.peer) == Some(turn.peer);
    if is_bridge {
        let asked = turn.asked.is_some_and(|at| lately(at, LEFT_CYCLES));
        return !turn.leads && (asked || lately(*since, LEFT_CYCLES));
    }
    lately(*since, APART_CYCLES) || turn.complete.is_some_and(|at| lately(at, APART_CYCLES))
}

#[cfg(test)]
mod tests {
    use cluster::{Addresses, FoundingPlan, Keyspace, MemberPlan};
    use ring::Partitions;
    use types::{KeyspaceId, PartitionId};

    use super::super::trees::TreeId;
    use super::*;

    const CYCLE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    /// Three nodes in each of two data centers, all of them owners.
    fn state() -> ClusterState {
        let member = |number: u16| MemberPlan {
            name: format!("n{number}"),
            data_center: format!("dc{}", number % 2),
            rack: format!("r{number}"),
            weight: 1.0,
            addresses: Addresses::default(),
        };
        let plan = FoundingPlan {
            name: "test".to_owned(),
            members: (1..=6).map(member).collect(),
            partitions: Partitions::new(8).expect("eight is a power of two"),
            keyspaces: vec![Keyspace::new(0, "default")],
        };
        ClusterState::found(plan).expect("six members make a cluster")
    }

    fn turn(peer: NodeId, partition: PartitionId, leads: bool) -> Turn {
        let id = TreeId { partition, keyspace: KeyspaceId(0) };
        Turn {
            id,
            peer,
            leads,
            complete: None,
            asked: None,
            is_asked_for: false,
            is_wanted: false,
            agrees: false,
            is_spared: false,
        }
    }

    /// Which pairs compare across data centers, where each node reaches those that `reaches` says, since a second.
    fn pairs(state: &ClusterState, now: Instant, reaches: impl Fn(NodeId, NodeId) -> bool) -> usize {
        let nodes = || (1..=6).map(NodeId);
        let across = nodes().flat_map(|here| nodes().map(move |peer| (here, peer)));
        let across = across.filter(|(here, peer)| state.data_center_of(*here) != state.data_center_of(*peer));
        let asks = |(here, peer): &(NodeId, NodeId)| {
            let others = nodes().filter(|node| reaches(*here, *node));
            let reached: BTreeMap<NodeId, Instant> = others.map(|node| (node, at(1))).collect();
            let turn = turn(*peer, PartitionId(0), here < peer);
            reached.contains_key(peer) && !is_left_to_others(now, (*here, &turn), state, &reached, CYCLE)
        };
        across.filter(asks).count()
    }

    /// F2: after a data center came back one of its owners compares with one elsewhere, and one of these two asks.
    #[test]
    fn one_of_one_pair_asks_across_data_centers() {
        let state = state();
        assert_eq!(pairs(&state, at(2), |_, _| true), 1);
        // Whoever is not reached is no bridge, and another is.
        let first = state.owners(KeyspaceId(0), PartitionId(0))[0];
        assert_eq!(pairs(&state, at(2), |here, there| here != first && there != first), 1);
    }

    /// F1: whatever nodes think who the bridge is, all pairs are compared in the end.
    #[test]
    fn all_pairs_are_compared_in_the_end() {
        let later = at(1) + CYCLE * APART_CYCLES;
        assert_eq!(pairs(&state(), later, |_, _| true), 18);
    }

    /// Neighbours are no concern of this.
    #[test]
    fn who_is_in_the_same_data_center_is_compared_with_as_ever() {
        let state = state();
        let reached = BTreeMap::from([(NodeId(3), at(1))]);
        let turn = turn(NodeId(3), PartitionId(0), false);
        assert!(!is_left_to_others(at(2), (NodeId(1), &turn), &state, &reached, CYCLE));
    }
}
