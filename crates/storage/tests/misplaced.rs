//! INVARIANTS H2 and H3 where a device does not do as it is told: it writes whole blocks, with checksums that are right, to other
//! places than they belong to, it does not write them at all, or it does not read what is there. Nothing of that is served,
//! nothing is taken for the end of the log, and nothing is given up because it could not be read.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use storage::{BackgroundKind, Db, KeyRange, Kind, OpenError, Options};
use support::script::options;
use support::{Append, dir, flush, get, open_with, settle, sync};

/// The last file of the database whose name begins so.
fn file(disk: &SimDisk, prefix: &str) -> PathBuf {
    let is = |path: &&PathBuf| {
        path.parent() == Some(&dir()) && path.file_name().unwrap().to_string_lossy().starts_with(prefix)
    };
    disk.paths().iter().rfind(is).unwrap().clone()
}

/// One entry in a block, and compactions only where asked for.
fn plain() -> Options {
    Options { level0_tables: 9, compression: false, ..options() }
}

fn replicated() -> Options {
    Options { replicated: true, ..plain() }
}

/// No byte of it is a key.
fn value(table: u8, number: u8) -> Vec<u8> {
    vec![16 + table * 16 + number; 400]
}

fn fill(db: &mut Db, table: u8) {
    for number in 0..6u8 {
        db.put(&[number], Bytes::from(value(table, number)), Kind::Full).unwrap();
    }
    flush(db);
}

/// Two tables with the keys 0 to 5, a block each, in an orderly end.
fn two_tables() -> (SimDisk, [PathBuf; 2]) {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    fill(&mut db, 0);
    let older = file(&disk, "table-");
    fill(&mut db, 1);
    db.close().unwrap();
    let newer = file(&disk, "table-");
    (disk, [older, newer])
}

/// Where the frame of a block with this value lies: 16 bytes of header, 7 of the entry's, one of its key, the value, and behind it
/// one offset and the count.
fn block(bytes: &[u8], value: &[u8]) -> Range<usize> {
    let at = bytes.windows(value.len()).position(|window| window == value).unwrap();
    at - 24..at + value.len() + 8
}

/// Writes what is at one place to another.
fn misdirect(disk: &SimDisk, from: (&Path, Range<usize>), to: (&Path, Range<usize>)) {
    let found = disk.read_file(from.0).unwrap()[from.1].to_vec();
    let mut bytes = disk.read_file(to.0).unwrap();
    bytes[to.1].copy_from_slice(&found);
    disk.write_file(to.0, bytes);
}

/// What is answered of these keys is the newest there is; true if all of them are.
fn is_right_or_unknown(disk: &SimDisk, keys: Range<u8>) -> bool {
    let (mut db, _) = open_with(disk, plain()).unwrap();
    let mut answered = 0;
    for number in keys.clone() {
        match get(&mut db, &[number]) {
            Ok(found) => {
                assert_eq!(found.unwrap(), value(1, number), "key {number}");
                answered += 1;
            }
            Err(error) => assert!(error.contains("table-") && error.contains("checksum"), "{error}"),
        }
    }
    answered == keys.len()
}

/// Two blocks of one table, each whole, each in the other's place.
#[test]
fn blocks_of_a_table_that_changed_places_are_damaged() {
    let (disk, [_, newer]) = two_tables();
    let pristine = disk.read_file(&newer).unwrap();
    let (one, other) = (block(&pristine, &value(1, 2)), block(&pristine, &value(1, 4)));
    let mut swapped = pristine.clone();
    swapped[one.clone()].copy_from_slice(&pristine[other.clone()]);
    swapped[other].copy_from_slice(&pristine[one]);
    disk.write_file(&newer, swapped);
    assert!(!is_right_or_unknown(&disk, 2..3) && !is_right_or_unknown(&disk, 4..5));
    assert!(is_right_or_unknown(&disk, 0..2) && is_right_or_unknown(&disk, 3..4));
}

/// A block of another table from the same offset: a write that went into the wrong file, or one of a reused place that was lost.
#[test]
fn a_block_of_another_table_is_damaged() {
    let (disk, [older, newer]) = two_tables();
    let place = block(&disk.read_file(&newer).unwrap(), &value(1, 3));
    assert_eq!(place, block(&disk.read_file(&older).unwrap(), &value(0, 3)));
    misdirect(&disk, (&older, place.clone()), (&newer, place));
    assert!(!is_right_or_unknown(&disk, 3..4) && is_right_or_unknown(&disk, 4..6));
}

