//! What it costs to let a partition go, one key after the other and as one range: `cargo run --release -p henge-storage --example drops --
//! [MB of the partition] [rounds] [directory]`. Of eight partitions of the same size in one store one goes; records are of 1 KiB. For
//! orientation, on one thread and one disk; both ways in turn, each in a store of its own, and their ratio.
//!
//! Key by key is as an owner does it that keeps something of the partition: a page of 512 records is read and each is deleted, in one turn
//! of the event loop, which is one record of the log and one sync. Both ways count until all background work is done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use env::{RealDisk, Rng};
use storage::{Db, Installed, KeyRange, Kind, Merge, MergeError, Options, PutError, ScanLimit, ScanOutcome};

type Failure = Box<dyn std::error::Error>;

const VALUE_BYTES: usize = 1024 - 16;
const PARTITIONS: u16 = 8;
const GOES: u16 = 3;
const PAGE: ScanLimit = ScanLimit { entries: 512, bytes: 512 * 1024 };

struct Newer;

impl Merge for Newer {
    fn merge(&self, _: &[u8], _: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok(newer.to_vec())
    }
}

/// What it took.
#[derive(Clone, Copy, Default)]
struct Spent {
    owner: Duration,
    rest: Duration,
    log_bytes: u64,
    left_bytes: u64,
}

impl Spent {
    fn all(&self) -> Duration {
        self.owner + self.rest
    }
}

fn key(partition: u16, number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..2].copy_from_slice(&partition.to_be_bytes());
    key[6..14].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    key
}

/// Half noise, half repetition, like much real data.
fn value(rng: &mut Rng) -> Bytes {
    let noise = std::iter::repeat_with(|| rng.next_u64().to_le_bytes()).take(VALUE_BYTES / 16).flatten();
    let mut value: Vec<u8> = noise.collect();
    value.resize(VALUE_BYTES, b'r');
    Bytes::from(value)
}

fn background(db: &mut Db) -> Result<(), Failure> {
    while let Some(job) = db.background_job() {
        if let Installed::Retry(error) = db.install(job.run())? {
            return Err(error.into());
        }
    }
    Ok(())
}

/// The end of a turn: the log is written and synced, and background work is done.
fn end_turn(db: &mut Db) -> Result<(), Failure> {
    db.write_log()?;
    if let Some(job) = db.sync_job() {
        db.synced(job.run())?;
    }
    background(db)
}

fn filled(directory: &Path, keys: u64) -> Result<Db, Failure> {
    drop(std::fs::remove_dir_all(directory));
    let options = Options::with_memory(128 << 20);
    let (mut db, _) = Db::open(Arc::new(RealDisk), directory, options, Arc::new(Newer))?;
    let mut rng = Rng::from_seed(1);
    for number in 0..keys {
        for partition in 0..PARTITIONS {
            let value = value(&mut rng);
            while let Err(error) = db.put(&key(partition, number), value.clone(), Kind::Full) {
                let PutError::Stalled { .. } = error else { return Err(error.into()) };
                end_turn(&mut db)?;
            }
        }
        if number % 256 == 0 {
            end_turn(&mut db)?;
        }
    }
    db.freeze();
    end_turn(&mut db)?;
    Ok(db)
}

/// Lets the partition go; what is done with the store is in `go`, which says when there is no more to be done.
fn measure(
    directory: &Path,
    keys: u64,
    mut go: impl FnMut(&mut Db, &mut KeyRange) -> Result<bool, Failure>,
) -> Result<Spent, Failure> {
    let mut db = filled(directory, keys)?;
    let (before, log_before) = (db.stats().table_bytes(), db.stats().log_bytes_written);
    let mut range = KeyRange::new(&GOES.to_be_bytes(), Some(&(GOES + 1).to_be_bytes()));
    let mut spent = Spent::default();
    loop {
        let began = Instant::now();
        let goes_on = go(&mut db, &mut range)?;
        spent.owner += began.elapsed();
        let began = Instant::now();
        end_turn(&mut db)?;
        spent.rest += began.elapsed();
        if !goes_on {
            break;
        }
    }
    spent.log_bytes = db.stats().log_bytes_written - log_before;
    let fair = before * u64::from(PARTITIONS - 1) / u64::from(PARTITIONS);
    spent.left_bytes = db.stats().table_bytes().saturating_sub(fair);
    let limit = ScanLimit { entries: 1, bytes: 1 };
    let all = KeyRange::new(&GOES.to_be_bytes(), Some(&(GOES + 1).to_be_bytes()));
    match db.scan(all, limit).run() {
        ScanOutcome::Page { entries, .. } if entries.is_empty() => Ok(spent),
        _ => Err("something of the partition is left".into()),
    }
}

fn key_by_key(db: &mut Db, range: &mut KeyRange) -> Result<bool, Failure> {
    let ScanOutcome::Page { entries, next } = db.scan(range.clone(), PAGE).run() else {
        return Err("a page cannot be read".into());
    };
    for (key, _) in entries {
        while let Err(error) = db.delete(&key) {
            let PutError::Stalled { .. } = error else { return Err(error.into()) };
            end_turn(db)?;
        }
    }
    let Some(next) = next else { return Ok(false) };
    range.start = next;
    Ok(true)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let directory =
        arguments.next().map_or_else(|| std::env::temp_dir().join("henge-drops-bench"), PathBuf::from);
    let keys = megabytes * 1_000_000 / 1024;
    println!(
        "{:<12} {:>12} {:>14} {:>12} {:>14} {:>8}",
        "", "owner's ms", "sync, rest ms", "log KiB", "left KiB", "ratio"
    );
    for _ in 0..rounds {
        let each = measure(&directory, keys, key_by_key)?;
        let whole =
            measure(&directory, keys, |db, range| db.drop_range(range).map(|_| false).map_err(Into::into))?;
        for (name, spent) in [("key by key", each), ("one range", whole)] {
            println!(
                "{name:<12} {:>12.2} {:>14.2} {:>12} {:>14} {:>8.4}",
                spent.owner.as_secs_f64() * 1e3,
                spent.rest.as_secs_f64() * 1e3,
                spent.log_bytes >> 10,
                spent.left_bytes >> 10,
                spent.all().as_secs_f64() / each.all().as_secs_f64(),
            );
        }
    }
    drop(std::fs::remove_dir_all(&directory));
    Ok(())
}
