//! A full disk gives clear refusals, loses nothing, and work goes on without a restart once there is room (INVARIANTS H4).
//! A failed sync ends the process's use of the log (A4).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::Bytes;
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use storage::{BackgroundKind, Installed, Kind, OpenError, Options, PutError};
use support::script::{Contents, Model, check_reads, contents, options, reopen_and_check, step};
use support::{compact_to_the_bottom, file, get, open_with, settle, sync};

/// One script under every capacity from almost none to plenty: refusals are clean, nothing accepted is lost.
#[test]
fn at_every_capacity() {
    let mut refused = 0;
    for extra in (0..40_000).step_by(512) {
        let disk = SimDisk::new();
        let (mut db, _) = open_with(&disk, options()).unwrap();
        disk.set_capacity(Some(disk.used_bytes() + extra));
        let (mut model, mut rng) = (Model::starting_with(Contents::new()), Rng::from_seed(8));
        for _ in 0..80 {
            if let Err(error) = step(&mut db, &mut model, &mut rng) {
                assert!(error.contains("no space left"), "{error}");
                refused += 1;
            }
        }
        let expected = model.states.last().unwrap().clone();
        assert_eq!(contents(&db), expected);
        disk.set_capacity(None);
        sync(&mut db).unwrap();
        model.synced = model.written;
        settle(&mut db).unwrap();
        db.put(b"key-00", Bytes::from("room again"), Kind::Full).unwrap();
        model.states.last_mut().unwrap().insert(Bytes::from("key-00"), Bytes::from("room again"));
        sync(&mut db).unwrap();
        check_reads(&mut db, model.states.last().unwrap());
        drop(db);
        disk.crash(CrashMode::LoseUnsynced, &mut rng);
        reopen_and_check(&disk, &model, model.synced);
    }
    assert!(refused > 50);
}

/// While the disk is full and memory used up the refusal says so; nothing of a refused entry is ever seen.
#[test]
fn a_refusal_names_the_full_disk() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 1000));
    let mut accepted = 0u32;
    let refusal = loop {
        match db.put(&accepted.to_be_bytes(), Bytes::from(vec![1; 300]), Kind::Full) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        sync(&mut db).unwrap();
        if let Some(job) = db.background_job() {
            assert!(matches!(db.install(job.run()).unwrap(), Installed::Done | Installed::Retry(_)));
        }
    };
    assert_eq!(refusal, PutError::Full);
    assert_eq!(get(&mut db, &accepted.to_be_bytes()).unwrap(), None);
    // A stop and a start while it is full: refused or served, and nothing is lost.
    drop(db);
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    if let Err(error) = open_with(&disk, options()) {
        assert!(
            matches!(&error, OpenError::Disk(_)) && error.to_string().contains("no space left"),
            "{error}"
        );
    }
    disk.set_capacity(None);
    let (db, _) = open_with(&disk, options()).unwrap();
    assert_eq!(contents(&db).len(), accepted as usize);
}

/// A delete needs room for its key and no more: on a full disk it is taken where a longer put no longer is, and what it
/// deletes is given back once a compaction finds room.
#[test]
fn a_delete_needs_little_room() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    settle(&mut db).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    let keys = (0u32..).map(u32::to_be_bytes).take_while(|key| {
        let put = db.put(key, Bytes::from(vec![1; 1500]), Kind::Full);
        sync(&mut db).unwrap();
        if let Some(job) = db.background_job() {
            assert!(matches!(db.install(job.run()).unwrap(), Installed::Done | Installed::Retry(_)));
        }
        put.is_ok()
    });
    let keys: Vec<[u8; 4]> = keys.collect();
    assert_eq!(db.put(&keys[0], Bytes::from(vec![1; 1500]), Kind::Full), Err(PutError::Full));
    let mut deleted = 0;
    while deleted < keys.len() && db.delete(&keys[deleted]).is_ok() {
        deleted += 1;
    }
    assert!(deleted > 0);
    assert_eq!(contents(&db).len(), keys.len() - deleted);
    disk.set_capacity(None);
    sync(&mut db).unwrap();
    keys[deleted..].iter().for_each(|key| {
        settle(&mut db).unwrap();
        db.delete(key).unwrap();
        sync(&mut db).unwrap();
    });
    db.freeze();
    settle(&mut db).unwrap();
    compact_to_the_bottom(&mut db);
    assert_eq!((db.stats().table_entries, contents(&db).len()), (0, 0));
}

