//! INVARIANTS F2: what is exchanged grows with the differences and not with the data.

use crate::support::{Store, Talk, exchange, usual_shape};

fn differing(keys: usize, differences: usize) -> Talk {
    let here = Store::of(usual_shape(), (0..keys).map(|key| (format!("user:{key:010}"), 1)));
    let (mut there, mut ours) = (here.clone(), here.tree());
    let mut theirs = here.tree();
    there.rewrite(&mut theirs, (0..differences).map(|nth| (2 * nth + 1) * keys / (2 * differences)));
    let talk = exchange(&here, &mut ours, &there, &mut theirs);
    assert_eq!(talk.differences.len(), differences);
    talk
}

/// The goal is 64 KiB; that it is a thirtieth of that is what parts of leaves are for.
#[test]
fn one_difference_in_a_million_keys_costs_little() {
    let talk = differing(1_000_000, 1);
    assert!(talk.bytes() <= 2 * 1024, "{} bytes", talk.bytes());
    assert!(talk.said.len() <= 5, "{} questions", talk.said.len());
}

/// Ten times the data, the same bytes for each difference (within what one more cut of a leaf costs).
#[test]
fn bytes_grow_with_the_differences() {
    let (few, many) = (differing(20_000, 100), differing(200_000, 100));
    assert!(many.bytes() < 2 * few.bytes(), "{} and {} bytes", few.bytes(), many.bytes());
    let ten = differing(200_000, 10);
    assert!(ten.bytes() * 5 < many.bytes(), "{} and {} bytes", ten.bytes(), many.bytes());
}
