//! Balance: where faults are left, claims follow replicas.
//!
//! Without faults a node holds N replicas for each claim, and quotas are all there is to balance. Where racks are so
//! uneven that faults remain, or the moves to remove them cost too much, some nodes hold more than that and others
//! less. Then the most loaded node gives single claims to the least loaded ones, as measured in replicas on the ring
//! itself, until it is near enough to its share or no such gift helps. Most plans need none.

use crate::rings::{RingView, Walk};

/// A node above this multiple of its fair share is relieved: comfortably below the goal of 1.05.
const RATIO_GOOD: f64 = 1.04;

/// An excess below this is rounding: a claim given away is about three replicas.
const EXCESS_GOOD: f64 = 2.0;

/// How many of the least loaded nodes are offered each claim.
const TAKERS: usize = 8;

/// What a gift that moves one replica more must be worth: among gifts that balance alike, one that moves less wins.
const MOVE_COST: f64 = 0.02;

/// Bounds the time of a plan.
const GIFTS_MAX: usize = 512;

/// The replicas that a ring gives to each node, kept up to date while claims change hands.
pub(super) struct Balance<'a> {
    rack_of: &'a [u16],
    rounds: &'a [usize],
    replicas: usize,
    /// For each node the replicas that it should hold.
    fair: &'a [f64],
    claims: &'a mut Vec<u16>,
    /// For each partition its owners before the plan, and how far its walk looks now.
    old_owners: Vec<Vec<u16>>,
    owners: Vec<Vec<u16>>,
    reach: Vec<usize>,
    loads: Vec<f64>,
    held: Vec<u32>,
    walk: Walk,
}

