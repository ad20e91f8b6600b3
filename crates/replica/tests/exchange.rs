//! The exchange between owners: whatever each holds, without any client all come to hold the same.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use causality::{Actor, Context, Dot, Payload, Policy, Record, Stamp, Version};
use proptest::prelude::*;
use replica::collection::CollectionOptions;
use replica::{ExchangeOptions, ReplicaOptions};
use storage::Options;
use support::difference::one_difference;
use support::owners::{KEYSPACES, Message, Owners};
use support::{LWW, SIBLINGS, lww};
use types::{Incarnation, KeyspaceId, OperationId, Stint};
use wire::{ReplicaReply, ReplicaRequest};

const CYCLE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

fn options() -> ReplicaOptions {
    let exchange = ExchangeOptions { cycle: CYCLE, ..ExchangeOptions::default() };
    // Deletes are kept: what is dropped is no difference, and its agreement is no question of the exchange.
    let collection =
        CollectionOptions { gather: Duration::from_secs(86_400), ..CollectionOptions::default() };
    ReplicaOptions { exchange, collection, ..ReplicaOptions::default() }
}

fn owners(count: usize, partitions: u64) -> Owners {
    Owners::new(count, partitions, options(), &Options { memory_bytes: 256 << 10, ..Options::tiny() })
}

/// What was written to one key, on one node, at one time.
#[derive(Clone, Debug)]
struct Wrote {
    node: usize,
    keyspace: usize,
    key: u8,
    version: u64,
    deleted: bool,
}

fn any_write() -> impl Strategy<Value = Wrote> {
    (0..3_usize, 0..2_usize, 0..12_u8, 1..9_u64, prop::bool::weighted(0.2))
        .prop_map(|(node, keyspace, key, version, deleted)| Wrote { node, keyspace, key, version, deleted })
}

fn record(wrote: &Wrote) -> Record {
    let payload = if wrote.deleted {
        Payload::Tombstone
    } else {
        Payload::Value(Bytes::from(format!("{}", wrote.version)))
    };
    // A dot names one write, so what it wrote follows from it.
    let counter = wrote.version * 2 + u64::from(wrote.deleted);
    let dot = Dot { actor: Actor { incarnation: Incarnation(9), stint: Stint(1) }, counter };
    let version = Version::new(dot, Stamp(counter), payload, OperationId(counter));
    let policy = if KEYSPACES[wrote.keyspace] == LWW { Policy::Lww } else { Policy::Siblings };
    Record::put(None, policy, &Context::Empty, version).unwrap()
}

fn key(number: u8) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// F1. The naive model: of each key, the merge of all that was ever written anywhere.
    #[test]
    fn owners_come_to_hold_the_same_without_a_client(
        before in prop::collection::vec(any_write(), 0..40),
        meanwhile in prop::collection::vec(any_write(), 0..12),
    ) {
        let mut owners = owners(3, 4);
        let mut model: BTreeMap<(KeyspaceId, Vec<u8>), Record> = BTreeMap::new();
        for (number, wrote) in before.iter().chain(&meanwhile).enumerate() {
            if number > before.len() {
                owners.pass(Duration::from_millis(400), STEP);
            }
            let (keyspace, key, record) = (KEYSPACES[wrote.keyspace], key(wrote.key), record(wrote));
            owners.store(wrote.node, keyspace, &key, &record);
            let known = model.entry((keyspace, key)).or_insert_with(|| record.clone());
            *known = known.merge(&record).unwrap();
        }
        owners.pass(CYCLE * 3, STEP);
        for ((keyspace, key), expected) in &model {
            for node in 0..3 {
                let held = owners.held(node, *keyspace, key);
                prop_assert_eq!(held.as_ref(), Some(expected), "node {}", node);
            }
        }
        // At rest: all agree, and a cycle costs a question for each tree and two owners.
        let frames = owners.frames;
        owners.pass(CYCLE, STEP);
        for node in &owners.nodes {
            let figures = node.exchange();
            prop_assert_eq!((figures.agreeing, figures.differing, figures.oldest), (figures.pairs, 0, None));
            prop_assert_eq!((figures.unbuilt, figures.corrected, figures.stuck), (0, 0, 0));
        }
        let pairs: usize = 3 * 2 * 4 * 2 / 2;
        prop_assert!((2 * pairs - pairs / 4..=2 * pairs + pairs / 4).contains(&(owners.frames - frames)));
    }
}