/// The same database in another directory of the same disk, as of another shard: equal numbers, equal lengths, other values.
fn another_store(disk: &SimDisk) -> PathBuf {
    let dir = PathBuf::from("data/shard-of-others");
    let (mut db, _) = Db::open(Arc::new(disk.clone()), &dir, plain(), Arc::new(Append)).unwrap();
    fill(&mut db, 3);
    fill(&mut db, 2);
    db.close().unwrap();
    dir
}

/// Every store numbers its files from 1, so the table of this number is in each: a block of that one, and all of it.
#[test]
fn what_is_of_another_stores_table_is_damaged() {
    let (disk, [_, newer]) = two_tables();
    let other = another_store(&disk).join(newer.file_name().unwrap());
    let (here, there) = (disk.read_file(&newer).unwrap(), disk.read_file(&other).unwrap());
    assert_eq!(here.len(), there.len());
    let place = block(&here, &value(1, 3));
    assert_eq!(place, block(&there, &value(2, 3)));
    misdirect(&disk, (&other, place.clone()), (&newer, place));
    assert!(!is_right_or_unknown(&disk, 3..4) && is_right_or_unknown(&disk, 4..6));
    disk.write_file(&newer, there);
    let error = open_with(&disk, plain()).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged(damage) if damage.file == newer), "{error}");
}

/// The manifest of another store, or one edit of it at the same offset, is none of this one's; nor is another's `CURRENT`.
#[test]
fn what_is_of_another_stores_manifest_is_refused() {
    let (disk, _) = two_tables();
    let other = another_store(&disk);
    let manifest = file(&disk, "manifest-");
    let theirs = other.join(manifest.file_name().unwrap());
    let (here, there) = (disk.read_file(&manifest).unwrap(), disk.read_file(&theirs).unwrap());
    assert!(here != there && here.len() == there.len());
    let current = dir().join("CURRENT");
    let refused = |file: &Path, why: &str| {
        let error = open_with(&disk, replicated()).unwrap_err();
        let is_it = matches!(&error, OpenError::Damaged(damage) if damage.file == file);
        assert!(is_it && error.to_string().contains(why), "{error}");
    };
    disk.write_file(&manifest, there.clone());
    refused(&manifest, "another manifest");
    // Everything behind the header: edits with the same numbers at the same places.
    disk.write_file(&manifest, [&here[..32], &there[32..]].concat());
    refused(&manifest, "checksum");
    disk.write_file(&manifest, here);
    let own = disk.read_file(&current).unwrap();
    disk.write_file(&current, disk.read_file(&other.join("CURRENT")).unwrap());
    refused(&manifest, "another manifest");
    disk.write_file(&current, own);
    assert!(is_right_or_unknown(&disk, 0..6));
}

/// The last edit of a manifest may be damaged and look as if it had been cut short. What it says is then found out in another
/// way, or was said twice.
#[test]
fn that_something_is_missing_does_not_hang_on_the_last_edit_alone() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, replicated()).unwrap();
    db.lose(KeyRange::all()).unwrap();
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    drop(db);
    let manifest = file(&disk, "manifest-");
    let last = disk.read_file(&manifest).unwrap().len() as u64 - 1;
    disk.flip_bit(&manifest, last, 0);
    let (db, _) = open_with(&disk, replicated()).unwrap();
    assert_eq!(db.missing(), [KeyRange::all()]);
}

/// Six entries in the log, a record each, all of them synced and told of.
fn logged() -> (Db, SimDisk) {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    for number in 0..6u8 {
        db.put(&[number], Bytes::from(value(1, number)), Kind::Full).unwrap();
        sync(&mut db).unwrap();
    }
    db.write_log().unwrap();
    (db, disk)
}

/// Where the record of this value lies.
fn record(bytes: &[u8], value: &[u8]) -> Range<usize> {
    let at = bytes.windows(value.len()).position(|window| window == value).unwrap();
    at - 48..at + value.len()
}

/// Opening refuses and names the log; where others have the same, it takes in what is left, and says that anything may be
/// missing. Returns which keys are left.
fn left_of_damaged_log(disk: &SimDisk) -> Vec<u8> {
    let error = open_with(disk, plain()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)) && error.to_string().contains("log-"), "{error}");
    let (db, recovery) = open_with(disk, replicated()).unwrap();
    assert!(!recovery.given_up.is_empty());
    assert_eq!(db.missing(), [KeyRange::all()]);
    let limit = storage::ScanLimit { entries: 99, bytes: 1 << 20 };
    let storage::ScanOutcome::Page { entries, .. } = db.scan_what_is_left(KeyRange::all(), limit).run()
    else {
        panic!("what is left can be read")
    };
    for (key, found) in &entries {
        assert_eq!(*found, value(1, key[0]));
    }
    entries.iter().map(|(key, _)| key[0]).collect()
}

