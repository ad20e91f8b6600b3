//! The measurements, each of one process: a figure must not contain what another measurement left in caches, threads or
//! the allocator.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use env::Rng;
use serde_json::{Value, json};

use crate::data::{Values, key};
use crate::engine::{Engine, Setup};
use crate::process::{Cost, Spent, directory_bytes, evict, resident_peak_bytes};

/// What is measured, and with how much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    pub(crate) writers: u64,
    pub(crate) operations: u64,
    pub(crate) hot_keys: u64,
}

/// Puts every key once, `writers` at a time, each group durable before the next. Then waits for background work:
/// its CPU time and its bytes are part of what a put costs.
pub(crate) fn load<E: Engine>(dir: &Path, setup: Setup, plan: Plan) -> Result<Value> {
    let mut engine = E::open(dir, setup)?;
    let values = Values::new(plan.value_bytes);
    let group = usize::try_from(plan.writers)?;
    let before = Cost::now()?;
    for start in (0..plan.keys).step_by(group) {
        let end = plan.keys.min(start + plan.writers);
        engine.put_together(
            (start..end)
                .map(|number| (key(number), values.value(number)))
                .collect(),
        )?;
    }
    written(&mut engine, dir, before, plan)
}

/// The same, by threads that know nothing of each other.
pub(crate) fn load_apart<E: Engine>(dir: &Path, setup: Setup, plan: Plan) -> Result<Value> {
    let mut engine = E::open(dir, setup)?;
    let values = Values::new(plan.value_bytes);
    let before = Cost::now()?;
    engine.put_apart(plan.writers, plan.keys, &|number| {
        (key(number), values.value(number))
    })?;
    written(&mut engine, dir, before, plan)
}

fn written<E: Engine>(engine: &mut E, dir: &Path, before: Cost, plan: Plan) -> Result<Value> {
    let foreground = before.spent()?;
    engine.settle()?;
    let all = before.spent()?;
    eprintln!("{}", engine.describe());
    let put_bytes = plan.keys * (plan.value_bytes as u64 + 16);
    Ok(json!({
        "puts_per_second": plan.keys as f64 / foreground.elapsed.as_secs_f64(),
        "cpu_us": per(all.cpu.as_secs_f64() * 1e6, plan.keys),
        "settled_seconds": all.elapsed.as_secs_f64(),
        "written_per_byte": per(all.written_bytes as f64, put_bytes),
        "dirtied_per_byte": per(all.dirtied_bytes as f64, put_bytes),
        "disk_per_byte": per(directory_bytes(dir)? as f64, put_bytes),
        "resident_mib": resident_mib()?,
    }))
}

/// Reads a few keys again and again, after having read each some times.
pub(crate) fn hot<E: Engine>(dir: &Path, setup: Setup, plan: Plan) -> Result<Value> {
    let mut engine = E::open(dir, setup)?;
    engine.settle()?;
    let stride = (plan.keys / plan.hot_keys).max(1);
    let hot = |rng: &mut Rng| rng.below(plan.hot_keys) * stride;
    read(&mut engine, plan.hot_keys * 8, true, 3, hot)?;
    let spent = read(&mut engine, plan.operations, true, 4, hot)?;
    reads(&mut engine, spent, plan)
}

/// Reads any key, with nothing in the page cache that the engine did not read when it was opened.
pub(crate) fn cold<E: Engine>(dir: &Path, setup: Setup, plan: Plan) -> Result<Value> {
    let mut engine = E::open(dir, setup)?;
    engine.settle()?;
    evict(dir)?;
    let spent = read(&mut engine, plan.operations, true, 5, |rng| rng.below(plan.keys))?;
    reads(&mut engine, spent, plan)
}

/// Reads any key, with the files in the page cache but not in the engine's memory, as far as the page cache goes.
pub(crate) fn uncached<E: Engine>(dir: &Path, setup: Setup, plan: Plan) -> Result<Value> {
    let mut engine = E::open(dir, setup)?;
    engine.settle()?;
    read(&mut engine, plan.operations, true, 6, |rng| rng.below(plan.keys))?;
    let spent = read(&mut engine, plan.operations, true, 7, |rng| rng.below(plan.keys))?;
    reads(&mut engine, spent, plan)
}

