//! The rule that every plan must keep, checked without trusting what made the plan (INVARIANTS E5).
//!
//! For every partition, the last ones with their walk round the ring's end included: min(N, nodes) distinct owners,
//! all of them members, with racks as even as the racks allow: N distinct ones while there are that many. Every
//! member is met by some walk. This is written as counting over the finished owner lists, not as a walk, so that a
//! mistake in the walk does not hide itself.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use types::{NodeId, PartitionId};

use crate::placement::PlacementMember;
use crate::rings::{Ring, Rings};

/// How rings break the rule.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RingFault {
    /// The rings are of other data centers than the members.
    #[error("the rings are of the data centers {rings:?}, the members of {members:?}")]
    DataCenters {
        /// Data centers with a ring.
        rings: Vec<String>,
        /// Data centers with members.
        members: Vec<String>,
    },
    /// A node is a member of two data centers, or twice of one.
    #[error("node {node} is listed twice among the members")]
    Twice {
        /// The node.
        node: NodeId,
    },
    /// A ring has claims of a node that is no member of its data center.
    #[error("the ring of {data_center} has node {node}, which is not a member of that data center")]
    Stranger {
        /// The data center.
        data_center: String,
        /// The node.
        node: NodeId,
    },
    /// A member has no claims.
    #[error("member {node} of {data_center} claims no partition there: no walk would ever meet it")]
    Idle {
        /// The data center.
        data_center: String,
        /// The member.
        node: NodeId,
    },
    /// A ring was made for another rack than the member is in.
    #[error("the ring of {data_center} has node {node} in rack {on_ring}; it is in rack {rack}")]
    Rehoused {
        /// The data center.
        data_center: String,
        /// The member.
        node: NodeId,
        /// Its rack as the ring has it.
        on_ring: String,
        /// Its rack.
        rack: String,
    },
    /// A partition has too few distinct owners.
    #[error("partition {partition} has {found} distinct owners in {data_center}, not {wanted}")]
    Owners {
        /// The data center.
        data_center: String,
        /// The partition.
        partition: PartitionId,
        /// Distinct owners found.
        found: usize,
        /// Distinct owners wanted.
        wanted: usize,
    },
    /// A partition's owners share racks that they need not share.
    #[error("the owners of partition {partition} in {data_center} crowd rack {rack}: others have room")]
    Racks {
        /// The data center.
        data_center: String,
        /// The partition.
        partition: PartitionId,
        /// The crowded rack.
        rack: String,
    },
    /// A node would hold far more or far less than its weight earns (see [`mod@crate::bounds`]).
    #[error(
        "node {node} of {data_center} would hold {replicas} replicas; its weight earns {fair}, and from {least} to \
         {most} are allowed"
    )]
    Load {
        /// The data center.
        data_center: String,
        /// The node.
        node: NodeId,
        /// What it would hold.
        replicas: u32,
        /// Its fair share, rounded.
        fair: u32,
        /// The fewest that are allowed.
        least: u32,
        /// The most that are allowed.
        most: u32,
    },
}

/// What one data center should have.
#[derive(Default)]
struct Expected<'a> {
    /// The rack of each node.
    racks: BTreeMap<NodeId, &'a str>,
    /// How many nodes each rack has.
    sizes: BTreeMap<&'a str, usize>,
}

/// Checks every partition of every ring for every N up to `replicas` per data center.
///
/// # Errors
/// The first fault found, in the order of data centers and partitions.
pub fn validate(rings: &Rings, members: &[PlacementMember], replicas: usize) -> Result<(), RingFault> {
    let mut expected: BTreeMap<&str, Expected<'_>> = BTreeMap::new();
    for member in members {
        if expected.values().any(|data_center| data_center.racks.contains_key(&member.node)) {
            return Err(RingFault::Twice { node: member.node });
        }
        let data_center = expected.entry(&member.data_center).or_default();
        data_center.racks.insert(member.node, &member.rack);
        *data_center.sizes.entry(&member.rack).or_default() += 1;
    }
    if !rings.iter().map(|(name, _)| name).eq(expected.keys().copied()) {
        return Err(RingFault::DataCenters {
            rings: rings.iter().map(|(name, _)| name.to_owned()).collect(),
            members: expected.keys().map(|&name| name.to_owned()).collect(),
        });
    }
    for ((data_center, ring), expected) in rings.iter().zip(expected.values()) {
        check_members(data_center, ring, expected)?;
        let mut owners = Vec::with_capacity(replicas);
        for partition in rings.partitions().iter() {
            owners.clear();
            ring.walk_into(partition, replicas, &mut owners);
            check_owners(data_center, expected, partition, &owners, replicas)?;
        }
    }
    Ok(())
}

fn check_members(data_center: &str, ring: &Ring, expected: &Expected<'_>) -> Result<(), RingFault> {
    let data_center = || data_center.to_owned();
    let claimants: BTreeSet<NodeId> = ring.claims().collect();
    for member in ring.members() {
        let node = member.node;
        match expected.racks.get(&node) {
            None => return Err(RingFault::Stranger { data_center: data_center(), node }),
            Some(&rack) if rack != member.rack => {
                let (on_ring, rack) = (member.rack.clone(), rack.to_owned());
                return Err(RingFault::Rehoused { data_center: data_center(), node, on_ring, rack });
            }
            Some(_) => {}
        }
    }
    if let Some(&node) = claimants.iter().find(|node| !expected.racks.contains_key(node)) {
        return Err(RingFault::Stranger { data_center: data_center(), node });
    }
    match expected.racks.keys().find(|node| !claimants.contains(node)) {
        Some(&node) => Err(RingFault::Idle { data_center: data_center(), node }),
        None => Ok(()),
    }
}