/// A record that was written over an earlier one of its segment: neither is taken for what belongs there, and whole records
/// behind it are not passed over because they are older than it.
#[test]
fn a_record_that_was_moved_within_its_segment_is_noticed() {
    let (db, disk) = logged();
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    drop(db);
    let log = file(&disk, "log-");
    let pristine = disk.read_file(&log).unwrap();
    for (from, to) in [(4, 1), (1, 4), (5, 2), (0, 5)] {
        let copy = SimDisk::new();
        disk.paths().iter().for_each(|path| copy.write_file(path, disk.read_file(path).unwrap()));
        let (from, place) = (record(&pristine, &value(1, from)), record(&pristine, &value(1, to)));
        misdirect(&copy, (&log, from), (&log, place));
        assert_eq!(left_of_damaged_log(&copy), (0..6).filter(|key| *key != to).collect::<Vec<_>>());
    }
}

/// Damage of what tables have already hides nothing: neither what follows and is known to be synced, nor the last record before
/// a power cut, which was acknowledged and of which nothing tells yet.
#[test]
fn a_hole_in_what_tables_have_is_not_the_end_of_the_log() {
    for damaged in 0..6 {
        let (mut db, disk) = logged();
        let log = file(&disk, "log-");
        flush(&mut db);
        for number in 6..9u8 {
            db.put(&[number], Bytes::from(value(1, number)), Kind::Full).unwrap();
            sync(&mut db).unwrap();
        }
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
        drop(db);
        let place = record(&disk.read_file(&log).unwrap(), &value(1, damaged));
        disk.flip_bit(&log, place.start as u64 + 60, 1);
        for restart in 0..2 {
            let (mut db, recovery) = open_with(&disk, plain()).unwrap();
            assert_eq!((recovery.last_sequence.0, recovery.set_aside.len()), (9, 0), "restart {restart}");
            for number in 0..9 {
                assert_eq!(get(&mut db, &[number]).unwrap().unwrap(), value(1, number));
            }
        }
    }
}

/// The record at the same offset of another segment, and of another store's segment with the same number and life.
#[test]
fn a_record_of_another_segment_is_noticed() {
    let (mut db, disk) = logged();
    let here = file(&disk, "log-");
    let other = PathBuf::from("data/other");
    let (mut theirs, _) = Db::open(Arc::new(disk.clone()), &other, plain(), Arc::new(Append)).unwrap();
    for number in 0..6u8 {
        theirs.put(&[number], Bytes::from(value(2, number)), Kind::Full).unwrap();
        sync(&mut theirs).unwrap();
    }
    let mut number = 6u8;
    settle(&mut db).unwrap();
    while !disk.paths().iter().any(|path| path > &here && path.starts_with(dir()) && has_records(&disk, path))
    {
        db.put(&[number], Bytes::from(vec![200; 400]), Kind::Full).unwrap();
        number += 1;
        sync(&mut db).unwrap();
    }
    db.write_log().unwrap();
    let next = file(&disk, "log-");
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    drop((db, theirs));
    let place = record(&disk.read_file(&here).unwrap(), &value(1, 3));
    for from in [other.join(here.file_name().unwrap()), next] {
        let copy = SimDisk::new();
        disk.paths().iter().for_each(|path| copy.write_file(path, disk.read_file(path).unwrap()));
        misdirect(&copy, (&from, place.clone()), (&here, place.clone()));
        let error = open_with(&copy, plain()).unwrap_err();
        assert!(matches!(&error, OpenError::Damaged(damage) if damage.file == here), "{error}");
    }
}

fn has_records(disk: &SimDisk, path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.starts_with("log-") && disk.read_file(path).unwrap()[4096..].iter().any(|byte| *byte != 0)
}

