//! The rings: per data center, which node claims each partition, and the clockwise walk that names the owners.
//!
//! ```text
//!   partition   0   1   2   3   4   5   6   7   (and round again)
//!   claimed by  A   B   A   C   D   B   C   D
//!   rack        x   x   x   y   y   x   y   y
//!
//!   walk from 1:  B, C (A has B's rack, and rack y is still unmet), then A, D
//! ```
//!
//! The walk is Dynamo's (SOSP 2007, sections 4.2 and 4.3: distinct physical nodes, skipping positions on the ring),
//! with racks: nodes are taken in rounds, and each round takes from every rack its first node that no earlier
//! round took. So any first N of a walk hold distinct nodes, distinct racks while there are enough racks, and
//! racks as even as they can be beyond that. The walk for a smaller N is a prefix of the walk for a larger one, so
//! keyspaces with different N share one ring and one preference list.
//!
//! What must hold: every partition is claimed; every claim is by a member of this data center; every member has at
//! least one claim, or no walk would ever meet it. [`Ring::new`] refuses anything else.

use std::collections::BTreeMap;

use thiserror::Error;
use types::{NodeId, PartitionId};

use crate::partition::Partitions;

/// A node of one data center, as its ring knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RingMember {
    /// The node.
    pub node: NodeId,
    /// Its rack: whatever fails together with it.
    pub rack: String,
}

/// The ring of one data center.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ring {
    /// Ascending by node, each once.
    members: Vec<RingMember>,
    /// For each member the number of its rack, `0..racks`.
    rack_of: Vec<u16>,
    /// `rounds[k]`: how many nodes the first `k + 1` rounds of any walk take together.
    rounds: Vec<usize>,
    /// For each partition the index of the member that claims it.
    claims: Vec<u16>,
}

/// Claims that no ring can have.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RingError {
    /// The number of claims is not a number of partitions.
    #[error("the ring has {claims} claims; the cluster has {partitions} partitions")]
    Length {
        /// How many claims there are.
        claims: usize,
        /// How many there should be.
        partitions: u16,
    },
    /// A claim is by a node that is not a member of the data center.
    #[error("partition {partition} is claimed by {node}, which is not a member of this data center")]
    Stranger {
        /// The claimed partition.
        partition: PartitionId,
        /// The node that is no member.
        node: NodeId,
    },
    /// A member has no claim, so no walk would meet it.
    #[error("member {node} claims no partition: no walk would ever meet it")]
    Idle {
        /// The node without a claim.
        node: NodeId,
    },
    /// A node is listed twice.
    #[error("member {node} is listed twice")]
    Twice {
        /// The node.
        node: NodeId,
    },
}

impl Ring {
    /// The ring on which `claims[p]` claims partition `p`.
    ///
    /// # Errors
    /// If a claim, a member or the number of claims breaks a rule of this module.
    pub fn new(
        mut members: Vec<RingMember>,
        claims: &[NodeId],
        partitions: Partitions,
    ) -> Result<Ring, RingError> {
        if claims.len() != usize::from(partitions.count()) {
            return Err(RingError::Length { claims: claims.len(), partitions: partitions.count() });
        }
        members.sort_by_key(|member| member.node);
        if let Some(pair) = members.windows(2).find(|pair| pair[0].node == pair[1].node) {
            return Err(RingError::Twice { node: pair[0].node });
        }
        let indexed = indexed_claims(&members, claims)?;
        let (rack_of, rounds) = racks(&members);
        Ok(Ring { members, rack_of, rounds, claims: indexed })
    }

    /// The members, ascending by node.
    pub fn members(&self) -> &[RingMember] {
        &self.members
    }

    /// Which node claims each partition, in ring order.
    pub fn claims(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator {
        self.claims.iter().map(|&index| self.members[usize::from(index)].node)
    }

    /// The node that claims `partition`: the first met on its walk. `None` if there is no such partition.
    pub fn claimant(&self, partition: PartitionId) -> Option<NodeId> {
        let index = *self.claims.get(usize::from(partition.0))?;
        Some(self.members[usize::from(index)].node)
    }

    /// All nodes in the order of the walk from `partition`; none if there is no such partition.
    pub fn walk(&self, partition: PartitionId) -> Vec<NodeId> {
        let mut nodes = Vec::with_capacity(self.members.len());
        self.walk_into(partition, self.members.len(), &mut nodes);
        nodes
    }

    /// Writes the first `count` nodes of the walk from `partition` behind what is in `into`; fewer where the data
    /// center has fewer, none if there is no such partition.
    pub fn walk_into(&self, partition: PartitionId, count: usize, into: &mut Vec<NodeId>) {
        let mut walk = Walk::default();
        walk.run(self.view(), usize::from(partition.0), count);
        into.extend(walk.met.iter().map(|&index| self.members[usize::from(index)].node));
    }

    pub(crate) fn view(&self) -> RingView<'_> {
        RingView { claims: &self.claims, rack_of: &self.rack_of, rounds: &self.rounds }
    }
}

