//! Prints the tables of `docs/placement.md`: `cargo run --release -p henge-ring --example placement_figures`.
//!
//! Placement and four rival schemes go through the same histories of joins, leaves, replacements and new weights. All
//! of them are judged by owner lists alone, so that none is judged by what only another one has.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small fixed inputs, and nobody depends on it"
)]

mod history;
mod judge;
mod paper;
mod rivals;

use history::{Shape, histories};
use judge::{Figures, judge};
use rivals::SCHEMES;

fn main() {
    println!("## Beside other schemes\n");
    println!(
        "| scheme | load over fair share | moved over the least | worst history | changes within 1.10 of the least |"
    );
    println!("| --- | --- | --- | --- | --- |");
    let by_shape = Shape::ALL.map(|shape| judge(&SCHEMES[0], &histories(&[shape])));
    let ours = by_shape.iter().fold(Figures::default(), Figures::with);
    let all = histories(&Shape::ALL);
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
    println!("\n## Placement by size, weights and racks\n");
    println!(
        "| nodes | racks | weights | load over fair share | moved over the least | worst history | moved over what the loads need |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (shape, figures) in Shape::ALL.iter().zip(&by_shape) {
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
    println!();
    paper::print();
}
