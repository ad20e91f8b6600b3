//! Placement: old rings and members in, new rings out.
//!
//! What must hold: the plan keeps the rule that [`mod@crate::validate`] checks, or it is refused; equal arguments
//! give equal rings on every node; each node claims at least one partition. What it is judged by: the most loaded node's replicas over its fair share, and the replicas moved over the fewest that could
//! be moved ([`crate::measure`]).
//!
//! The way there: fair shares ([`mod@crate::fair`]) become whole quotas (`quota`), claims go from those who hold too
//! many to those who hold too few (`claim`), such that neighbours on the ring are distinct (`spacing`), and what
//! sits badly afterwards changes places (`repair`). Where racks leave neighbours that are not distinct, single claims
//! follow the replicas as counted on the ring (`balance`).
//!
//! Why not hashed tokens, as in the first strategy of Dynamo (section 6.2): their loads differ by a third and more,
//! and a node's ranges are cut anew with every change. This is its third strategy, equal partitions with claims, and
//! close to what Riak calls claiming; unlike there, weights, racks and the ring's end are part of the goal.

mod balance;
mod claim;
mod quota;
mod repair;
mod spacing;

use std::collections::BTreeMap;

use thiserror::Error;
use types::NodeId;

use crate::fair::{Claimant, fair_shares};
use crate::partition::Partitions;
use crate::rings::{Ring, RingMember, Rings};
use crate::validate::{RingFault, validate};

use balance::Balance;
use claim::Claiming;
use spacing::{FREE, Spacing};

/// The N that rings are balanced for. Any other N has its owners from the same rings, by the same walk, with the same
/// guarantees and a slightly less even load.
pub const REPLICAS_BALANCED: usize = 3;

/// Weights outside of this range are typing errors, and would starve the other nodes.
pub const WEIGHTS: std::ops::RangeInclusive<f64> = 0.001..=1_000.0;

/// A node to be placed.
#[derive(Clone, PartialEq, Debug)]
pub struct PlacementMember {
    /// The node.
    pub node: NodeId,
    /// The data center whose ring it joins.
    pub data_center: String,
    /// Its rack: whatever fails together with it. Names count within a data center.
    pub rack: String,
    /// Its capacity beside the others': a node of weight 2 should hold twice what a node of weight 1 holds.
    pub weight: f64,
}

/// Why no rings can be planned.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum PlacementError {
    /// A weight is not a positive number in range.
    #[error("node {node} has weight {weight}: a weight is a number from 0.001 to 1000, usually 1")]
    Weight {
        /// The node.
        node: NodeId,
        /// Its weight.
        weight: f64,
    },
    /// A node is listed twice.
    #[error("node {node} is listed twice among the members")]
    Twice {
        /// The node.
        node: NodeId,
    },
    /// A data center has more nodes than there are partitions to claim.
    #[error(
        "data center {data_center} has {nodes} nodes for {partitions} partitions: every node claims at least one, \
         so the cluster must be made with more partitions"
    )]
    TooManyNodes {
        /// The data center.
        data_center: String,
        /// Its nodes.
        nodes: usize,
        /// The partitions of the cluster.
        partitions: u16,
    },
    /// The plan broke the rule that every plan must keep, and is refused.
    #[error("the plan is refused: {0}")]
    Refused(RingFault),
}

/// The rings for `members`, as near to `old` as fair shares allow. Pure: equal arguments give equal rings anywhere.
///
/// # Errors
/// If the members cannot be placed, or if the plan fails [`validate`].
pub fn place(old: &Rings, members: &[PlacementMember]) -> Result<Rings, PlacementError> {
    let partitions = old.partitions();
    let mut rings = BTreeMap::new();
    for (data_center, members) in by_data_center(members)? {
        if members.len() > usize::from(partitions.count()) {
            let (nodes, partitions) = (members.len(), partitions.count());
            return Err(PlacementError::TooManyNodes {
                data_center: data_center.to_owned(),
                nodes,
                partitions,
            });
        }
        let ring = place_ring(old.ring(data_center), &members, partitions);
        rings.insert(data_center.to_owned(), ring);
    }
    let rings = Rings::new(partitions, rings).expect("each ring was made with this number of partitions");
    validate(&rings, members, REPLICAS_BALANCED).map_err(PlacementError::Refused)?;
    Ok(rings)
}

/// The members of each data center, ascending by node.
fn by_data_center(
    members: &[PlacementMember],
) -> Result<BTreeMap<&str, Vec<&PlacementMember>>, PlacementError> {
    let mut sorted: BTreeMap<NodeId, &PlacementMember> = BTreeMap::new();
    for member in members {
        if !WEIGHTS.contains(&member.weight) {
            return Err(PlacementError::Weight { node: member.node, weight: member.weight });
        }
        if sorted.insert(member.node, member).is_some() {
            return Err(PlacementError::Twice { node: member.node });
        }
    }
    let mut grouped: BTreeMap<&str, Vec<&PlacementMember>> = BTreeMap::new();
    for member in sorted.into_values() {
        grouped.entry(&member.data_center).or_default().push(member);
    }
    Ok(grouped)
}

fn place_ring(old: Option<&Ring>, members: &[&PlacementMember], partitions: Partitions) -> Ring {
    let ring_members: Vec<RingMember> =
        members.iter().map(|member| RingMember { node: member.node, rack: member.rack.clone() }).collect();
    let (rack_of, rounds) = crate::rings::racks(&ring_members);
    let old_claims = old_claims(old, members, partitions);

    let claimants: Vec<Claimant> = (rack_of.iter().zip(members))
        .map(|(&rack, member)| Claimant { rack, weight: member.weight })
        .collect();
    let shares = fair_shares(&claimants, REPLICAS_BALANCED);
    let held = claim::held(&old_claims, members.len());
    let quotas = quota::quotas(&shares, &rack_of, &held, partitions.count());

    let spacing = Spacing::new(REPLICAS_BALANCED, old_claims.len(), &rack_of, &rounds);
    let mut claims = old_claims.clone();
    Claiming::new(&spacing, &mut claims, &quotas).run();
    repair::repair(&spacing, &old_claims, &mut claims);
    let fair: Vec<f64> = shares.iter().map(|share| share * f64::from(partitions.count())).collect();
    Balance::new((&rack_of, &rounds), REPLICAS_BALANCED, &fair, &old_claims, &mut claims).run();

    let claims: Vec<NodeId> = claims.iter().map(|&index| members[usize::from(index)].node).collect();
    Ring::new(ring_members, &claims, partitions).expect("each quota is at least one and all of them are met")
}

/// The claims that members hold already, as indices; the others are free.
fn old_claims(old: Option<&Ring>, members: &[&PlacementMember], partitions: Partitions) -> Vec<u16> {
    let Some(old) = old else {
        return vec![FREE; usize::from(partitions.count())];
    };
    let index_of: BTreeMap<NodeId, u16> = members.iter().map(|member| member.node).zip(0..).collect();
    old.claims().map(|node| index_of.get(&node).copied().unwrap_or(FREE)).collect()
}
