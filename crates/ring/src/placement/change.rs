//! Changes that are more than new members: a node in the place of another, and half as many partitions.

use std::collections::BTreeMap;

use types::NodeId;

use crate::bounds::validate_plan;
use crate::partition::Partitions;
use crate::rings::{Ring, RingMember, Rings};

use super::plan::{Before, shares};
use super::spacing::FREE;
use super::{PlacementError, PlacementMember, REPLICAS_BALANCED, place, place_each};

/// The rings in which `fresh` takes the claims of `dead` one for one, so that it takes its place in every walk and
/// nobody else moves anything. `members` are those after the change: with `fresh`, without `dead`.
///
/// Where racks or weights do not allow that, or other members change with it, the rings are placed from there.
///
/// # Errors
/// If `dead` has no claims, is still a member, or `fresh` is not a new member of its data center; or as [`place`].
pub fn replace(
    old: &Rings,
    members: &[PlacementMember],
    dead: NodeId,
    fresh: NodeId,
) -> Result<Rings, PlacementError> {
    let refused = |reason| PlacementError::Replace { dead, fresh, reason };
    let of = |ring: &Ring, node: NodeId| ring.members().iter().any(|member| member.node == node);
    let (data_center, ring) = (old.iter().find(|(_, ring)| of(ring, dead)))
        .ok_or_else(|| refused("there is no such node on any ring to replace"))?;
    if members.iter().any(|member| member.node == dead) {
        return Err(refused("the node to be replaced is still among the members"));
    }
    let successor = (members.iter().find(|member| member.node == fresh))
        .ok_or_else(|| refused("the new node is not among the members"))?;
    if successor.data_center != data_center {
        return Err(refused("it is in another data center, whose ring is another"));
    }
    if of(ring, fresh) {
        return Err(refused("it has claims of its own already"));
    }
    let renamed = with_ring(old, data_center, rename(ring, successor, dead, old.partitions()));
    let settled =
        same_members(&renamed, members) && validate_plan(&renamed, members, REPLICAS_BALANCED).is_ok();
    if settled { Ok(renamed) } else { place(&renamed, members) }
}

/// `ring` with `successor` wherever `dead` was.
fn rename(ring: &Ring, successor: &PlacementMember, dead: NodeId, partitions: Partitions) -> Ring {
    let others = ring.members().iter().filter(|member| member.node != dead).cloned();
    let new = RingMember { node: successor.node, rack: successor.rack.clone() };
    let claims: Vec<NodeId> =
        ring.claims().map(|node| if node == dead { successor.node } else { node }).collect();
    Ring::new(others.chain([new]).collect(), &claims, partitions)
        .expect("a new name in the place of another leaves a ring as sound as it was")
}

fn with_ring(old: &Rings, data_center: &str, ring: Ring) -> Rings {
    let mut rings: BTreeMap<String, Ring> =
        old.iter().map(|(name, ring)| (name.to_owned(), ring.clone())).collect();
    rings.insert(data_center.to_owned(), ring);
    Rings::new(old.partitions(), rings).expect("all rings have the old number of partitions")
}

/// Whether the rings have exactly these members.
fn same_members(rings: &Rings, members: &[PlacementMember]) -> bool {
    let on_rings: usize = rings.iter().map(|(_, ring)| ring.members().len()).sum();
    on_rings == members.len()
}

/// Rings with half as many partitions, planned to move little: each pair of halves goes to a claimant of one of them
/// where shares allow. [`Rings::halve`] of them is what the halves must move to before [`Rings::join_halves`].
///
/// # Errors
/// If there is only one partition, or as [`place`] with half as many.
pub fn merged(old: &Rings, members: &[PlacementMember]) -> Result<Rings, PlacementError> {
    let half = u64::from(old.partitions().count() / 2);
    let partitions = Partitions::new(half).map_err(|_| PlacementError::NoHalves)?;
    place_each(partitions, members, |data_center, members| {
        old.ring(data_center).map_or_else(
            || Before::nothing(partitions),
            |ring| merged_before(&Before::of(ring, members), members, partitions),
        )
    })
}

/// What a plan for pairs of halves starts from: where a pair has two claimants, the one that still lacks more of its
/// share; as owners, those of either half.
fn merged_before(halves: &Before, members: &[&PlacementMember], partitions: Partitions) -> Before {
    let ring_members: Vec<RingMember> =
        members.iter().map(|member| RingMember { node: member.node, rack: member.rack.clone() }).collect();
    let (rack_of, _) = crate::rings::racks(&ring_members);
    let claims_fair = f64::from(partitions.count()) / REPLICAS_BALANCED.min(members.len()) as f64;
    let mut lacks: Vec<f64> = shares(members, &rack_of).iter().map(|share| share * claims_fair).collect();
    let settled = |pair: &[u16]| pair[0] == pair[1] && pair[0] != FREE;
    for pair in halves.claims.chunks_exact(2).filter(|pair| settled(pair)) {
        lacks[usize::from(pair[0])] -= 1.0;
    }
    let claims = halves.claims.chunks_exact(2).map(|pair| {
        if settled(pair) {
            return pair[0];
        }
        let candidates = pair.iter().copied().filter(|&node| node != FREE);
        let taker = candidates.max_by(|&a, &b| lacks[usize::from(a)].total_cmp(&lacks[usize::from(b)]));
        if let Some(taker) = taker {
            lacks[usize::from(taker)] -= 1.0;
        }
        taker.unwrap_or(FREE)
    });
    let claims = claims.collect();
    let owners = halves.owners.chunks_exact(2).map(|pair| {
        let mut owners = pair.concat();
        owners.sort_unstable();
        owners.dedup();
        owners
    });
    Before { claims, owners: owners.collect() }
}
