//! No byte is used unverified (INVARIANTS H2), and what was synced is never dropped in silence (H3): every kind of file
//! is damaged in every way, and the answer is right, or it names the file; it is never a wrong one.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use storage::{BackgroundKind, Db, Installed, Kind, OpenError};
use support::script::{Contents, Model, contents, options, step};
use support::{file, flush, get, open_with, scan_all, settle, sync};

/// A disk with tables on two levels and entries in the log, all synced, and what is in them.
fn filled(seed: u64, clean: bool) -> (SimDisk, Contents) {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    let (mut model, mut rng) = (Model::starting_with(Contents::new()), Rng::from_seed(seed));
    for _ in 0..60 {
        step(&mut db, &mut model, &mut rng).unwrap();
    }
    sync(&mut db).unwrap();
    // Tells the log how far it is synced, as the next turn of an event loop does.
    db.write_log().unwrap();
    let contents = model.states.last().unwrap().clone();
    if clean {
        db.close().unwrap();
    }
    disk.crash(CrashMode::KeepAll, &mut rng);
    (disk, contents)
}

fn names_file(error: &OpenError, path: &Path) -> bool {
    error.to_string().contains(path.to_str().unwrap())
}

/// Opens a damaged directory: what is answered is right, and what is not answered names a file of the directory.
/// True if the damage was noticed.
fn check_damaged(disk: &SimDisk, expected: &Contents, context: &str) -> bool {
    let (mut db, _) = match open_with(disk, options()) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(error.to_string().contains("data/shard/"), "{context}: names no file: {error}");
            return true;
        }
    };
    let mut noticed = false;
    for number in 0..26 {
        let key = format!("key-{number:02}");
        match get(&mut db, key.as_bytes()) {
            Ok(found) => assert_eq!(found, expected.get(key.as_bytes()).cloned(), "{context}: {key}"),
            Err(error) => {
                assert!(error.contains("data/shard/table-"), "{context}: {error}");
                noticed = true;
            }
        }
    }
    match scan_all(&db, 5) {
        Ok(found) => assert_eq!(found.into_iter().collect::<Contents>(), *expected, "{context}"),
        Err(_) => noticed = true,
    }
    noticed
}

/// Each file in turn, put back after each change by the closure.
fn for_each_file(clean: bool, mut change: impl FnMut(&SimDisk, &Path, &[u8], &mut dyn FnMut(&str) -> bool)) {
    let (pristine, expected) = filled(4, clean);
    let files: Vec<(PathBuf, Vec<u8>)> =
        pristine.paths().into_iter().map(|path| (path.clone(), pristine.read_file(&path).unwrap())).collect();
    let fresh = || {
        let disk = SimDisk::new();
        for (path, bytes) in &files {
            disk.write_file(path, bytes.clone());
        }
        disk
    };
    for (path, bytes) in &files {
        let disk = fresh();
        let mut check = |context: &str| {
            let noticed = check_damaged(&disk, &expected, &format!("{} {context}", path.display()));
            // Opening has begun new files and removed old ones: start over.
            for left in disk.paths() {
                env::Disk::remove(&disk, &left).unwrap();
            }
            for (path, bytes) in &files {
                disk.write_file(path, bytes.clone());
            }
            noticed
        };
        change(&disk, path, bytes, &mut check);
    }
}

fn kind(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned()
}

/// One flipped bit anywhere gives a right answer or a named refusal; in every kind of file it is noticed somewhere.
#[test]
fn a_flipped_bit_is_never_served() {
    let mut noticed = std::collections::BTreeSet::new();
    for_each_file(true, |disk, path, bytes, check| {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for offset in (0..used).step_by(1 + used / 60) {
            disk.flip_bit(path, offset as u64, u8::try_from(offset % 8).unwrap());
            if check(&format!("bit flipped in byte {offset}")) {
                noticed.insert(kind(path));
            }
        }
    });
    assert_eq!(noticed.into_iter().collect::<Vec<_>>(), ["CURRENT", "log", "manifest", "table"]);
}

/// A page of zeros where data was: what a lost write or a bad device leaves.
#[test]
fn a_zeroed_page_is_never_taken_for_the_end() {
    for_each_file(true, |disk, path, bytes, check| {
        for start in (0..bytes.len()).step_by(4096) {
            let mut zeroed = bytes.to_vec();
            let end = bytes.len().min(start + 4096);
            let had_data = zeroed[start..end].iter().any(|byte| *byte != 0);
            zeroed[start..end].fill(0);
            disk.write_file(path, zeroed);
            let noticed = check(&format!("zeroed from byte {start}"));
            assert!(noticed || kind(path) == "log" || !had_data, "{} from {start}", path.display());
        }
    });
}

#[test]
fn a_cut_file_is_noticed() {
    for_each_file(false, |disk, path, bytes, check| {
        for len in (0..bytes.len()).step_by(1 + bytes.len() / 12) {
            disk.write_file(path, bytes[..len].to_vec());
            check(&format!("cut to {len} bytes"));
        }
    });
}

