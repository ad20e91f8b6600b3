//! Splitting the ring and joining it again: no owner changes by the cut itself.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use proptest::prelude::*;
use ring::measure::{loads, moves};
use ring::{
    JoinHalvesError, Partitions, PlacementError, PlacementMember, REPLICAS_BALANCED, Rings, merged, place,
    validate,
};
use types::{NodeId, PartitionId};

fn members(nodes: u16, racks: u16) -> Vec<PlacementMember> {
    let member = |node| PlacementMember {
        node: NodeId(node),
        data_center: format!("dc{}", node % 2),
        rack: format!("r{}", node % (2 * racks) / 2),
        weight: f64::from(1 + node % 3),
    };
    (1..=nodes).map(member).collect()
}

fn fresh(members: &[PlacementMember], partitions: u64) -> Rings {
    place(&Rings::empty(Partitions::new(partitions).unwrap()), members).unwrap()
}

#[test]
fn a_slot_is_not_halved() {
    assert_eq!(fresh(&members(6, 1), 16_384).halve().unwrap_err().asked, 32_768);
}

#[test]
fn a_single_partition_is_half_of_nothing() {
    let one = &members(1, 1);
    assert_eq!(fresh(one, 1).join_halves(), Err(JoinHalvesError::Whole));
    assert_eq!(merged(&fresh(one, 1), one), Err(PlacementError::NoHalves));
}

/// Halves of two claimants would give one of them what it does not hold.
#[test]
fn halves_of_two_claimants_are_not_joined() {
    let error = fresh(&members(4, 1), 64).join_halves().unwrap_err();
    let JoinHalvesError::Apart { first, second, first_claimant, second_claimant, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((first.0 % 2, second.0), (0, first.0 + 1));
    assert_ne!(first_claimant, second_claimant);
    assert!(error.to_string().ends_with("both must have one claimant before they are joined"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Both halves have the owners of the whole, in the same order; and joined again they are the whole.
    #[test]
    fn halves_have_the_walk_of_the_whole(nodes in 1_u16..16, racks in 1_u16..5) {
        let whole = fresh(&members(nodes, racks), 64);
        let halves = whole.halve().unwrap();
        for (data_center, ring) in whole.iter() {
            for partition in (0..64).map(PartitionId) {
                let walk = ring.walk(partition);
                for half in [2 * partition.0, 2 * partition.0 + 1] {
                    prop_assert_eq!(&halves.ring(data_center).unwrap().walk(PartitionId(half)), &walk);
                }
            }
        }
        prop_assert_eq!(halves.join_halves().unwrap(), whole);
    }

    /// Merging is sound and balanced, its halves can be joined, and each pair moves about one of its two halves.
    #[test]
    fn merging_moves_about_one_half_of_each_pair(nodes in 1_u16..16, racks in 1_u16..5) {
        let members = members(nodes, racks);
        let old = fresh(&members, 512);
        let planned = merged(&old, &members).unwrap();
        prop_assert_eq!(validate(&planned, &members, 5), Ok(()));
        for (node, load) in loads(&planned, &members, REPLICAS_BALANCED) {
            prop_assert!(f64::from(load.replicas) <= load.fair * 1.05 + 4.0, "{node}: {load:?}");
        }
        let halves = planned.halve().unwrap();
        prop_assert_eq!(halves.join_halves().unwrap(), planned);
        let moved = moves(&old, &halves, &members, REPLICAS_BALANCED).replicas;
        let all: u32 = loads(&old, &members, REPLICAS_BALANCED).values().map(|load| load.replicas).sum();
        prop_assert!(f64::from(moved) <= 0.6 * f64::from(all), "{moved} of {all}");
    }

    /// What was split and has not changed since moves nothing when it is merged.
    #[test]
    fn merging_what_was_split_moves_nothing(nodes in 1_u16..16, racks in 1_u16..5) {
        let members = members(nodes, racks);
        let whole = fresh(&members, 256);
        prop_assert_eq!(merged(&whole.halve().unwrap(), &members).unwrap(), whole);
    }
}
