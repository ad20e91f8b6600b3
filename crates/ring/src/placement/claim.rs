//! Claiming: positions go from nodes that hold too many, or have left, to nodes that hold too few.
//!
//! The ring is swept in order. Each taker wants its claims evenly spread, so it has a due time on the sweep for each
//! of them, blurred by a hash as far as its spacing has slack: exactly even spreads would give every node the same
//! successors all round the ring, and a failed node's load to those few alone. At each position that can be had, the
//! most overdue taker that fits there takes it: first the most overdue rack, so that racks which must come every
//! third position do, then its most overdue node. Where there is a pattern of racks (`lattice`,
//! `pattern`), the rack that is in step comes before the most overdue one.
//!
//! A first sweep keeps to the due times, a second takes any position that fits, a third takes what is left wherever
//! it does the least harm. No randomness but a hash of fixed numbers: the same input gives the same claims anywhere.

use super::spacing::{FREE, Spacing};

/// The claims of one ring while they are being redistributed.
pub(super) struct Claiming<'a> {
    spacing: &'a Spacing,
    /// For each position the rack that is in step there; empty where any is.
    pattern: Vec<u16>,
    claims: &'a mut [u16],
    /// For each node how many claims too many it still has.
    surplus: Vec<Pace>,
    /// For each node, and for each rack in sum, how many claims it still takes.
    nodes: Vec<Pace>,
    racks: Vec<Pace>,
}

/// How far a node or a rack has come with what it takes or gives.
#[derive(Clone, Default)]
struct Pace {
    total: u32,
    done: u32,
    /// How much of the time between two claims may be blurred, `0.0..=1.0`.
    slack: f64,
    /// When the next claim is due, as a fraction of the sweep.
    due: f64,
}

impl Pace {
    fn new(seed: usize, total: u32, tightness: f64) -> Pace {
        let mut pace = Pace { total, done: 0, slack: (1.0 - tightness).clamp(0.0, 1.0), due: 0.0 };
        pace.schedule(seed);
        pace
    }

    fn left(&self) -> u32 {
        self.total - self.done
    }

    fn advance(&mut self, seed: usize) {
        self.done += 1;
        self.schedule(seed);
    }

    fn schedule(&mut self, seed: usize) {
        let blur = self.slack * fraction(seed, self.done);
        self.due = (f64::from(self.done) + blur) / f64::from(self.total.max(1));
    }
}

/// When a node's next claim is due at a position: first whoever stands in step there (false before true), then by its
/// rack's time, then by its own, as fractions of the sweep.
type Due = (bool, f64, f64);

/// Which positions a sweep may give, and to whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// Only what is due, only where it fits.
    Paced,
    /// Anything, only where it fits.
    Fitting,
    /// Anything, anywhere.
    Forced,
}