/// A file that is gone is never taken for one that never was.
#[test]
fn a_missing_file_is_named() {
    for_each_file(true, |disk, path, _, check| {
        env::Disk::remove(disk, path).unwrap();
        assert!(check("removed") || kind(path) == "aside", "{}", path.display());
    });
}

/// A database of two tables on level 0 whose blocks hold one entry each.
fn two_tables() -> SimDisk {
    let disk = SimDisk::new();
    let options = storage::Options { level0_tables: 9, compression: false, ..options() };
    let (mut db, _) = open_with(&disk, options).unwrap();
    for table in 0..2u8 {
        for number in 0..6u8 {
            db.put(&[number], Bytes::from(vec![table * 16 + number; 400]), Kind::Full).unwrap();
        }
        sync(&mut db).unwrap();
        db.freeze();
        settle(&mut db).unwrap();
    }
    db.close().unwrap();
    disk
}

/// A damaged block is called damaged and never absent; its neighbours stay readable; no compaction hides it.
#[test]
fn damage_of_a_block_concerns_that_block_alone() {
    let disk = two_tables();
    let newest = file(&disk, "table-");
    assert!(disk.flip_bit(&newest, 60, 0), "in the first block, which holds key 0");
    let (mut db, _) = open_with(&disk, options()).unwrap();
    assert!(settle(&mut db).is_err(), "the compaction of level 0 meets the damage");
    for _ in 0..2 {
        let error = get(&mut db, &[0]).unwrap_err();
        assert!(error.contains(newest.to_str().unwrap()) && error.contains("byte 32"), "{error}");
        assert_eq!(get(&mut db, &[5]).unwrap().unwrap(), vec![16 + 5; 400]);
        assert!(scan_all(&db, 10).unwrap_err().contains("table-"), "a scan over it cannot say either");
        settle(&mut db).unwrap();
        assert_eq!(db.stats().level_tables[0], 2, "the tables are left as they are");
        assert!(db.stats().damaged_tables > 0);
    }
    // The rest goes on: new entries are taken, flushed and read.
    db.put(&[9], Bytes::from("new"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    db.freeze();
    settle(&mut db).unwrap();
    assert_eq!(get(&mut db, &[9]).unwrap().unwrap(), "new");
}

/// What the disk does not read for a while is not damaged: the compaction is tried again, without a restart, and until then
/// writes nothing in vain and holds up nothing else.
#[test]
fn what_could_not_be_read_is_compacted_later() {
    let disk = SimDisk::new();
    let options = storage::Options { level0_tables: 2, compression: false, ..options() };
    let (mut db, _) = open_with(&disk, options).unwrap();
    let fill = |db: &mut Db, round: u8| {
        for number in 0..12u8 {
            db.put(&[number], Bytes::from(vec![round * 16 + number; 400]), Kind::Full).unwrap();
        }
        flush(db);
    };
    fill(&mut db, 0);
    fill(&mut db, 1);
    settle(&mut db).unwrap();
    assert!(db.stats().level_tables[1] > 1, "what is in the way is met only after something was written");
    let last = file(&disk, "table-");
    disk.fail_reads(&last, true);
    fill(&mut db, 2);
    fill(&mut db, 3);
    assert!(settle(&mut db).unwrap_err().contains("simulated read error"));
    let stats = db.stats();
    assert_eq!((stats.damaged_tables, stats.unread_tables), (0, 1));
    let (changes, tables) = (disk.changes(), stats.level_tables);
    let again = db.background_job_of(BackgroundKind::Compaction).unwrap();
    assert!(matches!(db.install(again.run()).unwrap(), Installed::Retry(_)));
    assert_eq!((disk.changes(), db.stats().level_tables), (changes, tables), "nothing is written for it");
    fill(&mut db, 4);
    disk.fail_reads(&last, false);
    settle(&mut db).unwrap();
    let stats = db.stats();
    assert_eq!((stats.level_tables[0], stats.damaged_tables, stats.unread_tables), (0, 0, 0));
    for number in 0..12 {
        assert_eq!(get(&mut db, &[number]).unwrap().unwrap(), vec![4 * 16 + number; 400]);
    }
}

/// A block that was written to another block's place, or a stale table under a newer one's name, fails its checksum.
#[test]
fn misplaced_and_stale_blocks_are_noticed() {
    let disk = two_tables();
    let newest = file(&disk, "table-");
    let tables: Vec<PathBuf> = disk.paths().into_iter().filter(|path| kind(path) == "table").collect();
    let (old, new) = (disk.read_file(&tables[0]).unwrap(), disk.read_file(&newest).unwrap());
    assert_eq!(old.len(), new.len());
    let mut stale_block = new.clone();
    stale_block[32..100].copy_from_slice(&old[32..100]);
    disk.write_file(&newest, stale_block);
    let (mut db, _) = open_with(&disk, options()).unwrap();
    assert!(get(&mut db, &[0]).unwrap_err().contains("checksum"));
    drop(db);
    disk.write_file(&newest, old);
    let error = open_with(&disk, options()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)) && names_file(&error, &newest), "{error}");
}

