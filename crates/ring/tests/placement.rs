//! Placement: fair when fresh, near the least moves when changed, sound after any history.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use ring::measure::{loads, moves};
use ring::{Partitions, PlacementError, PlacementMember, REPLICAS_BALANCED, Rings, Slot, place, validate};
use types::NodeId;

fn member(node: u16, rack: &str, weight: f64) -> PlacementMember {
    PlacementMember { node: NodeId(node), data_center: "dc1".into(), rack: rack.into(), weight }
}

fn equal(nodes: u16) -> Vec<PlacementMember> {
    (1..=nodes).map(|node| member(node, "r", 1.0)).collect()
}

fn fresh(members: &[PlacementMember]) -> Rings {
    place(&Rings::empty(Partitions::default()), members).unwrap()
}

fn claims(rings: &Rings) -> Vec<NodeId> {
    rings.ring("dc1").unwrap().claims().collect()
}

#[test]
fn a_fresh_cluster_of_equal_nodes_is_balanced_in_replicas() {
    for nodes in 3..=8 {
        let members = equal(nodes);
        for (node, load) in loads(&fresh(&members), &members, REPLICAS_BALANCED) {
            assert!(load.ratio() <= 1.05, "{nodes} nodes: {node} holds {load:?}");
        }
    }
}

#[test]
fn replicas_follow_weight() {
    let members: Vec<_> =
        [(1, 1.0), (2, 2.0), (3, 2.0), (4, 3.0)].map(|(n, weight)| member(n, "r", weight)).into();
    let loads = loads(&fresh(&members), &members, REPLICAS_BALANCED);
    let replicas: Vec<u32> = loads.values().map(|load| load.replicas).collect();
    // The heaviest can hold each of the 256 partitions once and no more; the rest share 512 by weight.
    assert_eq!(loads[&NodeId(4)].fair, 256.0);
    assert_eq!(replicas.iter().sum::<u32>(), 768);
    for load in loads.values() {
        assert!((0.95..=1.05).contains(&load.ratio()), "{load:?}");
    }
}

/// Consistent hashing: "a new node takes only from those who are there", and nothing moves between them.
#[test]
fn what_moves_when_a_node_joins_moves_to_it() {
    let before = fresh(&equal(5));
    let after = place(&before, &equal(6)).unwrap();
    let moved = claims(&before).into_iter().zip(claims(&after)).filter(|(old, new)| old != new);
    let (count, to_new) =
        moved.fold((0, 0), |(count, to_new), (_, new)| (count + 1, to_new + u32::from(new == NodeId(6))));
    assert_eq!(count, to_new, "a claim moved between nodes that stayed");
    assert!((41..=43).contains(&count), "a sixth of 256 is 42 or 43, and 41 is near enough, not {count}");
}

/// ... and when it leaves, what it held moves, and of the rest only what keeps neighbours distinct.
#[test]
fn what_moves_when_a_node_leaves_was_its_own() {
    let before = fresh(&equal(6));
    let after = place(&before, &equal(5)).unwrap();
    let moved = claims(&before).into_iter().zip(claims(&after)).filter(|(old, new)| old != new);
    let others = moved.filter(|&(old, _)| old != NodeId(6)).count();
    assert!(others <= 4, "{others} claims of nodes that stayed have moved; the leaver held 42");
}

/// The textbook comparison: going from 5 to 6 servers, `hash % servers` moves five keys of six, the ring one of six.
#[test]
fn modulo_placement_would_have_moved_five_times_as_much() {
    let (before, after) = (fresh(&equal(5)), place(&fresh(&equal(5)), &equal(6)).unwrap());
    let partitions = before.partitions();
    let (old, new) = (claims(&before), claims(&after));
    let (mut modulo, mut ours) = (0, 0);
    for number in 0..60_000_u32 {
        let key = format!("key:{number}");
        let hash = ring::key_hash(key.as_bytes());
        modulo += u32::from(hash % 5 != hash % 6);
        let partition = usize::from(partitions.of_slot(Slot::of_key(key.as_bytes())).0);
        ours += u32::from(old[partition] != new[partition]);
    }
    assert!((49_000..51_000).contains(&modulo), "modulo moved {modulo} keys of 60,000");
    assert!((9_000..11_000).contains(&ours), "the ring moved {ours} keys of 60,000");
}

/// In replicas, which is what crosses the network: a join moves the joiner's share and next to nothing else.
#[test]
fn a_join_moves_about_the_least_in_replicas() {
    let mut members = equal(8);
    let mut rings = fresh(&members);
    for node in 9..=12 {
        members.push(member(node, "r", 1.0));
        let planned = place(&rings, &members).unwrap();
        let moves = moves(&rings, &planned, &members, REPLICAS_BALANCED);
        assert!(f64::from(moves.replicas) <= moves.replicas_least * 1.10, "{node}: {moves:?}");
        rings = planned;
    }
}

