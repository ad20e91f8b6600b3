//! A deleted key is gone, wherever its value lies, for good (INVARIANTS H6); and its marker goes with what it hides.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::Bytes;
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use proptest::prelude::*;
use storage::{Db, KeyRange, Kind, Lookup, Options, PutError, ScanLimit, ScanOutcome};
use support::script::{Contents, apply, contents, options};
use support::{compact_any, compact_to_the_bottom, file, flush, get, open_with, scan_all, settle, sync};

/// Compacts nothing by itself.
fn at_rest() -> Options {
    Options { level0_tables: 100, ..options() }
}

fn open(disk: &SimDisk) -> Db {
    open_with(disk, at_rest()).unwrap().0
}

fn put(db: &mut Db, key: &str, value: &'static str, kind: Kind) {
    db.put(key.as_bytes(), Bytes::from(value), kind).unwrap();
}

fn assert_gone(db: &mut Db, key: &str) {
    assert_eq!(get(db, key.as_bytes()).unwrap(), None);
    assert!(scan_all(db, 2).unwrap().iter().all(|(found, _)| found != key));
}

/// The value may be in the memtable, in a frozen one, in a table, or in the cache of records; so may the marker.
#[test]
fn a_deleted_key_is_absent_wherever_its_value_lies() {
    for value_in_table in [false, true] {
        for cached in [false, true] {
            let disk = SimDisk::new();
            let mut db = open(&disk);
            put(&mut db, "k", "v", Kind::Full);
            put(&mut db, "other", "stays", Kind::Full);
            if value_in_table {
                flush(&mut db);
            }
            if cached {
                assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "v");
            }
            db.delete(b"k").unwrap();
            assert!(matches!(db.get(b"k"), Lookup::Absent), "known at once, from memory");
            assert_gone(&mut db, "k");
            db.freeze();
            assert_gone(&mut db, "k");
            flush(&mut db);
            assert_gone(&mut db, "k");
            assert_eq!(scan_all(&db, 1).unwrap(), [(Bytes::from("other"), Bytes::from("stays"))]);
            drop(db);
            disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
            assert_gone(&mut open(&disk), "k");
        }
    }
}

/// A delete is durable when a sync has covered it, like a put.
#[test]
fn a_synced_delete_survives_a_crash() {
    let disk = SimDisk::new();
    let mut db = open(&disk);
    put(&mut db, "k", "v", Kind::Full);
    sync(&mut db).unwrap();
    let sequence = db.delete(b"k").unwrap();
    assert!(db.synced_through() < sequence);
    sync(&mut db).unwrap();
    assert_eq!(db.synced_through(), sequence);
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    assert_gone(&mut open(&disk), "k");
}

/// A key that was deleted begins with nothing: an operand is not merged with what lies below the marker.
#[test]
fn what_follows_a_delete_begins_with_nothing() {
    for (flush_marker, flush_operand) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut db = open(&SimDisk::new());
        put(&mut db, "k", "old", Kind::Full);
        flush(&mut db);
        db.delete(b"k").unwrap();
        if flush_marker {
            flush(&mut db);
        }
        put(&mut db, "k", "a", Kind::Merge);
        if flush_operand {
            flush(&mut db);
        }
        put(&mut db, "k", "b", Kind::Merge);
        assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "ab");
        assert_eq!(scan_all(&db, 10).unwrap(), [(Bytes::from("k"), Bytes::from("ab"))]);
        flush(&mut db);
        compact_to_the_bottom(&mut db);
        assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "ab");
        assert_eq!(db.stats().table_entries, 1);
    }
}

/// Where a compaction has all that there is of a key, marker and value go together, and so does a marker over nothing.
#[test]
fn markers_vanish_where_nothing_lies_below() {
    let disk = SimDisk::new();
    let mut db = open(&disk);
    put(&mut db, "k", "v", Kind::Full);
    flush(&mut db);
    db.delete(b"k").unwrap();
    db.delete(b"never there").unwrap();
    flush(&mut db);
    assert_eq!(db.stats().table_entries, 3);
    assert!(compact_any(&mut db, 0).unwrap());
    settle(&mut db).unwrap();
    let stats = db.stats();
    assert_eq!((stats.table_entries, stats.table_bytes()), (0, 0));
    assert_eq!((stats.counters.puts, stats.counters.deletes, stats.counters.markers_dropped), (1, 2, 2));
    assert!(disk.paths().iter().all(|path| !path.to_string_lossy().contains("table-")));
    assert_gone(&mut db, "k");
}

