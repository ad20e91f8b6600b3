//! The pattern of a changed ring: which rack is to claim each position.
//!
//! Where racks are large, a rack that grows finds few positions that are not in the way of its own claims, and whoever
//! stands there is seldom the one that has to shrink. Looking at single claims, one sees no cheap way; but racks are
//! few. So the ring is walked once, with the racks of the last two positions as all that there is to remember, and the
//! cheapest way round is found as Viterbi finds the likeliest one (IEEE Transactions on Information Theory, 1967): a
//! position costs the replicas that its claim moves, and what walks skip costs too. How many claims each rack gets is
//! up to the prices that it is offered (`prices`).
//!
//! What must hold: the way round is closed, so the windows over the ring's end count like all others. It begins at two
//! claims that stay as they are.

use super::REPLICAS_BALANCED;
use super::claim::fraction;
use super::home;
use super::plan::Before;
use super::spacing::{FREE, Spacing};

/// What a neighbour that walks skip costs, in moved replicas. It costs one or two at once and makes later plans dearer.
const FAULT_COST: f64 = 4.0;

/// How much dearer one position may be than another one that moves as much. Without it they would all change racks at
/// the same price; it also spreads them over the ring.
const BLUR: f64 = 0.5;

/// Bounds the time of a walk: positions times racks cubed.
const STEPS_MAX: usize = 4_000_000;

/// Two racks are remembered, and the next makes a window of three.
const WINDOW: usize = REPLICAS_BALANCED;

/// What it costs to have a rack at a position. Positions are counted from the first one after two claims that stay.
pub(super) struct Pattern {
    racks: usize,
    /// The first position, on the ring.
    turn: usize,
    /// The racks of the two claims before it.
    ends: (usize, usize),
    /// For each position and rack the replicas that move, blurred.
    places: Vec<f64>,
    /// For each three racks in a row what walks skip.
    faults: Vec<f64>,
}

impl Pattern {
    /// The costs of changing the ring that there was `before`; none where there was no ring, where racks cannot differ,
    /// or where there are too many of them.
    pub(super) fn new(spacing: &Spacing, before: &Before) -> Option<Pattern> {
        let sizes = sizes(spacing);
        let (racks, count) = (sizes.len(), before.claims.len());
        let steps = count * racks.pow(3);
        if spacing.window() != WINDOW || racks < 2 || steps > STEPS_MAX || before.owners.is_empty() {
            return None;
        }
        let rack_at = |position: usize| {
            Some(before.claims[position % count])
                .filter(|&node| node != FREE)
                .map(|node| spacing.rack_of(node))
        };
        let ends_at = |position: usize| rack_at(position).zip(rack_at(position + 1)).filter(|(a, b)| a != b);
        let (turn, ends) = (0..count).find_map(|at| Some((at + 2, ends_at(at)?)))?;
        let place = |at: usize| {
            let (position, rack) = ((at / racks + turn) % count, at % racks);
            home::moved(spacing, before, position, rack)
                + if rack_at(position).map(usize::from) == Some(rack) { 0.0 } else { BLUR * fraction(at, 7) }
        };
        Some(Pattern {
            racks,
            turn,
            ends: (usize::from(ends.0), usize::from(ends.1)),
            places: (0..count * racks).map(place).collect(),
            faults: (0..racks.pow(3)).map(|row| FAULT_COST * skipped(spacing, &sizes, row)).collect(),
        })
    }

    /// How many racks there are.
    pub(super) fn racks(&self) -> usize {
        self.racks
    }

    /// For each position of the ring the rack that makes the whole cheapest if each claim brings its rack's price,
    /// and what that costs without the prices.
    pub(super) fn cheapest(&self, prices: &[f64]) -> (Vec<u16>, f64) {
        let (racks, count) = (self.racks, self.places.len() / self.racks);
        let pairs = racks * racks;
        let end = self.ends.0 * racks + self.ends.1;
        // For each position and pair of racks, the last of which has the position, the rack before the pair.
        let mut came_from = vec![0_u16; count * pairs];
        let mut costs = vec![f64::INFINITY; pairs];
        costs[end] = 0.0;
        for at in 0..count {
            let mut next = vec![f64::INFINITY; pairs];
            let stays = match count - at {
                2 => Some(self.ends.0),
                1 => Some(self.ends.1),
                _ => None,
            };
            for last in (0..racks).filter(|&rack| stays.is_none_or(|stays| stays == rack)) {
                let place = self.places[at * racks + last] - prices[last];
                for (pair, before) in costs.iter().enumerate() {
                    let cost = before + place + self.faults[pair * racks + last];
                    let to = pair % racks * racks + last;
                    if cost < next[to] {
                        next[to] = cost;
                        came_from[at * pairs + to] = index(pair / racks);
                    }
                }
            }
            costs = next;
        }
        let mut pattern = vec![0; count];
        let mut cost = costs[end];
        let mut pair = end;
        for at in (0..count).rev() {
            pattern[(at + self.turn) % count] = index(pair % racks);
            cost += prices[pair % racks];
            pair = usize::from(came_from[at * pairs + pair]) * racks + pair / racks;
        }
        (pattern, cost)
    }
}

/// How many nodes each rack has.
fn sizes(spacing: &Spacing) -> Vec<usize> {
    let mut sizes = Vec::new();
    for &rack in &spacing.rack_of {
        let rack = usize::from(rack);
        sizes.resize(sizes.len().max(rack + 1), 0);
        sizes[rack] += 1;
    }
    sizes
}

/// How many of three racks in a row, numbered as one `row`, a walk from the first would skip.
fn skipped(spacing: &Spacing, sizes: &[usize], row: usize) -> f64 {
    let racks = sizes.len();
    let row = [row / racks / racks, row / racks % racks, row % racks];
    let most = |rack: usize| spacing.rack_most().min(sizes[rack]);
    let earlier = |at: usize| row[..at].iter().filter(|&&rack| rack == row[at]).count();
    (1..WINDOW).filter(|&at| earlier(at) >= most(row[at])).count() as f64
}

fn index(rack: usize) -> u16 {
    u16::try_from(rack).expect("racks were numbered in 16 bits")
}
