//! Moves: the difference of two placements, beside a model so naive that it cannot be wrong.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ring::{
    Move, Partitions, PlacementMember, ReplicaCount, Ring, RingMember, Rings, moves, moves_between, place,
};
use types::{NodeId, PartitionId};

fn rings(nodes: u16, claims: &[u16]) -> Rings {
    let partitions = Partitions::new(claims.len() as u64).unwrap();
    let members = (1..=nodes).map(|node| RingMember { node: NodeId(node), rack: "r".into() }).collect();
    let claims: Vec<NodeId> = claims.iter().map(|&node| NodeId(node)).collect();
    let ring = Ring::new(members, &claims, partitions).unwrap();
    Rings::new(partitions, BTreeMap::from([("dc1".to_owned(), ring)])).unwrap()
}

fn moved(partition: u16, leaves: &[u16], joins: &[u16]) -> Move {
    let nodes = |numbers: &[u16]| numbers.iter().map(|&node| NodeId(node)).collect();
    Move {
        partition: PartitionId(partition),
        data_center: "dc1".into(),
        leaves: nodes(leaves),
        joins: nodes(joins),
    }
}

/// Who comes to stand where another stood takes its place, whatever else changes.
#[test]
fn a_joiner_takes_the_place_where_it_stands() {
    let (old, new) = (rings(5, &[1, 2, 3, 4, 5, 1, 2, 3]), rings(5, &[1, 2, 5, 4, 5, 1, 2, 3]));
    let expected = [moved(0, &[3], &[5]), moved(1, &[3], &[5]), moved(2, &[3], &[1])];
    assert_eq!(moves(&old, &new, &ReplicaCount::Everywhere(3)), expected);
}

/// Nothing has to move for owners that stay owners in another order.
#[test]
fn an_owner_that_changes_its_slot_moves_nothing() {
    let (old, new) = (rings(3, &[1, 2, 3, 1]), rings(3, &[3, 1, 2, 1]));
    assert_eq!(moves(&old, &new, &ReplicaCount::Everywhere(3)), []);
}

/// A larger N only adds owners, and nobody is in whose place they come.
#[test]
fn owners_that_come_with_a_larger_n_take_nobodys_place() {
    let rings = rings(3, &[1, 2, 3, 1]);
    let change =
        moves_between((&rings, &ReplicaCount::Everywhere(1)), (&rings, &ReplicaCount::Everywhere(2)));
    assert_eq!(change[0], moved(0, &[], &[2]));
    assert_eq!(change[0].pairs().collect::<Vec<_>>(), [(None, Some(NodeId(2)))]);
    assert_eq!(change.len(), 4);
}

/// A data center that comes has all its owners to fill; one that goes has them all to leave.
#[test]
fn data_centers_come_and_go() {
    let (old, new) = (rings(3, &[1, 2, 3, 1]), Rings::empty(Partitions::new(4).unwrap()));
    let count = ReplicaCount::Everywhere(2);
    assert_eq!(moves(&new, &old, &count)[3], moved(3, &[], &[1, 2]));
    assert_eq!(moves(&old, &new, &count)[3], moved(3, &[1, 2], &[]));
}

/// Splitting is no movement.
#[test]
fn halves_have_the_owners_of_the_whole() {
    let whole = rings(3, &[1, 2, 3, 1]);
    let halves = whole.halve().unwrap();
    let count = ReplicaCount::Everywhere(2);
    assert_eq!(moves(&whole, &halves, &count), []);
    assert_eq!(moves(&halves, &whole, &count), []);
}

prop_compose! {
    fn any_members()(nodes in prop::collection::btree_map(1_u16..14, (0_u8..3, 0_u8..2, 1_u8..4), 1..12))
        -> Vec<PlacementMember>
    {
        nodes.into_iter().map(|(node, (rack, data_center, weight))| PlacementMember {
            node: NodeId(node),
            data_center: format!("dc{}", if node % 2 == 0 { 0 } else { data_center }),
            rack: format!("r{rack}"),
            weight: f64::from(weight),
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The naive model: for every partition and data center the sets of owners, subtracted from each other.
    #[test]
    fn moves_are_the_differences_of_owners(before in any_members(), after in any_members(), n in 1_u8..4, m in 1_u8..4) {
        let partitions = Partitions::new(32).unwrap();
        let old = place(&Rings::empty(partitions), &before).unwrap();
        let new = place(&old, &after).unwrap();
        let found = moves_between((&old, &ReplicaCount::Everywhere(n)), (&new, &ReplicaCount::Everywhere(m)));
        let owners = |rings: &Rings, data_center: &str, partition: PartitionId, count: u8| -> BTreeSet<NodeId> {
            let walk = rings.ring(data_center).map_or_else(Vec::new, |ring| ring.walk(partition));
            walk.into_iter().take(usize::from(count)).collect()
        };
        let mut expected = Vec::new();
        for partition in partitions.iter() {
            for data_center in ["dc0", "dc1"] {
                let (before, after) = (owners(&old, data_center, partition, n), owners(&new, data_center, partition, m));
                if before != after {
                    let set = |a: &BTreeSet<NodeId>, b: &BTreeSet<NodeId>| a.difference(b).copied().collect::<BTreeSet<_>>();
                    expected.push((partition, data_center.to_owned(), set(&before, &after), set(&after, &before)));
                }
            }
        }
        let as_sets: Vec<_> = found.iter().map(|change| (
            change.partition,
            change.data_center.clone(),
            change.leaves.iter().copied().collect::<BTreeSet<_>>(),
            change.joins.iter().copied().collect::<BTreeSet<_>>(),
        )).collect();
        prop_assert_eq!(as_sets, expected);
    }
}