/// A marker over an older value in a deeper level is kept until the two meet, and hides the value until then.
#[test]
fn a_marker_is_kept_until_it_meets_what_it_hides() {
    let disk = SimDisk::new();
    let mut db = open(&disk);
    put(&mut db, "k", "v", Kind::Full);
    flush(&mut db);
    while db.stats().level_tables[3] == 0 {
        assert!(compact_any(&mut db, 0).unwrap());
    }
    db.delete(b"k").unwrap();
    flush(&mut db);
    for level in 1..3 {
        assert!(compact_any(&mut db, 0).unwrap());
        let stats = db.stats();
        assert_eq!((stats.level_tables[level], stats.level_tables[3]), (1, 1));
        assert_eq!((stats.table_entries, stats.counters.markers_dropped), (2, 0));
        assert_gone(&mut db, "k");
        drop(db);
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
        db = open(&disk);
        assert_gone(&mut db, "k");
    }
    assert!(compact_any(&mut db, 0).unwrap());
    assert_eq!((db.stats().table_entries, db.stats().counters.markers_dropped), (0, 1));
    assert_gone(&mut db, "k");
}

/// What hides a value that cannot be read stays: the damage must not end with the value's return.
#[test]
fn a_marker_over_damage_is_kept() {
    let disk = SimDisk::new();
    let mut db = open(&disk);
    put(&mut db, "k", "v", Kind::Full);
    flush(&mut db);
    while db.stats().level_tables[2] == 0 {
        assert!(compact_any(&mut db, 0).unwrap());
    }
    let deepest = file(&disk, "table-");
    assert!(disk.flip_bit(&deepest, 50, 0));
    drop(db);
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    let mut db = open(&disk);
    assert!(get(&mut db, b"k").is_err());
    db.delete(b"k").unwrap();
    flush(&mut db);
    compact_to_the_bottom(&mut db);
    assert_eq!((db.stats().table_entries, db.stats().damaged_tables), (2, 1));
    assert_eq!(get(&mut db, b"k").unwrap(), None, "the marker answers");
}

/// A read that was begun before a delete answers as of its completion, and what it read enters no cache.
#[test]
fn a_delete_during_a_cold_read_wins() {
    let disk = SimDisk::new();
    let mut db = open(&disk);
    put(&mut db, "k", "old", Kind::Full);
    flush(&mut db);
    db.close().unwrap();
    for flush_between in [false, true] {
        let mut db = open(&disk);
        let Lookup::Cold(job) = db.get(b"k") else { panic!("the caches of a fresh opening are empty") };
        let outcome = job.run();
        db.delete(b"k").unwrap();
        if flush_between {
            flush(&mut db);
        }
        assert!(matches!(db.complete(outcome), Lookup::Absent));
        flush(&mut db);
        assert_gone(&mut db, "k");
    }
}

fn page(db: &Db, start: &[u8], entries: usize) -> (Vec<(Bytes, Bytes)>, Option<Bytes>) {
    match db.scan(KeyRange::new(start, None), ScanLimit { entries, bytes: 1 << 20 }).run() {
        ScanOutcome::Page { entries, next } => (entries, next),
        ScanOutcome::Unreadable(error) => panic!("{error}"),
    }
}

