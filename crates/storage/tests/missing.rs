//! INVARIANTS C3 and H6: what is damaged here and is elsewhere too is lost for a while and then comes back. Meanwhile nothing
//! is concluded from what is left, whatever compactions and restarts make of it.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::path::PathBuf;

use bytes::Bytes;
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use storage::{Db, KeyRange, Kind, Lookup, Options, ReadError, ScanLimit, ScanOutcome};
use support::script::{Contents, Model, contents, options, step};
use support::{compact_any, file, flush, get, open_with, scan_all, settle, sync};

fn replicated() -> Options {
    Options { replicated: true, ..options() }
}

/// One entry in a block, and compactions only where asked for.
fn plain() -> Options {
    Options { level0_tables: 9, compression: false, ..replicated() }
}

fn left(db: &mut Db, key: &[u8]) -> Option<Bytes> {
    let mut lookup = db.get_what_is_left(key, true);
    loop {
        match lookup {
            Lookup::Found(value) => return Some(value),
            Lookup::Absent => return None,
            Lookup::Cold(job) => lookup = db.complete(job.run()),
            Lookup::Unreadable(error) => panic!("{error}"),
        }
    }
}

/// Whether a compaction has to meet damage before anybody knows of it.
fn settle_over_damage(db: &mut Db) {
    while settle(db).is_err() {}
}

fn tables(disk: &SimDisk) -> Vec<PathBuf> {
    let is_table = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("table-");
    disk.paths().into_iter().filter(is_table).collect()
}

/// Two tables with the keys 0 to 5, a block each, and a flipped bit in the newer one's block of key 0.
fn damaged_block() -> (SimDisk, PathBuf) {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    for table in 0..2u8 {
        for number in 0..6u8 {
            db.put(&[number], Bytes::from(vec![table * 16 + number; 400]), Kind::Full).unwrap();
        }
        flush(&mut db);
    }
    db.close().unwrap();
    let newest = file(&disk, "table-");
    assert!(disk.flip_bit(&newest, 60, 0));
    (disk, newest)
}

/// What is found damaged is missing from then on: through a restart, and through the compaction that leaves the block behind.
/// Its neighbours are read as before, and an older table that has the key does not speak in its place.
#[test]
fn a_lost_block_stays_missing_until_somebody_says_that_it_is_whole() {
    let (disk, newest) = damaged_block();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    assert!(get(&mut db, &[0]).unwrap_err().contains(newest.to_str().unwrap()));
    settle(&mut db).unwrap();
    assert_eq!(db.missing(), [KeyRange::new(&[0], Some(&[1]))]);
    assert!(db.damages().next().unwrap().to_string().contains("byte 32"));
    for restarts in 0..3 {
        assert!(matches!(db.get(&[0]), Lookup::Unreadable(ReadError::Missing)), "restart {restarts}");
        assert_eq!(left(&mut db, &[0]).unwrap(), vec![0; 400], "what the older table has");
        for number in 1..6 {
            assert_eq!(get(&mut db, &[number]).unwrap().unwrap(), vec![16 + number; 400]);
        }
        assert!(scan_all(&db, 3).is_err(), "a walk over it cannot say either");
        let job = db.scan(KeyRange::new(&[1], None), ScanLimit { entries: 9, bytes: 1 << 20 });
        assert!(matches!(job.run(), ScanOutcome::Page { entries, next: None } if entries.len() == 5));
        assert_eq!(db.stats().damaged_tables, 0, "compactions may go on");
        if restarts == 1 {
            assert!(compact_any(&mut db, 0).unwrap());
            settle(&mut db).unwrap();
            assert_eq!(db.stats().level_tables[0], 0);
        }
        db.close().unwrap();
        db = open_with(&disk, plain()).unwrap().0;
    }
    db.put(&[0], Bytes::from_static(b"from elsewhere"), Kind::Full).unwrap();
    assert!(matches!(db.get(&[0]), Lookup::Unreadable(ReadError::Missing)), "what is put may be older");
    db.is_whole(KeyRange::all());
    settle(&mut db).unwrap();
    assert_eq!(get(&mut db, &[0]).unwrap().unwrap(), "from elsewhere");
    assert!(db.missing().is_empty());
    sync(&mut db).unwrap();
    db.close().unwrap();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    assert_eq!(get(&mut db, &[0]).unwrap().unwrap(), "from elsewhere");
}