/// The header of the segment that is laid out next, in the place of that in use: it is of a later life, and would have the one
/// in use look as if it had no records yet.
#[test]
fn the_header_of_the_next_segment_does_not_hide_the_records_of_this_one() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    let active = file(&disk, "log-");
    while let Some(job) = db.background_job_of(BackgroundKind::Segment) {
        db.install(job.run()).unwrap();
    }
    let next = file(&disk, "log-");
    assert_ne!(active, next);
    db.put(b"synced", Bytes::from("1"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    drop(db);
    misdirect(&disk, (&next, 0..4096), (&active, 0..4096));
    let error = open_with(&disk, plain()).unwrap_err();
    assert!(matches!(&error, OpenError::Damaged(damage) if damage.file == active), "{error}");
    let (db, recovery) = open_with(&disk, replicated()).unwrap();
    assert_eq!((db.missing(), recovery.given_up.len()), (&[KeyRange::all()][..], 1));
}

/// A synced write that never came to the medium: what an earlier life of the segment left there is no record of this one.
#[test]
fn a_lost_write_in_a_segment_that_is_used_again_is_noticed() {
    let disk = SimDisk::new();
    let mut earlier: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    // Until a segment that had records has others.
    let (reused, left) = loop {
        put_and_sync(&mut db);
        let segments: Vec<PathBuf> =
            disk.paths().into_iter().filter(|path| has_records(&disk, path)).collect();
        let sector = |path: &PathBuf| disk.read_file(path).unwrap()[4096..4608].to_vec();
        // Laid out anew, a segment begins with an end mark.
        let is_reused = |path: &&PathBuf| {
            let sector = sector(path);
            sector[..8] != [0; 8] && earlier.get(*path).is_some_and(|left| *left != sector)
        };
        if let Some(reused) = segments.iter().find(is_reused) {
            break (reused.clone(), earlier[reused].clone());
        }
        // The first sector of a segment that has more than that does not change in one life.
        let is_full = |path: &&PathBuf| disk.read_file(path).unwrap()[4608..].iter().any(|byte| *byte != 0);
        earlier.extend(segments.iter().filter(is_full).map(|path| (path.clone(), sector(path))));
        settle(&mut db).unwrap();
    };
    (0..3).for_each(|_| put_and_sync(&mut db));
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    drop(db);
    let mut bytes = disk.read_file(&reused).unwrap();
    bytes[4096..4608].copy_from_slice(&left);
    disk.write_file(&reused, bytes);
    let error = open_with(&disk, plain()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)) && error.to_string().contains("were synced"), "{error}");
    let (_, recovery) = open_with(&disk, replicated()).unwrap();
    assert!(recovery.given_up.iter().any(|one| one.why.contains(reused.to_str().unwrap())));
}

fn put_and_sync(db: &mut Db) {
    let key = db.stats().last_sequence.0.to_be_bytes();
    db.put(&key, Bytes::from(vec![key[7]; 400]), Kind::Full).unwrap();
    sync(db).unwrap();
}

/// A file that cannot be read is not damaged and not empty, whichever it is: opening says which, changes nothing, and succeeds
/// once the disk reads it.
#[test]
fn a_read_error_at_the_start_is_no_damage_and_no_end() {
    for options in [plain(), replicated()] {
        let disk = SimDisk::new();
        let (mut db, _) = open_with(&disk, plain()).unwrap();
        fill(&mut db, 0);
        fill(&mut db, 1);
        settle(&mut db).unwrap();
        for number in 6..40u8 {
            db.put(&[number], Bytes::from(value(1, 15)), Kind::Full).unwrap();
            sync(&mut db).unwrap();
            if number % 8 == 0 {
                settle(&mut db).unwrap();
            }
        }
        db.write_log().unwrap();
        disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
        drop(db);
        let files: Vec<PathBuf> = disk.paths();
        let logs = files.iter().filter(|path| has_records(&disk, path)).count();
        assert!(logs > 1 && files.len() > logs + 2, "{files:?}");
        for path in &files {
            let before: Vec<_> = files.iter().map(|path| disk.read_file(path)).collect();
            disk.fail_reads(path, true);
            let error = open_with(&disk, options.clone()).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, OpenError::Disk(_)) && text.contains(path.to_str().unwrap()), "{text}");
            assert!(text.contains("start again"), "{text}");
            assert_eq!(disk.paths(), files, "{text}");
            assert_eq!(files.iter().map(|path| disk.read_file(path)).collect::<Vec<_>>(), before, "{text}");
            disk.fail_reads(path, false);
        }
        let (mut db, recovery) = open_with(&disk, options).unwrap();
        assert!(recovery.given_up.is_empty() && recovery.set_aside.is_empty() && db.missing().is_empty());
        for number in 0..40u8 {
            assert!(get(&mut db, &[number]).unwrap().is_some(), "key {number}");
        }
    }
}

/// A segment that the manifest does not know may be the proof that the manifest has lost its end. One that cannot be read is not
/// removed as if it were none.
#[test]
fn a_segment_that_nothing_names_and_that_cannot_be_read_is_not_removed() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    fill(&mut db, 1);
    db.close().unwrap();
    let stray = dir().join("log-0000000099");
    let own = file(&disk, "log-");
    disk.write_file(&stray, disk.read_file(&own).unwrap());
    disk.fail_reads(&stray, true);
    let error = open_with(&disk, plain()).unwrap_err();
    assert!(matches!(error, OpenError::Disk(_)) && error.to_string().contains("log-0000000099"), "{error}");
    assert!(disk.paths().contains(&stray));
}