/// Reads keys that were never put, of the same range as those that were.
pub(crate) fn absent<E: Engine>(dir: &Path, setup: Setup, plan: Plan) -> Result<Value> {
    let mut engine = E::open(dir, setup)?;
    engine.settle()?;
    let absent = |rng: &mut Rng| plan.keys + rng.below(u64::from(u32::MAX));
    read(&mut engine, plan.operations / 4, false, 8, absent)?;
    let spent = read(&mut engine, plan.operations, false, 9, absent)?;
    reads(&mut engine, spent, plan)
}

/// Fills a log that nothing is flushed from, and stops without a word to the engine. Every key is written twice, because the
/// memory of three memtables holds about 650 MB of such entries, and the log of a store that overwrites may be longer.
pub(crate) fn fill_log<E: Engine>(dir: &Path, setup: Setup, plan: Plan) -> Result<Value> {
    let mut engine = E::open(dir, setup)?;
    let values = Values::new(plan.value_bytes);
    for start in (0..plan.keys).step_by(1000) {
        let end = plan.keys.min(start + 1000);
        engine.put_together(
            (start..end)
                .map(|number| (key(number / 2), values.value(number)))
                .collect(),
        )?;
    }
    eprintln!("{}", engine.describe());
    println!("{}", json!({ "log_mib": directory_bytes(dir)? >> 20 }));
    // Neither destructors nor a clean stop: what is measured next is a recovery.
    std::process::exit(0)
}

/// Opens what a crash left, until the first and the last key have been read.
pub(crate) fn recover<E: Engine>(dir: &Path, setup: Setup, plan: Plan, evicted: bool) -> Result<Value> {
    if evicted {
        evict(dir)?;
    }
    let log_bytes = directory_bytes(dir)?;
    let began = Instant::now();
    let before = Cost::now()?;
    let mut engine = E::open(dir, setup)?;
    for number in [0, (plan.keys - 1) / 2] {
        ensure!(engine.get(&key(number))?.is_some(), "key {number} was lost");
    }
    let seconds = began.elapsed().as_secs_f64();
    let spent = before.spent()?;
    let result = json!({
        "seconds": seconds,
        "cpu_seconds": spent.cpu.as_secs_f64(),
        "log_mib": log_bytes >> 20,
        "resident_mib": resident_mib()?,
    });
    println!("{result}");
    // The directory stays as it is for the next round, as far as the engine lets it.
    std::process::exit(0)
}

fn read<E: Engine>(
    engine: &mut E,
    operations: u64,
    present: bool,
    seed: u64,
    number: impl Fn(&mut Rng) -> u64,
) -> Result<Spent> {
    let mut rng = Rng::from_seed(seed);
    let before = Cost::now()?;
    for _ in 0..operations {
        let number = number(&mut rng);
        let found = engine.get(&key(number))?.is_some();
        ensure!(
            found == present,
            "key {number} is {}",
            if found { "there" } else { "lost" }
        );
    }
    before.spent()
}

fn reads<E: Engine>(engine: &mut E, spent: Spent, plan: Plan) -> Result<Value> {
    eprintln!("{}", engine.describe());
    Ok(json!({
        "us": per(spent.elapsed.as_secs_f64() * 1e6, plan.operations),
        "cpu_us": per(spent.cpu.as_secs_f64() * 1e6, plan.operations),
        "device_kib": per(spent.read_bytes as f64 / 1024.0, plan.operations),
        "resident_mib": resident_mib()?,
    }))
}

fn resident_mib() -> Result<f64> {
    Ok(resident_peak_bytes()? as f64 / f64::from(1 << 20))
}

fn per(amount: f64, operations: u64) -> f64 {
    amount / operations.max(1) as f64
}
