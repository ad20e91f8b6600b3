//! Prints what two owners of a partition send each other, as frames, when one key differs between them, with its record:
//! `cargo run --release -p henge-replica --example one_difference`.
#![allow(clippy::unwrap_used, reason = "fixed inputs, and nobody depends on it")]

#[path = "../tests/support/mod.rs"]
mod support;

use support::difference::one_difference;

/// What one difference may cost.
const GOAL_BYTES: usize = 64 * 1024;

fn main() {
    println!("{:>10} {:>24} {:>24}", "keys", "frames (bytes), equal", "frames (bytes), one key");
    for keys in [10_000, 100_000, 1_000_000] {
        let (equal, one) = one_difference(keys);
        let cell = |cost: support::difference::Cost| format!("{} ({})", cost.frames, cost.bytes);
        println!("{keys:>10} {:>24} {:>24}", cell(equal), cell(one));
        assert!(one.bytes <= GOAL_BYTES, "goal: {GOAL_BYTES} bytes");
    }
}
