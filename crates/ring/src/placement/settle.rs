//! Settling: single claims are given, swapped or given back while that makes the plan better in replicas.
//!
//! Claims that were given by quota are good where no walk skips a neighbour. Where a few racks are so large that they
//! must stand at nearly every N-th position, there are faults, and what a claim is worth depends on its neighbours.
//! So the finished claims are weighed as they are counted: what is off the bounds of the shares, plus what is moved.
//! Both count in one sum, so that balance is never bought with more moves than it is worth, and a claim that need not
//! have moved goes back.
//!
//! The ring is swept with falling thresholds, so that what pays most is done first wherever it stands; then until
//! nothing pays. Each change lowers the cost, so this ends; [`WALKS_MAX`] bounds its time besides.

use super::FREE;
use super::tally::{Change, Tally};

/// What a change must gain in each of the first sweeps, in moved replicas.
const GAINS_FIRST: [f64; 6] = [64.0, 32.0, 16.0, 8.0, 4.0, 2.0];

/// What a change must gain in the last sweeps: more than the rounding of floats.
const GAIN_LEAST: f64 = 0.01;

/// How far from a position others are swapped with it. A swap mends a fault of its neighbourhood.
const SWAP_DISTANCE: usize = 3;

/// Bounds the time of a plan.
const WALKS_MAX: usize = 2_000_000;

/// Brings the cost of `tally` down until no single change does. `old` are the claims before the plan.
pub(super) fn settle(tally: &mut Tally<'_>, old: &[u16]) {
    for gain in GAINS_FIRST {
        sweep(tally, old, gain);
    }
    while sweep(tally, old, GAIN_LEAST) {}
}

/// Makes the best change at each position, if it gains at least `gain`; false if none did, or time is up.
fn sweep(tally: &mut Tally<'_>, old: &[u16], gain: f64) -> bool {
    let mut better = false;
    let mut takers = takers(tally);
    for position in 0..old.len() {
        if tally.walks() >= WALKS_MAX {
            return false;
        }
        if let Some(change) = best_change(tally, old, &takers, position, gain) {
            tally.make(&change);
            takers = self::takers(tally);
            better = true;
        }
    }
    better
}

/// In each rack the node with the least of its share.
fn takers(tally: &Tally<'_>) -> Vec<u16> {
    let mut best: Vec<Option<u16>> = Vec::new();
    for node in tally.nodes() {
        let rack = usize::from(tally.rack_of(node));
        if rack >= best.len() {
            best.resize(rack + 1, None);
        }
        if best[rack].is_none_or(|lightest| tally.excess(node) < tally.excess(lightest)) {
            best[rack] = Some(node);
        }
    }
    best.into_iter().flatten().collect()
}

fn best_change(
    tally: &mut Tally<'_>,
    old: &[u16],
    takers: &[u16],
    position: usize,
    gain: f64,
) -> Option<Change> {
    let trouble = tally.trouble_at(position);
    let mut best = None;
    let mut least = -gain;
    for change in changes(tally, old, takers, position, trouble > 0.0) {
        // Nothing gains more than there is to gain, but for what a skipped neighbour further on has to gain too.
        if trouble + tally.off(change[0].1) < gain {
            continue;
        }
        let cost = tally.cost_of(&change);
        if cost < least {
            (best, least) = (Some(change), cost);
        }
    }
    best
}

/// What could be done at `position`: give its claim back, or to a taker, or swap it with a near one.
fn changes(tally: &Tally<'_>, old: &[u16], takers: &[u16], position: usize, troubled: bool) -> Vec<Change> {
    let claims = tally.claims();
    let claimant = claims[position];
    let mut changes: Vec<Change> = Vec::new();
    if tally.can_give(claimant) {
        let needs = |&node: &u16| troubled || (tally.off(node) > 0.0 && tally.excess(node) < 0.0);
        let held_before = Some(old[position]).filter(|&node| node != FREE);
        let heirs = held_before.into_iter().chain(takers.iter().copied().filter(needs));
        changes.extend(heirs.filter(|&node| node != claimant).map(|node| [(position, node); 2]));
    }
    if troubled {
        let near = (1..=SWAP_DISTANCE).map(|distance| (position + distance) % claims.len());
        let others = near.filter(|&other| claims[other] != claimant);
        changes.extend(others.map(|other| [(position, claims[other]), (other, claimant)]));
    }
    changes
}
