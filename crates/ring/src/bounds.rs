//! The bounds of loads: what a plan must keep besides the rule of [`mod@crate::validate`].
//!
//! Rings that were agreed on are sound whatever their loads are: weights change before rings do. A plan is another
//! matter: if it leaves a node far above or below what its weight earns, it is a mistake, and is refused before it
//! moves anything. The bounds are wider than the goal (1.05 of the share), because a refused plan helps nobody: they
//! are there for plans that went wrong, not for those that could be a little better.

use crate::measure::{Load, loads};
use crate::placement::PlacementMember;
use crate::rings::Rings;
use crate::validate::{RingFault, validate};

/// How far above or below its share a node may be, as a part of the share.
pub const SHARE_SLACK: f64 = 0.25;

/// How many claims besides: a claim cannot be cut, and every node has at least one.
pub const CLAIMS_SLACK: f64 = 2.0;

/// Checks all that a plan needs: the rule, for every N up to `replicas`, and loads within bounds for N = `replicas`.
///
/// # Errors
/// The first fault found.
pub fn validate_plan(rings: &Rings, members: &[PlacementMember], replicas: usize) -> Result<(), RingFault> {
    validate(rings, members, replicas)?;
    let loads = loads(rings, members, replicas);
    for member in members {
        let Some(load) = loads.get(&member.node) else {
            continue;
        };
        let (least, most) = bounds(load, replicas);
        if !(least..=most).contains(&load.replicas) {
            let (node, data_center) = (member.node, member.data_center.clone());
            let (replicas, fair) = (load.replicas, whole(load.fair.round()));
            return Err(RingFault::Load { data_center, node, replicas, fair, least, most });
        }
    }
    Ok(())
}

/// The fewest and the most replicas that a node with this share may hold.
fn bounds(load: &Load, replicas: usize) -> (u32, u32) {
    let slack = SHARE_SLACK * load.fair + CLAIMS_SLACK * replicas as f64;
    (whole((load.fair - slack).ceil()), whole((load.fair + slack).floor()))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is at most the 16,384 partitions, and what is below 0 is bounded to it"
)]
fn whole(replicas: f64) -> u32 {
    replicas.max(0.0) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::NodeId;

    use super::*;
    use crate::partition::Partitions;
    use crate::rings::{Ring, RingMember};

    /// Six nodes of which each claims as many of 64 partitions as is said.
    fn rings(claims: [usize; 6]) -> Rings {
        let partitions = Partitions::new(64).unwrap();
        // Dealt out in turns, so that neighbours are distinct while there are several left.
        let mut left = claims;
        let mut dealt = Vec::new();
        while dealt.len() < 64 {
            for (node, left) in (1..).zip(&mut left) {
                if *left > 0 {
                    *left -= 1;
                    dealt.push(NodeId(node));
                }
            }
        }
        let members = (1..=6).map(|node| RingMember { node: NodeId(node), rack: "r".into() }).collect();
        let ring = Ring::new(members, &dealt, partitions).unwrap();
        Rings::new(partitions, BTreeMap::from([("dc1".to_owned(), ring)])).unwrap()
    }

    fn members(weights: [f64; 6]) -> Vec<PlacementMember> {
        let member = |(node, weight)| PlacementMember {
            node: NodeId(node),
            data_center: "dc1".into(),
            rack: "r".into(),
            weight,
        };
        (1..).zip(weights).map(member).collect()
    }

    #[test]
    fn loads_by_weight_pass() {
        assert_eq!(validate_plan(&rings([11, 11, 11, 11, 10, 10]), &members([1.0; 6]), 3), Ok(()));
    }

    /// A plan that forgot a weight is caught, on whichever side the node is.
    #[test]
    fn nodes_far_from_their_share_are_refused() {
        let heavy = members([4.0, 4.0, 4.0, 4.0, 4.0, 1.0]);
        let fault = validate_plan(&rings([11, 11, 11, 11, 10, 10]), &heavy, 3).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "node n#6 of dc1 would hold 30 replicas; its weight earns 9, and from 1 to 17 are allowed"
        );
        let starved = validate_plan(&rings([12, 12, 12, 12, 12, 4]), &members([1.0; 6]), 3).unwrap_err();
        assert_eq!(
            starved.to_string(),
            "node n#6 of dc1 would hold 12 replicas; its weight earns 32, and from 18 to 46 are allowed"
        );
    }
}
