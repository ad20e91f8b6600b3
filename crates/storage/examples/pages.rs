//! What it costs to take a partition in and to give one away, in MB/s of keys and values of 1 KiB: `cargo run --release -p
//! henge-storage --example pages -- [MB] [memory MiB] [directory]`. For orientation, on one thread and one disk.
//!
//! Taking in: each record is looked up first, as whoever merges records must, and put; so many to a turn of the event loop, which is one
//! record of the log and one sync. Background work runs between turns and is counted apart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use env::{RealDisk, Rng};
use storage::{
    Db, Installed, KeyRange, Kind, Lookup, Merge, MergeError, Options, PutError, ScanLimit, ScanOutcome,
};

type Failure = Box<dyn std::error::Error>;

const VALUE_BYTES: usize = 1024 - 30;

struct Newer;

impl Merge for Newer {
    fn merge(&self, _: &[u8], _: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok(newer.to_vec())
    }
}

/// Time by what it went into.
#[derive(Default)]
struct Spent {
    owner: Duration,
    sync: Duration,
    background: Duration,
}

/// A store with another partition of as many keys in it, so that filters have something to say.
struct Bench {
    db: Db,
    rng: Rng,
    turns: u64,
}

/// In order: a page is a sorted run. Both partitions lie between each other, so that no key range tells them apart.
fn key(partition: u8, number: u64) -> [u8; 30] {
    let mut key = [0; 30];
    key[6..14].copy_from_slice(&(number << 20).to_be_bytes());
    key[14] = partition;
    key
}

impl Bench {
    fn open(directory: &Path, options: &Options) -> Result<Bench, Failure> {
        drop(std::fs::remove_dir_all(directory));
        let (db, _) = Db::open(Arc::new(RealDisk), directory, options.clone(), Arc::new(Newer))?;
        Ok(Bench { db, rng: Rng::from_seed(1), turns: 0 })
    }

    /// Half noise, half repetition, like much real data.
    fn value(&mut self) -> Bytes {
        let rng = &mut self.rng;
        let noise = std::iter::repeat_with(|| rng.next_u64().to_le_bytes()).take(VALUE_BYTES / 16).flatten();
        let mut value: Vec<u8> = noise.collect();
        value.resize(VALUE_BYTES, b'r');
        Bytes::from(value)
    }

    /// Runs all background work there is.
    fn background(&mut self, spent: &mut Spent) -> Result<(), Failure> {
        let began = Instant::now();
        while let Some(job) = self.db.background_job() {
            if let Installed::Retry(error) = self.db.install(job.run())? {
                return Err(error.into());
            }
        }
        spent.background += began.elapsed();
        Ok(())
    }

    fn take_in(&mut self, key: &[u8], value: Bytes) -> Result<(), PutError> {
        let mut lookup = self.db.get_to_replace(key);
        while let Lookup::Cold(job) = lookup {
            lookup = self.db.complete(job.run());
        }
        self.db.put(key, value, Kind::Full).map(drop)
    }

    /// One turn of the event loop: all of it is taken in, written and synced.
    fn turn(&mut self, entries: Vec<([u8; 30], Bytes)>, spent: &mut Spent) -> Result<(), Failure> {
        self.turns += 1;
        let mut began = Instant::now();
        for (key, value) in entries {
            while let Err(error) = self.take_in(&key, value.clone()) {
                let PutError::Stalled { .. } = error else { return Err(error.into()) };
                spent.owner += began.elapsed();
                self.db.write_log()?;
                self.background(spent)?;
                began = Instant::now();
            }
        }
        self.db.write_log()?;
        spent.owner += began.elapsed();
        let began = Instant::now();
        if let Some(job) = self.db.sync_job() {
            self.db.synced(job.run())?;
        }
        spent.sync += began.elapsed();
        self.background(spent)
    }

    fn fill(&mut self, partition: u8, keys: u64, to_a_turn: u64) -> Result<Spent, Failure> {
        let (mut spent, mut first) = (Spent::default(), 0);
        while first < keys {
            let numbers = first..keys.min(first + to_a_turn);
            let entries = numbers.map(|number| (key(partition, number), self.value())).collect();
            self.turn(entries, &mut spent)?;
            first += to_a_turn;
        }
        Ok(spent)
    }

    /// Reads everything in pages.
    fn read(&self, page_bytes: usize) -> Result<(u64, Duration), Failure> {
        let (mut range, mut bytes, began) = (KeyRange::all(), 0, Instant::now());
        loop {
            let limit = ScanLimit { entries: usize::MAX, bytes: page_bytes };
            let ScanOutcome::Page { entries, next } = self.db.scan(range.clone(), limit).run() else {
                return Err("a page cannot be read".into());
            };
            bytes += entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
            let Some(next) = next else { return Ok((bytes, began.elapsed())) };
            range.start = next;
        }
    }
}

fn rate(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-9)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let memory_mib: usize = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let directory =
        arguments.next().map_or_else(|| std::env::temp_dir().join("henge-pages-bench"), PathBuf::from);
    let options = Options::with_memory(memory_mib << 20);
    for (name, to_a_turn, share) in
        [("one record to a sync", 1, 40), ("50 records to a sync", 50, 1), ("pages of 256 KiB", 256, 1)]
    {
        let keys = megabytes * 1_000_000 / 1024 / share;
        let mut bench = Bench::open(&directory, &options)?;
        bench.fill(0, keys, 1024)?;
        let spent = bench.fill(1, keys, to_a_turn)?;
        let bytes = keys * 1024;
        let all = spent.owner + spent.sync + spent.background;
        println!(
            "{name:<22} {:>7.1} MB/s of owner's thread, {:>6.1} of sync, {:>6.1} of background, {:>6.1} together; cold {}",
            rate(bytes, spent.owner),
            rate(bytes, spent.sync),
            rate(bytes, spent.background),
            rate(bytes, all),
            bench.db.stats().counters.cold_reads,
        );
        if share > 1 {
            continue;
        }
        let cached = bench.db.stats().block_cache_bytes;
        for page_bytes in [256 << 10, 1 << 20] {
            let (bytes, elapsed) = bench.read(page_bytes)?;
            println!("  read in pages of {} KiB: {:.0} MB/s", page_bytes >> 10, rate(bytes, elapsed));
        }
        println!(
            "  the block cache grew by {} bytes",
            bench.db.stats().block_cache_bytes as i64 - cached as i64
        );
        let began = Instant::now();
        let estimate = bench.db.bytes_of(&KeyRange::all());
        println!("  {estimate:?} in {:?}", began.elapsed());
        let began = Instant::now();
        bench.db.drop_range(&KeyRange::all())?;
        println!("  dropped in {:?}; {:?}", began.elapsed(), bench.db.bytes_of(&KeyRange::all()));
        let mut spent = Spent::default();
        let before = bench.db.stats().table_bytes();
        bench.turn(Vec::new(), &mut spent)?;
        println!(
            "  of {before} bytes {} are left after {:?}",
            bench.db.stats().table_bytes(),
            spent.background
        );
    }
    drop(std::fs::remove_dir_all(&directory));
    Ok(())
}
