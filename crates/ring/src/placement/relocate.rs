//! One partition to a node of somebody's choice: by one claim that becomes that node's.
//!
//! A node owns a partition because the walk from there meets one of its claims. So a partition goes to a node if the walk meets a
//! claim of it sooner: one of the claims that the walk passes over becomes the node's. Each of them also lies on the walks of the
//! partitions before it, which may change owners too; the claim is chosen with which the fewest do.
//!
//! What must hold: the rings keep the rule ([`mod@crate::validate`]) for every N up to the one asked for, as every plan does; the
//! node owns the partition then, and who was to give it up does not. Loads are whoever asks' business: this is for partitions
//! that are not worth what others are. A later plan starts from here and evens out claims again, as it would have anyway.

use std::collections::BTreeMap;

use thiserror::Error;
use types::{NodeId, PartitionId};

use super::{PlacementMember, REPLICAS_BALANCED};
use crate::rings::{Ring, Rings, Walk};
use crate::validate::{RingFault, validate};

/// Why a partition does not go to a node.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum RelocateError {
    /// The ring has no such partition.
    #[error("there is no partition {partition}: the ring has {partitions}, from p0")]
    NoPartition {
        /// Which.
        partition: PartitionId,
        /// How many there are.
        partitions: u16,
    },
    /// The node is on no ring.
    #[error("{node} claims nothing: it is not among the members that stay")]
    NoMember {
        /// The node.
        node: NodeId,
    },
    /// It has it.
    #[error("{node} owns partition {partition} already")]
    IsOwner {
        /// Which.
        partition: PartitionId,
        /// The node.
        node: NodeId,
    },
    /// Who was to give it up does not have it.
    #[error("{node} does not own partition {partition} in the data center of the node that is to get it")]
    NoOwner {
        /// Which.
        partition: PartitionId,
        /// The node.
        node: NodeId,
    },
    /// No claim of its walk can be the node's.
    #[error("no single claim brings partition {partition} to {node}{}", because(.fault.as_ref()))]
    NoClaim {
        /// Which.
        partition: PartitionId,
        /// The node.
        node: NodeId,
        /// What would be wrong, if anything of the rule would be.
        fault: Option<RingFault>,
    },
}

fn because(fault: Option<&RingFault>) -> String {
    fault.map_or_else(
        || ": somebody else would give it up, or a node would be left without a claim".to_owned(),
        |fault| format!(": {fault}"),
    )
}

/// The rings in which `to` is one of the first `replicas` nodes of the walk from `partition`, in its data center, in the place of
/// `from` where that is said, and of whoever gives way where not. `members` are those of the rings.
///
/// # Errors
/// As [`RelocateError`] says.
pub fn relocate(
    old: &Rings,
    members: &[PlacementMember],
    replicas: usize,
    partition: PartitionId,
    (from, to): (Option<NodeId>, NodeId),
) -> Result<Rings, RelocateError> {
    let partitions = old.partitions().count();
    if partition.0 >= partitions {
        return Err(RelocateError::NoPartition { partition, partitions });
    }
    let has = |ring: &Ring| ring.members().iter().any(|member| member.node == to);
    let (data_center, ring) =
        old.iter().find(|(_, ring)| has(ring)).ok_or(RelocateError::NoMember { node: to })?;
    let before = owners(ring, partition, replicas);
    if before.contains(&to) {
        return Err(RelocateError::IsOwner { partition, node: to });
    }
    if let Some(node) = from.filter(|from| !before.contains(from)) {
        return Err(RelocateError::NoOwner { partition, node });
    }
    let mut walk = Walk::default();
    walk.run(ring.view(), usize::from(partition.0), replicas);
    let claims: Vec<NodeId> = ring.claims().collect();
    let (mut best, mut fault) = (None, None);
    for distance in 0..=walk.reach {
        let place = (usize::from(partition.0) + distance) % claims.len();
        let mut with = claims.clone();
        with[place] = to;
        let Ok(after) = Ring::new(ring.members().to_vec(), &with, old.partitions()) else { continue };
        let owned = owners(&after, partition, replicas);
        if !owned.contains(&to) || from.is_some_and(|from| owned.contains(&from)) {
            continue;
        }
        let moved = moved(ring, &after, old, replicas);
        if best.as_ref().is_some_and(|(fewest, _)| *fewest <= moved) {
            continue;
        }
        let rings = with_ring(old, data_center, after);
        match validate(&rings, members, replicas.max(REPLICAS_BALANCED)) {
            Ok(()) => best = Some((moved, rings)),
            Err(wrong) => {
                fault.get_or_insert(wrong);
            }
        }
    }
    best.map(|(_, rings)| rings).ok_or(RelocateError::NoClaim { partition, node: to, fault })
}

fn owners(ring: &Ring, partition: PartitionId, replicas: usize) -> Vec<NodeId> {
    let mut owners = Vec::with_capacity(replicas);
    ring.walk_into(partition, replicas, &mut owners);
    owners
}

/// How many replicas move from one ring to the other.
fn moved(before: &Ring, after: &Ring, rings: &Rings, replicas: usize) -> usize {
    let joins = |partition: PartitionId| {
        let had = owners(before, partition, replicas);
        owners(after, partition, replicas).into_iter().filter(|owner| !had.contains(owner)).count()
    };
    rings.partitions().iter().map(joins).sum()
}

fn with_ring(old: &Rings, data_center: &str, ring: Ring) -> Rings {
    let mut rings: BTreeMap<String, Ring> =
        old.iter().map(|(name, ring)| (name.to_owned(), ring.clone())).collect();
    rings.insert(data_center.to_owned(), ring);
    Rings::new(old.partitions(), rings).expect("all rings have the old number of partitions")
}
