//! Each promise of the engine in its simplest form.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::Bytes;
use env::disk::CrashMode;
use env::{Disk, Rng, SimDisk};
use storage::{Kind, Lookup, Options, PutError};
use support::{dir, get, open, open_with, scan_all, settle, sync};

fn full(db: &mut storage::Db, key: &str, value: &str) {
    db.put(key.as_bytes(), Bytes::copy_from_slice(value.as_bytes()), Kind::Full).unwrap();
}

#[test]
fn what_is_put_is_read_at_once() {
    let (mut db, recovery) = open(&SimDisk::new()).unwrap();
    assert!(recovery.is_new && recovery.was_clean);
    full(&mut db, "k", "v");
    assert!(matches!(db.get(b"k"), Lookup::Found(value) if value == "v"));
    assert!(matches!(db.get(b"other"), Lookup::Absent));
}

/// Operands are merged with what is older, full entries hide it, wherever the older one lies.
#[test]
fn operands_merge_across_memtable_and_tables() {
    let (mut db, _) = open(&SimDisk::new()).unwrap();
    full(&mut db, "k", "a");
    for operand in ["b", "c"] {
        db.put(b"k", Bytes::from(operand), Kind::Merge).unwrap();
        sync(&mut db).unwrap();
        db.freeze();
        settle(&mut db).unwrap();
    }
    db.put(b"k", Bytes::from("d"), Kind::Merge).unwrap();
    assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "abcd");
    assert_eq!(scan_all(&db, 10).unwrap(), [(Bytes::from("k"), Bytes::from("abcd"))]);
    full(&mut db, "k", "new");
    assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "new");
}

#[test]
fn a_clean_stop_is_known_as_one_and_any_other_is_not() {
    let disk = SimDisk::new();
    let (mut db, _) = open(&disk).unwrap();
    full(&mut db, "k", "v");
    db.close().unwrap();
    let (mut db, recovery) = open(&disk).unwrap();
    assert!(recovery.was_clean && !recovery.is_new && recovery.replayed_entries == 1);
    assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "v");
    drop(db);
    let (_, recovery) = open(&disk).unwrap();
    assert!(!recovery.was_clean, "nothing was written, and still the stop was not a clean one");
}

/// A synced entry survives the machine, one that was only written need not.
#[test]
fn synced_entries_survive_a_crash() {
    let disk = SimDisk::new();
    let (mut db, _) = open(&disk).unwrap();
    full(&mut db, "synced", "1");
    sync(&mut db).unwrap();
    full(&mut db, "written", "2");
    db.write_log().unwrap();
    disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    let (mut db, recovery) = open(&disk).unwrap();
    assert!(!recovery.was_clean && recovery.last_sequence.0 == 1);
    assert_eq!(get(&mut db, b"synced").unwrap().unwrap(), "1");
    assert_eq!(get(&mut db, b"written").unwrap(), None);
}

#[test]
fn one_process_at_a_time() {
    let disk = SimDisk::new();
    let _db = open(&disk).unwrap();
    assert!(matches!(open(&disk), Err(storage::OpenError::Locked(_))));
}

/// A refused entry touches neither log nor memtable (sizes are checked first).
#[test]
fn oversized_entries_are_refused_whole() {
    let (mut db, _) = open(&SimDisk::new()).unwrap();
    let limit = db.options().value_bytes_max();
    let refused = db.put(b"k", Bytes::from(vec![0; limit + 1]), Kind::Full);
    assert!(matches!(refused, Err(PutError::TooLarge { what: "value", .. })));
    let key = vec![0; db.options().key_bytes_max() + 1];
    assert!(matches!(db.put(&key, Bytes::new(), Kind::Full), Err(PutError::TooLarge { what: "key", .. })));
    assert!(!db.has_unwritten() && matches!(db.get(b"k"), Lookup::Absent));
    db.put(b"k", Bytes::from(vec![0; limit]), Kind::Full).unwrap();
    sync(&mut db).unwrap();
}