/// A walk tells what it can, page by page, up to what is missing, and not beyond.
#[test]
fn a_walk_does_not_pass_over_what_is_missing() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    for number in 0..6u8 {
        db.put(&[number], Bytes::from(vec![number; 400]), Kind::Full).unwrap();
    }
    flush(&mut db);
    let table = file(&disk, "table-");
    let bytes = disk.read_file(&table).unwrap();
    let third = bytes.windows(300).position(|window| window.iter().all(|byte| *byte == 3)).unwrap();
    disk.flip_bit(&table, third as u64, 1);
    db.close().unwrap();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    let limit = ScanLimit { entries: 9, bytes: 1 << 20 };
    let began_before = db.scan(KeyRange::all(), limit);
    assert!(get(&mut db, &[3]).is_err());
    settle(&mut db).unwrap();
    assert!(
        matches!(began_before.run(), ScanOutcome::Unreadable(ReadError::Damaged(_))),
        "who began with the block does not take its keys for absent"
    );
    assert!(matches!(db.scan(KeyRange::all(), limit).run(), ScanOutcome::Unreadable(ReadError::Missing)));
    let three = ScanLimit { entries: 3, ..limit };
    let ScanOutcome::Page { entries, next } = db.scan(KeyRange::all(), three).run() else { panic!() };
    assert_eq!((entries.len(), next.as_deref()), (3, Some(&[2, 0][..])));
    let from = KeyRange { start: next.unwrap(), end: None };
    assert!(matches!(db.scan(from, three).run(), ScanOutcome::Unreadable(ReadError::Missing)));
    let ScanOutcome::Page { entries, .. } = db.scan_what_is_left(KeyRange::all(), limit).run() else {
        panic!()
    };
    assert_eq!(entries.len(), 5);
}

/// What is found damaged after somebody has looked is not whole because of what he saw.
#[test]
fn new_damage_is_not_struck_off_with_the_old() {
    let (disk, newest) = damaged_block();
    let (mut db, _) = open_with(&disk, plain()).unwrap();
    assert!(get(&mut db, &[0]).is_err());
    settle(&mut db).unwrap();
    let bytes = disk.read_file(&newest).unwrap();
    let other = bytes.windows(300).position(|window| window.iter().all(|byte| *byte == 16 + 4)).unwrap();
    disk.flip_bit(&newest, other as u64, 1);
    db.is_whole(KeyRange::all());
    assert!(get(&mut db, &[4]).is_err());
    settle(&mut db).unwrap();
    assert!(db.is_missing(&[4]), "{:?}", db.missing());
}

/// Where nobody else has it, what is damaged is left as it is, for people to restore: nothing is given up.
#[test]
fn what_nobody_else_has_is_not_given_up() {
    let (disk, newest) = damaged_block();
    let alone = Options { replicated: false, ..plain() };
    let (mut db, _) = open_with(&disk, alone.clone()).unwrap();
    assert!(get(&mut db, &[0]).is_err());
    settle(&mut db).unwrap();
    assert!(db.missing().is_empty() && db.stats().damaged_tables == 1);
    db.close().unwrap();
    disk.flip_bit(&newest, 60, 0);
    let (mut db, _) = open_with(&disk, alone.clone()).unwrap();
    assert_eq!(get(&mut db, &[0]).unwrap().unwrap(), vec![16; 400]);
    db.close().unwrap();
    disk.flip_bit(&newest, 3, 0);
    assert!(open_with(&disk, alone).is_err());
}

/// A table that cannot be opened is given up with all of its keys, and kept for people.
#[test]
fn a_table_without_its_ends_is_missing_whole() {
    for from_end in [10, 100, 200] {
        let (disk, newest) = damaged_block();
        let len = disk.read_file(&newest).unwrap().len() as u64;
        disk.flip_bit(&newest, len - from_end, 3);
        let (mut db, recovery) = open_with(&disk, plain()).unwrap();
        let [given_up] = &recovery.given_up[..] else { panic!("{recovery:?}") };
        assert!(given_up.why.contains(newest.to_str().unwrap()), "{given_up:?}");
        assert_eq!(disk.read_file(given_up.kept_in.as_ref().unwrap()).unwrap().len() as u64, len);
        for number in 0..6 {
            assert!(matches!(db.get(&[number]), Lookup::Unreadable(ReadError::Missing)));
            assert_eq!(left(&mut db, &[number]).unwrap(), vec![number; 400]);
        }
        assert_eq!(get(&mut db, &[9]).unwrap(), None);
        drop(db);
        let (db, recovery) = open_with(&disk, plain()).unwrap();
        assert!(recovery.given_up.is_empty() && db.is_missing(&[5]), "it is given up once");
    }
}

/// Puts back what is missing as if from elsewhere.
fn bring_back(db: &mut Db, expected: &Contents) {
    for number in 0..26 {
        let key = Bytes::from(format!("key-{number:02}"));
        if !db.is_missing(&key) {
            continue;
        }
        let put = match expected.get(&key) {
            Some(value) => db.put(&key, value.clone(), Kind::Full),
            None => db.delete(&key),
        };
        put.unwrap();
        sync(db).unwrap();
        settle_over_damage(db);
    }
}

