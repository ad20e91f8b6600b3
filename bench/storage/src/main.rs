//! One measurement of one engine, in a process of its own; `run.sh` puts them beside each other.
//!
//! Every engine gets the same keys, the same values, the same memory and the same allocator (RocksDB, being C++, has its
//! own), and keeps the rest of its defaults. The figures go to standard output as one line of JSON, what the engine says of
//! itself to standard error.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use serde_json::Value;

mod data;
mod engine;
mod fjall_engine;
mod measure;
mod ours;
mod process;
#[cfg(feature = "rocks")]
mod rocks_engine;

use engine::{Engine, Setup};
use measure::Plan;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, ValueEnum, Debug)]
enum EngineName {
    Henge,
    Fjall,
    #[cfg(feature = "rocks")]
    Rocks,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum Measurement {
    /// Puts every key once, in groups of `--writers` that are durable together.
    Load,
    /// Puts every key once, from `--writers` threads that each wait for their own.
    LoadApart,
    /// Reads of `--hot-keys` keys.
    Hot,
    /// Reads of any key, the page cache emptied of this directory first.
    Cold,
    /// Reads of any key, the page cache as it is.
    Uncached,
    /// Reads of keys that are not there.
    Absent,
    /// Fills a log that is not flushed, and stops like a crash.
    FillLog,
    /// Opens what `fill-log` left.
    Recover,
    /// The same from the device.
    RecoverCold,
}

/// One measurement of one storage engine.
#[derive(Parser, Debug)]
struct Arguments {
    engine: EngineName,
    measurement: Measurement,
    /// Where the engine has its files.
    #[arg(long)]
    dir: PathBuf,
    /// What memtables and caches may take.
    #[arg(long, default_value_t = 256)]
    memory_mib: usize,
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    #[arg(long, default_value_t = 1024)]
    value_bytes: usize,
    #[arg(long, default_value_t = 50)]
    writers: u64,
    /// How many reads.
    #[arg(long, default_value_t = 100_000)]
    operations: u64,
    #[arg(long, default_value_t = 1000)]
    hot_keys: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let result = match arguments.engine {
        EngineName::Henge => run::<ours::Henge>(&arguments),
        EngineName::Fjall => run::<fjall_engine::Fjall>(&arguments),
        #[cfg(feature = "rocks")]
        EngineName::Rocks => run::<rocks_engine::Rocks>(&arguments),
    };
    println!("{}", result?);
    Ok(())
}

fn run<E: Engine>(arguments: &Arguments) -> Result<Value> {
    let log_bytes = usize::try_from(arguments.keys)? * (arguments.value_bytes + 64);
    let unflushed = matches!(
        arguments.measurement,
        Measurement::FillLog | Measurement::Recover | Measurement::RecoverCold
    );
    let setup = Setup {
        memory_bytes: arguments.memory_mib << 20,
        unflushed_bytes: unflushed.then_some(log_bytes),
    };
    let plan = Plan {
        keys: arguments.keys,
        value_bytes: arguments.value_bytes,
        writers: arguments.writers.max(1),
        operations: arguments.operations,
        hot_keys: arguments.hot_keys.min(arguments.keys),
    };
    let dir = &arguments.dir;
    match arguments.measurement {
        Measurement::Load => measure::load::<E>(dir, setup, plan),
        Measurement::LoadApart => measure::load_apart::<E>(dir, setup, plan),
        Measurement::Hot => measure::hot::<E>(dir, setup, plan),
        Measurement::Cold => measure::cold::<E>(dir, setup, plan),
        Measurement::Uncached => measure::uncached::<E>(dir, setup, plan),
        Measurement::Absent => measure::absent::<E>(dir, setup, plan),
        Measurement::FillLog => measure::fill_log::<E>(dir, setup, plan),
        Measurement::Recover => measure::recover::<E>(dir, setup, plan, false),
        Measurement::RecoverCold => measure::recover::<E>(dir, setup, plan, true),
    }
}
