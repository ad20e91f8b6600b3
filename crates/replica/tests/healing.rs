//! INVARIANTS A1, C3: what one owner has lost to damage it says nothing of, until it has it again from the others.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Record};
use env::{Rng, SimDisk};
use replica::collection::CollectionOptions;
use replica::{Change, ExchangeOptions, ReplicaOptions};
use storage::Options;
use support::owners::Owners;
use support::{LWW, SIBLINGS};
use types::WallTime;
use wire::ReplicaReply;

const STEP: Duration = Duration::from_millis(100);
const KEYS: u16 = 150;

fn options(collect: bool) -> ReplicaOptions {
    let exchange = ExchangeOptions { cycle: Duration::from_secs(2), ..ExchangeOptions::default() };
    let gather = Duration::from_secs(if collect { 1 } else { 86_400 });
    let collection = CollectionOptions { gather, rest: Duration::from_secs(1) };
    ReplicaOptions { exchange, collection, ..ReplicaOptions::default() }
}

/// So little memory that most of what is written is in tables. All is compressed as it comes: a value is its own block.
fn storage() -> Options {
    Options {
        memory_bytes: 128 << 10,
        log_segment_bytes: 32 << 10,
        compression: false,
        replicated: true,
        ..Options::tiny()
    }
}

fn key(number: u16) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn value(number: u16) -> Bytes {
    Bytes::from(vec![u8::try_from(number % 251).unwrap(); 400])
}

fn put(value: Bytes) -> Change {
    Change::Put { value, context: Context::Empty, expiry: ExpiryChange::Clear, priority: 0 }
}

/// Three owners that hold the same keys, most of them in tables.
fn filled(collect: bool) -> Owners {
    let mut owners = Owners::new(3, 4, options(collect), &storage());
    for number in 0..KEYS {
        let keyspace = keyspace_of(number);
        let made = owners.make(usize::from(number % 3), keyspace, &key(number), put(value(number))).unwrap();
        let record = Record::decode(made.record).unwrap();
        for node in (0..3).filter(|node| *node != usize::from(number % 3)) {
            owners.store(node, keyspace, &key(number), &record);
        }
        owners.pass(STEP, STEP);
    }
    owners.pass(Duration::from_secs(10), STEP);
    owners
}

fn keyspace_of(number: u16) -> types::KeyspaceId {
    if number.is_multiple_of(2) { LWW } else { SIBLINGS }
}

fn files(disk: &SimDisk, prefix: &str) -> Vec<PathBuf> {
    let is = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(prefix);
    disk.paths().into_iter().filter(is).collect()
}

/// Flips a bit in each table of a node, among its data.
fn damage_tables(disk: &SimDisk, rng: &mut Rng) -> usize {
    let tables = files(disk, "table-");
    for table in &tables {
        let len = disk.read_file(table).unwrap().len() as u64;
        disk.flip_bit(table, 40 + rng.below(len / 2), u8::try_from(rng.below(8)).unwrap());
    }
    tables.len()
}

/// How many keys a node cannot say anything of. What it does say is right.
fn unsaid(owners: &mut Owners, node: usize, deleted: impl Fn(u16) -> bool) -> usize {
    let mut unsaid = 0;
    for number in 0..KEYS {
        match owners.says(node, keyspace_of(number), &key(number)) {
            ReplicaReply::CannotSay { .. } => unsaid += 1,
            ReplicaReply::Found { record, .. } => {
                let record = Record::decode(record).unwrap();
                let found = record.versions()[0].payload.value().cloned();
                let expected = (!deleted(number)).then(|| value(number));
                assert_eq!(found, expected, "{number} on node {node}");
            }
            ReplicaReply::Absent => assert!(deleted(number), "{number} is taken for absent on node {node}"),
            other => panic!("{other:?}"),
        }
    }
    unsaid
}

#[track_caller]
fn assert_healed(owners: &mut Owners, deleted: impl Fn(u16) -> bool) {
    for _ in 0..20 {
        owners.pass(Duration::from_secs(10), STEP);
        // Reads meet what nobody has met yet.
        let unsaid: usize = (0..3).map(|node| unsaid(owners, node, &deleted)).sum();
        let missing = owners.nodes.iter().any(|node| !node.db().missing().is_empty());
        if unsaid == 0 && !missing && owners.nodes.iter().all(|node| node.healing().partitions == 0) {
            return;
        }
    }
    let figures: Vec<_> = owners.nodes.iter().map(|node| (node.healing(), node.exchange())).collect();
    let missing: Vec<_> = owners.nodes.iter().map(|node| node.db().missing()).collect();
    panic!("it does not heal: {missing:?} {figures:#?}");
}

#[test]
fn lost_blocks_are_said_nothing_of_and_come_back() {
    for seed in 0..2 {
        let mut owners = filled(false);
        let damaged = damage_tables(&owners.disks[0].clone(), &mut Rng::from_seed(seed));
        assert!(damaged > 0, "most of it is in tables");
        owners.restart(0, (options(false), &storage()), |_| {});
        assert!(unsaid(&mut owners, 0, |_| false) > 0);
        assert_healed(&mut owners, |_| false);
        let healing = owners.nodes[0].healing();
        assert!(healing.healed > 0 && healing.found > 0, "{healing:?}");
        assert!(owners.nodes[0].exchange().fetched > 0);
    }
}