impl<'a> Claiming<'a> {
    /// Prepares to bring `claims` to `quotas`. A claim of [`FREE`] is held by nobody. `pattern` has for each position
    /// the rack that should claim it; if empty, a new ring has a lattice, and others have none.
    pub(super) fn new(
        spacing: &'a Spacing,
        claims: &'a mut [u16],
        quotas: &[u32],
        pattern: Vec<u16>,
    ) -> Claiming<'a> {
        let held = held(claims, quotas.len());
        let racks = (0..quotas.len()).map(|node| usize::from(spacing.rack_of[node]) + 1).max().unwrap_or(0);
        let window = spacing.window() as f64 / claims.len() as f64;
        let rack_window = window / spacing.rack_most() as f64;
        let (mut rack_total, mut rack_quota) = (vec![0; racks], vec![0; racks]);
        for (node, &rack) in spacing.rack_of.iter().enumerate() {
            rack_total[usize::from(rack)] += quotas[node].saturating_sub(held[node]);
            rack_quota[usize::from(rack)] += quotas[node];
        }
        let pace = |seed: usize, total: u32, quota: u32, window: f64| {
            Pace::new(seed, total, f64::from(quota) * window)
        };
        let nodes = |total: fn(u32, u32) -> u32| {
            let each = quotas.iter().zip(&held).enumerate();
            each.map(|(node, (&quota, &held))| pace(node, total(quota, held), quota, window)).collect()
        };
        let patterned = !pattern.is_empty();
        Claiming {
            surplus: nodes(|quota, held| held.saturating_sub(quota)),
            nodes: nodes(u32::saturating_sub),
            racks: (0..racks)
                .map(|rack| pace(usize::MAX - rack, rack_total[rack], rack_quota[rack], rack_window))
                .collect(),
            pattern: if patterned { pattern } else { super::lattice::lattice(spacing, claims, &rack_quota) },
            spacing,
            claims,
        }
    }

    /// Brings every node to its quota.
    pub(super) fn run(mut self) {
        for sweep in [Sweep::Paced, Sweep::Fitting, Sweep::Forced] {
            for position in 0..self.claims.len() {
                self.offer(position, sweep);
            }
        }
    }

    /// Gives away `position`, if it is to be had and there is a taker for it.
    fn offer(&mut self, position: usize, sweep: Sweep) {
        let holder = self.claims[position];
        let progress = (position + 1) as f64 / self.claims.len() as f64;
        let paced = sweep == Sweep::Paced && holder != FREE;
        if holder != FREE {
            let surplus = &self.surplus[usize::from(holder)];
            if surplus.left() == 0 || (paced && surplus.due > progress) {
                return;
            }
        }
        let latest = if paced { progress } else { f64::INFINITY };
        let taker = match sweep {
            Sweep::Forced => self.least_harm(position),
            Sweep::Paced | Sweep::Fitting => self.most_overdue(position, latest),
        };
        if let Some(taker) = taker {
            self.give(position, taker);
        }
    }

    fn give(&mut self, position: usize, taker: u16) {
        let holder = std::mem::replace(&mut self.claims[position], taker);
        if holder != FREE {
            self.surplus[usize::from(holder)].advance(usize::from(holder));
        }
        let rack = usize::from(self.spacing.rack_of(taker));
        self.nodes[usize::from(taker)].advance(usize::from(taker));
        self.racks[rack].advance(usize::MAX - rack);
    }

    /// The taker that fits at `position` and whose rack, and then itself, is due first, if due by `latest`.
    fn most_overdue(&mut self, position: usize, latest: f64) -> Option<u16> {
        let mut best: Option<(u16, Due)> = None;
        for node in self.takers() {
            let due = self.due(position, node);
            if due.2 <= latest
                && best.is_none_or(|(_, first)| due < first)
                && self.spacing.faults_with(self.claims, position, node) == 0
            {
                best = Some((node, due));
            }
        }
        best.map(|(node, _)| node)
    }

    /// The taker with the fewest faults at `position`; among equals the one due first.
    fn least_harm(&mut self, position: usize) -> Option<u16> {
        let mut best: Option<(u16, (u32, Due))> = None;
        for node in self.takers() {
            let harm = (self.spacing.faults_with(self.claims, position, node), self.due(position, node));
            if best.is_none_or(|(_, least)| harm < least) {
                best = Some((node, harm));
            }
        }
        best.map(|(node, _)| node)
    }

    fn takers(&self) -> Vec<u16> {
        (0..).zip(&self.nodes).filter(|(_, pace)| pace.left() > 0).map(|(node, _)| node).collect()
    }

    fn due(&self, position: usize, node: u16) -> Due {
        let rack = self.spacing.rack_of(node);
        let out_of_step = self.pattern.get(position).is_some_and(|&expected| expected != rack);
        (out_of_step, self.racks[usize::from(rack)].due, self.nodes[usize::from(node)].due)
    }
}

/// How many positions each of `nodes` claims.
pub(super) fn held(claims: &[u16], nodes: usize) -> Vec<u32> {
    let mut held = vec![0; nodes];
    for &node in claims.iter().filter(|&&node| node != FREE) {
        held[usize::from(node)] += 1;
    }
    held
}

/// A hash of both numbers as a fraction in `0.0..1.0` (the finalizer of SplitMix64).
pub(super) fn fraction(seed: usize, step: u32) -> f64 {
    let mut bits = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(step).rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
