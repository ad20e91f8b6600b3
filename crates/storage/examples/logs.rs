//! One commit log for a device, or one for each shard: what a synced write costs either way.
//!
//! `cargo run --release -p henge-storage --example logs -- [clients] [value bytes] [seconds] [directory]`
//!
//! So many clients write, each again when its last write is synced. With a log for each of *k* shards their writes are spread
//! over *k* stores, each with a thread that gathers and syncs for itself. With one log for all they go into one store and one
//! sync; that a shard's thread would have to hand its writes to the log's, and be told, is left out, which favours one log.
//! Rounds alternate; a line a round.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use env::RealDisk;
use storage::{Db, Installed, Kind, Merge, MergeError, Options};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROUNDS: usize = 5;

struct Newer;

impl Merge for Newer {
    fn merge(&self, _: &[u8], _: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok(newer.to_vec())
    }
}

/// What one store's thread did.
struct Done {
    writes: u64,
    syncs: u64,
}

/// Writes for so many clients at a time until the time is over.
fn write(dir: &Path, clients: u64, value_bytes: usize, time: Duration) -> Result<Done, Failure> {
    let options = Options::with_memory(64 << 20);
    let (mut db, _) = Db::open(Arc::new(RealDisk), dir, options, Arc::new(Newer))?;
    let value = Bytes::from(vec![b'v'; value_bytes]);
    let mut done = Done { writes: 0, syncs: 0 };
    let began = Instant::now();
    while began.elapsed() < time {
        for _ in 0..clients {
            // Few keys, so that what is measured is the log and not flushes.
            db.put(&(done.writes % 1000).to_be_bytes(), value.clone(), Kind::Full)?;
            done.writes += 1;
        }
        db.write_log()?;
        if let Some(job) = db.sync_job() {
            db.synced(job.run())?;
            done.syncs += 1;
        }
        while let Some(job) = db.background_job() {
            if let Installed::Retry(error) = db.install(job.run())? {
                return Err(error.into());
            }
        }
    }
    db.close()?;
    Ok(done)
}

/// The CPU time of this process so far, in ticks of a hundredth of a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn measure(dir: &Path, logs: u64, clients: u64, value_bytes: usize, time: Duration) -> Result<(), Failure> {
    let (ticks, began) = (cpu_ticks(), Instant::now());
    let threads: Vec<_> = (0..logs)
        .map(|log| {
            let dir = dir.join(format!("log{log}"));
            std::thread::spawn(move || write(&dir, clients / logs, value_bytes, time))
        })
        .collect();
    let (mut writes, mut syncs) = (0, 0);
    for thread in threads {
        let done = thread.join().map_err(|_| "a thread panicked")??;
        writes += done.writes;
        syncs += done.syncs;
    }
    let cpu_ns = (cpu_ticks() - ticks) * 10_000_000 / writes.max(1);
    let per_second = u128::from(writes) * 1_000_000 / began.elapsed().as_micros();
    println!(
        "{logs} logs: {per_second} writes/s, {cpu_ns} ns of CPU a write, {} writes a sync",
        writes / syncs.max(1)
    );
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (clients, value_bytes, seconds) = (number(64)?, number(1024)?, number(2)?);
    let dir = arguments.next().map_or_else(|| std::env::temp_dir().join("henge-logs"), PathBuf::from);
    for _ in 0..ROUNDS {
        for logs in [1, 2, 4] {
            measure(&dir, logs, clients, usize::try_from(value_bytes)?, Duration::from_secs(seconds))?;
        }
    }
    Ok(())
}