impl<'a> Balance<'a> {
    /// Measures `claims`; `old` are the claims before the plan.
    pub(super) fn new(
        (rack_of, rounds): (&'a [u16], &'a [usize]),
        replicas: usize,
        fair: &'a [f64],
        old: &[u16],
        claims: &'a mut Vec<u16>,
    ) -> Balance<'a> {
        let mut balance = Balance {
            held: super::claim::held(claims, fair.len()),
            rack_of,
            rounds,
            replicas,
            fair,
            claims,
            old_owners: Vec::new(),
            owners: Vec::new(),
            reach: Vec::new(),
            loads: vec![0.0; fair.len()],
            walk: Walk::default(),
        };
        balance.measure();
        if old.iter().all(|&node| node != super::FREE) {
            let view = RingView { claims: old, rack_of, rounds };
            balance.old_owners = (0..old.len()).map(|start| owners_from(view, start, replicas)).collect();
        }
        balance
    }

    /// Relieves overloaded nodes, the most loaded first, as long as that helps.
    pub(super) fn run(mut self) {
        let mut hopeless = vec![false; self.fair.len()];
        for _ in 0..GIFTS_MAX {
            let Some(giver) = self.most_loaded(&hopeless) else {
                return;
            };
            match self.best_gift(giver) {
                Some((position, taker)) => self.give(position, taker),
                None => hopeless[usize::from(giver)] = true,
            }
        }
    }

    fn measure(&mut self) {
        for start in 0..self.claims.len() {
            self.walk_from(start);
            for &owner in &self.walk.met {
                self.loads[usize::from(owner)] += 1.0;
            }
            self.owners.push(self.walk.met.clone());
            self.reach.push(self.walk.reach);
        }
    }

    fn walk_from(&mut self, start: usize) {
        let view = RingView { claims: self.claims, rack_of: self.rack_of, rounds: self.rounds };
        self.walk.run(view, start, self.replicas);
    }

    fn ratio(&self, node: u16) -> f64 {
        self.loads[usize::from(node)] / self.fair[usize::from(node)]
    }

    fn nodes(&self) -> impl Iterator<Item = u16> + use<> {
        (0..).take(self.fair.len())
    }

    /// The node most above its share, if any is too far above it and has a claim to spare.
    fn most_loaded(&self, hopeless: &[bool]) -> Option<u16> {
        let excess = |node: usize| self.loads[node] - self.fair[node];
        self.nodes()
            .filter(|&node| !hopeless[usize::from(node)] && self.held[usize::from(node)] > 1)
            .filter(|&node| self.ratio(node) > RATIO_GOOD && excess(usize::from(node)) > EXCESS_GOOD)
            .max_by(|&a, &b| self.ratio(a).total_cmp(&self.ratio(b)).then(b.cmp(&a)))
    }

    /// The claim of `giver` and the taker for it that bring the loads nearest to fair.
    fn best_gift(&mut self, giver: u16) -> Option<(usize, u16)> {
        let mut takers: Vec<u16> = self.nodes().filter(|&node| self.ratio(node) < 1.0).collect();
        takers.sort_by(|&a, &b| self.ratio(a).total_cmp(&self.ratio(b)).then(a.cmp(&b)));
        takers.truncate(TAKERS);
        let mut best: Option<(f64, (usize, u16))> = None;
        for position in
            (0..self.claims.len()).filter(|&position| self.claims[position] == giver).collect::<Vec<_>>()
        {
            for &taker in &takers {
                let gain = self.gain(position, taker);
                if gain > best.map_or(0.0, |(gain, _)| gain) {
                    best = Some((gain, (position, taker)));
                }
            }
        }
        best.map(|(_, gift)| gift)
    }

    /// How much nearer to fair the loads come if `taker` claims `position`: the sum of squared distances, relative to
    /// the shares, less what the moves cost.
    fn gain(&mut self, position: usize, taker: u16) -> f64 {
        let before = std::mem::replace(&mut self.claims[position], taker);
        let mut changes: Vec<(u16, f64)> = Vec::new();
        let mut moved = 0.0;
        for start in self.starts_that_reach(position) {
            self.walk_from(start);
            let (old, new) = (&self.owners[start], &self.walk.met);
            moved += self.moved(start, new) - self.moved(start, old);
            changes.extend(old.iter().map(|&node| (node, -1.0)));
            changes.extend(new.iter().map(|&node| (node, 1.0)));
        }
        self.claims[position] = before;
        changes.sort_by_key(|&(node, _)| node);
        let gains = changes.chunk_by(|a, b| a.0 == b.0).map(|changes| {
            let node = usize::from(changes[0].0);
            let excess = self.loads[node] - self.fair[node];
            let change: f64 = changes.iter().map(|&(_, change)| change).sum();
            (excess * excess - (excess + change) * (excess + change)) / self.fair[node]
        });
        gains.sum::<f64>() - MOVE_COST * moved
    }

    /// How many of `owners` did not own the partition before the plan.
    fn moved(&self, start: usize, owners: &[u16]) -> f64 {
        let Some(old) = self.old_owners.get(start) else {
            return 0.0;
        };
        owners.iter().filter(|owner| !old.contains(owner)).count() as f64
    }

    /// The partitions whose walk looks at `position`: a run that ends there, since a walk from further back is done
    /// no later.
    fn starts_that_reach(&self, position: usize) -> Vec<usize> {
        let count = self.claims.len();
        let starts = (0..count).map(|back| (back, (position + count - back) % count));
        starts.take_while(|&(back, start)| self.reach[start] >= back).map(|(_, start)| start).collect()
    }

    fn give(&mut self, position: usize, taker: u16) {
        let giver = std::mem::replace(&mut self.claims[position], taker);
        self.held[usize::from(giver)] -= 1;
        self.held[usize::from(taker)] += 1;
        for start in self.starts_that_reach(position) {
            self.walk_from(start);
            for &owner in &self.owners[start] {
                self.loads[usize::from(owner)] -= 1.0;
            }
            for &owner in &self.walk.met {
                self.loads[usize::from(owner)] += 1.0;
            }
            self.owners[start].clone_from(&self.walk.met);
            self.reach[start] = self.walk.reach;
        }
    }
}

fn owners_from(view: RingView<'_>, start: usize, replicas: usize) -> Vec<u16> {
    let mut walk = Walk::default();
    walk.run(view, start, replicas);
    walk.met
}
