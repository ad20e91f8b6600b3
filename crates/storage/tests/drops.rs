//! Dropping a range of keys: what was put before is gone from everywhere without being read, what is put later stays, and the
//! space comes back. That it is so after a crash at any moment is for `crash` and `model` to say.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::Bytes;
use env::SimDisk;
use env::disk::CrashMode;
use storage::{
    BackgroundKind, Db, KeyRange, Kind, Lookup, Options, PutError, ScanJob, ScanLimit, ScanOutcome,
};
use support::script::options;
use support::{compact_any, file, flush, get, open_with, scan_all, settle, sync};

const LIMIT: ScanLimit = ScanLimit { entries: 100, bytes: 1 << 20 };

/// One entry in a block, and compactions only where asked for.
fn plain() -> Options {
    Options { level0_tables: 9, compression: false, table_bytes: 1 << 20, replicated: true, ..options() }
}

/// The keys 0 to 5, a block each.
fn put_six(db: &mut Db, fill: u8) {
    for number in 0..6u8 {
        db.put(&[number], Bytes::from(vec![fill + number; 400]), Kind::Full).unwrap();
    }
}

fn opened() -> (SimDisk, Db) {
    let disk = SimDisk::new();
    let (db, _) = open_with(&disk, plain()).unwrap();
    (disk, db)
}

fn range(from: u8, to: u8) -> KeyRange {
    KeyRange::new(&[from], Some(&[to]))
}

fn keys_of(job: ScanJob) -> Vec<u8> {
    let ScanOutcome::Page { entries, .. } = job.run() else { panic!("a scan of whole tables") };
    entries.iter().map(|(key, _)| key[0]).collect()
}

fn keys(db: &Db) -> Vec<u8> {
    keys_of(db.scan(KeyRange::all(), LIMIT))
}

fn tables(disk: &SimDisk) -> usize {
    let names = disk.paths();
    let is_table =
        |name: &&std::path::PathBuf| name.file_name().unwrap().to_string_lossy().starts_with("table-");
    names.iter().filter(is_table).count()
}

/// Wherever a key is, in tables of two levels, in a frozen memtable or the active one, it is gone from reads and scans at once.
#[test]
fn everything_in_the_range_is_gone_at_once() {
    let (disk, mut db) = opened();
    put_six(&mut db, 0);
    flush(&mut db);
    assert!(compact_any(&mut db, 0).unwrap());
    put_six(&mut db, 10);
    flush(&mut db);
    put_six(&mut db, 20);
    db.freeze();
    put_six(&mut db, 30);
    assert!(get(&mut db, &[2]).unwrap().is_some(), "it is in the record cache too");
    db.drop_range(&range(1, 4)).unwrap();
    for restarted in [false, true] {
        assert_eq!(keys(&db), [0, 4, 5], "restarted: {restarted}");
        for key in 1..4 {
            assert_eq!(get(&mut db, &[key]).unwrap(), None);
        }
        assert_eq!(get(&mut db, &[4]).unwrap().unwrap(), vec![34; 400]);
        sync(&mut db).unwrap();
        drop(db);
        disk.crash(CrashMode::LoseUnsynced, &mut env::Rng::from_seed(1));
        db = open_with(&disk, plain()).unwrap().0;
    }
}

/// An operand that is put after the drop begins with nothing, be what was dropped in memory or in a table.
#[test]
fn what_is_put_later_stays_and_begins_with_nothing() {
    let (_, mut db) = opened();
    db.put(b"a", Bytes::from_static(b"in a table"), Kind::Full).unwrap();
    flush(&mut db);
    db.put(b"b", Bytes::from_static(b"in memory"), Kind::Full).unwrap();
    db.drop_range(&KeyRange::all()).unwrap();
    for key in [b"a", b"b"] {
        db.put(key, Bytes::from_static(b"+new"), Kind::Merge).unwrap();
    }
    for flushed in [false, true] {
        if flushed {
            flush(&mut db);
            while compact_any(&mut db, 0).unwrap() {}
        }
        assert_eq!(get(&mut db, b"a").unwrap().unwrap(), "+new");
        assert_eq!(get(&mut db, b"b").unwrap().unwrap(), "+new");
    }
    assert_eq!(db.stats().dropped_ranges, 0, "nothing is left to be dropped");
}

/// A read and a scan that began before see what was there then or nothing, and the read's outcome does not bring the key back.
#[test]
fn reads_under_way_do_not_bring_a_key_back() {
    let (disk, mut db) = opened();
    put_six(&mut db, 0);
    flush(&mut db);
    db.close().unwrap();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    let Lookup::Cold(read) = db.get(&[2]) else { panic!("nothing is in memory") };
    let scan = db.scan(KeyRange::all(), LIMIT);
    let outcome = read.run();
    db.drop_range(&range(0, 3)).unwrap();
    assert!(matches!(db.complete(outcome), Lookup::Absent));
    assert_eq!(get(&mut db, &[2]).unwrap(), None);
    assert_eq!(keys_of(scan), [0, 1, 2, 3, 4, 5], "a page is one moment's truth");
}