/// Who asks for more room than any entry can need gets the longest entry's: to wait for more would be to wait for ever.
#[test]
fn there_is_room_for_more_than_the_longest_entry_as_soon_as_there_is_for_that() {
    let (mut db, _) = open(&SimDisk::new()).unwrap();
    let (length, more) = (db.options().value_bytes_max(), usize::MAX / 2);
    assert!(db.room_for(more).is_ok());
    while db.room_for(length).is_ok() {
        db.put(b"k", Bytes::from(vec![0; length]), Kind::Full).unwrap();
        sync(&mut db).unwrap();
    }
    assert!(matches!(db.room_for(more), Err(PutError::Stalled { .. })));
    settle(&mut db).unwrap();
    assert!(db.room_for(more).is_ok());
}

/// Where the block cache has room for all, neither a flush nor a compaction makes anything cold.
#[test]
fn what_fits_into_memory_stays_there() {
    let (mut db, _) = open(&SimDisk::new()).unwrap();
    for round in 0..8 {
        for key in 0..10 {
            full(&mut db, &format!("key {key}"), &format!("value {round}"));
        }
        sync(&mut db).unwrap();
        db.freeze();
        settle(&mut db).unwrap();
    }
    assert!(db.stats().counters.compactions > 0);
    for key in 0..10 {
        let found = db.get(format!("key {key}").as_bytes());
        assert!(matches!(&found, Lookup::Found(value) if value == "value 7"), "{key}: {found:?}");
    }
}

/// What is looked up to be replaced is found like anything else, and not kept.
#[test]
fn a_look_up_before_a_put_leaves_nothing_in_the_record_cache() {
    let (mut db, _) = open(&SimDisk::new()).unwrap();
    full(&mut db, "k", "v");
    sync(&mut db).unwrap();
    db.freeze();
    settle(&mut db).unwrap();
    assert!(matches!(db.get_to_replace(b"k"), Lookup::Found(value) if value == "v"));
    assert!(matches!(db.get_to_replace(b"other"), Lookup::Absent));
    assert_eq!(db.stats().record_cache_bytes, 0);
    assert!(matches!(db.get(b"k"), Lookup::Found(value) if value == "v"));
    assert!(db.stats().record_cache_bytes > 0);
}

/// Once there are as many segments as the log ever needs at a time, no new one is made: a new one is written with zeros.
#[test]
fn segments_are_used_again_and_not_made_anew() {
    let disk = SimDisk::new();
    let (mut db, _) = open_with(&disk, Options { memory_bytes: 1 << 20, ..Options::tiny() }).unwrap();
    let segments = |disk: &SimDisk| -> Vec<String> {
        let files = disk.list(&dir()).unwrap();
        files.into_iter().filter(|name| name.starts_with("log-")).collect()
    };
    let overwrite_for_some_memtables = |db: &mut storage::Db| {
        let flushes = db.stats().counters.flushes;
        while db.stats().counters.flushes < flushes + 8 {
            full(db, "k", &"v".repeat(1000));
            sync(db).unwrap();
            settle(db).unwrap();
        }
    };
    overwrite_for_some_memtables(&mut db);
    let made = segments(&disk);
    overwrite_for_some_memtables(&mut db);
    assert_eq!(segments(&disk), made);
}

/// Segments are as long as the values that must fit, whatever the memory, and never shorter than without.
#[test]
fn values_of_the_length_asked_for_fit() {
    for length in [1 << 20, 40 << 20] {
        let options = Options::with_memory(24 << 20).with_values(length);
        assert!(options.value_bytes_max() >= length);
        assert!(options.log_segment_bytes >= Options::with_memory(24 << 20).log_segment_bytes);
    }
}

/// Without background work puts are refused in the end, and go on once it has run; nothing waits.
#[test]
fn puts_are_refused_while_background_work_is_behind() {
    let (mut db, _) = open(&SimDisk::new()).unwrap();
    let mut taken = 0u32;
    let refusal = loop {
        match db.put(&taken.to_be_bytes(), Bytes::from(vec![7; 500]), Kind::Full) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        db.write_log().unwrap();
    };
    assert!(matches!(refusal, PutError::Stalled { .. }), "{refusal}");
    assert!(db.stats().memory_bytes <= db.options().memory_bytes);
    sync(&mut db).unwrap();
    settle(&mut db).unwrap();
    db.put(b"again", Bytes::new(), Kind::Full).unwrap();
    assert_eq!(scan_all(&db, 100).unwrap().len(), taken as usize + 1);
}