/// Whatever is damaged, and whatever goes on meanwhile: keys that are not missing are as the model has them, compactions and
/// restarts make none of the missing look sound, and once all is brought back the two are equal.
#[test]
fn nothing_wrong_is_said_while_damage_is_healed() {
    let (mut lost, mut healed) = (0, 0);
    for seed in 0..60 {
        let mut rng = Rng::from_seed(seed);
        let disk = SimDisk::new();
        let (mut db, _) = open_with(&disk, replicated()).unwrap();
        let mut model = Model::starting_with(Contents::new());
        for _ in 0..40 {
            step(&mut db, &mut model, &mut rng).unwrap();
        }
        flush(&mut db);
        settle(&mut db).unwrap();
        let expected = model.states.last().unwrap().clone();
        for round in 0..4 {
            let tables = tables(&disk);
            for _ in 0..1 + rng.below(3) {
                let Some(table) = tables.get(usize::try_from(rng.below(tables.len() as u64)).unwrap()) else {
                    break;
                };
                let len = disk.read_file(table).unwrap().len() as u64;
                disk.flip_bit(table, rng.below(len), u8::try_from(rng.below(8)).unwrap());
            }
            if rng.chance(1, 2) {
                disk.crash(CrashMode::LoseUnsynced, &mut rng);
                db = open_with(&disk, replicated()).unwrap().0;
            }
            for _ in 0..8 {
                if rng.chance(1, 3) {
                    let _ = compact_any(&mut db, usize::try_from(rng.below(9)).unwrap());
                }
                let key = format!("key-{:02}", rng.below(26));
                match get(&mut db, key.as_bytes()) {
                    Ok(found) => {
                        assert_eq!(found, expected.get(key.as_bytes()).cloned(), "{seed}/{round}: {key}");
                    }
                    Err(_) => settle_over_damage(&mut db),
                }
                if let Ok(found) = scan_all(&db, 5) {
                    assert_eq!(found.into_iter().collect::<Contents>(), expected, "{seed}/{round}");
                }
            }
        }
        // Everything is read, so all that is damaged is found.
        loop {
            let limit = ScanLimit { entries: 100, bytes: 1 << 20 };
            if matches!(db.scan_what_is_left(KeyRange::all(), limit).run(), ScanOutcome::Page { .. }) {
                break;
            }
            settle_over_damage(&mut db);
        }
        lost += db.missing().len();
        bring_back(&mut db, &expected);
        db.is_whole(KeyRange::all());
        settle_over_damage(&mut db);
        if db.missing().is_empty() {
            assert_eq!(contents(&db), expected, "{seed}");
            healed += 1;
        }
    }
    assert!(lost > 20 && healed > 50, "{lost} ranges were lost, {healed} stores healed");
}

/// Entries in the log alone, all synced, and the log's file.
fn synced_log(options: &Options) -> (SimDisk, PathBuf, Vec<u8>) {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options.clone()).unwrap();
    for number in 0..6u8 {
        db.put(&[number], Bytes::from(vec![number + 1; 300]), Kind::Full).unwrap();
        sync(&mut db).unwrap();
    }
    db.write_log().unwrap();
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    let log = file(&disk, "log-");
    let bytes = disk.read_file(&log).unwrap();
    (disk, log, bytes)
}

/// INVARIANTS H3: what was synced and cannot be read is not passed over in silence: every key is missing from then on, all that
/// can be read is there to begin with, the damaged file is kept, and the next start has nothing to complain of.
#[test]
fn a_damaged_log_leaves_every_key_missing_and_loses_only_what_cannot_be_read() {
    let (disk, log, bytes) = synced_log(&plain());
    let third = bytes.windows(50).position(|window| window.iter().all(|byte| *byte == 3)).unwrap();
    disk.flip_bit(&log, third as u64, 1);
    assert!(open_with(&disk, Options { replicated: false, ..plain() }).is_err());
    let (mut db, recovery) = open_with(&disk, plain()).unwrap();
    let [given_up] = &recovery.given_up[..] else { panic!("{recovery:?}") };
    assert!(given_up.why.contains(log.to_str().unwrap()), "{given_up:?}");
    assert_eq!(disk.read_file(given_up.kept_in.as_ref().unwrap()).unwrap().len(), bytes.len());
    assert!(!recovery.was_clean && recovery.last_sequence.0 == 6 && recovery.replayed_entries == 5);
    assert_eq!(db.missing(), [KeyRange::all()]);
    for restarts in 0..3 {
        for number in 0..7u8 {
            assert!(matches!(db.get(&[number]), Lookup::Unreadable(ReadError::Missing)));
            let expected = (number != 2 && number != 6).then(|| Bytes::from(vec![number + 1; 300]));
            assert_eq!(left(&mut db, &[number]), expected, "{number} after {restarts} restarts");
        }
        drop(db);
        let (again, recovery) = open_with(&disk, plain()).unwrap();
        assert!(recovery.given_up.is_empty(), "{recovery:?}");
        db = again;
    }
    assert_eq!(
        db.put(&[2], Bytes::from_static(b"again"), Kind::Full).unwrap().0,
        7,
        "no number is used twice"
    );
    sync(&mut db).unwrap();
    db.is_whole(KeyRange::all());
    settle(&mut db).unwrap();
    drop(db);
    let (mut db, _) = open_with(&disk, Options { replicated: false, ..plain() }).unwrap();
    assert_eq!(get(&mut db, &[2]).unwrap().unwrap(), "again");
}