/// A table that lies in the range goes without a block of it being read, and one that straddles is read only where it counts:
/// so nothing that is damaged in there is ever found.
#[test]
fn what_is_dropped_is_not_read() {
    let (disk, mut db) = opened();
    put_six(&mut db, 0);
    flush(&mut db);
    put_six(&mut db, 16);
    db.put(&[9], Bytes::from_static(b"last"), Kind::Full).unwrap();
    flush(&mut db);
    while db.background_job_of(BackgroundKind::Removal).is_some() {}
    db.close().unwrap();
    for path in disk.paths() {
        let bytes = disk.read_file(&path).unwrap();
        for fill in [2u8, 18] {
            let at = bytes.windows(300).position(|window| window.iter().all(|byte| *byte == fill));
            at.filter(|_| path.to_string_lossy().contains("table-"))
                .map(|at| disk.flip_bit(&path, at as u64, 1));
        }
    }
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    assert_eq!(tables(&disk), 2);
    db.drop_range(&range(0, 6)).unwrap();
    assert_eq!(keys(&db), [9]);
    assert!(db.background_job_of(BackgroundKind::Compaction).is_none(), "a crash may still undo the drop");
    sync(&mut db).unwrap();
    settle(&mut db).unwrap();
    assert_eq!(tables(&disk), 1, "the other lay in the range");
    assert!(compact_any(&mut db, 0).unwrap());
    db.freeze();
    settle(&mut db).unwrap();
    let stats = db.stats();
    assert_eq!((stats.table_entries, stats.dropped_ranges, stats.damaged_tables), (1, 0, 0));
    assert!(db.missing().is_empty() && db.damages().next().is_none());
}

/// A table of which a good part is dead is written anew without that, though no level asks for it, and in its level.
#[test]
fn space_comes_back_where_much_is_dead() {
    let (disk, mut db) = opened();
    put_six(&mut db, 0);
    flush(&mut db);
    assert!(compact_any(&mut db, 0).unwrap());
    let before = db.stats().table_bytes();
    db.drop_range(&range(2, 5)).unwrap();
    sync(&mut db).unwrap();
    settle(&mut db).unwrap();
    let stats = db.stats();
    assert!(stats.table_bytes() < before * 2 / 3, "{stats:?}");
    assert_eq!((stats.level_tables[1], stats.table_entries), (1, 3));
    db.freeze();
    settle(&mut db).unwrap();
    assert_eq!(db.stats().dropped_ranges, 0, "the drop itself needs not be kept");
    db.close().unwrap();
    let (db, recovery) = open_with(&disk, plain()).unwrap();
    assert_eq!((keys(&db), recovery.replayed_entries), (vec![0, 1, 5], 0));
}

/// What was missing of the range is missing no more, neither now nor after a restart; what is missing beside it still is. A
/// damaged block that is found later in what was dropped makes nothing missing.
#[test]
fn nothing_is_missing_of_what_was_dropped() {
    let (disk, mut db) = opened();
    put_six(&mut db, 0);
    flush(&mut db);
    let table = file(&disk, "table-");
    let bytes = disk.read_file(&table).unwrap();
    let block_of =
        |fill: u8| bytes.windows(300).position(|w| w.iter().all(|byte| *byte == fill)).unwrap() as u64;
    for fill in [1, 3, 5] {
        disk.flip_bit(&table, block_of(fill), 1);
    }
    db.close().unwrap();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    let began_before = db.scan(range(3, 4), LIMIT);
    assert!(get(&mut db, &[1]).is_err() && get(&mut db, &[5]).is_err());
    settle(&mut db).unwrap();
    assert_eq!(db.missing().len(), 2);
    db.drop_range(&range(0, 4)).unwrap();
    assert!(matches!(began_before.run(), ScanOutcome::Unreadable(_)));
    for restarted in [false, true] {
        settle(&mut db).unwrap();
        assert_eq!(db.missing().len(), 1, "restarted: {restarted}");
        assert_eq!((get(&mut db, &[1]).unwrap(), get(&mut db, &[3]).unwrap()), (None, None));
        assert!(get(&mut db, &[5]).is_err());
        db.put(&[1], Bytes::from_static(b"new"), Kind::Full).unwrap();
        assert_eq!(get(&mut db, &[1]).unwrap().unwrap(), "new");
        db.drop_range(&range(0, 4)).unwrap();
        flush(&mut db);
        db.close().unwrap();
        db = open_with(&disk, plain()).unwrap().0;
    }
}

