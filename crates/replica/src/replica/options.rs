//! What can be set of a replica, and what of that each of a node's shards gets.

use std::time::Duration;

use crate::collection::CollectionOptions;
use crate::exchange::ExchangeOptions;

/// Settings of a replica.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaOptions {
    /// How often the commit log is synced for keyspaces with `durability = "interval"`.
    pub sync_interval: Duration,
    /// How far ahead of this node's clock a client's stamp may be.
    pub clock_drift_ms_max: u64,
    /// How many operations may wait for cold reads at once.
    pub cold_waiting_max: usize,
    /// How many writes may wait for storage to catch up at once.
    pub stalled_max: usize,
    /// How many bytes of values may wait in either of these two queues.
    pub waiting_bytes_max: usize,
    /// Of the exchange with other owners.
    pub exchange: ExchangeOptions,
    /// Of the collection of deletes.
    pub collection: CollectionOptions,
    /// Which of the node's shards it is of, and how many those are: by that its own questions are named.
    pub shard: u8,
    /// See `shard`.
    pub shards: u8,
}

impl Default for ReplicaOptions {
    fn default() -> ReplicaOptions {
        ReplicaOptions {
            sync_interval: Duration::from_secs(1),
            clock_drift_ms_max: 60_000,
            cold_waiting_max: 16 * 1024,
            stalled_max: 16 * 1024,
            waiting_bytes_max: 64 * 1024 * 1024,
            exchange: ExchangeOptions::default(),
            collection: CollectionOptions::default(),
            shard: 0,
            shards: 1,
        }
    }
}

impl ReplicaOptions {
    /// The same for one shard of so many that share these limits.
    #[must_use]
    pub fn of_shard(self, shard: u8, shards: u8) -> ReplicaOptions {
        let part = |limit: usize| (limit / usize::from(shards.max(1))).max(1);
        ReplicaOptions {
            cold_waiting_max: part(self.cold_waiting_max),
            stalled_max: part(self.stalled_max),
            waiting_bytes_max: part(self.waiting_bytes_max),
            shard,
            shards,
            ..self
        }
    }
}
