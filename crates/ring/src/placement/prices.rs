//! Prices: what a claim is worth to each rack, so that the cheapest pattern gives every rack its share.
//!
//! A rack that gets too little is offered more, one that gets too much has to pay, until all are near their shares. At
//! these prices nothing cheaper gives as much to each (Lagrange's multipliers: Everett, Operations Research, 1963), so
//! the search is for one number per rack. Each has a step of its own, which grows while it goes on and is halved when it
//! turns. Where the prices do not meet, the pattern that comes nearest is taken; settling does the rest.

use super::pattern::Pattern;
use super::plan::Before;
use super::spacing::Spacing;

/// How far a rack may be from its share, as a part of it: less than what its nodes may be.
const SHARE_SLACK: f64 = 0.01;

/// Nor is a rounded claim worth a price.
const ROUNDING_CLAIMS: f64 = 0.5;

/// What a claim off the shares costs when patterns are compared, in moved replicas: more than to move it.
const OFF_COST: f64 = 9.0;

/// How many prices are tried. Most changes need ten to twenty.
const ROUNDS_MAX: usize = 48;

/// The first step of a price, in moved replicas, and the greatest.
const STEP_FIRST: f64 = 1.5;
const STEP_MOST: f64 = 6.0;

/// A rack's price and how it moves.
#[derive(Clone)]
struct Price {
    step: f64,
    /// Whether it rose or fell last; 0 at first.
    direction: f64,
}

impl Price {
    /// By how much the price changes for a rack that lacks so many claims.
    fn change(&mut self, lacks: f64) -> f64 {
        if lacks == 0.0 {
            return 0.0;
        }
        let direction = lacks.signum();
        if self.direction == direction {
            self.step = (self.step * 1.2).min(STEP_MOST);
        } else if self.direction != 0.0 {
            self.step /= 2.0;
        }
        self.direction = direction;
        direction * self.step
    }
}

/// For each position the rack that should claim it, if nodes are to have their `shares`; none where that is no
/// question, or where some rack would have fewer positions than nodes.
pub(super) fn pattern(spacing: &Spacing, before: &Before, shares: &[f64]) -> Option<Vec<u16>> {
    let costs = Pattern::new(spacing, before)?;
    let wanted = wanted(shares, &spacing.rack_of, costs.racks(), before.claims.len());
    let pattern = search(&costs, &wanted);
    let (nodes, positions) = (counted(&spacing.rack_of, wanted.len()), counted(&pattern, wanted.len()));
    nodes.iter().zip(positions).all(|(&nodes, positions)| nodes <= positions).then_some(pattern)
}

/// The pattern that gives about `wanted` claims to each rack and costs least.
fn search(pattern: &Pattern, wanted: &[f64]) -> Vec<u16> {
    let mut prices = vec![0.0; wanted.len()];
    let mut steps = vec![Price { step: STEP_FIRST, direction: 0.0 }; wanted.len()];
    let (mut best, mut least) = (Vec::new(), f64::INFINITY);
    for _ in 0..ROUNDS_MAX {
        let (racks, cost) = pattern.cheapest(&prices);
        let lacks = lacks(&racks, wanted);
        let off: f64 = lacks.iter().map(|lacks| lacks.abs()).sum();
        if cost + OFF_COST * off < least {
            (best, least) = (racks, cost + OFF_COST * off);
        }
        if off == 0.0 {
            break;
        }
        for ((price, step), &lacks) in prices.iter_mut().zip(&mut steps).zip(&lacks) {
            *price += step.change(lacks);
        }
    }
    best
}

/// What each rack lacks beyond the slack; negative where it has too much.
fn lacks(racks: &[u16], wanted: &[f64]) -> Vec<f64> {
    let held = counted(racks, wanted.len());
    let lack = |(held, &wanted): (f64, &f64)| {
        let (lacks, slack) = (wanted - held, (wanted * SHARE_SLACK).max(ROUNDING_CLAIMS));
        lacks - lacks.clamp(-slack, slack)
    };
    held.into_iter().zip(wanted).map(lack).collect()
}

/// How often each of `count` racks is named.
pub(super) fn counted(racks: &[u16], count: usize) -> Vec<f64> {
    let mut held = vec![0.0; count];
    for &rack in racks {
        held[usize::from(rack)] += 1.0;
    }
    held
}

/// The claims that the `shares` of each rack's nodes ask for, of `partitions`.
fn wanted(shares: &[f64], rack_of: &[u16], racks: usize, partitions: usize) -> Vec<f64> {
    let replicas: f64 = shares.iter().sum();
    let mut wanted = vec![0.0; racks];
    for (&rack, share) in rack_of.iter().zip(shares) {
        wanted[usize::from(rack)] += share * partitions as f64 / replicas;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four racks of two nodes: two racks have a column each, two share one by turns of four rows.
    fn ring() -> (Spacing, Before) {
        let spacing = Spacing::new(3, 96, &[0, 0, 1, 1, 2, 2, 3, 3], &[4, 8]);
        let node = |position: usize| {
            let (row, column) = (position / 3, position % 3);
            let rack = if column == 2 && row % 8 >= 4 { 3 } else { column };
            u16::try_from(2 * rack + row % 2).unwrap()
        };
        let claims: Vec<u16> = (0..96).map(node).collect();
        let owners = (0..96).map(|start| (start..start + 3).map(|position| claims[position % 96]).collect());
        let owners = owners.collect();
        (spacing, Before { claims, owners })
    }

    fn racks(before: &Before) -> Vec<u16> {
        before.claims.iter().map(|node| node / 2).collect()
    }

    #[test]
    fn racks_that_have_their_shares_stay() {
        let (spacing, before) = ring();
        let shares = [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25];
        assert_eq!(pattern(&spacing, &before, &shares), Some(racks(&before)));
    }

    /// Each position that a rack gains is one that the other loses, and both stand as far apart as they did.
    #[test]
    fn what_one_rack_gains_another_loses_and_nobody_else_moves() {
        let (spacing, before) = ring();
        let shares = [0.5, 0.5, 0.5, 0.5, 0.375, 0.375, 0.125, 0.125];
        let after = pattern(&spacing, &before, &shares).unwrap();
        let changed: Vec<(u16, u16)> =
            racks(&before).into_iter().zip(after).filter(|(old, new)| old != new).collect();
        assert!((7..=9).contains(&changed.len()), "a quarter of the 32 positions of a column: {changed:?}");
        assert!(changed.iter().all(|&change| change == (3, 2)), "{changed:?}");
    }
}