#[test]
fn an_owner_that_was_away_is_brought_up_and_what_it_alone_has_is_fetched() {
    let mut owners = owners(3, 4);
    owners.silent = Some(2);
    for number in 0..50 {
        let record = lww(1000 + u64::from(number), Stamp(5), b"written while it was away");
        owners.store(0, LWW, &key(number), &record);
        owners.store(1, LWW, &key(number), &record);
    }
    owners.store(2, LWW, b"its own", &lww(1, Stamp(5), b"before it was cut off"));
    owners.pass(CYCLE * 2, STEP);
    assert_eq!(owners.held(2, LWW, &key(7)), None);
    owners.silent = None;
    owners.pass(CYCLE * 2, STEP);
    for number in 0..50 {
        assert!(owners.held(2, LWW, &key(number)).is_some(), "{number}");
    }
    for node in 0..3 {
        assert!(owners.held(node, LWW, b"its own").is_some(), "node {node}");
    }
}

/// What one difference costs among many keys: the walk's few questions, and the record. The example `one_difference` does the
/// same with a million.
#[test]
fn bytes_grow_with_the_difference_and_not_with_the_data() {
    let (equal, one) = one_difference(20_000);
    assert!(equal.bytes < 1000, "at rest: {equal:?}");
    assert!(one.bytes - equal.bytes < 4 * 1024, "one difference among 20,000 keys: {one:?}");
}

/// A key that both have and one has overwritten: its new record crosses, and the old one does not, whoever asks whom.
#[test]
fn what_was_overwritten_does_not_cross() {
    const BYTES: usize = 4_000;
    for newer in [0, 1] {
        let mut owners = owners(2, 2);
        owners.pass(CYCLE * 2, STEP);
        for node in [0, 1] {
            let stamp = 5 + u64::from(node == newer);
            owners.store(node, LWW, b"key", &lww(stamp, Stamp(stamp), &[b'v'; BYTES]));
        }
        owners.bytes = 0;
        owners.pass(CYCLE * 2, STEP);
        let expected = Some(lww(6, Stamp(6), &[b'v'; BYTES]));
        assert_eq!((owners.held(0, LWW, b"key"), owners.held(1, LWW, b"key")), (expected.clone(), expected));
        assert!((BYTES..BYTES + 2_000).contains(&owners.bytes), "{newer} is newer: {} bytes", owners.bytes);
    }
}

#[test]
fn an_owner_that_takes_in_nothing_is_called_stuck() {
    let mut owners = owners(2, 2);
    owners.store(
        0,
        SIBLINGS,
        b"key",
        &record(&Wrote { node: 0, keyspace: 1, key: 0, version: 1, deleted: false }),
    );
    owners.liar = Some(1);
    owners.pass(CYCLE * 8, STEP);
    assert_eq!(owners.nodes[0].exchange().stuck, 1);
    owners.liar = None;
    owners.pass(CYCLE * 2, STEP);
    assert_eq!(owners.nodes[0].exchange().stuck, 0);
    assert!(owners.held(1, SIBLINGS, b"key").is_some());
}

