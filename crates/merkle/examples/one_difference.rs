//! Prints what it takes to find out where two owners of a partition differ:
//! `cargo run --release -p henge-merkle --example one_difference`.
#![allow(clippy::unwrap_used, reason = "fixed inputs, and nobody depends on it")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use merkle::Tree;
use support::{Store, exchange, usual_shape};

fn main() {
    println!("bytes exchanged, both ways (questions asked; entries that both sides read)\n");
    println!("{:>10} {:>10} {:>12} {:>10} {:>10}", "keys", "differing", "bytes", "questions", "read");
    for keys in [10_000, 100_000, 1_000_000] {
        let here = Store::of(usual_shape(), (0..keys).map(|key| (format!("user:{key:010}"), 1)));
        let mut ours = here.tree();
        for differences in [0, 1, 10, 100, 1000] {
            let (mut there, mut theirs) = (here.clone(), here.tree());
            let spread = (0..differences).map(|nth| (2 * nth + 1) * keys / (2 * differences));
            there.rewrite(&mut theirs, spread);
            let talk = exchange(&here, &mut ours, &there, &mut theirs);
            assert_eq!(talk.differences.len(), differences);
            let (bytes, questions) = (talk.bytes(), talk.said.len());
            println!("{keys:>10} {differences:>10} {bytes:>12} {questions:>10} {:>10}", talk.read);
        }
        println!();
        if keys == 1_000_000 {
            say_what_a_tree_costs(&here, &mut ours);
        }
    }
}

fn say_what_a_tree_costs(store: &Store, tree: &mut Tree) {
    println!("a tree of {} keys: {} bytes", store.entries.len(), tree.memory_bytes());
    let begin = Instant::now();
    for &(place, _, digest) in &store.entries {
        tree.change(place, Some(digest), Some(digest));
    }
    let nanos = begin.elapsed().as_nanos() / store.entries.len() as u128;
    let begin = Instant::now();
    let root = tree.nodes().unwrap().root();
    println!("a change: {nanos} ns; the root after a change of every branch: {:?}", begin.elapsed());
    println!("root {root:?}");
}
