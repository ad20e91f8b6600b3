//! The lattice: which rack should stand where on a new ring of more racks than replicas.
//!
//! A rack that holds a replica of nearly every partition must stand at nearly every N-th position. If it does so in
//! step, it can later lose a position and gain it again for N replicas each. Out of step there is no room for one more:
//! every position that it gains makes a walk skip a neighbour, and moves more than it is worth. So a new ring is made
//! of N columns, which are its positions modulo N, and racks are laid along the columns end to end, as McNaughton lays
//! tasks on machines (Management Science, 1959): a rack that a column's end cuts in two goes on in the next one at
//! other rows, so it never meets itself.
//!
//! Rows are taken in laps, so that each lap has the racks in proportion and no part of the ring is one rack's.

use super::spacing::{FREE, Spacing};

/// How much of a column is passed by from row to row: a lap takes about 16 rows, and laps differ (a tenth of the
/// golden ratio's fraction, which no small number of rows divides).
const LAP_PER_ROW: f64 = 0.061_803_398_875;

/// For each position the rack that should have it; empty where the ring has claims already, or where racks need not
/// be told apart so. `rack_quotas` are the claims of each rack.
pub(super) fn lattice(spacing: &Spacing, claims: &[u16], rack_quotas: &[u32]) -> Vec<u16> {
    let columns = spacing.window();
    if spacing.rack_most() != 1 || rack_quotas.len() <= columns || claims.iter().any(|&node| node != FREE) {
        return Vec::new();
    }
    let ends = ends(rack_quotas, columns);
    let rack_at = |position: usize| {
        let (row, column) = (position / columns, position % columns);
        let at = column as f64 + (row as f64 * LAP_PER_ROW).fract();
        ends.iter().find(|&&(end, _)| at < end).or(ends.last()).map_or(0, |&(_, rack)| rack)
    };
    (0..claims.len()).map(rack_at).collect()
}

/// Where each rack ends if all are laid end to end along the columns, the largest first.
fn ends(rack_quotas: &[u32], columns: usize) -> Vec<(f64, u16)> {
    let mut racks: Vec<(u16, u32)> = (0..).zip(rack_quotas.iter().copied()).collect();
    racks.sort_by_key(|&(rack, quota)| (std::cmp::Reverse(quota), rack));
    let total: u32 = rack_quotas.iter().sum();
    let mut laid = 0;
    let end = |(rack, quota): (u16, u32)| {
        laid += quota;
        (f64::from(laid) * columns as f64 / f64::from(total), rack)
    };
    racks.into_iter().map(end).collect()
}
