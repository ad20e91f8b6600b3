//! One partition goes to a node of somebody's choice, and the rule holds.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use proptest::prelude::*;
use ring::{Partitions, PlacementMember, RelocateError, Rings, moves, place, relocate, validate};
use ring::{REPLICAS_BALANCED, ReplicaCount};
use types::{NodeId, PartitionId};

fn members(nodes: u16, racks: u16) -> Vec<PlacementMember> {
    let member = |node: u16| PlacementMember {
        node: NodeId(node),
        data_center: if node.is_multiple_of(7) { "dc2" } else { "dc1" }.to_owned(),
        rack: format!("r{}", node % racks),
        weight: 1.0,
    };
    (1..=nodes).map(member).collect()
}

fn placed(members: &[PlacementMember], partitions: u64) -> Rings {
    place(&Rings::empty(Partitions::new(partitions).unwrap()), members).unwrap()
}

fn owners(rings: &Rings, data_center: &str, partition: PartitionId, replicas: usize) -> Vec<NodeId> {
    let mut owners = Vec::new();
    rings.ring(data_center).unwrap().walk_into(partition, replicas, &mut owners);
    owners
}

proptest! {
    /// Whatever is asked, the rings that come of it keep the rule, the node owns the partition, who was to give it up does not, and
    /// one claim is another; or it is refused.
    #[test]
    fn the_node_owns_the_partition_and_the_rule_holds(
        nodes in 4_u16..24, racks in 1_u16..6, exponent in 5_u32..9, replicas in 1_usize..4,
        partition in any::<u16>(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
        is_said in any::<bool>(),
    ) {
        let members = members(nodes, racks);
        let old = placed(&members, 1 << exponent);
        let partition = PartitionId(partition % (1 << exponent));
        let to = &members[to.index(members.len())];
        let had = owners(&old, &to.data_center, partition, replicas);
        let from = is_said.then(|| had[from.index(had.len())]);
        match relocate(&old, &members, replicas, partition, (from, to.node)) {
            Ok(new) => {
                prop_assert_eq!(validate(&new, &members, replicas.max(REPLICAS_BALANCED)), Ok(()));
                let has = owners(&new, &to.data_center, partition, replicas);
                prop_assert!(has.contains(&to.node) && !had.contains(&to.node));
                prop_assert!(from.is_none_or(|from| !has.contains(&from)));
                let changed = old.iter().zip(new.iter()).flat_map(|((_, old), (_, new))| {
                    old.claims().zip(new.claims()).filter(|(old, new)| old != new).collect::<Vec<_>>()
                });
                let changed: Vec<_> = changed.collect();
                prop_assert_eq!(changed.len(), 1);
                prop_assert_eq!(changed[0].1, to.node);
                let again = relocate(&new, &members, replicas, partition, (None, to.node));
                prop_assert_eq!(again, Err(RelocateError::IsOwner { partition, node: to.node }));
            }
            Err(RelocateError::IsOwner { .. }) => prop_assert!(had.contains(&to.node)),
            Err(RelocateError::NoClaim { .. }) => {}
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    /// Where there is one rack and N is 1, any partition goes to any node that stays: only who has one claim keeps it.
    #[test]
    fn one_copy_goes_anywhere(nodes in 2_u16..20, partition in 0_u16..256, to in any::<prop::sample::Index>()) {
        let members: Vec<PlacementMember> = members(nodes, 1).into_iter()
            .map(|member| PlacementMember { data_center: "dc1".to_owned(), ..member }).collect();
        let old = placed(&members, 256);
        let (partition, to) = (PartitionId(partition), members[to.index(members.len())].node);
        prop_assume!(owners(&old, "dc1", partition, 1) != [to]);
        let new = relocate(&old, &members, 1, partition, (None, to)).unwrap();
        prop_assert_eq!(owners(&new, "dc1", partition, 1), [to]);
        let moved = moves(&old, &new, &ReplicaCount::Everywhere(1));
        prop_assert_eq!(moved.len(), 1);
        prop_assert_eq!(moved[0].partition, partition);
    }
}

#[test]
fn what_cannot_be_asked_is_named() {
    let members = members(5, 5);
    let old = placed(&members, 64);
    let asked = |partition: u16, from: Option<u16>, to: u16| {
        let pair = (from.map(NodeId), NodeId(to));
        relocate(&old, &members, 3, PartitionId(partition), pair).unwrap_err().to_string()
    };
    assert_eq!(asked(64, None, 1), "there is no partition p64: the ring has 64, from p0");
    assert_eq!(asked(3, None, 9), "n#9 claims nothing: it is not among the members that stay");
    let had = owners(&old, "dc1", PartitionId(3), 3);
    let other =
        members.iter().map(|member| member.node).filter(|node| !had.contains(node)).collect::<Vec<_>>();
    assert!(asked(3, None, had[0].0).ends_with("owns partition p3 already"));
    assert!(asked(3, Some(other[0].0), other[1].0).contains("does not own partition p3"));
}
