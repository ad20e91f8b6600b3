//! Moves: which partitions get other owners when rings change, and who takes whose place.
//!
//! A plan is shown to people before it is made, and a movement is run for each partition whose owners change. Both
//! need the same list: for each partition and data center the owners that leave and those that join, in pairs.
//!
//! What must hold: the list is sorted by partition, then by data center, and names exactly the partitions that do not
//! keep their set of owners; nobody both leaves and joins a partition; a joiner takes the place of the leaver of the
//! same rank in the list, and what has no counterpart stands at the end. An owner that only changes its slot in the
//! preference list moves nothing.
//!
//! The pairing is by slot: who comes to stand where a leaver stood takes its place. So whoever replaces a dead node
//! is paired with it, and a joiner with the one that it relieves.

use types::{NodeId, PartitionId};

use crate::preference::ReplicaCount;
use crate::rings::{Ring, Rings};

/// What changes in one partition in one data center.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// The partition; where one of the rings has fewer partitions, numbered as in the one with more.
    pub partition: PartitionId,
    /// The data center.
    pub data_center: String,
    /// Owners that cease to be owners, in the order of the old preference list.
    pub leaves: Vec<NodeId>,
    /// Owners that were none, each in the place of the leaver of the same rank; more of them where N grows.
    pub joins: Vec<NodeId>,
}

impl Move {
    /// Who takes whose place: `(leaves, joins)`, where either is missing if N changes.
    pub fn pairs(&self) -> impl Iterator<Item = (Option<NodeId>, Option<NodeId>)> {
        let ranks = self.leaves.len().max(self.joins.len());
        (0..ranks).map(|rank| (self.leaves.get(rank).copied(), self.joins.get(rank).copied()))
    }
}

/// What changes from `old` to `new` for a keyspace with `count` replicas; nothing for equal rings.
pub fn moves(old: &Rings, new: &Rings, count: &ReplicaCount) -> Vec<Move> {
    moves_between((old, count), (new, count))
}

/// What changes where the number of replicas changes too.
pub fn moves_between(old: (&Rings, &ReplicaCount), new: (&Rings, &ReplicaCount)) -> Vec<Move> {
    let (old, new) = (Placed::new(old), Placed::new(new));
    let partitions = if old.rings.partitions().count() < new.rings.partitions().count() {
        new.rings.partitions()
    } else {
        old.rings.partitions()
    };
    let mut data_centers: Vec<&str> =
        old.rings.iter().chain(new.rings.iter()).map(|(data_center, _)| data_center).collect();
    data_centers.sort_unstable();
    data_centers.dedup();
    let mut moves = Vec::new();
    for partition in partitions.iter() {
        for &data_center in &data_centers {
            let before = old.owners(partition, partitions.count(), data_center);
            let after = new.owners(partition, partitions.count(), data_center);
            moves.extend(change(partition, data_center, &before, &after));
        }
    }
    moves
}

/// Rings and the N that makes owners of them.
struct Placed<'a> {
    rings: &'a Rings,
    count: &'a ReplicaCount,
}

impl<'a> Placed<'a> {
    fn new((rings, count): (&'a Rings, &'a ReplicaCount)) -> Placed<'a> {
        Placed { rings, count }
    }

    /// The owners of `partition` of `partitions`, which are as many as there are here or a multiple of them.
    fn owners(&self, partition: PartitionId, partitions: u16, data_center: &str) -> Vec<NodeId> {
        let mut owners = Vec::new();
        let here = PartitionId(partition.0 / (partitions / self.rings.partitions().count()));
        let walk = |ring: &Ring| ring.walk_into(here, self.count.in_data_center(data_center), &mut owners);
        self.rings.ring(data_center).map(walk);
        owners
    }
}

/// The move that makes `after` of `before`; none if the owners are the same.
fn change(partition: PartitionId, data_center: &str, before: &[NodeId], after: &[NodeId]) -> Option<Move> {
    let mut joining: Vec<NodeId> = after.iter().copied().filter(|owner| !before.contains(owner)).collect();
    let leaving = before.iter().enumerate().filter(|(_, owner)| !after.contains(owner));
    let (slots, leaves): (Vec<usize>, Vec<NodeId>) = leaving.map(|(slot, &owner)| (slot, owner)).unzip();
    // First those who come to stand exactly where somebody stood, then the others in their order.
    let mut joins: Vec<Option<NodeId>> =
        slots.iter().map(|&slot| after.get(slot).copied().filter(|owner| joining.contains(owner))).collect();
    joining.retain(|owner| !joins.contains(&Some(*owner)));
    let mut others = joining.into_iter();
    for join in &mut joins {
        *join = join.or_else(|| others.next());
    }
    let joins: Vec<NodeId> = joins.into_iter().flatten().chain(others).collect();
    let moves = !leaves.is_empty() || !joins.is_empty();
    moves.then(|| Move { partition, data_center: data_center.to_owned(), leaves, joins })
}