fn indexed_claims(members: &[RingMember], claims: &[NodeId]) -> Result<Vec<u16>, RingError> {
    let index_of: BTreeMap<NodeId, u16> = members.iter().map(|member| member.node).zip(0..).collect();
    let mut claimed = vec![false; members.len()];
    let mut indexed = Vec::with_capacity(claims.len());
    for (&node, partition) in claims.iter().zip(0..) {
        let Some(&index) = index_of.get(&node) else {
            return Err(RingError::Stranger { partition: PartitionId(partition), node });
        };
        claimed[usize::from(index)] = true;
        indexed.push(index);
    }
    match claimed.iter().position(|&claimed| !claimed) {
        Some(idle) => Err(RingError::Idle { node: members[idle].node }),
        None => Ok(indexed),
    }
}

/// Numbers the racks and counts what the rounds of a walk take.
pub(crate) fn racks(members: &[RingMember]) -> (Vec<u16>, Vec<usize>) {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for member in members {
        *sizes.entry(&member.rack).or_default() += 1;
    }
    let numbers: BTreeMap<&str, u16> = sizes.keys().copied().zip(0..).collect();
    let largest = sizes.values().copied().max().unwrap_or(0);
    let rounds = (1..=largest).map(|taken| sizes.values().map(|&size| size.min(taken)).sum()).collect();
    (members.iter().map(|member| numbers[member.rack.as_str()]).collect(), rounds)
}

/// A ring with members and racks as numbers: what a walk needs, and what placement changes while it searches.
#[derive(Clone, Copy)]
pub(crate) struct RingView<'a> {
    pub(crate) claims: &'a [u16],
    pub(crate) rack_of: &'a [u16],
    pub(crate) rounds: &'a [usize],
}

/// One walk, and the memory it can be run again in.
#[derive(Default)]
pub(crate) struct Walk {
    /// The nodes met, by round: `(round, position of the meeting, member)`, sorted as they are taken.
    meetings: Vec<(u16, usize, u16)>,
    /// The members taken, in order.
    pub(crate) met: Vec<u16>,
    /// How many positions after the first the walk looked at.
    pub(crate) reach: usize,
}

impl Walk {
    /// Walks from position `start` until the first `count` members of the walk are certain, and leaves them in `met`.
    pub(crate) fn run(&mut self, ring: RingView<'_>, start: usize, count: usize) {
        self.meetings.clear();
        self.met.clear();
        if start >= ring.claims.len() || count == 0 {
            return;
        }
        // The last round that the first `count` nodes reach into, and how much of every round up to it is needed.
        let last = ring.rounds.iter().position(|&taken| taken >= count).unwrap_or(ring.rounds.len() - 1);
        let needed = count.min(ring.rounds[last]);
        let whole = if last == 0 { 0 } else { ring.rounds[last - 1] };
        let (mut in_whole, mut in_last) = (0, 0);
        let clockwise = ring.claims[start..].iter().chain(&ring.claims[..start]);
        for (distance, &member) in clockwise.enumerate() {
            self.reach = distance;
            if self.meetings.iter().any(|&(_, _, met)| met == member) {
                continue;
            }
            let rack = ring.rack_of[usize::from(member)];
            let round = self.rack_meetings(ring, rack);
            self.meetings.push((round, distance, member));
            match usize::from(round).cmp(&last) {
                std::cmp::Ordering::Less => in_whole += 1,
                std::cmp::Ordering::Equal => in_last += 1,
                std::cmp::Ordering::Greater => {}
            }
            if in_whole == whole && whole + in_last >= needed {
                break;
            }
        }
        self.meetings.sort_unstable();
        self.met.extend(self.meetings.iter().take(needed).map(|&(_, _, member)| member));
    }

    /// How many nodes of `rack` the walk has met: the round that takes the next one.
    fn rack_meetings(&self, ring: RingView<'_>, rack: u16) -> u16 {
        let met = self.meetings.iter().filter(|&&(_, _, met)| ring.rack_of[usize::from(met)] == rack);
        u16::try_from(met.count()).expect("there are no more nodes than node ids, which are 16 bits")
    }
}

/// The rings of all data centers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rings {
    partitions: Partitions,
    by_data_center: BTreeMap<String, Ring>,
}

impl Rings {
    /// No data center yet: what the first placement starts from.
    pub fn empty(partitions: Partitions) -> Rings {
        Rings { partitions, by_data_center: BTreeMap::new() }
    }

    /// Rings as they were stored or sent.
    ///
    /// # Errors
    /// If a ring has another number of partitions.
    pub fn new(partitions: Partitions, by_data_center: BTreeMap<String, Ring>) -> Result<Rings, RingError> {
        match by_data_center.values().find(|ring| ring.claims.len() != usize::from(partitions.count())) {
            Some(odd) => Err(RingError::Length { claims: odd.claims.len(), partitions: partitions.count() }),
            None => Ok(Rings { partitions, by_data_center }),
        }
    }

    /// How the slots are cut into partitions.
    pub fn partitions(&self) -> Partitions {
        self.partitions
    }

    /// The ring of `data_center`, if it has nodes.
    pub fn ring(&self, data_center: &str) -> Option<&Ring> {
        self.by_data_center.get(data_center)
    }

    /// Data centers with their rings, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Ring)> {
        self.by_data_center.iter().map(|(name, ring)| (name.as_str(), ring))
    }
}