fn incompressible(rng: &mut Rng, round: u32) -> Vec<u8> {
    let noise = (0..20).flat_map(|_| rng.next_u64().to_le_bytes());
    round.to_be_bytes().into_iter().chain(noise).collect()
}

/// Keys spread over memtables and several levels, values overwritten and deleted: every read agrees with the last put.
#[test]
fn many_keys_through_all_levels() {
    let disk = SimDisk::new();
    let (mut db, _) = open(&disk).unwrap();
    let mut rng = Rng::from_seed(3);
    let mut model = std::collections::BTreeMap::new();
    for round in 0..6000u32 {
        let key = rng.below(800).to_be_bytes().to_vec();
        let value =
            if rng.chance(1, 10) { support::TOMBSTONE.to_vec() } else { incompressible(&mut rng, round) };
        db.put(&key, Bytes::from(value.clone()), Kind::Full).unwrap();
        model.insert(key, value);
        if round % 20 == 0 {
            sync(&mut db).unwrap();
            settle(&mut db).unwrap();
        }
    }
    let stats = db.stats();
    assert!(stats.level_tables[1] > 1 && stats.level_tables[2] > 1, "{stats:?}");
    assert!(stats.log_segments < 12 && stats.memory_bytes <= db.options().memory_bytes, "{stats:?}");
    model.retain(|_, value| value != support::TOMBSTONE);
    let expected: Vec<(Bytes, Bytes)> =
        model.iter().map(|(k, v)| (Bytes::from(k.clone()), Bytes::from(v.clone()))).collect();
    assert_eq!(scan_all(&db, 7).unwrap(), expected);
    for key in 0..800u64 {
        let expected = model.get(key.to_be_bytes().as_slice()).cloned().map(Bytes::from);
        assert_eq!(get(&mut db, &key.to_be_bytes()).unwrap(), expected);
    }
    db.close().unwrap();
    let (db, recovery) = open(&disk).unwrap();
    assert!(recovery.was_clean);
    assert_eq!(scan_all(&db, 100).unwrap(), expected);
}

/// Overwriting one key for ever uses a bounded log.
#[test]
fn the_log_of_one_hot_key_is_bounded() {
    let (mut db, _) = open_with(&SimDisk::new(), Options::tiny()).unwrap();
    for _ in 0..3000 {
        full(&mut db, "hot", &"v".repeat(100));
        sync(&mut db).unwrap();
        settle(&mut db).unwrap();
    }
    assert!(db.stats().log_segments < 12, "{:?}", db.stats());
}

