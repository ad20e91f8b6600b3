//! What clients do while partitions move or are cut anew, and with what settings.

use std::collections::BTreeSet;
use std::time::Duration;

use replica::collection::CollectionOptions;
use replica::{ExchangeOptions, ReplicaOptions};
use storage::Options;

use super::owners::Owners;

pub(crate) const STEP: Duration = Duration::from_millis(100);

pub(crate) fn options() -> ReplicaOptions {
    let exchange = ExchangeOptions { cycle: Duration::from_secs(2), ..ExchangeOptions::default() };
    let collection = CollectionOptions { gather: Duration::from_secs(1), rest: Duration::from_secs(1) };
    ReplicaOptions { exchange, collection, ..ReplicaOptions::default() }
}

pub(crate) fn storage() -> Options {
    Options { memory_bytes: 256 << 10, log_segment_bytes: 64 << 10, ..Options::tiny() }
}

/// How many keys there are at first.
pub(crate) const KEYS: u32 = 120;

/// So many owners of so many partitions that hold the same keys.
pub(crate) fn filled(nodes: usize, partitions: u64, storage: &Options) -> (Owners, BTreeSet<u32>) {
    let mut owners = Owners::new(nodes, partitions, options(), storage);
    let keys: BTreeSet<u32> = (0..KEYS).collect();
    for number in &keys {
        assert!(owners.write(0, *number));
    }
    owners.pass(Duration::from_secs(5), STEP);
    (owners, keys)
}

/// Stops a node without a word, and starts it again.
pub(crate) fn restart(owners: &mut Owners, node: usize) {
    owners.restart(node, (options(), &storage()), |_| {});
}

/// Clients of every node write a little, and read some of what was acknowledged.
#[track_caller]
pub(crate) fn serve_clients(owners: &mut Owners, keys: &mut BTreeSet<u32>, next: &mut u32) {
    for by in 0..owners.nodes.len() {
        *next += 1;
        if owners.write(by, *next) {
            keys.insert(*next);
        }
        for number in keys.iter().filter(|number| (**number + *next).is_multiple_of(11)) {
            let found = owners.read(by, *number, (*next + number) as usize);
            assert!(found != Some(false), "{number} is not found, by what node {by} goes by");
        }
    }
}
