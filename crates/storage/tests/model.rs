//! The engine beside a sorted map: any sequence of puts, deletes, drops of ranges, reads, scans, background work that runs and is installed
//! late, compactions that nothing asked for, clean stops and crashes gives what the map gives.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::Bytes;
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use proptest::prelude::*;
use storage::{
    BackgroundJob, BackgroundOutcome, Db, KeyRange, Kind, Lookup, PutError, ReadOutcome, ScanLimit,
    ScanOutcome,
};
use support::script::{Contents, Model, apply, apply_drop, contents, options, range_of, reopen_and_check};
use support::{TOMBSTONE, compact_any, get, open_with, sync};

#[derive(Clone, Copy, Debug)]
enum Op {
    Put {
        key: u8,
        kind: u8,
        len: u16,
    },
    Delete {
        key: u8,
    },
    Drop {
        start: u8,
        end: u8,
    },
    Write,
    Sync,
    Freeze,
    /// Takes a background job, and may leave it for later.
    TakeJob,
    /// The same with a compaction, whether it is worth it or not.
    TakeCompaction {
        number: u8,
    },
    /// Compacts at once, so that entries get far down.
    Compact {
        number: u8,
    },
    RunJob,
    InstallOutcome,
    Get {
        key: u8,
    },
    /// Begins a read and leaves it for later if it is cold.
    BeginGet {
        key: u8,
    },
    CompleteGet,
    Scan {
        start: u8,
        end: u8,
        entries: u8,
        bytes: u16,
    },
    CloseAndOpen,
    Crash {
        mode: u8,
        seed: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..20u8, 0..6u8, 0..500u16).prop_map(|(key, kind, len)| Op::Put { key, kind, len }),
        4 => (0..20u8).prop_map(|key| Op::Delete { key }),
        2 => (0..24u8, 0..26u8).prop_map(|(start, end)| Op::Drop { start, end }),
        4 => Just(Op::Write),
        3 => Just(Op::Sync),
        2 => Just(Op::Freeze),
        4 => Just(Op::TakeJob),
        3 => any::<u8>().prop_map(|number| Op::TakeCompaction { number }),
        3 => any::<u8>().prop_map(|number| Op::Compact { number }),
        4 => Just(Op::RunJob),
        4 => Just(Op::InstallOutcome),
        3 => (0..22u8).prop_map(|key| Op::Get { key }),
        3 => (0..22u8).prop_map(|key| Op::BeginGet { key }),
        3 => Just(Op::CompleteGet),
        2 => (0..22u8, 0..24u8, 1..8u8, 1..2000u16)
            .prop_map(|(start, end, entries, bytes)| Op::Scan { start, end, entries, bytes }),
        1 => Just(Op::CloseAndOpen),
        1 => (0..3u8, any::<u64>()).prop_map(|(mode, seed)| Op::Crash { mode, seed }),
    ]
}

struct World {
    disk: SimDisk,
    db: Db,
    /// What a read must see now, written or not.
    now: Contents,
    model: Model,
    jobs: Vec<BackgroundJob>,
    outcomes: Vec<BackgroundOutcome>,
    reads: Vec<(Bytes, ReadOutcome)>,
    puts: u32,
}

fn key_of(number: u8) -> Bytes {
    Bytes::from(format!("key-{number:02}"))
}

impl World {
    fn new() -> World {
        let disk = SimDisk::new();
        let (db, _) = open_with(&disk, options()).unwrap();
        World {
            disk,
            db,
            now: Contents::new(),
            model: Model::starting_with(Contents::new()),
            jobs: Vec::new(),
            outcomes: Vec::new(),
            reads: Vec::new(),
            puts: 0,
        }
    }

    fn put(&mut self, number: u8, kind: u8, len: u16) {
        self.puts += 1;
        let key = key_of(number);
        let (kind, value) = match (number % 2, kind) {
            (0, 0) => (Kind::Full, Bytes::from_static(TOMBSTONE)),
            (1, 0 | 1) => (Kind::Merge, Bytes::from(format!("+{}", self.puts))),
            _ => (Kind::Full, Bytes::from(format!("{}{}", self.puts, "v".repeat(usize::from(len))))),
        };
        self.take_in(&key, kind, &value);
    }

