//! Judging a scheme by the owners that it gives to each partition, over histories.

use std::collections::BTreeMap;

use ring::fair::{Claimant, fair_shares};
use ring::{PlacementMember, REPLICAS_BALANCED};
use types::NodeId;

use crate::history::History;
use crate::rivals::{Owners, Scheme};

/// Below this many claims rounding alone may cost more than the goal allows.
const CLAIMS_JUDGED: f64 = 32.0;

/// The goal for moves over the least.
const MOVES_GOAL: f64 = 1.10;

/// What came out.
#[derive(Default)]
pub(crate) struct Figures {
    /// The greatest load over its fair share, among nodes with enough claims to be judged.
    pub(crate) load: f64,
    /// Replicas moved in all histories.
    moved: f64,
    /// What the fair shares alone would move: from each share to the next.
    least: f64,
    /// What the scheme's own loads would move: from each load to the next.
    needed: f64,
    /// The greatest of `moved / least` over single histories, and in how many it is above the goal, of how many.
    pub(crate) worst: f64,
    pub(crate) above: (u32, u32),
    /// Changes that moved at most 1.10 times the least, of how many.
    thrifty: (u32, u32),
}

impl Figures {
    /// The figures of these histories and of others.
    pub(crate) fn with(mut self, other: &Figures) -> Figures {
        self.load = self.load.max(other.load);
        self.moved += other.moved;
        self.least += other.least;
        self.needed += other.needed;
        self.worst = self.worst.max(other.worst);
        self.above = (self.above.0 + other.above.0, self.above.1 + other.above.1);
        self.thrifty = (self.thrifty.0 + other.thrifty.0, self.thrifty.1 + other.thrifty.1);
        self
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.moved / self.least
    }

    pub(crate) fn needed(&self) -> f64 {
        self.moved / self.needed
    }

    pub(crate) fn thrifty_in_words(&self) -> String {
        format!("{:.0} %", 100.0 * f64::from(self.thrifty.0) / f64::from(self.thrifty.1))
    }
}

/// Takes `scheme` through `histories`.
pub(crate) fn judge(scheme: &Scheme, histories: &[History]) -> Figures {
    let mut figures = Figures::default();
    for history in histories {
        let (mut moved, mut least) = (0.0, 0.0);
        let mut place = (scheme.begin)(history.partitions);
        let mut before: Option<(Owners, BTreeMap<NodeId, f64>)> = None;
        for members in &history.steps {
            let owners = place(members);
            let fair = fair(members, owners.len());
            figures.load = figures.load.max(greatest(&owners, &fair));
            if let Some((old_owners, old_fair)) = before {
                let step_moved = count_moved(&old_owners, &owners);
                let step_least = growth(&old_fair, &fair);
                figures.needed += growth(&loads(&old_owners), &loads(&owners));
                if step_least >= REPLICAS_BALANCED as f64 {
                    figures.thrifty.0 += u32::from(step_moved <= step_least * MOVES_GOAL);
                    figures.thrifty.1 += 1;
                }
                moved += step_moved;
                least += step_least;
            }
            before = Some((owners, fair));
        }
        figures.moved += moved;
        figures.least += least;
        figures.above.1 += 1;
        if least > 0.0 {
            figures.worst = figures.worst.max(moved / least);
            figures.above.0 += u32::from(moved > least * MOVES_GOAL);
        }
    }
    figures
}

/// The replicas that each node should hold.
pub(crate) fn fair(members: &[PlacementMember], partitions: usize) -> BTreeMap<NodeId, f64> {
    let racks: std::collections::BTreeSet<&str> = members.iter().map(|member| member.rack.as_str()).collect();
    let numbers: BTreeMap<&str, u16> = racks.into_iter().zip(0..).collect();
    let claimants: Vec<Claimant> = (members.iter())
        .map(|member| Claimant { rack: numbers[member.rack.as_str()], weight: member.weight })
        .collect();
    let shares = fair_shares(&claimants, REPLICAS_BALANCED);
    members.iter().zip(shares).map(|(member, share)| (member.node, share * partitions as f64)).collect()
}

/// The replicas that each node holds.
pub(crate) fn loads(owners: &Owners) -> BTreeMap<NodeId, f64> {
    let mut loads = BTreeMap::new();
    for &owner in owners.iter().flatten() {
        *loads.entry(owner).or_default() += 1.0;
    }
    loads
}

/// The greatest load over its fair share, among nodes with enough claims to be judged.
pub(crate) fn greatest(owners: &Owners, fair: &BTreeMap<NodeId, f64>) -> f64 {
    let loads = loads(owners);
    let judged = fair.iter().filter(|&(_, &fair)| fair / REPLICAS_BALANCED as f64 >= CLAIMS_JUDGED);
    judged.map(|(node, fair)| loads.get(node).copied().unwrap_or(0.0) / fair).fold(0.0, f64::max)
}

/// The replicas whose owner is new.
pub(crate) fn count_moved(old: &Owners, new: &Owners) -> f64 {
    let pairs = old.iter().zip(new);
    pairs.map(|(old, new)| new.iter().filter(|owner| !old.contains(owner)).count()).sum::<usize>() as f64
}

/// What those who get more get in sum.
pub(crate) fn growth(old: &BTreeMap<NodeId, f64>, new: &BTreeMap<NodeId, f64>) -> f64 {
    new.iter().map(|(node, new)| (new - old.get(node).copied().unwrap_or(0.0)).max(0.0)).sum()
}
