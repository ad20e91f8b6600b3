//! How much the node has to do: measured here, where its threads and its process are, and told to gossip by the shard that speaks
//! for all.
//!
//! What must hold: it is a few readings every [`MEASURE_EVERY`], and costs requests nothing.

use std::rc::Rc;
use std::time::Duration;

use api::{HeatStatus, NodeLoad, PartitionRate};
use env::cpu;
use types::Instant;

use super::driver::Driver;
use crate::core::{Input, Shard};

/// How often.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// What a shard has done and holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ShardLoad {
    /// Requests of clients that reached its records, since the start.
    operations: u64,
    /// What its store takes of the disk, in bytes.
    disk_used_bytes: u64,
    /// What was free on the disk, which all shards share; nothing where that is not known.
    disk_free_bytes: Option<u64>,
}

impl ShardLoad {
    pub(super) fn of(shard: &Shard) -> ShardLoad {
        let db = shard.replica().db();
        let stats = db.stats();
        // A segment that is being filled is not larger than a full one.
        let log = stats.log_segments as u64 * db.options().log_segment_bytes as u64;
        ShardLoad {
            operations: shard.heat().asked_in_all(),
            disk_used_bytes: stats.table_bytes() + log,
            disk_free_bytes: db.disk_space().map(|space| space.free_bytes),
        }
    }
}

/// What was read last.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    cpu: Duration,
    operations: u64,
}

/// Measures again and again, and tells the shard.
pub(super) async fn measure(driver: Rc<Driver>) {
    let mut last = read(&driver);
    loop {
        tokio::time::sleep(MEASURE_EVERY).await;
        let reading = read(&driver);
        let load = load(last, reading, &driver.published().loads(), driver.published().heat());
        driver.feed(Input::Load(load));
        last = reading;
    }
}

fn read(driver: &Driver) -> Reading {
    let operations = driver.published().loads().iter().map(|shard| shard.operations).sum();
    Reading { at: driver.now().mono, cpu: cpu::process_time(), operations }
}

fn load(last: Reading, now: Reading, shards: &[ShardLoad], heat: HeatStatus) -> NodeLoad {
    let passed = now.at.since(last.at).as_micros().max(1);
    let busy = now.cpu.saturating_sub(last.cpu).as_micros();
    let permille = busy * 1_000 / (passed * cpu::cores() as u128);
    let operations = u128::from(now.operations.saturating_sub(last.operations)) * 1_000_000 / passed;
    let used: u64 = shards.iter().map(|shard| shard.disk_used_bytes).sum();
    let free = shards.iter().filter_map(|shard| shard.disk_free_bytes).min();
    let hottest = heat.partitions.into_iter().map(|partition| PartitionRate {
        partition: partition.partition,
        operations_per_second: whole(partition.operations_per_second()),
    });
    NodeLoad {
        cpu_permille: u16::try_from(permille).unwrap_or(u16::MAX).min(1_000),
        operations_per_second: u32::try_from(operations).unwrap_or(u32::MAX),
        disk_used_bytes: used,
        disk_bytes: free.map_or(0, |free| free.saturating_add(used)),
        hottest: hottest.collect(),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and what is beyond 32 bits is bounded to them"
)]
fn whole(rate: f64) -> u32 {
    rate as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates are over the time between two readings; what the disk may come to is what is taken and what is free, once.
    #[test]
    fn a_load_is_what_was_done_between_two_readings() {
        let at = |seconds: u64, cpu_ms: u64, operations: u64| Reading {
            at: Instant(seconds * 1_000_000_000),
            cpu: Duration::from_millis(cpu_ms),
            operations,
        };
        let shard = |free| ShardLoad { operations: 0, disk_used_bytes: 300, disk_free_bytes: free };
        let shards = [shard(Some(1_000)), shard(Some(1_000))];
        let half = 1_000 * cpu::cores() as u64;
        let measured = load(at(10, 0, 500), at(12, half, 1_500), &shards, HeatStatus::default());
        assert_eq!((measured.cpu_permille, measured.operations_per_second), (500, 500));
        assert_eq!((measured.disk_used_bytes, measured.disk_bytes), (600, 1_600));
        let unknown = load(at(10, 0, 500), at(10, 0, 400), &[shard(None)], HeatStatus::default());
        assert_eq!((unknown.operations_per_second, unknown.disk_bytes), (0, 0));
    }
}
