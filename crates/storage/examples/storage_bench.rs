//! What storage costs by itself, in nanoseconds of one thread: `cargo run --release -p henge-storage --example
//! storage_bench -- [keys] [value bytes] [memory MiB] [directory]`. For orientation; the ratios that count are measured by `bench`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use env::{RealDisk, Rng};
use storage::{Db, Installed, Kind, Lookup, Merge, MergeError, Options, PutError};

type Failure = Box<dyn std::error::Error>;

struct Newer;

impl Merge for Newer {
    fn merge(&self, _: &[u8], _: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok(newer.to_vec())
    }
}

fn key(number: u64) -> [u8; 30] {
    let mut key = [0; 30];
    let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    key[..2].copy_from_slice(&hash.to_be_bytes()[..2]);
    key[6..14].copy_from_slice(&hash.to_be_bytes());
    key[14..].copy_from_slice(format!("{number:016}").as_bytes());
    key
}

/// Half noise, half repetition, like much real data.
fn value(rng: &mut Rng, len: usize) -> Bytes {
    let noise = std::iter::repeat_with(|| rng.next_u64().to_le_bytes()).take(len.div_ceil(16)).flatten();
    let mut value: Vec<u8> = noise.collect();
    value.resize(len, b'r');
    Bytes::from(value)
}

fn per_operation(elapsed: Duration, operations: u64) -> u128 {
    elapsed.as_nanos() / u128::from(operations.max(1))
}

/// Runs what background work there is; true if there was any.
fn background(db: &mut Db) -> Result<bool, Failure> {
    let Some(job) = db.background_job() else {
        return Ok(false);
    };
    if let Installed::Retry(error) = db.install(job.run())? {
        return Err(error.into());
    }
    Ok(true)
}

fn sync(db: &mut Db) -> Result<(), Failure> {
    db.write_log()?;
    if let Some(job) = db.sync_job() {
        db.synced(job.run())?;
    }
    Ok(())
}

/// Puts every key once, `batch` to a sync; time in put and write alone, and in sync.
fn load(db: &mut Db, keys: u64, value_bytes: usize, batch: u64) -> Result<(Duration, Duration), Failure> {
    let mut rng = Rng::from_seed(1);
    let (mut putting, mut syncing) = (Duration::ZERO, Duration::ZERO);
    for start in (0..keys).step_by(usize::try_from(batch)?) {
        let values: Vec<Bytes> = (0..batch).map(|_| value(&mut rng, value_bytes)).collect();
        let began = Instant::now();
        for (number, value) in (start..keys).zip(values) {
            match db.put(&key(number), value.clone(), Kind::Full) {
                Err(PutError::Stalled { .. }) => {
                    while background(db)? {}
                    db.put(&key(number), value, Kind::Full)?;
                }
                other => drop(other?),
            }
        }
        db.write_log()?;
        putting += began.elapsed();
        let began = Instant::now();
        sync(db)?;
        syncing += began.elapsed();
        background(db)?;
    }
    Ok((putting, syncing))
}

/// Reads random keys below `keys`, `reads` times; (time, cold ones).
fn read(db: &mut Db, keys: u64, first: u64, reads: u64) -> Result<(Duration, u64), Failure> {
    let mut rng = Rng::from_seed(2);
    let numbers: Vec<u64> = (0..reads).map(|_| first + rng.below(keys)).collect();
    let mut cold = 0;
    let began = Instant::now();
    for number in numbers {
        let mut lookup = db.get(&key(number));
        while let Lookup::Cold(job) = lookup {
            cold += 1;
            lookup = db.complete(job.run());
        }
        if let Lookup::Unreadable(error) = lookup {
            return Err(error.into());
        }
    }
    Ok((began.elapsed(), cold))
}

fn report(what: &str, keys: u64, (elapsed, cold): (Duration, u64)) {
    println!("{what:<40} {:>8} ns  ({cold} of {keys} cold)", per_operation(elapsed, keys));
}

/// The most memory that the process has had, where the system tells.
fn resident_peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |amount| amount.trim().to_owned())
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let keys: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let value_bytes: usize = arguments.next().map_or(Ok(1024), |text| text.parse())?;
    let memory_mib: usize = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let directory =
        arguments.next().map_or_else(|| std::env::temp_dir().join("henge-storage-bench"), PathBuf::from);
    drop(std::fs::remove_dir_all(&directory));

    let options = Options::with_memory(memory_mib << 20);
    let (mut db, _) = Db::open(Arc::new(RealDisk), &directory, options.clone(), Arc::new(Newer))?;
    let (putting, syncing) = load(&mut db, keys, value_bytes, 50)?;
    println!("{:<40} {:>8} ns", "put, with its share of the write", per_operation(putting, keys));
    println!("{:<40} {:>8} ns", "sync of 50 puts", per_operation(syncing, keys / 50));
    report("get, as the load left it", keys, read(&mut db, keys, 0, keys)?);
    report("get, once more", keys, read(&mut db, keys, 0, keys)?);
    let hot = keys.min(10_000);
    read(&mut db, hot, 0, hot * 4)?;
    report("get, hot 10,000 keys", keys, read(&mut db, hot, 0, keys)?);
    report("get, absent keys", keys, read(&mut db, keys, keys, keys)?);
    let stats = db.stats();
    println!(
        "memory {} MiB of {memory_mib}, peak of the process {}",
        stats.memory_bytes >> 20,
        resident_peak()
    );
    println!("tables {:?}, bytes {:?}", stats.level_tables, stats.level_bytes);
    println!("{:?}", stats.counters);
    println!("write amplification {:.2}", db.stats().write_amplification().unwrap_or_default());
    drop(db);

    let began = Instant::now();
    let (mut db, recovery) = Db::open(Arc::new(RealDisk), &directory, options, Arc::new(Newer))?;
    println!("opened in {:?}: {recovery:?}", began.elapsed());
    report("get, after opening", keys, read(&mut db, keys, 0, keys)?);
    db.close()?;
    drop(std::fs::remove_dir_all(&directory));
    Ok(())
}
