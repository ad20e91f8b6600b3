//! Prints the tables of `docs/placement.md`: `cargo run --release -p henge-ring --example placement_figures`.
//!
//! Given one number, it prints the table by size for other histories, whose seeds begin there: none of them was looked at
//! when placement was made. Given four (nodes, racks, greatest weight, seed), it prints what each change of that history
//! moved, and what any lists of owners would have had to.
//!
//! Placement and four rival schemes go through the same histories of joins, leaves, replacements and new weights. All
//! of them are judged by owner lists alone, so that none is judged by what only another one has.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small fixed inputs, and nobody depends on it"
)]

mod flow;
mod history;
mod judge;
mod lists;
mod paper;
mod rivals;
mod steps;

use history::{Shape, histories};
use judge::{Figures, judge};
use rivals::SCHEMES;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|number| number.parse().unwrap()).collect();
    match numbers[..] {
        [] => all(),
        [first] => by_size(&by_shape(first)),
        [nodes, racks, weight_most, seed] => {
            let shape = Shape { nodes: nodes as u16, racks: racks as u16, weight_most: weight_most as u16 };
            steps::print(shape, seed);
        }
        _ => println!("no number, a first seed, or nodes, racks, greatest weight and seed"),
    }
}

fn by_shape(first: u64) -> [Figures; 50] {
    Shape::ALL.map(|shape| judge(&SCHEMES[0], &histories(&[shape], first)))
}

fn all() {
    println!("## Beside other schemes\n");
    println!(
        "| scheme | load over fair share | moved over the least | worst history | changes within 1.10 of the least |"
    );
    println!("| --- | --- | --- | --- | --- |");
    let by_shape = by_shape(0);
    let ours = by_shape.iter().fold(Figures::default(), Figures::with);
    let all = histories(&Shape::ALL, 0);
    let others = SCHEMES[1..].iter().map(|scheme| judge(scheme, &all));
    for (scheme, figures) in SCHEMES.iter().zip([ours].into_iter().chain(others)) {
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {} |",
            scheme.name,
            figures.load,
            figures.ratio(),
            figures.worst,
            figures.thrifty_in_words()
        );
    }
    println!();
    by_size(&by_shape);
    println!();
    paper::print();
}

fn by_size(by_shape: &[Figures]) {
    println!("## Placement by size, weights and racks\n");
    println!(
        "| nodes | racks | weights | load over fair share | moved over the least | worst history | moved over what the loads need |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (shape, figures) in Shape::ALL.iter().zip(by_shape) {
        println!(
            "| {} | {} | 1..{} | {:.3} | {:.3} | {:.3} | {:.3} |",
            shape.nodes,
            shape.racks,
            shape.weight_most,
            figures.load,
            figures.ratio(),
            figures.worst,
            figures.needed()
        );
    }
    let all = by_shape.iter().fold(Figures::default(), Figures::with);
    println!("\n{} of {} histories moved more than 1.10 times the least.", all.above.0, all.above.1);
}
