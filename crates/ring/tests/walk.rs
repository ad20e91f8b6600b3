//! The walk and the preference list: the textbook ring, and a walk so naive that it cannot be wrong.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use ring::{Partitions, PlacementMember, ReplicaCount, Ring, RingError, RingMember, Rings, validate};
use types::{NodeId, PartitionId};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);
const D: NodeId = NodeId(4);
const E: NodeId = NodeId(5);

fn members(racks: &[&str]) -> Vec<RingMember> {
    racks
        .iter()
        .zip(1..)
        .map(|(rack, node)| RingMember { node: NodeId(node), rack: (*rack).to_owned() })
        .collect()
}

fn ring(racks: &[&str], claims: &[NodeId]) -> Ring {
    Ring::new(members(racks), claims, Partitions::new(claims.len() as u64).unwrap()).unwrap()
}

/// Five servers A to E on a ring, N=3: a key that falls between A and B is kept by B, C and D.
#[test]
fn a_key_between_a_and_b_is_kept_by_b_c_and_d() {
    let ring = ring(&["r"; 5], &[A, B, C, D, E, A, B, C]);
    let between_a_and_b = PartitionId(1);
    assert_eq!(ring.walk(between_a_and_b), [B, C, D, E, A]);
    assert_eq!(ring.claimant(between_a_and_b), Some(B));
}

/// Dynamo, section 4.3: positions of a node that is already in the list are skipped.
#[test]
fn a_node_met_again_is_skipped() {
    assert_eq!(ring(&["r"; 3], &[A, A, B, A, B, B, A, C]).walk(PartitionId(0)), [A, B, C]);
}

/// "For every window of the ring including its end": the walk goes on at the first partition.
#[test]
fn the_walk_goes_round_the_end() {
    let ring = ring(&["r"; 4], &[A, B, C, D]);
    assert_eq!(ring.walk(PartitionId(2)), [C, D, A, B]);
    assert_eq!(ring.walk(PartitionId(3)), [D, A, B, C]);
}

#[test]
fn racks_are_spread_while_there_are_enough() {
    let ring = ring(&["x", "x", "x", "y", "z"], &[A, B, C, D, B, C, E, A]);
    assert_eq!(ring.walk(PartitionId(0)), [A, D, E, B, C]);
}

/// Beyond one node per rack the racks stay as even as they can be: four replicas in two racks are two and two.
#[test]
fn racks_stay_even_when_they_are_fewer_than_replicas() {
    let ring = ring(&["x", "x", "x", "y", "y"], &[A, B, C, D, E, C, B, A]);
    assert_eq!(ring.walk(PartitionId(0))[..4], [A, D, B, E]);
}

#[test]
fn there_are_no_owners_of_a_partition_that_is_not_there() {
    let ring = ring(&["r"; 2], &[A, B]);
    assert_eq!(ring.walk(PartitionId(2)), []);
    assert_eq!(ring.claimant(PartitionId(2)), None);
}

#[test]
fn claims_that_no_ring_can_have_are_refused() {
    let two = Partitions::new(2).unwrap();
    let refused = |racks: &[&str], claims: &[NodeId]| Ring::new(members(racks), claims, two).unwrap_err();
    assert_eq!(refused(&["r"; 2], &[A]), RingError::Length { claims: 1, partitions: 2 });
    assert_eq!(refused(&["r"; 2], &[A, C]), RingError::Stranger { partition: PartitionId(1), node: C });
    assert_eq!(refused(&["r"; 2], &[A, A]), RingError::Idle { node: B });
    let twice = [members(&["r"]), members(&["r"])].concat();
    assert_eq!(Ring::new(twice, &[A, A], two).unwrap_err(), RingError::Twice { node: A });
}