fn check_owners(
    data_center: &str,
    expected: &Expected<'_>,
    partition: PartitionId,
    owners: &[NodeId],
    replicas: usize,
) -> Result<(), RingFault> {
    for count in 1..=replicas {
        let distinct: BTreeSet<NodeId> = owners.iter().copied().take(count).collect();
        let wanted = count.min(expected.racks.len());
        if distinct.len() != wanted {
            let data_center = data_center.to_owned();
            return Err(RingFault::Owners { data_center, partition, found: distinct.len(), wanted });
        }
        if let Some(rack) = crowded_rack(&distinct, expected) {
            let (data_center, rack) = (data_center.to_owned(), rack.to_owned());
            return Err(RingFault::Racks { data_center, partition, rack });
        }
    }
    Ok(())
}

/// A rack with at least two owners more than another rack that still has a node to give.
fn crowded_rack<'a>(owners: &BTreeSet<NodeId>, expected: &Expected<'a>) -> Option<&'a str> {
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for owner in owners {
        *used.entry(expected.racks[owner]).or_default() += 1;
    }
    let used_of = |rack: &str| used.get(rack).copied().unwrap_or(0);
    let open = expected.sizes.iter().filter(|&(rack, &size)| used_of(rack) < size);
    let least = open.map(|(rack, _)| used_of(rack)).min()?;
    used.into_iter().find(|&(_, count)| count > least + 1).map(|(rack, _)| rack)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Partitions;
    use crate::rings::RingMember;

    fn member(node: u16, rack: &str) -> PlacementMember {
        PlacementMember { node: NodeId(node), data_center: "dc1".into(), rack: rack.into(), weight: 1.0 }
    }

    fn rings(members: &[PlacementMember], claims: &[u16]) -> Rings {
        let partitions = Partitions::new(claims.len() as u64).unwrap();
        let claims: Vec<NodeId> = claims.iter().map(|&node| NodeId(node)).collect();
        let ring_members = members
            .iter()
            .map(|member| RingMember { node: member.node, rack: member.rack.clone() })
            .collect();
        let ring = Ring::new(ring_members, &claims, partitions).unwrap();
        Rings::new(partitions, BTreeMap::from([("dc1".to_owned(), ring)])).unwrap()
    }

    #[test]
    fn a_sound_ring_passes() {
        let members = [member(1, "a"), member(2, "b"), member(3, "a")];
        assert_eq!(validate(&rings(&members, &[1, 2, 3, 2]), &members, 3), Ok(()));
    }

    /// A ring made for other racks than the members have now hides that owners share a rack.
    #[test]
    fn rings_of_other_racks_are_refused() {
        let (before, after) = ([member(1, "a"), member(2, "b")], [member(1, "a"), member(2, "a")]);
        let fault = validate(&rings(&before, &[1, 2]), &after, 2);
        assert_eq!(fault.unwrap_err().to_string(), "the ring of dc1 has node n#2 in rack b; it is in rack a");
    }

    /// A claim of a node that has left would send writes to where nobody keeps them.
    #[test]
    fn claims_of_strangers_are_refused() {
        let before = [member(1, "a"), member(2, "b"), member(3, "a")];
        let fault = validate(&rings(&before, &[1, 2, 3, 2]), &before[..2], 3).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the ring of dc1 has node n#3, which is not a member of that data center"
        );
    }

    /// A member without a claim would pay for nothing and hold nothing.
    #[test]
    fn members_without_claims_are_refused() {
        let after = [member(1, "a"), member(2, "b"), member(3, "a")];
        let fault = validate(&rings(&after[..2], &[1, 2, 1, 2]), &after, 3).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "member n#3 of dc1 claims no partition there: no walk would ever meet it"
        );
    }

    /// One node in two data centers would be two of a partition's replicas.
    #[test]
    fn members_of_two_data_centers_are_refused() {
        let members = [member(1, "a"), member(2, "b")];
        let mut twice = members.to_vec();
        twice.push(PlacementMember { data_center: "dc2".into(), ..member(2, "b") });
        let fault = validate(&rings(&members, &[1, 2]), &twice, 2).unwrap_err();
        assert_eq!(fault.to_string(), "node n#2 is listed twice among the members");
    }

    #[test]
    fn rings_of_other_data_centers_are_refused() {
        let members = [member(1, "a"), member(2, "b")];
        let rings = rings(&members, &[1, 2]);
        let mut moved = members.clone();
        moved[1].data_center = "dc2".into();
        assert!(matches!(validate(&rings, &moved, 2), Err(RingFault::DataCenters { .. })));
    }

    /// The counting itself: lists that no walk of ours would give must still be caught.
    #[test]
    fn doubled_owners_and_crowded_racks_are_caught() {
        let mut expected = Expected::default();
        for (node, rack) in [(1, "a"), (2, "a"), (3, "b"), (4, "b")] {
            expected.racks.insert(NodeId(node), rack);
            *expected.sizes.entry(rack).or_default() += 1;
        }
        let check = |owners: [u16; 3]| {
            check_owners("dc1", &expected, PartitionId(0), &owners.map(NodeId), 3)
                .map_err(|fault| fault.to_string())
        };
        assert_eq!(check([1, 3, 2]), Ok(()));
        assert_eq!(check([1, 3, 1]), Err("partition p0 has 2 distinct owners in dc1, not 3".into()));
        assert_eq!(
            check([1, 2, 3]),
            Err("the owners of partition p0 in dc1 crowd rack a: others have room".into())
        );
    }
}
