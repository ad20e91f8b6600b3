//! Figures about a database, for operators and benches.

use crate::db::SequenceNumber;

/// What has happened since the database was opened.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Puts accepted.
    pub puts: u64,
    /// Deletes accepted.
    pub deletes: u64,
    /// Ranges dropped.
    pub drops: u64,
    /// Bytes of keys and values of both.
    pub put_bytes: u64,
    /// Point reads asked for.
    pub gets: u64,
    /// Of those, answered by a memtable.
    pub memtable_hits: u64,
    /// Of those, answered by the record cache.
    pub record_cache_hits: u64,
    /// Of those, answered from tables without a read from disk: by filters, or by blocks in the cache.
    pub block_cache_hits: u64,
    /// Of those, handed out as jobs.
    pub cold_reads: u64,
    /// Flushes installed.
    pub flushes: u64,
    /// Compactions installed.
    pub compactions: u64,
    /// Bytes of tables that flushes wrote.
    pub flushed_bytes: u64,
    /// Bytes of tables that compactions wrote.
    pub compacted_bytes: u64,
    /// Delete markers that compactions have left out because nothing was left for them to hide.
    pub markers_dropped: u64,
    /// Puts and deletes refused because background work was behind.
    pub stalls: u64,
}

/// What a database holds and has done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Memory in use, in bytes: the sum of the five that follow and the log's buffer.
    pub memory_bytes: usize,
    /// Memtables, active and frozen, in bytes.
    pub memtable_bytes: usize,
    /// Entries in them.
    pub memtable_entries: usize,
    /// Memtables that wait for their flush.
    pub frozen_memtables: usize,
    /// The record cache, in bytes.
    pub record_cache_bytes: usize,
    /// The block cache, in bytes.
    pub block_cache_bytes: usize,
    /// Filters and indexes of open tables, in bytes.
    pub resident_bytes: usize,
    /// Tables per level.
    pub level_tables: Vec<usize>,
    /// Bytes of tables per level.
    pub level_bytes: Vec<u64>,
    /// Entries in tables; a key counts once per table that has it.
    pub table_entries: u64,
    /// Tables with a damaged block, and tables whose values could not be merged: compactions leave them alone.
    pub damaged_tables: usize,
    /// Runs of keys of which something was lost to damage, and has not come back.
    pub missing_ranges: usize,
    /// Ranges that were dropped, and of which tables may still have something.
    pub dropped_ranges: usize,
    /// Tables that the disk did not read when last asked. Compactions try them again.
    pub unread_tables: usize,
    /// Segments of the commit log, spare ones included.
    pub log_segments: usize,
    /// Bytes written to the commit log since opening.
    pub log_bytes_written: u64,
    /// Bytes written to manifests since opening.
    pub manifest_bytes_written: u64,
    /// The last entry accepted.
    pub last_sequence: SequenceNumber,
    /// The last entry that is durable.
    pub synced_through: SequenceNumber,
    /// What has happened since opening.
    pub counters: Counters,
}

impl Stats {
    /// Bytes of tables, on disk.
    pub fn table_bytes(&self) -> u64 {
        self.level_bytes.iter().sum()
    }

    /// Bytes written to disk per byte put, since opening; `None` before the first put.
    pub fn write_amplification(&self) -> Option<f64> {
        let counters = &self.counters;
        let written = self.log_bytes_written
            + self.manifest_bytes_written
            + counters.flushed_bytes
            + counters.compacted_bytes;
        (counters.put_bytes > 0).then(|| written as f64 / counters.put_bytes as f64)
    }
}
