//! Replacing a node: its successor takes exactly its place where it can.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use ring::measure::loads;
use ring::{
    Partitions, PlacementMember, REPLICAS_BALANCED, ReplicaCount, Rings, moves, place, replace, validate,
};
use types::NodeId;

fn members() -> Vec<PlacementMember> {
    let member = |node| PlacementMember {
        node: NodeId(node),
        data_center: format!("dc{}", node % 2),
        rack: format!("r{}", node % 4 / 2),
        weight: 1.0,
    };
    (1..=12).map(member).collect()
}

fn fresh(members: &[PlacementMember]) -> Rings {
    place(&Rings::empty(Partitions::default()), members).unwrap()
}

/// Node 5's successor, number 20, with what is given changed.
fn with_successor(change: impl Fn(&mut PlacementMember)) -> Vec<PlacementMember> {
    let mut after = members();
    let successor = after.iter_mut().find(|member| member.node == NodeId(5)).unwrap();
    successor.node = NodeId(20);
    change(successor);
    after
}

/// Like for like: every partition of the dead node gets its successor in the same slot, and no other one changes.
#[test]
fn an_equal_successor_takes_the_claims_one_for_one() {
    let old = fresh(&members());
    let new = replace(&old, &with_successor(|_| {}), NodeId(5), NodeId(20)).unwrap();
    let changes = moves(&old, &new, &ReplicaCount::Everywhere(3));
    let held = loads(&old, &members(), REPLICAS_BALANCED)[&NodeId(5)].replicas;
    assert_eq!(u32::try_from(changes.len()), Ok(held));
    for change in changes {
        assert_eq!(change.pairs().collect::<Vec<_>>(), [(Some(NodeId(5)), Some(NodeId(20)))]);
    }
    let successors = |node| if node == NodeId(5) { NodeId(20) } else { node };
    for (data_center, ring) in old.iter() {
        assert!(ring.claims().map(successors).eq(new.ring(data_center).unwrap().claims()));
    }
}

/// A successor of another weight or in another rack makes a sound and balanced plan all the same.
#[test]
fn an_unequal_successor_is_placed_fairly() {
    let old = fresh(&members());
    let others: [fn(&mut PlacementMember); 3] = [
        |successor| successor.weight = 3.0,
        |successor| successor.rack = "r0".into(),
        |successor| successor.rack = "r7".into(),
    ];
    for change in others {
        let after = with_successor(change);
        let new = replace(&old, &after, NodeId(5), NodeId(20)).unwrap();
        assert_eq!(validate(&new, &after, 5), Ok(()));
        for (node, load) in loads(&new, &after, REPLICAS_BALANCED) {
            assert!(f64::from(load.replicas) <= load.fair * 1.05 + 4.0, "{node}: {load:?}");
        }
    }
}

/// Other members may come with it: a join beside a replacement is one plan.
#[test]
fn others_may_join_beside_a_replacement() {
    let mut after = with_successor(|_| {});
    after.push(PlacementMember { node: NodeId(21), ..after[0].clone() });
    let new = replace(&fresh(&members()), &after, NodeId(5), NodeId(20)).unwrap();
    assert_eq!(validate(&new, &after, 5), Ok(()));
    let loads = loads(&new, &after, REPLICAS_BALANCED);
    for node in [NodeId(20), NodeId(21)] {
        assert!((0.9..=1.1).contains(&loads[&node].ratio()), "{node}: {:?}", loads[&node]);
    }
}

#[test]
fn what_is_no_replacement_is_refused_in_words() {
    let old = fresh(&members());
    let refused = |members: &[PlacementMember], dead, fresh| {
        replace(&old, members, NodeId(dead), NodeId(fresh)).unwrap_err().to_string()
    };
    let after = with_successor(|_| {});
    assert_eq!(
        refused(&after, 30, 20),
        "node n#20 cannot take the place of node n#30: there is no such node on any ring to replace"
    );
    assert_eq!(
        refused(&members(), 5, 20),
        "node n#20 cannot take the place of node n#5: the node to be replaced is still among the members"
    );
    assert_eq!(
        refused(&after, 5, 31),
        "node n#31 cannot take the place of node n#5: the new node is not among the members"
    );
    assert_eq!(
        refused(&after, 5, 7),
        "node n#7 cannot take the place of node n#5: it has claims of its own already"
    );
    let elsewhere = with_successor(|successor| successor.data_center = "dc0".into());
    assert_eq!(
        refused(&elsewhere, 5, 20),
        "node n#20 cannot take the place of node n#5: it is in another data center, whose ring is another"
    );
}
