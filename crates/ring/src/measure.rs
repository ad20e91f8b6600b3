//! The two figures by which a placement is judged, and the loads behind them.
//!
//! Both count replicas, not claims: replicas are what fills disks and crosses the network.

use std::collections::BTreeMap;

use types::NodeId;

use crate::fair::{Claimant, fair_shares};
use crate::placement::PlacementMember;
use crate::rings::{Ring, Rings};

/// What one node holds and what would be fair.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Load {
    /// Partitions that the node claims.
    pub claims: u32,
    /// Partitions of which the node holds a replica.
    pub replicas: u32,
    /// Replicas that would be fair by weight, as far as racks allow (see [`mod@crate::fair`]).
    pub fair: f64,
}

impl Load {
    /// What the node holds over what would be fair.
    pub fn ratio(&self) -> f64 {
        f64::from(self.replicas) / self.fair
    }
}

/// The load of every node with `replicas` owners per partition in each data center.
pub fn loads(rings: &Rings, members: &[PlacementMember], replicas: usize) -> BTreeMap<NodeId, Load> {
    let mut loads = BTreeMap::new();
    for (data_center, ring) in rings.iter() {
        let weights: BTreeMap<NodeId, f64> = members
            .iter()
            .filter(|member| member.data_center == data_center)
            .map(|member| (member.node, member.weight))
            .collect();
        loads.extend(ring_loads(ring, &weights, replicas));
    }
    loads
}

fn ring_loads(ring: &Ring, weights: &BTreeMap<NodeId, f64>, replicas: usize) -> BTreeMap<NodeId, Load> {
    let claimants: Vec<Claimant> = ring
        .members()
        .iter()
        .zip(ring.view().rack_of)
        .map(|(member, &rack)| Claimant { rack, weight: weights.get(&member.node).copied().unwrap_or(1.0) })
        .collect();
    let partitions = ring.claims().len() as f64;
    let shares = fair_shares(&claimants, replicas);
    let mut loads: BTreeMap<NodeId, Load> = (ring.members().iter().zip(shares))
        .map(|(member, share)| (member.node, Load { claims: 0, replicas: 0, fair: share * partitions }))
        .collect();
    for (partition, claimant) in (0..).zip(ring.claims()) {
        let mut owners = Vec::with_capacity(replicas);
        ring.walk_into(types::PartitionId(partition), replicas, &mut owners);
        for owner in owners {
            loads.entry(owner).and_modify(|load| load.replicas += 1);
        }
        loads.entry(claimant).and_modify(|load| load.claims += 1);
    }
    loads
}

/// The replicas that a change of members alone moves: what those get whose fair share grows, in sum. Over a history no
/// scheme that stays near its shares moves fewer, whatever it made of the steps before; a single step may, as long as
/// a plan leaves small differences lie.
pub fn least(before: &BTreeMap<NodeId, Load>, after: &BTreeMap<NodeId, Load>) -> f64 {
    let fair_before = |node| before.get(node).map_or(0.0, |load: &Load| load.fair);
    after.iter().map(|(node, load)| (load.fair - fair_before(node)).max(0.0)).sum()
}

/// What a change of rings moves, and the least that any change to the same shares would.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Moves {
    /// Replicas whose owner is new to their partition.
    pub replicas: u32,
    /// Replicas that each node lacks of its fair share, in sum: no plan that ends in exact balance moves fewer. What
    /// earlier plans have left lying counts here again, so histories are judged by [`least`].
    pub replicas_least: f64,
}

/// Compares the rings before and after a change to `members`.
pub fn moves(old: &Rings, new: &Rings, members: &[PlacementMember], replicas: usize) -> Moves {
    let mut moved = 0;
    let mut held: BTreeMap<NodeId, u32> = BTreeMap::new();
    for (data_center, ring) in new.iter() {
        for partition in new.partitions().iter() {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            ring.walk_into(partition, replicas, &mut after);
            if let Some(old) = old.ring(data_center) {
                old.walk_into(partition, replicas, &mut before);
            }
            moved += after.iter().map(|owner| u32::from(!before.contains(owner))).sum::<u32>();
            for owner in before {
                *held.entry(owner).or_default() += 1;
            }
        }
    }
    let lacking = |(node, load): (NodeId, Load)| {
        (load.fair - f64::from(held.get(&node).copied().unwrap_or(0))).max(0.0)
    };
    let replicas_least = loads(new, members, replicas).into_iter().map(lacking).sum();
    Moves { replicas: moved, replicas_least }
}