/// Whatever happens to the log's files: what is said of a key is right, or that it cannot be said; and where nothing is missing
/// nothing is lost.
#[test]
fn any_damage_of_the_log_is_given_up_or_harmless() {
    let (disk, log, bytes) = synced_log(&replicated());
    let files: Vec<_> =
        disk.paths().into_iter().map(|path| (path.clone(), disk.read_file(&path).unwrap())).collect();
    let mut given_up = 0;
    let mut try_with = |damaged: Option<Vec<u8>>, what: &str| {
        let disk = SimDisk::new();
        for (path, bytes) in files.iter().filter(|(path, _)| *path != log) {
            disk.write_file(path, bytes.clone());
        }
        damaged.into_iter().for_each(|bytes| disk.write_file(&log, bytes));
        let (mut db, recovery) =
            open_with(&disk, replicated()).unwrap_or_else(|error| panic!("{what}: {error}"));
        given_up += usize::from(!recovery.given_up.is_empty());
        for number in 0..6u8 {
            if !db.is_missing(&[number]) {
                assert_eq!(get(&mut db, &[number]).unwrap().unwrap(), vec![number + 1; 300], "{what}");
            }
        }
        db.put(&[9], Bytes::from_static(b"next"), Kind::Full).unwrap();
        sync(&mut db).unwrap();
        drop(db);
        let (mut db, recovery) = open_with(&disk, replicated()).unwrap();
        assert!(recovery.given_up.is_empty(), "{what}: {recovery:?}");
        assert_eq!(left(&mut db, &[9]).unwrap(), "next", "{what}");
    };
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for offset in (0..=used).step_by(37) {
        let mut flipped = bytes.clone();
        flipped[offset] ^= 4;
        try_with(Some(flipped), &format!("a bit flipped in byte {offset}"));
    }
    for len in [0, 20, 52, 4096, 4300, 5000] {
        try_with(Some(bytes[..len].to_vec()), &format!("cut to {len} bytes"));
    }
    try_with(None, "removed");
    assert!(given_up > 20, "{given_up}");
}

/// H1, C3: wherever the machine stops while damage is given up or accounted for, the next start finds either that it is still to
/// be done or that it is done, and never a key that looks sound and is not.
#[test]
fn a_crash_while_damage_is_given_up_makes_nobody_forget_it() {
    let damage = |disk: &SimDisk, rng: &mut Rng| {
        for prefix in ["table-", "log-"] {
            let file = file(disk, prefix);
            let bytes = disk.read_file(&file).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
            disk.flip_bit(&file, rng.below(used), u8::try_from(rng.below(8)).unwrap());
        }
    };
    let (mut crashes, mut lost) = (0, 0);
    for seed in 0..12 {
        for changes in (0..60).step_by(3) {
            let mut rng = Rng::from_seed(seed);
            let disk = SimDisk::new();
            let (mut db, _) = open_with(&disk, replicated()).unwrap();
            let mut model = Model::starting_with(Contents::new());
            for number in 0..30 {
                step(&mut db, &mut model, &mut rng).unwrap();
                if number == 24 {
                    flush(&mut db);
                }
            }
            let expected = model.states.last().unwrap().clone();
            // It is known of all entries that they were synced.
            db.close().unwrap();
            disk.crash(CrashMode::LoseUnsynced, &mut rng);
            damage(&disk, &mut rng);
            disk.fail_after(changes);
            if let Ok((mut db, _)) = open_with(&disk, replicated()) {
                let _ = scan_all(&db, 5);
                let _ = settle(&mut db);
            }
            crashes += usize::from(disk.is_down());
            disk.crash(CrashMode::KeepSome, &mut rng);
            let (mut db, _) = open_with(&disk, replicated()).unwrap();
            for number in 0..26 {
                let key = format!("key-{number:02}");
                match get(&mut db, key.as_bytes()) {
                    Ok(found) => {
                        assert_eq!(found, expected.get(key.as_bytes()).cloned(), "{seed}/{changes}: {key}");
                    }
                    Err(_) => lost += 1,
                }
            }
        }
    }
    assert!(crashes > 50 && lost > 100, "{crashes} crashes, {lost} keys missing");
}
