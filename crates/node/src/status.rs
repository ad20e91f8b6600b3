//! What a node shows of itself: the snapshot that every front end speaks from, and its figures.

use std::path::PathBuf;

use api::{Counter, Status};
use cluster::Topology;
use types::WallTime;

use crate::core::Shard;

/// What the node itself does not know of how it was started.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where its data is.
    pub data_dir: PathBuf,
    /// When it was started.
    pub started: WallTime,
}

/// The cluster as a shard of the node sees it.
pub fn status(topology: &Topology, facts: &Facts) -> Status {
    let state = &topology.state;
    let here = state.members().iter().position(|member| member.id == topology.here).unwrap_or_default();
    Status {
        name: state.name().to_owned(),
        epoch: state.epoch(),
        here,
        nodes: topology.node_statuses(),
        keyspaces: state.keyspace_statuses(),
        partitions: state.partition_count(),
        slots: topology.slot_ranges(),
        data_dir: facts.data_dir.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: facts.started,
        notices: topology.notices(),
    }
}

/// The shard's figures now; those of a node are their sums. Names end in `_total` where they only go up.
#[allow(clippy::cast_precision_loss, reason = "figures for people and graphs; 2^53 is far away")]
pub fn counters(shard: &Shard, now: WallTime) -> Vec<Counter> {
    let handoff = shard.replica().handoff();
    let oldest_seconds = handoff.oldest.map_or(0, |since| now.0.saturating_sub(since.0) / 1000);
    let figures = shard.figures();
    let pace = shard.operations().pace_figures();
    let db = shard.replica().db();
    let storage = db.stats();
    // The room is that of all shards, and their figures are added up.
    let stores = db.options().stores as u64;
    let disk_free_bytes = db.disk_space().map_or(0, |space| space.free_bytes);
    let reads = &storage.counters;
    let counter = |name, help, value: u64| Counter { name, help, value: value as f64 };
    vec![
        counter("client_requests_total", "Requests of clients.", figures.client_requests),
        counter("shard_passes_total", "Requests of clients that were another shard's.", figures.passed_on),
        counter("peer_messages_total", "Messages from peers.", figures.peer_messages),
        counter("cold_reads_total", "Reads that memory could not answer.", figures.cold_reads),
        counter("log_syncs_total", "Times that the commit log was made durable.", figures.syncs),
        counter("operations_under_way", "Client operations under way.", shard.operations_under_way() as u64),
        counter("hedges_sent_total", "Owners asked in addition, because another was late.", pace.hedges_sent),
        counter("hedges_won_total", "Reads decided by such an owner before the late one.", pace.hedges_won),
        counter("hedges_withheld_total", "Owners not asked so, for want of budget.", pace.hedges_withheld),
        counter(
            "probes_sent_total",
            "Reads sent to slow owners to see whether they are well.",
            pace.probes_sent,
        ),
        counter("retries_spent_total", "Questions asked again after a refusal.", pace.retries_spent),
        counter("retries_refused_total", "Those not asked again, for want of budget.", pace.retries_refused),
        counter("hints_waiting", "Hints kept for owners that could not be reached.", handoff.waiting),
        counter(
            "hints_oldest_seconds",
            "How long the oldest of them may have been waiting; those of before the start count from the start.",
            oldest_seconds,
        ),
        counter("hints_stored_total", "Hints stored for owners that could not be reached.", handoff.stored),
        counter("hints_delivered_total", "Hints that their owners have taken in.", handoff.delivered),
        counter("storage_gets_total", "Lookups of a record.", reads.gets),
        counter("storage_memtable_hits_total", "Lookups answered by a memtable.", reads.memtable_hits),
        counter(
            "storage_record_cache_hits_total",
            "Lookups answered by the record cache.",
            reads.record_cache_hits,
        ),
        counter(
            "storage_block_cache_hits_total",
            "Lookups answered by filters and cached blocks.",
            reads.block_cache_hits,
        ),
        counter(
            "memory_used_bytes",
            "Memory of memtables, caches, filters and indexes.",
            storage.memory_bytes as u64,
        ),
        counter("memory_limit_bytes", "What that may come to.", db.options().memory_bytes as u64),
        counter(
            "disk_free_bytes",
            "Room on the disk, when last looked at; 0 if unknown.",
            disk_free_bytes / stores,
        ),
        counter(
            "disk_kept_back_bytes",
            "Room on the disk that only deletes and background work may use.",
            db.disk_kept_back_bytes() / stores,
        ),
        counter(
            "disk_nearly_full",
            "Shards that take in deletes only, because no more room is free than is kept back.",
            u64::from(db.room_for_values().is_err()),
        ),
        counter("tables", "Tables on disk.", storage.level_tables.iter().sum::<usize>() as u64),
        counter("table_bytes", "Their size.", storage.table_bytes()),
        counter("table_entries", "Entries in them; a key may have several.", storage.table_entries),
        counter("damaged_tables", "Tables in which damage was found.", storage.damaged_tables as u64),
        counter(
            "unread_tables",
            "Tables that the disk did not read when last asked; compactions try them again.",
            storage.unread_tables as u64,
        ),
        counter("log_segments", "Segments of the commit log on disk.", storage.log_segments as u64),
        counter("log_written_bytes_total", "Bytes written to the commit log.", storage.log_bytes_written),
        counter("flushes_total", "Memtables written out as tables.", reads.flushes),
        counter("compactions_total", "Compactions of tables.", reads.compactions),
        counter(
            "write_stalls_total",
            "Writes refused because memory was full of unflushed ones.",
            reads.stalls,
        ),
    ]
}

/// What opening the store found, in words.
pub fn recovered(shard: &Shard) -> String {
    let recovery = shard.recovery();
    if recovery.is_new {
        return "a new data directory".to_owned();
    }
    let stop = if recovery.was_clean { "a clean stop" } else { "an unclean stop" };
    let mut text = format!(
        "after {stop}: {} tables, {} log entries replayed",
        recovery.tables, recovery.replayed_entries
    );
    for aside in &recovery.set_aside {
        let what = format!(
            "; {} bytes at the end of {} (from {} on) were never synced and are set aside in {}",
            aside.bytes,
            aside.segment.display(),
            aside.offset,
            aside.kept_in.display()
        );
        text.push_str(&what);
    }
    text
}
