//! The collection of deletes: in the end nobody keeps what was deleted, and no copy of it comes back (INVARIANTS D1).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Record};
use proptest::prelude::*;
use replica::collection::CollectionOptions;
use replica::{Change, ExchangeOptions, MakeError, ReplicaOptions};
use storage::Options;
use support::owners::{KEYSPACES, Owners};
use support::{LWW, SIBLINGS};
use types::{KeyspaceId, WallTime};
use wire::{ReplicaReply, WriteName};

const CYCLE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(50);
/// Enough for one agreement and the next, and for what follows from it.
const COLLECTED: Duration = Duration::from_secs(40);

fn owners(count: usize) -> Owners {
    let exchange = ExchangeOptions { cycle: CYCLE, ..ExchangeOptions::default() };
    let collection = CollectionOptions { gather: Duration::from_secs(1), rest: Duration::from_secs(2) };
    let options = ReplicaOptions { exchange, collection, ..ReplicaOptions::default() };
    Owners::new(count, 4, options, &Options { memory_bytes: 256 << 10, ..Options::tiny() })
}

fn put(value: &str, expiry: ExpiryChange) -> Change {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Change::Put { value, context: Context::Empty, expiry, priority: 0 }
}

fn delete(owners: &mut Owners, node: usize, keyspace: KeyspaceId, key: &[u8]) -> Change {
    let context = owners.held(node, keyspace, key).map_or(Context::Empty, |record| record.context());
    Change::Delete { context }
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize, u8),
    Delete(usize, usize, u8),
    Pass(u8),
    Silent(Option<usize>),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_usize, 0..2_usize, 0..5_u8).prop_map(|(node, keyspace, key)| Step::Put(node, keyspace, key)),
        3 => (0..3_usize, 0..2_usize, 0..5_u8).prop_map(|(node, keyspace, key)| Step::Delete(node, keyspace, key)),
        2 => (1..60_u8).prop_map(Step::Pass),
        1 => prop::option::of(0..3_usize).prop_map(Step::Silent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The naive model: of each key, the merge of all that was ever made of it, anywhere.
    #[test]
    fn what_was_deleted_is_dropped_by_all_and_no_copy_brings_it_back(
        steps in prop::collection::vec(any_step(), 1..40),
        late in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 0..12),
    ) {
        let mut owners = owners(3);
        let mut model: BTreeMap<(KeyspaceId, Vec<u8>), Record> = BTreeMap::new();
        let mut copies: Vec<(KeyspaceId, Vec<u8>, Bytes)> = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let (node, keyspace, key, is_delete) = match step {
                Step::Put(node, keyspace, key) => (*node, KEYSPACES[*keyspace], vec![b'k', *key], false),
                Step::Delete(node, keyspace, key) => (*node, KEYSPACES[*keyspace], vec![b'k', *key], true),
                Step::Pass(tenths) => {
                    owners.pass(Duration::from_millis(100) * u32::from(*tenths), STEP);
                    continue;
                }
                Step::Silent(node) => {
                    owners.silent = *node;
                    continue;
                }
            };
            let change = if is_delete {
                delete(&mut owners, node, keyspace, &key)
            } else {
                put(&number.to_string(), ExpiryChange::Clear)
            };
            let Ok(made) = owners.make(node, keyspace, &key, change) else { continue };
            let record = Record::decode(made.record.clone()).unwrap();
            copies.push((keyspace, key.clone(), made.record));
            let known = model.entry((keyspace, key)).or_insert_with(|| record.clone());
            *known = known.merge(&record).unwrap();
        }
        owners.silent = None;
        owners.pass(COLLECTED, STEP);
        check(&mut owners, &model)?;
        if copies.is_empty() {
            return Ok(());
        }
        for (which, node) in late {
            let (keyspace, key, record) = which.get(&copies).clone();
            owners.arrives(node, keyspace, &key, record);
        }
        check(&mut owners, &model)?;
        owners.pass(COLLECTED, STEP);
        check(&mut owners, &model)?;
    }
}

/// Nobody holds what is deleted; everybody holds the values of what is not.
fn check(owners: &mut Owners, model: &BTreeMap<(KeyspaceId, Vec<u8>), Record>) -> Result<(), TestCaseError> {
    for ((keyspace, key), expected) in model {
        let dead = expected.is_dead(owners.now.wall);
        for node in 0..3 {
            let held = owners.held(node, *keyspace, key);
            if dead {
                prop_assert_eq!(held, None, "node {} keeps a delete of {:?}", node, key);
            } else {
                let held = held.map(|held| held.versions().to_vec());
                let live = expected.versions().to_vec();
                prop_assert_eq!(held, Some(live), "node {} of {:?}", node, key);
            }
        }
    }
    Ok(())
}