/// An unsynced tail that is torn goes, and its bytes are kept in a file beside.
#[test]
fn a_torn_tail_is_set_aside() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    db.put(b"synced", Bytes::from("1"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    db.put(b"torn", Bytes::from(vec![7; 2000]), Kind::Full).unwrap();
    db.write_log().unwrap();
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    let log = file(&disk, "log-");
    let mut bytes = disk.read_file(&log).unwrap();
    let tail = bytes.iter().rposition(|byte| *byte == 7).unwrap();
    bytes[tail - 600..=tail].fill(0);
    disk.write_file(&log, bytes);
    let (mut db, recovery) = open_with(&disk, options()).unwrap();
    assert!(!recovery.was_clean && recovery.last_sequence.0 == 1);
    let aside = &recovery.set_aside[0];
    let kept = disk.read_file(&aside.kept_in).unwrap();
    assert!(aside.segment == log && kept.len() as u64 == aside.bytes && kept.ends_with(&[7]));
    assert_eq!(get(&mut db, b"torn").unwrap(), None);
    assert_eq!(get(&mut db, b"synced").unwrap().unwrap(), "1");
    drop(db);
    let (_, recovery) = open_with(&disk, options()).unwrap();
    assert!(recovery.set_aside.is_empty(), "a tail is cut once");
}

/// The same hole below the synced mark is damage, and opening is refused with the place.
#[test]
fn a_hole_in_synced_entries_is_refused() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    for number in 0..3u8 {
        db.put(&[number], Bytes::from(vec![number + 1; 300]), Kind::Full).unwrap();
        sync(&mut db).unwrap();
    }
    db.write_log().unwrap();
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    let log = file(&disk, "log-");
    let pristine = disk.read_file(&log).unwrap();
    for number in 0..3u8 {
        let at = pristine.windows(50).position(|bytes| bytes.iter().all(|byte| *byte == number + 1)).unwrap();
        disk.flip_bit(&log, at as u64 + 10, 3);
        let error = open_with(&disk, options()).unwrap_err();
        let OpenError::Damaged(damage) = &error else { panic!("{error}") };
        assert!(
            damage.file == log && damage.offset < at as u64 && at as u64 - damage.offset < 100,
            "{error}"
        );
        assert_eq!(
            disk.paths().iter().filter(|path| kind(path) == "aside").count(),
            0,
            "a refusal changes nothing"
        );
        disk.flip_bit(&log, at as u64 + 10, 3);
    }
    assert!(open_with(&disk, options()).is_ok());
}

/// A value that holds a copy of a whole log segment is data, not log.
#[test]
fn records_inside_values_are_not_records() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    db.put(b"a", Bytes::from(vec![1; 100]), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    let mut copied = disk.read_file(&file(&disk, "log-")).unwrap();
    copied.truncate(4096 + 200);
    copied.drain(..4096);
    db.put(b"b", Bytes::from(copied), Kind::Full).unwrap();
    db.write_log().unwrap();
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    let (_, recovery) = open_with(&disk, options()).unwrap();
    assert_eq!(recovery.last_sequence.0, 2);
}

fn put_until_flushed(db: &mut Db) {
    let before = db.stats().counters.flushes;
    for number in 0u32.. {
        db.put(&number.to_be_bytes(), Bytes::from(vec![1; 300]), Kind::Full).unwrap();
        sync(db).unwrap();
        settle(db).unwrap();
        if db.stats().counters.flushes > before {
            return;
        }
    }
}

/// A segment that is used again shows none of the records of its earlier life, however it was torn.
#[test]
fn a_recycled_segment_shows_no_stale_records() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    for _ in 0..6 {
        put_until_flushed(&mut db);
    }
    assert!(db.stats().log_segments < 8, "segments are used again");
    let last = db.stats().last_sequence;
    db.put(b"unsynced", Bytes::from(vec![2; 1500]), Kind::Full).unwrap();
    db.write_log().unwrap();
    drop(db);
    for seed in 0..30 {
        let torn = SimDisk::new();
        disk.paths().iter().for_each(|path| torn.write_file(path, disk.read_durable(path).unwrap()));
        let (mut db, _) = open_with(&torn, options()).unwrap();
        db.put(b"unsynced", Bytes::from(vec![3; 1500]), Kind::Full).unwrap();
        db.write_log().unwrap();
        torn.crash(CrashMode::KeepSome, &mut Rng::from_seed(seed));
        let (mut db, recovery) = open_with(&torn, options()).unwrap();
        let found = get(&mut db, b"unsynced").unwrap();
        assert!(
            recovery.last_sequence >= last && found.is_none_or(|value| value.iter().all(|byte| *byte == 3))
        );
        assert_eq!(contents(&db).get(&[0u8, 0, 0, 0][..]).unwrap(), &vec![1; 300]);
    }
}