/// A compaction that finds no room says nothing of the flush that puts wait for, and which needs less: they are told to
/// wait, and not that the disk is full.
#[test]
fn a_compaction_that_finds_no_room_is_no_reason_to_refuse_puts() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    let mut keys = (0u32..).map(u32::to_be_bytes);
    let compaction = loop {
        db.put(&keys.next().unwrap(), Bytes::from(vec![1; 300]), Kind::Full).unwrap();
        sync(&mut db).unwrap();
        match db.background_job() {
            Some(job) if job.kind() == BackgroundKind::Compaction => break job,
            Some(job) => assert!(matches!(db.install(job.run()).unwrap(), Installed::Done)),
            None => {}
        }
    };
    disk.set_capacity(Some(disk.used_bytes()));
    assert!(matches!(db.install(compaction.run()).unwrap(), Installed::Retry(_)));
    let refusal = keys.find_map(|key| db.put(&key, Bytes::from(vec![1; 300]), Kind::Full).err()).unwrap();
    assert!(matches!(refusal, PutError::Stalled { .. }), "{refusal}");
}

/// After a failed sync nothing is accepted or synced any more, whatever later calls would return.
#[test]
fn a_failed_sync_poisons() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    db.put(b"k", Bytes::from("v"), Kind::Full).unwrap();
    db.write_log().unwrap();
    let log = file(&disk, "log-");
    disk.fail_sync(&log, true);
    let outcome = db.sync_job().unwrap().run();
    disk.fail_sync(&log, false);
    assert!(db.synced(outcome).is_err());
    assert!(matches!(db.put(b"l", Bytes::new(), Kind::Full), Err(PutError::Poisoned(_))));
    assert!(db.write_log().is_err() && db.sync_job().is_none() && db.background_job().is_none());
    assert!(db.close().is_err());
    // The next process reads the entry from the page cache, which a sync would call clean: it must write it anew
    // before it relies on it.
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    let (mut db, recovery) = open_with(&disk, options()).unwrap();
    assert_eq!((recovery.last_sequence.0, recovery.was_clean), (1, false));
    assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "v");
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    drop(db);
    let (mut db, _) = open_with(&disk, options()).unwrap();
    assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "v");
}

/// Between what is synced and what is not there may be a mark that says how much is, and was never synced itself. If the kernel
/// takes its page for clean, what comes behind it must not be written anew alone: found by the simulator.
#[test]
fn what_is_written_anew_after_a_failed_sync_has_no_hole_before_it() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    db.put(b"k", Bytes::from("v"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    db.write_log().unwrap();
    db.put(b"l", Bytes::from("w"), Kind::Full).unwrap();
    db.write_log().unwrap();
    let job = db.sync_job().unwrap();
    disk.fail_syncs(true);
    assert!(db.synced(job.run()).is_err());
    disk.fail_syncs(false);
    disk.crash(CrashMode::KeepAll, &mut Rng::from_seed(1));
    drop(db);
    let (db, recovery) = open_with(&disk, options()).unwrap();
    assert_eq!(recovery.last_sequence.0, 2);
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    drop(db);
    let (mut db, _) = open_with(&disk, options()).unwrap();
    assert_eq!(get(&mut db, b"l").unwrap().unwrap(), "w");
}

/// A failed sync of a table or of the manifest leaves the disk's content unknown: the process must stop too.
#[test]
fn a_failed_sync_in_the_background_poisons() {
    for which in ["table-", "manifest-"] {
        let disk = SimDisk::new();
        let (mut db, _) = open_with(&disk, options()).unwrap();
        settle(&mut db).unwrap();
        db.put(b"k", Bytes::from("v"), Kind::Full).unwrap();
        sync(&mut db).unwrap();
        db.freeze();
        for number in 0..20 {
            let path = support::dir().join(format!("{which}{number:010}"));
            disk.fail_sync(&path, true);
        }
        assert!(settle(&mut db).is_err(), "{which}");
        assert!(matches!(db.put(b"l", Bytes::new(), Kind::Full), Err(PutError::Poisoned(_))));
        drop(db);
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
        let again = SimDisk::new();
        disk.paths().iter().for_each(|path| again.write_file(path, disk.read_file(path).unwrap()));
        let (mut db, _) = open_with(&again, options()).unwrap();
        assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "v");
    }
}