/// Two of three have lost something: of what both have lost the third has a copy, and both come to hold it again.
#[test]
fn two_that_have_lost_something_do_not_wait_for_each_other() {
    let mut owners = filled(false);
    for node in [0, 1] {
        damage_tables(&owners.disks[node].clone(), &mut Rng::from_seed(7));
        owners.restart(node, (options(false), &storage()), |_| {});
    }
    assert_healed(&mut owners, |_| false);
    assert!(owners.nodes[0].healing().healed > 0 && owners.nodes[1].healing().healed > 0);
}

/// INVARIANTS D1: what is settled is not taken in again elsewhere, and the others would let go of it if they were told so. Who
/// has lost it fetches it even so; what was deleted stays deleted.
#[test]
fn what_is_settled_comes_back_and_what_was_deleted_does_not() {
    for seed in 0..2 {
        let deleted = |number: u16| number.is_multiple_of(5);
        let mut owners = filled(true);
        for number in (0..KEYS).filter(|number| deleted(*number)) {
            let keyspace = keyspace_of(number);
            let context = owners.held(1, keyspace, &key(number)).unwrap().context();
            let made = owners.make(1, keyspace, &key(number), Change::Delete { context }).unwrap();
            let record = Record::decode(made.record).unwrap();
            owners.store(0, keyspace, &key(number), &record);
            owners.store(2, keyspace, &key(number), &record);
        }
        owners.pass(Duration::from_secs(120), STEP);
        let wall = WallTime(u64::MAX);
        assert!(owners.nodes.iter().any(|node| node.collection(wall).agreed > 0), "deletes are collected");
        damage_tables(&owners.disks[0].clone(), &mut Rng::from_seed(seed));
        owners.restart(0, (options(true), &storage()), |_| {});
        unsaid(&mut owners, 0, deleted);
        assert_healed(&mut owners, deleted);
        owners.pass(Duration::from_secs(120), STEP);
        assert_healed(&mut owners, deleted);
        for node in 0..3 {
            let held = (0..KEYS).filter(|number| {
                matches!(owners.says(node, keyspace_of(*number), &key(*number)), ReplicaReply::Found { .. })
            });
            assert_eq!(
                held.count(),
                usize::from(KEYS - KEYS.div_ceil(5)),
                "node {node}: deletes are dropped"
            );
        }
    }
}

/// Nobody knows what stood where the log is damaged: so nothing is said of any key, until all were compared.
#[test]
fn a_damaged_log_is_healed_from_the_others() {
    let mut owners = filled(false);
    owners.restart(0, (options(false), &storage()), |disk| {
        // One of the last records of the newest segment that has any: no table has it, and another that was synced lies behind it.
        let end = |path: &PathBuf| disk.read_file(path).unwrap()[4096..].iter().rposition(|byte| *byte != 0);
        let (log, end) = files(disk, "log-")
            .into_iter()
            .filter_map(|log| end(&log).map(|end| (log, end)))
            .next_back()
            .unwrap();
        disk.flip_bit(&log, (4096 + end - 1500) as u64, 0);
    });
    assert_eq!(unsaid(&mut owners, 0, |_| false), usize::from(KEYS));
    let refused = owners.make(0, LWW, b"another", put(value(1)));
    assert!(refused.is_err(), "what is made here would be made on what may be missing: {refused:?}");
    assert_healed(&mut owners, |_| false);
    assert!(owners.make(0, LWW, b"another", put(value(1))).is_ok());
}

/// While another owner cannot be reached nothing is called whole: it may have what no other has.
#[test]
fn nothing_is_whole_before_every_owner_was_asked() {
    let mut owners = filled(false);
    damage_tables(&owners.disks[0].clone(), &mut Rng::from_seed(3));
    owners.restart(0, (options(false), &storage()), |_| {});
    owners.silent = Some(2);
    let before = unsaid(&mut owners, 0, |_| false);
    owners.pass(Duration::from_secs(60), STEP);
    assert!(before > 0 && unsaid(&mut owners, 0, |_| false) >= before);
    let waits_for = owners.nodes[0].healing().waits_for.unwrap();
    assert_eq!(waits_for, owners.state.members()[2].id, "it can be said who is waited for");
    owners.silent = None;
    assert_healed(&mut owners, |_| false);
}

/// Where nobody else has it, nothing comes back, and that is known.
#[test]
fn what_nobody_else_has_stays_missing() {
    let mut owners = Owners::new(1, 4, options(false), &storage());
    for number in 0..KEYS {
        owners.make(0, keyspace_of(number), &key(number), put(value(number))).unwrap();
    }
    owners.pass(Duration::from_secs(10), STEP);
    damage_tables(&owners.disks[0].clone(), &mut Rng::from_seed(3));
    owners.restart(0, (options(false), &storage()), |_| {});
    let before = unsaid(&mut owners, 0, |_| false);
    owners.pass(Duration::from_secs(60), STEP);
    assert!(before > 0 && unsaid(&mut owners, 0, |_| false) >= before);
    assert!(owners.nodes[0].healing().alone > 0);
}
