//! One history, change by change: where its moves come from.

use std::collections::BTreeMap;

use ring::PlacementMember;
use types::NodeId;

use crate::history::{Shape, history};
use crate::judge::{count_moved, fair, greatest, growth, loads};
use crate::lists;
use crate::rivals::SCHEMES;

/// Prints the table.
pub(crate) fn print(shape: Shape, seed: u64) {
    let history = history(shape, seed);
    println!("| change | racks hold, of all partitions | load | moved | the least | any lists of owners |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut place = (SCHEMES[0].begin)(history.partitions);
    let mut before = None;
    let (mut moved, mut least, mut fewest) = (0.0, 0.0, 0.0);
    for (step, members) in history.steps.iter().enumerate() {
        let owners = place(members);
        let fair = fair(members, owners.len());
        let racks = racks(members, &fair, owners.len());
        let load = greatest(&owners, &fair);
        if let Some((old_owners, old_fair)) = &before {
            let step_moved = count_moved(old_owners, &owners);
            let step_least = growth(old_fair, &fair);
            // Loads that plans leave are in the bounds that lists have to keep, but for what plans could not mend.
            let of_lists = lists::fewest(old_owners, members, &fair);
            let step_fewest =
                of_lists.map_or(growth(&loads(old_owners), &loads(&owners)), |moved| moved as f64);
            println!("| {step} | {racks} | {load:.3} | {step_moved} | {step_least:.0} | {step_fewest:.0} |");
            (moved, least, fewest) = (moved + step_moved, least + step_least, fewest + step_fewest);
        } else {
            println!("| founding | {racks} | {load:.3} | | | |");
        }
        before = Some((owners, fair));
    }
    println!("| all | | | {moved} | {least:.0} | {fewest:.0} |");
    println!("\nMoved {:.3} of the least; lists of owners {:.3}.", moved / least, fewest / least);
}

/// The fair shares of racks in words.
fn racks(members: &[PlacementMember], fair: &BTreeMap<NodeId, f64>, partitions: usize) -> String {
    let mut racks: BTreeMap<&str, f64> = BTreeMap::new();
    for member in members {
        *racks.entry(&member.rack).or_default() += fair[&member.node] / partitions as f64;
    }
    racks.values().map(|share| format!("{share:.2}")).collect::<Vec<_>>().join(" ")
}