/// A full disk does not keep a node from stopping cleanly.
#[test]
fn a_clean_stop_needs_no_room() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, options()).unwrap();
    disk.set_capacity(Some(disk.used_bytes()));
    db.put(b"k", Bytes::from("v"), Kind::Full).unwrap();
    db.close().unwrap();
    disk.set_capacity(None);
    let (mut db, recovery) = open_with(&disk, options()).unwrap();
    assert!(recovery.was_clean);
    assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "v");
}

/// Values are to be refused while so much of the disk is free as may be needed yet, and no longer than that.
#[test]
fn room_is_kept_back() {
    let disk = SimDisk::new();
    let options = Options { disk_reserve_bytes: Some(10_000), ..options() };
    let (mut db, _) = open_with(&disk, options).unwrap();
    settle(&mut db).unwrap();
    assert_eq!(db.room_for_values(), Ok(()));
    let all = disk.used_bytes() + 9_999;
    disk.set_capacity(Some(all));
    db.put(b"key", Bytes::from("value"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    db.freeze();
    let refused = loop {
        let job = db.background_job().expect("it looks after each job how much is free");
        if let Installed::Retry(error) = db.install(job.run()).unwrap() {
            break error;
        }
    };
    let free_bytes = all - disk.used_bytes();
    assert_eq!(db.room_for_values(), Err(PutError::KeptBack { free_bytes, kept_back_bytes: 10_000 }));
    assert!(refused.to_string().contains(&format!("{free_bytes} bytes are free")), "{refused}");
    db.delete(b"key").unwrap();
    sync(&mut db).unwrap();
    disk.set_capacity(None);
    settle(&mut db).unwrap();
    assert_eq!(db.room_for_values(), Ok(()), "it goes on looking, and needs no restart");
}

/// What a store keeps back by itself grows with what it may have to write, and leaves most of a small disk to be used.
#[test]
fn no_more_than_a_quarter_of_the_disk_is_kept_back_unasked() {
    let disk = SimDisk::new();
    let options = Options { disk_reserve_bytes: None, ..options() };
    let needed = options.disk_needed_bytes();
    assert_eq!(options.clone().divided(4).stores, 4);
    let (mut db, _) = open_with(&disk, options).unwrap();
    disk.set_capacity(Some(1 << 40));
    settle(&mut db).unwrap();
    assert_eq!(db.disk_kept_back_bytes(), needed);
    disk.set_capacity(Some(needed));
    db.put(b"key", Bytes::from("value"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    db.freeze();
    while let Some(job) = db.background_job() {
        if matches!(db.install(job.run()).unwrap(), Installed::Retry(_)) {
            break;
        }
    }
    assert_eq!(db.disk_kept_back_bytes(), needed / 4);
}

/// On a disk that is nearly full what was deleted goes, though no level is over its limit and no memtable is full.
#[test]
fn deletes_make_room_by_themselves() {
    let disk = SimDisk::new();
    let options =
        Options { disk_reserve_bytes: Some(10_000), level0_tables: 100, compression: false, ..options() };
    let (mut db, _) = open_with(&disk, options).unwrap();
    for key in 0..8_u8 {
        db.put(&[key], Bytes::from(vec![key; 500]), Kind::Full).unwrap();
    }
    sync(&mut db).unwrap();
    db.freeze();
    settle(&mut db).unwrap();
    let table_bytes = |db: &storage::Db| db.stats().table_bytes();
    let before = table_bytes(&db);
    for key in 0..8_u8 {
        db.delete(&[key]).unwrap();
    }
    sync(&mut db).unwrap();
    settle(&mut db).unwrap();
    assert_eq!(table_bytes(&db), before, "there is no hurry while there is room");

    disk.set_capacity(Some(disk.used_bytes() + 9_000));
    db.put(b"another", Bytes::from("value"), Kind::Full).unwrap();
    sync(&mut db).unwrap();
    db.freeze();
    for _ in 0..40 {
        if let Some(job) = db.background_job() {
            db.install(job.run()).unwrap();
        }
    }
    assert!(table_bytes(&db) < before / 4, "{} bytes of tables, {before} before", table_bytes(&db));
    assert_eq!(get(&mut db, b"another").unwrap(), Some(Bytes::from("value")));
}
