//! The tally: a ring while it is searched, with what each change of its claims moves and unbalances.
//!
//! Counted in replicas on the ring itself, by the walk: where racks leave neighbours that a walk skips, a claim is not
//! N replicas, and only counting tells what it is.
//!
//! What must hold: `owners`, `reach`, `loads` and `held` are those of `claims` between any two calls.

use crate::rings::{RingView, Walk};

/// A node that holds more than this multiple of its fair share is relieved: comfortably below the goal of 1.05.
const SHARE_MOST: f64 = 1.04;

/// A node that holds less than this multiple of its fair share is given more. A bound nearer to 1 costs moves that
/// nobody would feel; one further away lets nodes lie idle.
const SHARE_LEAST: f64 = 0.96;

/// Being off by less is rounding: a claim is about three replicas.
const ROUNDING_REPLICAS: f64 = 1.5;

/// What the first replica off the bounds costs, in moved replicas; further ones cost more and more.
const OFF_COST: f64 = 2.0;

/// One or two positions with the nodes that are to claim them: a reassignment names its position twice.
pub(super) type Change = [(usize, u16); 2];

/// The claims of one ring, and what follows from them.
pub(super) struct Tally<'a> {
    rack_of: &'a [u16],
    rounds: &'a [usize],
    replicas: usize,
    /// For each node the replicas that it should hold.
    fair: &'a [f64],
    /// For each partition the members that own it before the plan; none where there was no ring.
    old_owners: &'a [Vec<u16>],
    claims: Vec<u16>,
    owners: Vec<Vec<u16>>,
    /// For each partition how far its walk looks.
    reach: Vec<usize>,
    loads: Vec<f64>,
    held: Vec<u32>,
    walk: Walk,
    walks: usize,
    /// Memory for [`Tally::cost_of`].
    shifts: Vec<(u16, f64)>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(
        (rack_of, rounds): (&'a [u16], &'a [usize]),
        replicas: usize,
        fair: &'a [f64],
        old_owners: &'a [Vec<u16>],
        claims: Vec<u16>,
    ) -> Tally<'a> {
        let mut tally = Tally {
            held: super::claim::held(&claims, fair.len()),
            rack_of,
            rounds,
            replicas,
            fair,
            old_owners,
            owners: Vec::with_capacity(claims.len()),
            reach: Vec::with_capacity(claims.len()),
            claims,
            loads: vec![0.0; fair.len()],
            walk: Walk::default(),
            walks: 0,
            shifts: Vec::new(),
        };
        for start in 0..tally.claims.len() {
            tally.walk_from(start);
            for &owner in &tally.walk.met {
                tally.loads[usize::from(owner)] += 1.0;
            }
            tally.owners.push(tally.walk.met.clone());
            tally.reach.push(tally.walk.reach);
        }
        tally
    }

    pub(super) fn claims(&self) -> &[u16] {
        &self.claims
    }

    pub(super) fn into_claims(self) -> Vec<u16> {
        self.claims
    }

    /// How many walks have been made: the measure of what a search has cost.
    pub(super) fn walks(&self) -> usize {
        self.walks
    }

    /// What the ring costs: replicas moved, and what the loads are off their bounds.
    pub(super) fn cost(&self) -> f64 {
        let moved: f64 =
            self.owners.iter().enumerate().map(|(start, owners)| self.moved(start, owners)).sum();
        moved + self.nodes().map(|node| self.off(node)).sum::<f64>()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = u16> + use<> {
        (0..).take(self.fair.len())
    }

    pub(super) fn rack_of(&self, node: u16) -> u16 {
        self.rack_of[usize::from(node)]
    }

    /// Whether `node` could give a claim and still be met by walks.
    pub(super) fn can_give(&self, node: u16) -> bool {
        self.held[usize::from(node)] > 1
    }

    /// What `node` holds too much, over its share; negative where it holds too little.
    pub(super) fn excess(&self, node: u16) -> f64 {
        self.loads[usize::from(node)] / self.fair[usize::from(node)] - 1.0
    }

    /// What it costs that `node` is off the bounds of its share; 0 within them.
    pub(super) fn off(&self, node: u16) -> f64 {
        self.off_at(node, self.loads[usize::from(node)])
    }

    fn off_at(&self, node: u16, load: f64) -> f64 {
        let fair = self.fair[usize::from(node)];
        let above = load - (fair * SHARE_MOST).max(fair + ROUNDING_REPLICAS);
        let below = (fair * SHARE_LEAST).min(fair - ROUNDING_REPLICAS) - load;
        let off = above.max(below).max(0.0);
        OFF_COST * off + off * off
    }

    /// What is wrong with the partitions that have `position` among their first: how far their owners are off, and
    /// the replicas that they have moved.
    pub(super) fn trouble_at(&self, position: usize) -> f64 {
        let count = self.claims.len();
        let starts = (0..self.replicas.min(count)).map(|back| (position + count - back) % count);
        starts
            .map(|start| {
                let owners = &self.owners[start];
                self.moved(start, owners) + owners.iter().map(|&owner| self.off(owner)).sum::<f64>()
            })
            .sum()
    }

    /// By how much `change` would make the ring cost more; negative where it makes it better.
    pub(super) fn cost_of(&mut self, change: &Change) -> f64 {
        let before = change.map(|(position, _)| (position, self.claims[position]));
        let starts = self.starts_that_reach(change);
        self.set(change);
        let (mut cost, mut shifts) = (0.0, std::mem::take(&mut self.shifts));
        shifts.clear();
        for start in starts {
            self.walk_from(start);
            let (old, new) = (&self.owners[start], &self.walk.met);
            cost += self.moved(start, new) - self.moved(start, old);
            shifts.extend(old.iter().map(|&node| (node, -1.0)));
            shifts.extend(new.iter().map(|&node| (node, 1.0)));
        }
        self.set(&before);
        shifts.sort_unstable_by_key(|&(node, _)| node);
        for of_node in shifts.chunk_by(|a, b| a.0 == b.0) {
            let (node, load) = (of_node[0].0, self.loads[usize::from(of_node[0].0)]);
            let shift: f64 = of_node.iter().map(|&(_, shift)| shift).sum();
            cost += self.off_at(node, load + shift) - self.off_at(node, load);
        }
        self.shifts = shifts;
        cost
    }

    /// Makes `change`.
    pub(super) fn make(&mut self, change: &Change) {
        let starts = self.starts_that_reach(change);
        for &(position, taker) in change {
            let giver = std::mem::replace(&mut self.claims[position], taker);
            self.held[usize::from(giver)] -= 1;
            self.held[usize::from(taker)] += 1;
        }
        for start in starts {
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

    fn set(&mut self, claims: &Change) {
        for &(position, node) in claims {
            self.claims[position] = node;
        }
    }

    /// How many of `owners` did not own the partition before the plan.
    fn moved(&self, start: usize, owners: &[u16]) -> f64 {
        let Some(old) = self.old_owners.get(start) else {
            return 0.0;
        };
        owners.iter().filter(|owner| !old.contains(owner)).count() as f64
    }

    /// The partitions whose walk looks at a changed position: runs that end there, since a walk from further back is
    /// done no later.
    fn starts_that_reach(&self, change: &Change) -> Vec<usize> {
        let count = self.claims.len();
        let mut starts = Vec::with_capacity(4 * self.replicas);
        for &(position, _) in change {
            let back = (0..count).map(|back| (back, (position + count - back) % count));
            for (_, start) in back.take_while(|&(back, start)| self.reach[start] >= back) {
                if !starts.contains(&start) {
                    starts.push(start);
                }
            }
        }
        starts
    }

    fn walk_from(&mut self, start: usize) {
        self.walks += 1;
        let view = RingView { claims: &self.claims, rack_of: self.rack_of, rounds: self.rounds };
        self.walk.run(view, start, self.replicas);
    }
}
