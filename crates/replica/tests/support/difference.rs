//! What it costs in frames that one key of many differs between two owners of a partition.

use std::time::Duration;

use causality::Stamp;
use replica::collection::CollectionOptions;
use replica::{ExchangeOptions, ReplicaOptions};
use storage::Options;
use types::PartitionId;

use super::owners::Owners;
use super::{LWW, lww};

/// How often all is compared.
const CYCLE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

/// The partition in which all keys are, of the usual number of partitions.
const PARTITION: PartitionId = PartitionId(77);

/// Frames of one partition, both ways together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

/// What was sent for the partition in a cycle in which its owners were equal, and in the cycle in which one key came to
/// differ and was mended.
pub(crate) fn one_difference(keys: usize) -> (Cost, Cost) {
    let exchange = ExchangeOptions { cycle: CYCLE, ..ExchangeOptions::default() };
    // Agreements on deletes are no question of the exchange.
    let gather = Duration::from_secs(86_400);
    let collection = CollectionOptions { gather, ..CollectionOptions::default() };
    let options = ReplicaOptions { exchange, collection, ..ReplicaOptions::default() };
    let mut owners = Owners::new(2, 256, options, &Options { memory_bytes: 64 << 20, ..Options::default() });
    owners.counted = Some(PARTITION);
    let tags = tags(&owners);
    let key = |number: usize| format!("{{{}}}user:{number:010}", tags[number % tags.len()]);
    for number in 0..keys {
        let record = lww(number as u64 + 1, Stamp(5), b"value");
        for node in 0..2 {
            owners.store(node, LWW, key(number).as_bytes(), &record);
        }
    }
    // Trees are built, a page at a time, and all are compared.
    while owners.nodes.iter().any(|node| node.exchange().unbuilt > 0) {
        owners.pass(CYCLE, STEP);
    }
    owners.pass(CYCLE, STEP);
    let equal = cycle(&mut owners);
    let one = key(keys / 2 + 1);
    owners.store(0, LWW, one.as_bytes(), &lww(keys as u64 + 1, Stamp(6), b"changed"));
    let moved = |owners: &Owners| -> u64 {
        owners.nodes.iter().map(|node| node.exchange().sent + node.exchange().fetched).sum()
    };
    let before = moved(&owners);
    let differing = cycle(&mut owners);
    assert_eq!(owners.held(1, LWW, one.as_bytes()), owners.held(0, LWW, one.as_bytes()));
    // The one fetches what the other has, merges and sends; the other may have come upon it at once, and fetches.
    let figures: Vec<_> =
        owners.nodes.iter().map(|node| (node.exchange().sent, node.exchange().fetched)).collect();
    assert!(moved(&owners) - before <= 3, "{figures:?}");
    (equal, differing)
}

fn cycle(owners: &mut Owners) -> Cost {
    let (frames, bytes) = (owners.frames, owners.bytes);
    owners.pass(CYCLE, STEP);
    Cost { frames: owners.frames - frames, bytes: owners.bytes - bytes }
}

/// A hash tag for each slot of the partition.
fn tags(owners: &Owners) -> Vec<String> {
    let partitions = owners.state.partitions();
    let mut by_slot = std::collections::BTreeMap::new();
    let mut number = 0_u32;
    while by_slot.len() < usize::from(partitions.slots_each()) {
        let tag = number.to_string();
        if partitions.of_key(tag.as_bytes()) == PARTITION {
            by_slot.entry(ring::Slot::of_key(tag.as_bytes()).number()).or_insert(tag);
        }
        number += 1;
    }
    by_slot.into_values().collect()
}
