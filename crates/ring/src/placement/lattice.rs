//! The lattice: which rack should stand where on a new ring whose racks differ in what they should hold.
//!
//! A rack that holds a replica of nearly every partition must stand at nearly every N-th position. If it does so in
//! step, it can later lose a position and gain it again for N replicas each. Out of step there is no room for one more:
//! every position that it gains makes a walk skip a neighbour, and moves more than it is worth. So a new ring is made
//! of N columns, which are its positions modulo N, and racks are laid along the columns end to end, as McNaughton lays
//! tasks on machines (Management Science, 1959): a rack that a column's end cuts in two goes on in the next one at
//! other rows, so it never meets itself.
//!
//! Rows are taken in laps, so that each lap has the racks in proportion and no part of the ring is one rack's. Each lap
//! lays the racks in an order of its own: a rack that grows finds room in its own column only, and should find there
//! some of every other rack, not much of one. Racks that fill a column come first, since they have no other place.
//!
//! With two racks and three columns, a lap has one column of each rack, and the middle one is shared.

use super::claim::fraction;
use super::spacing::{FREE, Spacing};

/// How much of a column is passed by from row to row: a lap takes 50 rows. Where one lap ends and another begins, racks
/// that change columns stand too near or too far, so there should not be many; a ring should have several, though.
const LAP_PER_ROW: f64 = 0.02;

/// A rack with this much of a column has no room to begin elsewhere.
const COLUMN_FULL: f64 = 0.95;

/// For each position the rack that should have it; empty where the ring has claims already, or where racks need not
/// be told apart so. `rack_quotas` are the claims of each rack.
pub(super) fn lattice(spacing: &Spacing, claims: &[u16], rack_quotas: &[u32]) -> Vec<u16> {
    let columns = spacing.window();
    let is_even = match spacing.rack_most() {
        1 => rack_quotas.len() <= columns,
        _ => rack_quotas.len() <= 1,
    };
    if is_even || claims.iter().any(|&node| node != FREE) {
        return Vec::new();
    }
    let mut racks = Vec::with_capacity(claims.len());
    let (mut lap, mut passed) = (0, 0.0);
    let mut laid = ends(rack_quotas, columns, lap);
    while racks.len() < claims.len() {
        let rack_at = |column: usize| {
            let at = column as f64 + passed;
            laid.iter().find(|&&(end, _)| at < end).or(laid.last()).map_or(0, |&(_, rack)| rack)
        };
        racks.extend((0..columns).map(rack_at).take(claims.len() - racks.len()));
        passed += LAP_PER_ROW;
        if passed >= 1.0 {
            (lap, passed) = (lap + 1, passed - 1.0);
            laid = ends(rack_quotas, columns, lap);
        }
    }
    racks
}

/// Where each rack ends on a lap if all are laid end to end along the columns: first those that fill one.
fn ends(rack_quotas: &[u32], columns: usize, lap: u32) -> Vec<(f64, u16)> {
    let mut racks: Vec<(u16, u32)> = (0..).zip(rack_quotas.iter().copied()).collect();
    let total: u32 = rack_quotas.iter().sum();
    let in_columns = |quota: u32| f64::from(quota) * columns as f64 / f64::from(total);
    racks.sort_by(|&(a, of_a), &(b, of_b)| {
        let fills = |quota: u32| in_columns(quota) > COLUMN_FULL;
        let at = |rack: u16| fraction(usize::from(rack), lap);
        fills(of_b).cmp(&fills(of_a)).then(at(a).total_cmp(&at(b)))
    });
    let mut laid = 0;
    let end = |(rack, quota): (u16, u32)| {
        laid += quota;
        (in_columns(laid), rack)
    };
    racks.into_iter().map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lattice_of(rack_of: &[u16], rounds: &[usize], quotas: &[u32]) -> Vec<u16> {
        let count = usize::try_from(quotas.iter().sum::<u32>()).unwrap();
        lattice(&Spacing::new(3, count, rack_of, rounds), &vec![FREE; count], quotas)
    }

    /// With two racks each row has one at its begin and the other at its end, so both can grow in the middle.
    #[test]
    fn two_racks_share_the_middle_column() {
        let racks = lattice_of(&[0, 0, 0, 1, 1, 1], &[2, 4, 6], &[192, 108]);
        assert!(racks.chunks(3).all(|row| row[0] != row[2]), "{racks:?}");
        let crowded = racks.windows(3).filter(|window| window.iter().all(|rack| *rack == window[0])).count();
        assert!(crowded <= 4, "where one lap ends and another begins, and nowhere else: {racks:?}");
    }

    /// A rack that has a replica of every partition stands at every third position, on every lap.
    #[test]
    fn a_full_rack_keeps_its_column() {
        let racks = lattice_of(&[0, 1, 2, 3], &[4], &[200, 150, 150, 100]);
        assert!(racks.chunks(3).all(|row| row[0] == 0), "{racks:?}");
        assert_eq!(racks.iter().filter(|&&rack| rack == 0).count(), 200);
    }
}