/// A put between the making of a cold read and its completion is what the read answers, and the older value that it
/// read does not enter the cache, not even once the newer one is flushed.
#[test]
fn a_put_during_a_cold_read_wins() {
    let disk = SimDisk::new();
    let (mut db, _) = open(&disk).unwrap();
    full(&mut db, "k", "old");
    sync(&mut db).unwrap();
    db.freeze();
    settle(&mut db).unwrap();
    db.close().unwrap();
    for flush_between in [false, true] {
        let (mut db, _) = open(&disk).unwrap();
        let Lookup::Cold(job) = db.get(b"k") else { panic!("the caches of a fresh opening are empty") };
        let outcome = job.run();
        full(&mut db, "k", "new");
        if flush_between {
            sync(&mut db).unwrap();
            db.freeze();
            settle(&mut db).unwrap();
        }
        let answer = db.complete(outcome);
        let value = match answer {
            Lookup::Found(value) => value,
            Lookup::Cold(job) => match db.complete(job.run()) {
                Lookup::Found(value) => value,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(value, "new");
        assert_eq!(get(&mut db, b"k").unwrap().unwrap(), "new");
    }
}

/// A directory outlives changes of the settings and of the process's secret.
#[test]
fn other_settings_open_the_same_directory() {
    let disk = SimDisk::new();
    let settings = [
        Options::tiny(),
        Options { secret: 1, log_segment_bytes: 64 << 10, ..Options::tiny() },
        Options { secret: 2, block_bytes: 4096, compression: false, ..Options::tiny() },
        Options { secret: 3, bloom_bits_per_key: 4, level_ratio: 2, ..Options::tiny() },
    ];
    let mut keys = 0u32;
    for options in settings {
        let (mut db, _) = open_with(&disk, options).unwrap();
        for key in 0..keys {
            assert!(get(&mut db, &key.to_be_bytes()).unwrap().is_some());
        }
        for _ in 0..300 {
            db.put(&keys.to_be_bytes(), Bytes::from(vec![1; 200]), Kind::Full).unwrap();
            keys += 1;
            sync(&mut db).unwrap();
            settle(&mut db).unwrap();
        }
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
    }
}

/// As a node runs it: the system's disk, jobs on another thread, outcomes handed back.
#[test]
fn jobs_run_on_another_thread_on_a_real_disk() {
    let dir = std::env::temp_dir().join(format!("henge-storage-basics-{}", std::process::id()));
    let open = || {
        storage::Db::open(
            std::sync::Arc::new(env::RealDisk),
            &dir,
            Options::tiny(),
            std::sync::Arc::new(support::Append),
        )
    };
    let (mut db, _) = open().unwrap();
    let (jobs, inbox) = std::sync::mpsc::channel::<storage::BackgroundJob>();
    let (outbox, outcomes) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || inbox.into_iter().for_each(|job| drop(outbox.send(job.run()))));
    for number in 0..2000u32 {
        let key = (number % 700).to_be_bytes();
        while let Err(PutError::Stalled { .. }) = db.put(&key, Bytes::from(number.to_string()), Kind::Full) {
            sync(&mut db).unwrap();
            while let Some(job) = db.background_job() {
                jobs.send(job).unwrap();
            }
            db.install(outcomes.recv().unwrap()).unwrap();
        }
        if number % 10 == 0 {
            sync(&mut db).unwrap();
        }
        outcomes.try_iter().for_each(|outcome| drop(db.install(outcome).unwrap()));
        while let Some(job) = db.background_job() {
            jobs.send(job).unwrap();
        }
    }
    drop(jobs);
    worker.join().unwrap();
    outcomes.into_iter().for_each(|outcome| drop(db.install(outcome).unwrap()));
    for key in 0..700u32 {
        let newest = (0..2000).rfind(|number| number % 700 == key).unwrap();
        assert_eq!(get(&mut db, &key.to_be_bytes()).unwrap().unwrap(), newest.to_string());
    }
    db.close().unwrap();
    let (db, recovery) = open().unwrap();
    assert!(recovery.was_clean && scan_all(&db, 64).unwrap().len() == 700);
    drop(db);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// What the record cache holds of a key goes when the key is put: it must not come back once the newer entry is in a
/// table, where the cache is asked first.
#[test]
fn a_cached_record_does_not_outlive_a_put() {
    let (mut db, _) = open(&SimDisk::new()).unwrap();
    for value in ["first", "second", "third"] {
        full(&mut db, "k", value);
        sync(&mut db).unwrap();
        db.freeze();
        settle(&mut db).unwrap();
        assert_eq!(get(&mut db, b"k").unwrap().unwrap(), value, "from the table, into the cache");
        let hits = db.stats().counters.record_cache_hits;
        assert_eq!(get(&mut db, b"k").unwrap().unwrap(), value);
        assert_eq!(db.stats().counters.record_cache_hits, hits + 1);
    }
}

/// Everything that is handed to another thread can be, and the database itself can move to its owner's thread.
#[test]
fn jobs_and_outcomes_can_be_sent() {
    fn sendable<T: Send>() {}
    sendable::<storage::Db>();
    sendable::<(storage::ReadJob, storage::ReadOutcome)>();
    sendable::<(storage::ScanJob, storage::ScanOutcome)>();
    sendable::<(storage::SyncJob, storage::SyncOutcome)>();
    sendable::<(storage::BackgroundJob, storage::BackgroundOutcome)>();
}