    fn take_in(&mut self, key: &Bytes, kind: Kind, value: &Bytes) {
        match self.db.put(key, value.clone(), kind) {
            Ok(_) => apply(&mut self.now, key, kind, value),
            Err(PutError::Stalled { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn write(&mut self) {
        self.db.write_log().unwrap();
        self.model.states.push(self.now.clone());
        self.model.written = self.model.states.len() - 1;
    }

    fn sync(&mut self) {
        self.write();
        sync(&mut self.db).unwrap();
        self.model.synced = self.model.written;
    }

    fn check_lookup(&mut self, key: &Bytes, lookup: Lookup) {
        let expected = self.now.get(key);
        match lookup {
            Lookup::Found(value) if value == TOMBSTONE => assert_eq!(None, expected),
            Lookup::Found(value) => assert_eq!(Some(&value), expected),
            Lookup::Absent => assert_eq!(None, expected),
            Lookup::Cold(job) => self.reads.push((key.clone(), job.run())),
            Lookup::Unreadable(error) => panic!("{error}"),
        }
    }

    fn scan(&self, start: u8, end: u8, limit: ScanLimit) {
        let range = KeyRange { start: key_of(start), end: Some(key_of(end)) };
        let ScanOutcome::Page { entries, next } = self.db.scan(range.clone(), limit).run() else {
            panic!("a scan of whole tables");
        };
        let covered = |key: &&Bytes| range.contains(key) && next.as_ref().is_none_or(|next| *key < next);
        let expected: Vec<&Bytes> = self.now.keys().filter(covered).collect();
        let found: Vec<&Bytes> =
            entries.iter().filter(|(_, value)| value != TOMBSTONE).map(|(key, _)| key).collect();
        assert_eq!(found, expected);
        assert!(entries.len() <= limit.entries && next.is_none_or(|next| next > range.start));
        assert!(entries.iter().all(|(key, value)| value == TOMBSTONE || self.now.get(key) == Some(value)));
    }

    /// Ends this life of the process: what it had in hand is gone.
    fn forget_all(&mut self) {
        self.jobs.clear();
        self.outcomes.clear();
        self.reads.clear();
    }

    fn begin_again(&mut self, db: Db, found: Contents) {
        self.db = db;
        self.now = found.clone();
        self.model = Model::starting_with(found);
    }

    fn crash(&mut self, mode: CrashMode, seed: u64) {
        self.forget_all();
        self.disk.crash(mode, &mut Rng::from_seed(seed));
        let promised = if mode == CrashMode::KeepAll { self.model.written } else { self.model.synced };
        let (db, found) = reopen_and_check(&self.disk, &self.model, promised);
        self.begin_again(db, found);
    }

    fn close_and_open(&mut self) {
        self.forget_all();
        // The placeholder holds the place of the database that close consumes.
        let (placeholder, _) = open_with(&SimDisk::new(), options()).unwrap();
        std::mem::replace(&mut self.db, placeholder).close().unwrap();
        let (db, recovery) = open_with(&self.disk, options()).unwrap();
        assert!(recovery.was_clean && recovery.set_aside.is_empty());
        assert_eq!(contents(&db), self.now);
        let now = self.now.clone();
        self.begin_again(db, now);
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Put { key, kind, len } => self.put(key, kind, len),
            Op::Delete { key } => self.take_in(&key_of(key), Kind::Delete, &Bytes::new()),
            Op::Drop { start, end } => {
                let range = range_of(u64::from(start), u64::from(end));
                match self.db.drop_range(&range) {
                    Ok(_) => apply_drop(&mut self.now, &range),
                    Err(PutError::Stalled { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Write => self.write(),
            Op::Sync => self.sync(),
            Op::Freeze => self.db.freeze(),
            Op::TakeJob => self.jobs.extend(self.db.background_job()),
            Op::TakeCompaction { number } => {
                self.jobs.extend(self.db.any_compaction_job(usize::from(number)));
            }
            Op::Compact { number } => drop(compact_any(&mut self.db, usize::from(number)).unwrap()),
            Op::RunJob => self.outcomes.extend(self.jobs.pop().map(BackgroundJob::run)),
            Op::InstallOutcome => {
                if let Some(outcome) = self.outcomes.pop() {
                    self.db.install(outcome).unwrap();
                }
            }
            Op::Get { key } => {
                let key = key_of(key);
                assert_eq!(get(&mut self.db, &key).unwrap().as_ref(), self.now.get(&key));
            }
            Op::BeginGet { key } => {
                let lookup = self.db.get(&key_of(key));
                self.check_lookup(&key_of(key), lookup);
            }
            Op::CompleteGet => {
                if let Some((key, outcome)) = self.reads.pop() {
                    let lookup = self.db.complete(outcome);
                    self.check_lookup(&key, lookup);
                }
            }
            Op::Scan { start, end, entries, bytes } => {
                self.scan(start, end, ScanLimit { entries: usize::from(entries), bytes: usize::from(bytes) });
            }
            Op::CloseAndOpen => self.close_and_open(),
            Op::Crash { mode, seed } => self.crash(CrashMode::ALL[usize::from(mode)], seed),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_a_map(ops in prop::collection::vec(op(), 1..300)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        assert_eq!(contents(&world.db), world.now);
        assert!(world.db.stats().memory_bytes <= options().memory_bytes);
    }
}