/// A scan shows the moment it was made, though marker and value are compacted away before it is run.
#[test]
fn a_scan_sees_its_moment_while_markers_are_dropped() {
    let disk = SimDisk::new();
    let mut db = open(&disk);
    put(&mut db, "a", "1", Kind::Full);
    put(&mut db, "b", "2", Kind::Full);
    flush(&mut db);
    let limit = ScanLimit { entries: 10, bytes: 1000 };
    let before = db.scan(KeyRange::all(), limit);
    db.delete(b"a").unwrap();
    flush(&mut db);
    let after = db.scan(KeyRange::all(), limit);
    compact_to_the_bottom(&mut db);
    settle(&mut db).unwrap();
    assert_eq!(db.stats().counters.markers_dropped, 1);
    let keys = |outcome| match outcome {
        ScanOutcome::Page { entries, next: None } => {
            entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        }
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(keys(before.run()), ["a", "b"]);
    assert_eq!(keys(after.run()), ["b"]);
    settle(&mut db).unwrap();
    let tables = disk.paths().iter().filter(|path| path.to_string_lossy().contains("table-")).count();
    assert_eq!(tables, 1, "nothing holds the old tables any more");
}

/// A page's work is bounded where everything was deleted: it may be empty, and the pages still reach the end.
#[test]
fn pages_over_deleted_keys_are_short_and_go_on() {
    for flushed in [false, true] {
        let mut db = open(&SimDisk::new());
        for number in 0..20u8 {
            db.put(&[number], Bytes::from("v"), Kind::Full).unwrap();
        }
        for number in 0..19u8 {
            db.delete(&[number]).unwrap();
        }
        if flushed {
            flush(&mut db);
        }
        let (mut found, mut pages, mut next) = (Vec::new(), 0, Some(Bytes::new()));
        while let Some(start) = next {
            let (entries, after) = page(&db, &start, 4);
            assert!(after.as_ref().is_none_or(|after| *after > start));
            found.extend(entries);
            (pages, next) = (pages + 1, after);
        }
        assert_eq!(found, [(Bytes::from_static(&[19]), Bytes::from("v"))]);
        assert!(pages >= 5, "each looks at four keys at the most");
    }
}

/// A delete is an entry: what refuses a put refuses it too.
#[test]
fn a_delete_that_does_not_fit_is_refused() {
    let mut db = open(&SimDisk::new());
    let key = vec![0; db.options().key_bytes_max() + 1];
    assert!(matches!(db.delete(&key), Err(PutError::TooLarge { what: "key", .. })));
    assert!(!db.has_unwritten());
    // What is passed as the value of a delete is left out.
    db.put(b"k", Bytes::from("no value"), Kind::Delete).unwrap();
    flush(&mut db);
    assert!(matches!(db.get(b"k"), Lookup::Absent));
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Put { key: u8 },
    Merge { key: u8 },
    Delete { key: u8 },
    Flush,
    Compact { number: u8 },
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..6u8).prop_map(|key| Op::Put { key }),
        4 => (0..6u8).prop_map(|key| Op::Merge { key }),
        4 => (0..6u8).prop_map(|key| Op::Delete { key }),
        4 => Just(Op::Flush),
        5 => any::<u8>().prop_map(|number| Op::Compact { number }),
        1 => Just(Op::Reopen),
    ]
}

fn take(db: &mut Db, model: &mut Contents, key: u8, kind: Kind, count: usize) {
    let (key, value) = (Bytes::from(vec![b'k', key]), Bytes::from(format!("{count},")));
    db.put(&key, value.clone(), kind).unwrap();
    apply(model, &key, kind, &value);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Puts, operands and deletes of few keys, spread over memtables and all levels by compactions of any right choice, are
    /// what they are in a map after every step; and once everything has met at the bottom, nothing is left but the map.
    #[test]
    fn interleavings_over_levels_agree_with_a_map(ops in prop::collection::vec(op(), 1..80)) {
        let disk = SimDisk::new();
        let (mut db, mut model) = (open(&disk), Contents::new());
        for (count, op) in ops.into_iter().enumerate() {
            match op {
                Op::Put { key } => take(&mut db, &mut model, key, Kind::Full, count),
                Op::Merge { key } => take(&mut db, &mut model, key, Kind::Merge, count),
                Op::Delete { key } => take(&mut db, &mut model, key, Kind::Delete, count),
                Op::Flush => flush(&mut db),
                Op::Compact { number } => drop(compact_any(&mut db, usize::from(number)).unwrap()),
                Op::Reopen => {
                    sync(&mut db).unwrap();
                    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
                    db = open(&disk);
                }
            }
            for key in 0..7u8 {
                let key = [b'k', key];
                let found = get(&mut db, &key).unwrap();
                prop_assert_eq!(found.as_ref(), model.get(&key[..]));
            }
            prop_assert_eq!(&contents(&db), &model);
        }
        flush(&mut db);
        compact_to_the_bottom(&mut db);
        prop_assert_eq!(&contents(&db), &model);
        prop_assert_eq!(db.stats().table_entries, model.len() as u64);
    }
}
