//! Placement: old rings and members in, new rings out.
//!
//! What must hold: the plan keeps the rule that [`mod@crate::validate`] checks, or it is refused; equal arguments
//! give equal rings on every node; each node claims at least one partition. What it is judged by: the most loaded node's replicas over its fair share, and the replicas moved over the fewest that could
//! be moved ([`crate::measure`]).
//!
//! The way there (`plan`): fair shares ([`mod@crate::fair`]) become whole quotas (`quota`), claims go from those who hold
//! too many to those who hold too few (`claim`), such that neighbours on the ring are distinct (`spacing`), and on a
//! new ring what sits badly changes places (`repair`). Where that moves too much, racks are given their positions first
//! (`pattern`, `prices`), and nodes where they are at home (`home`). Then single claims are weighed by the replicas that they move
//! and balance, as counted on the ring (`settle`, `tally`). Several changes at once are one plan like any other;
//! `change` has those that are more than new members: a node in the place of another, and half as many partitions.
//!
//! Why not hashed tokens, as in the first strategy of Dynamo (section 6.2): their loads differ by a third and more,
//! and a node's ranges are cut anew with every change. This is its third strategy, equal partitions with claims, and
//! close to what Riak calls claiming; unlike there, weights, racks and the ring's end are part of the goal.

mod change;
mod claim;
mod home;
mod lattice;
mod pattern;
mod plan;
mod prices;
mod quota;
mod relocate;
mod repair;
mod settle;
mod spacing;
mod tally;

use std::collections::BTreeMap;

use thiserror::Error;
use types::NodeId;

use crate::bounds::validate_plan;
use crate::partition::Partitions;
use crate::rings::Rings;
use crate::validate::RingFault;

pub use change::{merged, replace};
use plan::{Before, place_ring};
pub use relocate::{RelocateError, relocate};
use spacing::FREE;

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
    /// A node is to be replaced by one that is not there to replace it, or is itself still a member.
    #[error("node {fresh} cannot take the place of node {dead}: {reason}")]
    Replace {
        /// The node to be replaced.
        dead: NodeId,
        /// The node that is to take its place.
        fresh: NodeId,
        /// What is in the way.
        reason: &'static str,
    },
    /// There is only one partition, which is no half of anything.
    #[error("the cluster has one partition only: there are no halves to merge")]
    NoHalves,
    /// The plan broke the rule that every plan must keep, and is refused.
    #[error("the plan is refused: {0}")]
    Refused(RingFault),
}

/// The rings for `members`, as near to `old` as fair shares allow. Pure: equal arguments give equal rings anywhere.
///
/// # Errors
/// If the members cannot be placed, or if the plan fails [`validate_plan`].
pub fn place(old: &Rings, members: &[PlacementMember]) -> Result<Rings, PlacementError> {
    let partitions = old.partitions();
    let before = |data_center: &str, members: &[&PlacementMember]| {
        old.ring(data_center).map_or_else(|| Before::nothing(partitions), |ring| Before::of(ring, members))
    };
    place_each(partitions, members, before)
}

/// Places each data center's members by what was there `before`.
fn place_each(
    partitions: Partitions,
    members: &[PlacementMember],
    before: impl Fn(&str, &[&PlacementMember]) -> Before,
) -> Result<Rings, PlacementError> {
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
        let ring = place_ring(&before(data_center, &members), &members, partitions);
        rings.insert(data_center.to_owned(), ring);
    }
    let rings = Rings::new(partitions, rings).expect("each ring was made with this number of partitions");
    validate_plan(&rings, members, REPLICAS_BALANCED).map_err(PlacementError::Refused)?;
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