#[test]
fn a_repair_that_is_asked_for_compares_all_at_once() {
    let mut owners = owners(3, 16);
    owners.pass(CYCLE * 2, STEP);
    owners.store(0, LWW, b"key", &lww(1, Stamp(5), b"value"));
    let rounds = owners.nodes[0].exchange().rounds;
    let now = owners.now;
    owners.nodes[0].repair(now);
    let asked = owners.nodes[0].exchange().uncompared;
    assert_eq!(asked, 16 * 2 * 2, "partitions, keyspaces, other owners");
    owners.pass(STEP * 2, STEP);
    let figures = owners.nodes[0].exchange();
    assert_eq!((figures.hurried, figures.uncompared, figures.rounds - rounds), (0, 0, asked));
    assert!(owners.held(1, LWW, b"key").is_some() && owners.held(2, LWW, b"key").is_some());
}

/// Two owners, and a round of the first that takes so long and finds a key to differ, which has reached the other by the time
/// that it is looked at; or it loses the answer to that. How long after its end the next round begins.
fn next_round_after(owners: &mut Owners, takes: Duration, is_lost: bool) -> Duration {
    let record = lww(1000, Stamp(5), b"value");
    owners.store(0, LWW, b"key", &record);
    owners.wait_for_message();
    let asks_for_share =
        |message: &Message| matches!(message, Message::Request(_, _, _, _, ReplicaRequest::Grant { .. }));
    while !owners.under_way().any(asks_for_share) {
        owners.arrive();
    }
    owners.pass(takes, STEP);
    owners.store(1, LWW, b"key", &record);
    let tells_of_the_key = |message: &Message| matches!(message, Message::Reply(_, _, ReplicaReply::Same));
    while !owners.under_way().any(tells_of_the_key) {
        owners.arrive();
    }
    let rounds = owners.nodes[0].exchange().rounds;
    if is_lost {
        owners.lose();
    } else {
        owners.arrive();
    }
    let rounds_after = |owners: &mut Owners, count: u64| {
        while owners.nodes[0].exchange().rounds < rounds + count && owners.under_way().next().is_none() {
            owners.pass(STEP, STEP);
        }
        owners.now.mono
    };
    let ended = rounds_after(owners, 1);
    rounds_after(owners, 2).since(ended)
}

/// Two owners of which the first asks about the tree of a key, and its messages arrive when a test lets them.
fn by_hand() -> Owners {
    let mut owners = owners(2, 2);
    owners.pass(CYCLE * 2, STEP);
    // The other one asks nothing from here on, and nobody is spared a question for having been asked.
    owners.liar = Some(1);
    owners.pass(CYCLE * 2, STEP);
    owners.liar = None;
    owners.by_hand(0, LWW, b"key");
    owners
}

/// Comparing costs a share of the time while clients write everywhere, and goes on in the end.
#[test]
fn a_round_that_met_what_was_under_way_rests_and_for_a_cycle_at_the_most() {
    let rest = next_round_after(&mut by_hand(), Duration::from_millis(400), false);
    assert!((8_000..8_200).contains(&rest.as_millis()), "twenty times 400 ms: {rest:?}");
    let rest = next_round_after(&mut by_hand(), Duration::from_secs(3), false);
    assert!((10_000..10_200).contains(&rest.as_millis()), "a cycle: {rest:?}");
}

/// What was not compared says nothing of how busy anybody is.
#[test]
fn a_failed_round_does_not_rest() {
    let rest = next_round_after(&mut by_hand(), Duration::from_millis(400), true);
    assert!(rest < CYCLE / 2, "{rest:?}");
}

/// Somebody waits for it.
#[test]
fn a_repair_does_not_rest() {
    let mut owners = by_hand();
    // The round that this test is about, and one after it: then it is not the last one of the repair.
    owners.wait_for_message();
    owners.arrive_all();
    let rounds = owners.nodes[0].exchange().rounds;
    while owners.nodes[0].exchange().rounds == rounds {
        owners.pass(STEP, STEP);
    }
    let now = owners.now;
    owners.nodes[0].repair(now);
    let rest = next_round_after(&mut owners, Duration::from_millis(400), false);
    assert!(rest <= STEP, "{rest:?}");
}