/// Where the log is damaged and what is left of it becomes tables, what it had dropped stays dropped.
#[test]
fn a_salvaged_log_drops_what_it_had_dropped() {
    let (disk, mut db) = opened();
    put_six(&mut db, 0);
    sync(&mut db).unwrap();
    db.freeze();
    db.drop_range(&range(0, 3)).unwrap();
    sync(&mut db).unwrap();
    for _ in 0..3 {
        db.put(&[7], Bytes::from(vec![7; 500]), Kind::Full).unwrap();
        sync(&mut db).unwrap();
    }
    drop(db);
    disk.crash(CrashMode::LoseUnsynced, &mut env::Rng::from_seed(1));
    let log = disk.paths().into_iter().find(|path| {
        let is_log = path.to_string_lossy().contains("log-");
        is_log
            && disk.read_file(path).unwrap().windows(300).any(|window| window.iter().all(|byte| *byte == 7))
    });
    let bytes = disk.read_file(log.as_ref().unwrap()).unwrap();
    let at = bytes.windows(300).position(|window| window.iter().all(|byte| *byte == 7)).unwrap();
    disk.flip_bit(&log.unwrap(), at as u64, 1);
    let (db, recovery) = open_with(&disk, plain()).unwrap();
    assert!(!recovery.given_up.is_empty());
    assert_eq!(keys_of(db.scan_what_is_left(KeyRange::all(), LIMIT)), [3, 4, 5, 7]);
}

/// From the next start on the manifest says it too: then the record of the drop itself may be damaged.
#[test]
fn a_drop_outlives_its_record() {
    let (disk, mut db) = opened();
    db.put(b"a", Bytes::from_static(b"before"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    db.drop_range(&KeyRange::new(b"a", Some(b"behind all of it"))).unwrap();
    sync(&mut db).unwrap();
    db.put(b"b", Bytes::from_static(b"after"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    drop(db);
    drop(open_with(&disk, plain()).unwrap());
    let found =
        disk.paths().into_iter().filter(|path| path.to_string_lossy().contains("log-")).find_map(|path| {
            let bytes = disk.read_file(&path).unwrap();
            let at = bytes.windows(16).position(|window| window == b"behind all of it")?;
            Some((path, at as u64))
        });
    let (log, at) = found.unwrap();
    disk.flip_bit(&log, at, 1);
    let (db, recovery) = open_with(&disk, plain()).unwrap();
    assert!(!recovery.given_up.is_empty());
    assert_eq!(keys_of(db.scan_what_is_left(KeyRange::all(), LIMIT)), [b'b']);
}

/// Dropping for ever what is hardly filled neither fills the log nor makes a table for each drop.
#[test]
fn drops_without_end_need_no_room() {
    let (disk, mut db) = opened();
    for round in 0..3000u32 {
        if round % 3 == 0 {
            put_six(&mut db, 0);
        }
        let dropped = db.drop_range(&range(0, 9));
        assert!(matches!(dropped, Ok(_) | Err(PutError::Stalled { .. })), "{dropped:?}");
        sync(&mut db).unwrap();
        settle(&mut db).unwrap();
    }
    let stats = db.stats();
    assert!(stats.log_segments <= 40 && tables(&disk) == 0, "{stats:?}");
    assert!(stats.counters.drops > 2900 && scan_all(&db, 10).unwrap().is_empty());
}

/// Each drop is remembered until compactions have done their part, and there is a bound to that.
#[test]
fn too_many_drops_have_to_wait() {
    let disk = SimDisk::new();
    let roomy = Options { log_segment_bytes: 1 << 20, memory_bytes: 1 << 20, ..plain() };
    let (mut db, _) = open_with(&disk, roomy).unwrap();
    db.put(&[0], Bytes::new(), Kind::Full).unwrap();
    db.put(&[255], Bytes::new(), Kind::Full).unwrap();
    flush(&mut db);
    let key = |number: u16| [&[1][..], &number.to_be_bytes()].concat();
    let refused = (0..5000u16).find_map(|number| {
        db.drop_range(&KeyRange::new(&key(2 * number), Some(&key(2 * number + 1))))
            .err()
            .map(|error| (number, error))
    });
    let (accepted, error) = refused.unwrap();
    assert!(accepted == 4096 && error.to_string().contains("dropped"), "{accepted}: {error}");
    sync(&mut db).unwrap();
    db.freeze();
    settle(&mut db).unwrap();
    assert_eq!(db.stats().dropped_ranges, 0);
    db.drop_range(&range(0, 2)).unwrap();
    assert_eq!(keys(&db), [255]);
}