#[test]
fn a_delete_is_kept_for_as_long_as_an_owner_has_not_confirmed_it() {
    let mut owners = owners(3);
    let written = owners.make(0, LWW, b"key", put("value", ExpiryChange::Clear)).unwrap();
    owners.pass(CYCLE * 2, STEP);
    owners.silent = Some(2);
    let change = delete(&mut owners, 0, LWW, b"key");
    owners.make(0, LWW, b"key", change).unwrap();
    owners.pass(COLLECTED * 4, STEP);
    for node in 0..2 {
        assert!(owners.held(node, LWW, b"key").unwrap().is_dead(WallTime(0)), "node {node}");
    }
    let figures: Vec<_> = (0..3).map(|node| owners.nodes[node].collection(owners.now.wall)).collect();
    let leader = figures.iter().find(|figures| figures.waiting > 0 && figures.blocked.is_some()).unwrap();
    assert!(leader.oldest.is_some() && leader.dropped == 0);
    owners.silent = None;
    owners.pass(COLLECTED, STEP);
    for node in 0..3 {
        assert_eq!(owners.held(node, LWW, b"key"), None, "node {node}");
        assert_eq!(owners.arrives(node, LWW, b"key", written.record.clone()), ReplicaReply::Settled);
    }
}

#[test]
fn what_ends_by_itself_is_dropped_when_it_has() {
    let mut owners = owners(3);
    let ends = owners.now.wall.plus_millis(60_000);
    for keyspace in [LWW, SIBLINGS] {
        owners.make(0, keyspace, b"key", put("value", ExpiryChange::At(ends))).unwrap();
    }
    owners.pass(Duration::from_secs(50), STEP);
    assert!(owners.held(2, LWW, b"key").is_some() && owners.held(2, SIBLINGS, b"key").is_some());
    owners.pass(Duration::from_secs(10) + COLLECTED, STEP);
    for (node, keyspace) in (0..3).flat_map(|node| KEYSPACES.map(|keyspace| (node, keyspace))) {
        assert_eq!(owners.held(node, keyspace, b"key"), None, "node {node}");
    }
}

/// A write that was named before a round, and reaches its maker only after, is not made any more: all that was named by then
/// counts as settled, so it would be dropped where others do not have it. A name that was never used holds up nothing.
#[test]
fn what_was_named_before_a_round_is_not_made_after_it() {
    let mut owners = owners(3);
    let partition = owners.state.partition_of(b"key");
    let early = owners.nodes[2].name(owners.now, partition);
    owners.make(0, LWW, b"key", put("value", ExpiryChange::Clear)).unwrap();
    let change = delete(&mut owners, 0, LWW, b"key");
    let deleted = owners.make(0, LWW, b"key", change).unwrap();
    owners.pass(COLLECTED, STEP);
    let newest = Record::decode(deleted.record).unwrap().versions()[0].stamp;
    for node in 0..3 {
        assert_eq!(owners.held(node, LWW, b"key"), None, "node {node}");
        let late = owners.nodes[2].name(owners.now, partition);
        let mut made =
            |name| owners.make_named(node, LWW, b"key", put("named", ExpiryChange::Clear), Some(name));
        assert_eq!(made(WriteName { stamp: late.stamp, ..early }), Err(MakeError::NotAsNamed), "node {node}");
        assert_eq!(made(WriteName { stamp: newest, ..late }), Err(MakeError::NotAsNamed), "below the delete");
        if node == 2 {
            assert!(made(late).is_ok());
        }
    }
}

#[test]
fn a_key_that_was_dropped_is_written_again() {
    let mut owners = owners(3);
    for round in 0..3 {
        for keyspace in KEYSPACES {
            owners.make(round, keyspace, b"key", put("value", ExpiryChange::Clear)).unwrap();
        }
        owners.pass(CYCLE * 2, STEP);
        for node in 0..3 {
            for keyspace in KEYSPACES {
                let held = owners.held(node, keyspace, b"key");
                assert!(
                    held.is_some_and(|held| !held.is_dead(owners.now.wall)),
                    "node {node}, round {round}"
                );
            }
        }
        for keyspace in KEYSPACES {
            let change = delete(&mut owners, 1, keyspace, b"key");
            owners.make(1, keyspace, b"key", change).unwrap();
        }
        owners.pass(COLLECTED, STEP);
        assert_eq!(owners.held(2, SIBLINGS, b"key"), None, "round {round}");
    }
}
