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
    /// A ring knows other nodes, or other racks, than the members.
    #[error(
        "the ring of {data_center} does not have exactly the members of that data center, in their racks"
    )]
    Members {
        /// The data center.
        data_center: String,
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
}

/// Checks every partition of every ring for every N up to `replicas` per data center.
///
/// # Errors
/// The first fault found, in the order of data centers and partitions.
pub fn validate(rings: &Rings, members: &[PlacementMember], replicas: usize) -> Result<(), RingFault> {
    let mut expected: BTreeMap<&str, BTreeMap<NodeId, &str>> = BTreeMap::new();
    for member in members {
        expected
            .entry(&member.data_center)
            .or_default()
            .insert(member.node, &member.rack);
    }
    if !rings.iter().map(|(name, _)| name).eq(expected.keys().copied()) {
        return Err(RingFault::DataCenters {
            rings: rings.iter().map(|(name, _)| name.to_owned()).collect(),
            members: expected.keys().map(|&name| name.to_owned()).collect(),
        });
    }
    for ((data_center, ring), racks) in rings.iter().zip(expected.values()) {
        check_members(data_center, ring, racks)?;
        for partition in rings.partitions().iter() {
            check_partition(data_center, ring, racks, partition, replicas)?;
        }
    }
    Ok(())
}

fn check_members(data_center: &str, ring: &Ring, racks: &BTreeMap<NodeId, &str>) -> Result<(), RingFault> {
    let known = ring
        .members()
        .iter()
        .map(|member| (member.node, member.rack.as_str()));
    let claimants: BTreeSet<NodeId> = ring.claims().collect();
    if known.eq(racks.iter().map(|(&node, &rack)| (node, rack))) && claimants.len() == racks.len() {
        Ok(())
    } else {
        Err(RingFault::Members {
            data_center: data_center.to_owned(),
        })
    }
}

fn check_partition(
    data_center: &str,
    ring: &Ring,
    racks: &BTreeMap<NodeId, &str>,
    partition: PartitionId,
    replicas: usize,
) -> Result<(), RingFault> {
    let mut owners = Vec::with_capacity(replicas);
    ring.walk_into(partition, replicas, &mut owners);
    for count in 1..=replicas {
        let first = &owners[..count.min(owners.len())];
        let distinct: BTreeSet<NodeId> = first.iter().copied().collect();
        let wanted = count.min(racks.len());
        if distinct.len() != wanted {
            let data_center = data_center.to_owned();
            return Err(RingFault::Owners {
                data_center,
                partition,
                found: distinct.len(),
                wanted,
            });
        }
        if let Some(rack) = crowded_rack(&distinct, racks) {
            let (data_center, rack) = (data_center.to_owned(), rack.to_owned());
            return Err(RingFault::Racks {
                data_center,
                partition,
                rack,
            });
        }
    }
    Ok(())
}

/// A rack with at least two owners more than another rack that still has a node to give.
fn crowded_rack<'a>(owners: &BTreeSet<NodeId>, racks: &BTreeMap<NodeId, &'a str>) -> Option<&'a str> {
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let mut size: BTreeMap<&str, usize> = BTreeMap::new();
    for (node, &rack) in racks {
        *size.entry(rack).or_default() += 1;
        *used.entry(rack).or_default() += usize::from(owners.contains(node));
    }
    let least = used
        .iter()
        .filter(|&(rack, &count)| count < size[rack])
        .map(|(_, &count)| count)
        .min()?;
    used.into_iter()
        .find(|&(_, count)| count > least + 1)
        .map(|(rack, _)| rack)
}