/// N counts in each data center; one that keeps no replica lends no fallback.
#[test]
fn each_data_center_brings_its_own_owners() {
    let partitions = Partitions::new(4).unwrap();
    let east = Ring::new(members(&["r"; 3]), &[A, B, C, A], partitions).unwrap();
    let west_members = [D, E].map(|node| RingMember { node, rack: "r".into() }).to_vec();
    let west = Ring::new(west_members, &[D, E, D, E], partitions).unwrap();
    let rings =
        Rings::new(partitions, BTreeMap::from([("east".into(), east), ("west".into(), west)])).unwrap();

    let both = rings.preference_list(PartitionId(1), &ReplicaCount::Everywhere(2));
    assert_eq!((both.owners, both.fallbacks), (vec![B, C, E, D], vec![A]));
    let east = ReplicaCount::PerDataCenter(BTreeMap::from([("east".into(), 2)]));
    let east = rings.preference_list(PartitionId(1), &east);
    assert_eq!((east.owners, east.fallbacks), (vec![B, C], vec![A]));
}

/// The definition, word for word: rounds, each of which takes from every rack the first node not yet taken.
fn naive_walk(racks: &BTreeMap<NodeId, String>, claims: &[NodeId], start: usize) -> Vec<NodeId> {
    let mut taken: Vec<NodeId> = Vec::new();
    while taken.len() < racks.len() {
        let mut racks_of_round = Vec::new();
        for step in 0..claims.len() {
            let node = claims[(start + step) % claims.len()];
            if !taken.contains(&node) && !racks_of_round.contains(&&racks[&node]) {
                racks_of_round.push(&racks[&node]);
                taken.push(node);
            }
        }
    }
    taken
}

prop_compose! {
    /// Up to nine nodes in up to four racks, each with at least one claim of 16 or 32.
    fn any_ring()(
        racks in prop::collection::vec(0_u8..4, 1..=9),
        exponent in 4_u32..=5,
        seed in prop::collection::vec(any::<prop::sample::Index>(), 32),
    ) -> (Vec<RingMember>, Vec<NodeId>) {
        let racks: Vec<String> = racks.iter().map(|rack| format!("r{rack}")).collect();
        let members = members(&racks.iter().map(String::as_str).collect::<Vec<_>>());
        let mut claims: Vec<NodeId> =
            seed[..1 << exponent].iter().map(|index| members[index.index(members.len())].node).collect();
        for (claim, member) in claims.iter_mut().step_by(seed[0].index(1) + 1).zip(&members) {
            *claim = member.node;
        }
        (members, claims)
    }
}

proptest! {
    #[test]
    fn the_walk_equals_the_naive_walk((members, claims) in any_ring()) {
        let racks = members.iter().map(|member| (member.node, member.rack.clone())).collect();
        let ring = Ring::new(members, &claims, Partitions::new(claims.len() as u64).unwrap()).unwrap();
        for (partition, start) in (0..).map(PartitionId).zip(0..claims.len()) {
            prop_assert_eq!(ring.walk(partition), naive_walk(&racks, &claims, start));
        }
    }

    /// Keyspaces with different N share a ring because the shorter list is the beginning of the longer one.
    #[test]
    fn owners_for_a_smaller_n_are_a_prefix((members, claims) in any_ring(), n in 0_usize..10) {
        let ring = Ring::new(members, &claims, Partitions::new(claims.len() as u64).unwrap()).unwrap();
        for partition in (0..16).map(PartitionId) {
            let all = ring.walk(partition);
            let mut first = Vec::new();
            ring.walk_into(partition, n, &mut first);
            prop_assert_eq!(&first[..], &all[..n.min(all.len())]);
        }
    }

    /// Whatever the claims, the walk alone keeps the rule; placement can only make loads uneven, never unsafe.
    #[test]
    fn every_ring_keeps_the_rule((members, claims) in any_ring()) {
        let partitions = Partitions::new(claims.len() as u64).unwrap();
        let placed: Vec<PlacementMember> = members.iter().map(|member| PlacementMember {
            node: member.node, data_center: "dc".into(), rack: member.rack.clone(), weight: 1.0,
        }).collect();
        let ring = Ring::new(members, &claims, partitions).unwrap();
        let rings = Rings::new(partitions, BTreeMap::from([("dc".to_owned(), ring)])).unwrap();
        prop_assert_eq!(validate(&rings, &placed, 5), Ok(()));
    }
}
