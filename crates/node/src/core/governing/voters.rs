//! Who should vote on the cluster state: a few members, in as many data centers and racks as can be.
//!
//! What must hold: pure, so that founding nodes agree on the first voters without a word; an odd number, at most five (DESIGN 8);
//! and nobody is replaced without need: a voter that may stay is preferred to one that is as good.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{ClusterState, Member};
use consensus::MemberId;
use types::NodeId;

/// The most voters that there should be.
const VOTERS_MAX: usize = 5;

/// The most that there are while one takes the place of another: he votes before the other is let go.
pub(super) const VOTERS_AT_ONCE_MAX: usize = VOTERS_MAX + 1;

/// How many voters so many members should have.
pub(super) fn wanted(members: usize) -> usize {
    match members {
        0 => 0,
        1 | 2 => 1,
        3 | 4 => 3,
        _ => VOTERS_MAX,
    }
}

/// The number of a member of the group whose node this is, above all that were given before.
pub(super) fn fresh(node: NodeId, highest: MemberId) -> MemberId {
    MemberId((((highest.0 >> 16) + 1) << 16) | u64::from(node.0))
}

/// The number of the only member of a group that begins a history again: above all of earlier generations.
pub(super) fn first(generation: u32, node: NodeId) -> MemberId {
    fresh(node, MemberId(u64::from(generation) << 40))
}

/// The node of a member of the group.
pub(super) fn node_of(member: MemberId) -> NodeId {
    let [low, high, ..] = member.0.to_le_bytes();
    NodeId(u16::from_le_bytes([low, high]))
}

/// The voters with which a cluster is founded.
pub(super) fn founding(state: &ClusterState) -> BTreeSet<NodeId> {
    choose(state.members(), |_| true, |_| false)
}

/// Who should vote of those that may.
pub(super) fn choose(
    members: &[Member],
    may: impl Fn(NodeId) -> bool,
    votes: impl Fn(NodeId) -> bool,
) -> BTreeSet<NodeId> {
    let stay = members.iter().filter(|member| member.standing.stays());
    let mut able: Vec<&Member> = stay.clone().filter(|member| may(member.id)).collect();
    let wanted = wanted(stay.count());
    let mut chosen = BTreeSet::new();
    let (mut in_data_center, mut in_rack) = (BTreeMap::new(), BTreeMap::new());
    while chosen.len() < wanted {
        let taken = |counts: &BTreeMap<_, usize>, place| counts.get(&place).copied().unwrap_or(0);
        let next = able.iter().enumerate().min_by_key(|(_, member)| {
            let (data_center, rack) = (member.data_center.as_str(), member.rack.as_str());
            let crowd = (taken(&in_data_center, (data_center, "")), taken(&in_rack, (data_center, rack)));
            (crowd, !votes(member.id), member.id)
        });
        let Some((place, member)) = next.map(|(place, member)| (place, *member)) else { break };
        *in_data_center.entry((member.data_center.as_str(), "")).or_default() += 1;
        *in_rack.entry((member.data_center.as_str(), member.rack.as_str())).or_default() += 1;
        chosen.insert(member.id);
        able.remove(place);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use cluster::{FoundingPlan, MemberPlan};
    use ring::Partitions;

    use super::*;

    fn state(places: &[(&str, &str)]) -> ClusterState {
        let member = |(index, (data_center, rack)): (usize, &(&str, &str))| MemberPlan {
            name: format!("n{index:03}"),
            data_center: (*data_center).to_owned(),
            rack: (*rack).to_owned(),
            weight: 1.0,
            addresses: cluster::Addresses::default(),
        };
        let plan = FoundingPlan {
            name: "test".to_owned(),
            members: places.iter().enumerate().map(member).collect(),
            partitions: Partitions::default(),
            keyspaces: Vec::new(),
        };
        ClusterState::found(plan).expect("a cluster")
    }

    #[test]
    fn voters_are_few_odd_and_spread() {
        for (nodes, voters) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (9, 5)] {
            assert_eq!(founding(&state(&vec![("dc1", "r1"); nodes])).len(), voters);
        }
        let state = state(&[
            ("dc1", "a"),
            ("dc1", "a"),
            ("dc1", "a"),
            ("dc1", "b"),
            ("dc2", "a"),
            ("dc2", "a"),
            ("dc3", "a"),
        ]);
        let chosen = founding(&state);
        let places = chosen.iter().filter_map(|node| state.member(*node));
        let places: BTreeSet<_> = places.map(|one| (one.data_center.clone(), one.rack.clone())).collect();
        assert_eq!(places.len(), 4, "every rack there is has one");
    }

    #[test]
    fn who_votes_stays_where_another_is_no_better() {
        let state = state(&[("dc1", "a"); 4]);
        let three = choose(state.members(), |_| true, |node| node.0 >= 2);
        assert_eq!(three, BTreeSet::from([NodeId(2), NodeId(3), NodeId(4)]));
    }

    #[test]
    fn numbers_go_up_and_name_their_nodes() {
        let again = first(1, NodeId(7));
        assert!(again > fresh(NodeId(u16::MAX), MemberId(1 << 36)) && node_of(again) == NodeId(7));
        assert!(first(2, NodeId(1)) > again);
        let first = fresh(NodeId(7), MemberId(3));
        let again = fresh(NodeId(2), first);
        assert!(again > first && node_of(first) == NodeId(7) && node_of(again) == NodeId(2));
        assert_eq!(node_of(MemberId(5)), NodeId(5), "founding voters have the numbers of their nodes");
    }
}