/// A plan is the same on every node that computes it, whatever the order in which it lists the members.
#[test]
fn the_order_of_members_does_not_matter() {
    let mut members: Vec<_> =
        (1..=9).map(|node| member(node, ["a", "b"][node as usize % 2], f64::from(node))).collect();
    let rings = fresh(&members);
    members.reverse();
    assert_eq!(fresh(&members), rings);
}

#[test]
fn nothing_moves_when_nothing_changes() {
    for members in
        [equal(7), (1..=9).map(|node| member(node, &format!("r{}", node % 4), f64::from(node))).collect()]
    {
        let rings = fresh(&members);
        assert_eq!(place(&rings, &members).unwrap(), rings);
    }
}

/// When a node fails, its load goes to many: the nodes that follow it on the ring are not always the same few.
#[test]
fn a_node_has_many_successors() {
    let claims = claims(&fresh(&equal(12)));
    let mut successors: BTreeMap<NodeId, std::collections::BTreeSet<NodeId>> = BTreeMap::new();
    for (position, &node) in claims.iter().enumerate() {
        successors.entry(node).or_default().insert(claims[(position + 1) % claims.len()]);
    }
    assert!(successors.values().all(|of_node| of_node.len() >= 6), "{successors:?}");
}

#[test]
fn members_that_cannot_be_placed_are_refused() {
    let refused = |members: &[PlacementMember], partitions: u64| {
        place(&Rings::empty(Partitions::new(partitions).unwrap()), members).unwrap_err()
    };
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = refused(&[member(1, "r", weight)], 256).to_string();
        assert_eq!(
            error,
            format!("node n#1 has weight {weight}: a weight is a number from 0.001 to 1000, usually 1")
        );
    }
    assert_eq!(
        refused(&[member(1, "r", 1.0), member(1, "s", 1.0)], 256),
        PlacementError::Twice { node: NodeId(1) }
    );
    assert!(matches!(refused(&equal(5), 4), PlacementError::TooManyNodes { nodes: 5, partitions: 4, .. }));
}

#[test]
fn no_members_make_no_rings() {
    assert_eq!(fresh(&[]).iter().count(), 0);
}

/// One step in the life of a cluster.
#[derive(Clone, Debug)]
enum Change {
    Join { rack: u8, data_center: u8, weight: u8 },
    Leave(prop::sample::Index),
    Reweigh(prop::sample::Index, u8),
    Rehouse(prop::sample::Index, u8),
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0_u8..4, 0_u8..2, 1_u8..=8)
            .prop_map(|(rack, data_center, weight)| Change::Join { rack, data_center, weight }),
        2 => any::<prop::sample::Index>().prop_map(Change::Leave),
        1 => (any::<prop::sample::Index>(), 1_u8..=8).prop_map(|(index, weight)| Change::Reweigh(index, weight)),
        1 => (any::<prop::sample::Index>(), 0_u8..4).prop_map(|(index, rack)| Change::Rehouse(index, rack)),
    ]
}

fn apply(members: &mut Vec<PlacementMember>, next: &mut u16, change: &Change) {
    let pick = |members: &[PlacementMember], index: &prop::sample::Index| {
        (!members.is_empty()).then(|| index.index(members.len()))
    };
    match change {
        Change::Join { rack, data_center, weight } => {
            let mut joiner = member(*next, &format!("r{rack}"), f64::from(*weight));
            joiner.data_center = format!("dc{data_center}");
            members.push(joiner);
            *next += 1;
        }
        Change::Leave(index) => {
            pick(members, index).map(|at| members.remove(at));
        }
        Change::Reweigh(index, weight) => {
            if let Some(at) = pick(members, index) {
                members[at].weight = f64::from(*weight);
            }
        }
        Change::Rehouse(index, rack) => {
            if let Some(at) = pick(members, index) {
                members[at].rack = format!("r{rack}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// After any history: the rule holds, and no node holds more than its share, the slack of the goal, and one claim.
    #[test]
    fn any_history_stays_sound(changes in prop::collection::vec(any_change(), 1..14)) {
        let (mut members, mut next) = (Vec::new(), 1);
        let mut rings = Rings::empty(Partitions::new(64).unwrap());
        for change in &changes {
            apply(&mut members, &mut next, change);
            let planned = place(&rings, &members).unwrap();
            prop_assert_eq!(validate(&planned, &members, 5), Ok(()));
            prop_assert_eq!(&place(&rings, &members).unwrap(), &planned, "not deterministic");
            for (node, load) in loads(&planned, &members, REPLICAS_BALANCED) {
                prop_assert!(f64::from(load.replicas) <= load.fair * 1.05 + 4.0, "{node}: {load:?}");
            }
            rings = planned;
        }
    }
}
