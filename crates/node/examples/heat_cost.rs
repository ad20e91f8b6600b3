//! What it costs to watch what is hot, in nanoseconds of one thread for each request: `cargo run --release -p henge-node
//! --example heat_cost`. Beside it what a request would cost if all were looked at. For orientation.

use std::time::{Duration, Instant as Started};

use env::Rng;
use node::heat::{Access, Heat, SAMPLED_ONE_OF};
use types::{Instant, KeyspaceId, PartitionId};

const REQUESTS: u32 = 10_000_000;

/// Nanoseconds of a request. Keys that are all as hot as each other are the worst, since each that comes is not watched.
fn cost(one_of: u32, keys: u64) -> u128 {
    let mut heat = Heat::sampled(1, one_of);
    let mut rng = Rng::from_seed(2);
    let drawn: Vec<u64> = (0..4096).map(|_| rng.below(keys)).collect();
    let began = Started::now();
    for (request, key) in (0..REQUESTS).zip(drawn.iter().cycle()) {
        let now = Instant(0) + Duration::from_micros(2) * request;
        let partition = PartitionId(u16::from(key.to_be_bytes()[7]));
        heat.asked(now, partition, KeyspaceId(0), &key.to_be_bytes(), Access::Read);
        heat.moved(now, partition, 1024);
    }
    std::hint::black_box(&heat);
    began.elapsed().as_nanos() / u128::from(REQUESTS)
}

fn main() {
    for (name, keys) in [("keys without number", u64::MAX), ("one key", 1)] {
        println!(
            "{name}: {} ns a request, of which one of {SAMPLED_ONE_OF} is looked at; {} ns if all were",
            cost(SAMPLED_ONE_OF, keys),
            cost(1, keys)
        );
    }
}
