//! Repair: two claims that sit badly change places with others.
//!
//! Sweeping leaves a few faults, most of them at the ring's end, where its first positions were taken before its
//! last ones were known. A swap changes no node's number of claims, so the quotas stay met; it is made if it removes
//! faults worth more than the claims it moves. Between two positions that this plan moves anyway a swap is free.

use super::spacing::Spacing;

/// What a fault costs: one replica off its fair place.
const FAULT_COST: i64 = 1;

/// What a moved claim costs: the replicas that move with it.
const MOVE_COST: i64 = 3;

/// How many swaps may be weighed in one plan: bounds the time of a plan that cannot be made faultless, such as one
/// for 256 positions and three racks.
const SWAPS_WEIGHED_MAX: usize = 1_000_000;

/// Swaps claims until no single swap pays. `old` are the claims before the plan.
pub(super) fn repair(spacing: &Spacing, old: &[u16], claims: &mut [u16]) {
    let mut weighed = 0;
    loop {
        let mut better = false;
        for position in 0..claims.len() {
            if spacing.faults_at(claims, position) > 0 && weighed < SWAPS_WEIGHED_MAX {
                weighed += claims.len();
                better |= swap_best(spacing, old, claims, position);
            }
        }
        if !better {
            return;
        }
    }
}

/// Makes the swap of `position` with any other that pays most, if one pays.
fn swap_best(spacing: &Spacing, old: &[u16], claims: &mut [u16], position: usize) -> bool {
    let mut best = (0, position);
    for other in 0..claims.len() {
        if claims[other] != claims[position] {
            let before = cost(spacing, old, claims, position, other);
            claims.swap(position, other);
            let gain = before - cost(spacing, old, claims, position, other);
            claims.swap(position, other);
            if gain > best.0 {
                best = (gain, other);
            }
        }
    }
    claims.swap(position, best.1);
    best.0 > 0
}

fn cost(spacing: &Spacing, old: &[u16], claims: &[u16], one: usize, other: usize) -> i64 {
    let faults = spacing.faults_at(claims, one) + spacing.faults_at(claims, other);
    let moved = [one, other].into_iter().filter(|&position| claims[position] != old[position]).count();
    FAULT_COST * i64::from(faults) + MOVE_COST * i64::try_from(moved).expect("at most two")
}
