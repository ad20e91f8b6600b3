//! A directory written by an earlier version of each format stays readable: the files of the first are kept in `testdata/v1`,
//! those of one with delete markers, which the first programs did not write, in `testdata/v1-deletes`, and those of the second,
//! in which files say of which store they are, in `testdata/v2`, and with drops of ranges in `testdata/v2-drops`.
//! After a deliberate change of a format, raise its version, keep reading the old one, and keep a sample of the new one
//! (`HENGE_ACCEPT=1 cargo test -p henge-storage --test golden` writes those that are missing).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use env::SimDisk;
use storage::{Db, KeyRange, Kind, Options, Recovery};
use support::{flush, get, open_with, scan_all, settle, sync};

fn options() -> Options {
    Options { level0_tables: 2, ..support::script::options() }
}

/// Two levels of tables, compressed and plain blocks, full entries and operands, and a log with some of each.
fn write_sample(db: &mut Db) {
    for round in 0..3u8 {
        for number in 0..20u8 {
            let value = vec![round * 32 + number; if number < 10 { 100 } else { 3 }];
            db.put(&[b'k', number], Bytes::from(value), Kind::Full).unwrap();
            db.put(b"operands", Bytes::from(vec![b'a' + round]), Kind::Merge).unwrap();
        }
        sync(db).unwrap();
        if round < 2 {
            db.freeze();
            settle(db).unwrap();
        }
    }
}

/// A level 1 with values, a level 0 with markers over some of them, and a log with markers over others.
fn write_sample_with_deletes(db: &mut Db) {
    for number in 0..20u8 {
        db.put(&[b'k', number], Bytes::from(vec![number; 30]), Kind::Full).unwrap();
    }
    flush(db);
    db.put(b"operands", Bytes::from("older"), Kind::Merge).unwrap();
    flush(db);
    settle(db).unwrap();
    for number in 0..5u8 {
        db.delete(&[b'k', number]).unwrap();
    }
    db.delete(b"operands").unwrap();
    flush(db);
    settle(db).unwrap();
    for number in 5..10u8 {
        db.delete(&[b'k', number]).unwrap();
    }
    db.put(b"operands", Bytes::from("newer"), Kind::Merge).unwrap();
}

/// A drop that the manifest has, with a table that straddles it and one above that was put later; and two that the log has, with
/// a put behind them.
fn write_sample_with_drops(db: &mut Db) {
    for number in 0..20u8 {
        db.put(&[b'k', number], Bytes::from(vec![number; 30]), Kind::Full).unwrap();
    }
    flush(db);
    db.drop_range(&KeyRange::new(&[b'k', 4], Some(&[b'k', 8]))).unwrap();
    db.put(&[b'k', 5], Bytes::from("later"), Kind::Full).unwrap();
    flush(db);
    db.put(b"z", Bytes::from("in the log"), Kind::Full).unwrap();
    db.drop_range(&KeyRange::new(&[b'k', 18], None)).unwrap();
    db.drop_range(&KeyRange::new(b"", Some(&[b'k', 1]))).unwrap();
    db.put(&[b'k', 19], Bytes::from("later"), Kind::Full).unwrap();
}

/// Opens a sample, which is written first if it is missing and may be written.
fn open_sample(name: &str, write: impl Fn(&mut Db)) -> (Db, Recovery) {
    let (_, db, recovery) = open_sample_on(name, write);
    (db, recovery)
}

fn open_sample_on(name: &str, write: impl Fn(&mut Db)) -> (SimDisk, Db, Recovery) {
    let samples: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    if std::env::var_os("HENGE_ACCEPT").is_some() && !samples.exists() {
        let disk = SimDisk::new();
        let (mut db, _) = open_with(&disk, options()).unwrap();
        write(&mut db);
        db.close().unwrap();
        std::fs::create_dir_all(&samples).unwrap();
        for path in disk.paths() {
            std::fs::write(samples.join(path.file_name().unwrap()), disk.read_file(&path).unwrap()).unwrap();
        }
    }
    let disk = SimDisk::new();
    for entry in std::fs::read_dir(samples).unwrap() {
        let entry = entry.unwrap();
        disk.write_file(&support::dir().join(entry.file_name()), std::fs::read(entry.path()).unwrap());
    }
    let (db, recovery) = open_with(&disk, options()).unwrap();
    (disk, db, recovery)
}

#[test]
fn version_1_is_readable() {
    check_sample(open_sample("v1", write_sample));
}

#[test]
fn version_2_is_readable() {
    check_sample(open_sample("v2", write_sample));
}

fn check_sample((mut db, recovery): (Db, Recovery)) {
    assert!(recovery.was_clean && recovery.tables > 0 && recovery.replayed_entries == 40);
    assert_eq!(scan_all(&db, 100).unwrap().len(), 21);
    assert_eq!(get(&mut db, &[b'k', 7]).unwrap().unwrap(), vec![71; 100]);
    let operands = [[b'a'; 20], [b'b'; 20], [b'c'; 20]].concat();
    assert_eq!(get(&mut db, b"operands").unwrap().unwrap(), operands);
}

/// What version 1 wrote goes on beside what is written now: tables of both are read, and compacted together.
#[test]
fn a_store_of_version_1_goes_on() {
    let (disk, mut db, _) = open_sample_on("v1", write_sample);
    db.put(&[b'k', 7], Bytes::from("new"), Kind::Full).unwrap();
    flush(&mut db);
    db.close().unwrap();
    for compacted in [false, true] {
        let (mut db, recovery) = open_with(&disk, options()).unwrap();
        assert!(recovery.given_up.is_empty());
        assert_eq!(get(&mut db, &[b'k', 7]).unwrap().unwrap(), "new");
        assert_eq!(get(&mut db, &[b'k', 8]).unwrap().unwrap(), vec![72; 100]);
        if !compacted {
            support::compact_to_the_bottom(&mut db);
        }
        db.close().unwrap();
    }
}

#[test]
fn version_1_with_delete_markers_is_readable() {
    let (mut db, recovery) = open_sample("v1-deletes", write_sample_with_deletes);
    assert!(recovery.was_clean && recovery.replayed_entries == 6);
    let stats = db.stats();
    assert_eq!((stats.level_tables[0], stats.level_tables[1], stats.table_entries), (1, 1, 21 + 6));
    let expected = (10..20u8).map(|number| (Bytes::from(vec![b'k', number]), Bytes::from(vec![number; 30])));
    let expected: Vec<(Bytes, Bytes)> =
        expected.chain([(Bytes::from("operands"), Bytes::from("newer"))]).collect();
    assert_eq!(scan_all(&db, 100).unwrap(), expected);
    assert_eq!(get(&mut db, &[b'k', 3]).unwrap(), None);
}

#[test]
fn version_2_with_drops_is_readable() {
    let (mut db, recovery) = open_sample("v2-drops", write_sample_with_drops);
    assert!(recovery.was_clean && recovery.replayed_entries == 4);
    let stats = db.stats();
    assert_eq!((stats.level_tables[0], stats.table_entries, stats.dropped_ranges), (2, 21, 3));
    let found: Vec<u8> = scan_all(&db, 100).unwrap().iter().map(|(key, _)| key[1]).collect();
    assert_eq!(found, [vec![1, 2, 3, 5], (8..18).collect(), vec![19]].concat());
    for number in [5, 19] {
        assert_eq!(get(&mut db, &[b'k', number]).unwrap().unwrap(), "later");
    }
}
