//! The settings, what follows from them, and why the defaults are what they are.
//!
//! One number caps memory: [`Options::memory_bytes`]. It is divided here, over everything that a [`crate::Db`] holds,
//! because separate limits per memtable or per partition add up to more than the machine has.

use crate::error::OpenError;

/// The longest key, in bytes: its length is stored in 16 bits.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// What an entry costs in a memtable beyond its key and value, in bytes: the hash table's slot (72 at 7/8 load and
/// doubling: about 110), the ordered index's (48 at 70 % fill: about 70), two allocations' headers (about 32).
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 208;

/// How storage is to run. Start from [`Options::default`] or [`Options::with_memory`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The memory that memtables, caches, resident filters and indexes may use together, in bytes.
    pub memory_bytes: usize,
    /// The length of a commit log segment, in bytes.
    pub log_segment_bytes: usize,
    /// Whether a new segment is written with zeros in the background before it is used. A sync of a file that was
    /// written before takes about half the time, because no extent has to be allocated or converted under it.
    pub log_zero_fill: bool,
    /// The size at which a table is ended, in bytes.
    pub table_bytes: usize,
    /// The size of a block before compression, in bytes. A larger entry makes a larger block.
    pub block_bytes: usize,
    /// Bits of Bloom filter per key: 10 give about 1.2 % false positives in a blocked filter (`sstable::filter`).
    pub bloom_bits_per_key: usize,
    /// Whether blocks are compressed with LZ4 where that saves an eighth or more.
    pub compression: bool,
    /// Tables in level 0 at which they are merged into level 1. More of them save writes and cost reads.
    pub level0_tables: usize,
    /// How many times larger each level is than the one above it. See `compaction::choose` for what follows.
    pub level_ratio: usize,
    /// Room on the disk that only deletes and background work may use, in bytes; `None` is as much as they may need
    /// ([`Options::disk_needed_bytes`]), but no more than a quarter of the disk. Zero writes until the disk refuses.
    pub disk_reserve_bytes: Option<u64>,
    /// How many stores like this one are on the same disk: what is free is free for all of them.
    pub stores: usize,
    /// Whether others hold what is here, and can be asked for it: what is damaged is then given up and kept account of as
    /// missing ([`crate::Db::missing`]), rather than left as it is for people to restore.
    pub replicated: bool,
    /// Makes hash tables and log records unguessable for clients. A process draws it at random; it changes no result.
    pub secret: u64,
}

/// Beyond this a larger memtable saves few writes to disk, and every start after a crash takes longer.
const MEMTABLE_BYTES_MAX: usize = 256 << 20;

impl Default for Options {
    fn default() -> Options {
        Options::with_memory(256 << 20)
    }
}

impl Options {
    /// The defaults for this much memory.
    pub fn with_memory(memory_bytes: usize) -> Options {
        Options {
            memory_bytes,
            log_segment_bytes: (memory_bytes / 16).clamp(1 << 20, 16 << 20),
            log_zero_fill: true,
            table_bytes: (memory_bytes / 8).clamp(1 << 20, 64 << 20),
            block_bytes: 8 << 10,
            bloom_bits_per_key: 10,
            compression: true,
            level0_tables: 4,
            level_ratio: 10,
            disk_reserve_bytes: None,
            stores: 1,
            replicated: false,
            secret: 0x6865_6e67_6520_6c73,
        }
    }

    /// The same, where values of so many bytes must fit: with longer segments of the commit log if need be.
    pub fn with_values(self, value_bytes: usize) -> Options {
        let least = value_bytes + KEY_BYTES_MAX + crate::log::OVERHEAD_BYTES_MAX;
        Options { log_segment_bytes: self.log_segment_bytes.max(least), ..self }
    }

    /// The same for one of so many stores that share this memory. Values fit as before.
    pub fn divided(self, stores: usize) -> Options {
        let stores = stores.max(1);
        Options { memory_bytes: self.memory_bytes / stores, stores: self.stores * stores, ..self }
    }

    /// Sizes so small that a few hundred writes go through every path: segment switches, flushes, compactions over
    /// several levels. For tests and for the simulator.
    pub fn tiny() -> Options {
        Options {
            log_segment_bytes: 16 << 10,
            log_zero_fill: false,
            table_bytes: 4 << 10,
            block_bytes: 512,
            level0_tables: 2,
            level_ratio: 3,
            disk_reserve_bytes: Some(0),
            ..Options::with_memory(128 << 10)
        }
    }

    /// The size at which the active memtable is frozen, in bytes: an eighth of the memory, but no more than what a start
    /// after a crash can replay in a moment (the log holds up to twelve times as much).
    pub fn memtable_bytes(&self) -> usize {
        (self.memory_bytes / 8).min(MEMTABLE_BYTES_MAX)
    }

    /// How many frozen memtables may wait for their flush. With the active one they are 3/8 of the memory: one is
    /// being flushed, one may fill up behind it while the flush runs, and beyond that puts are refused.
    pub(crate) fn frozen_max(&self) -> usize {
        2
    }

    /// How much may be written to the log before the active memtable is frozen whatever its size, so that
    /// overwriting one key for ever does not keep the log for ever. Where keys are overwritten, this and not the memtable's
    /// size decides how often everything is flushed and then found in a table again; what it costs is disk, and time at a
    /// start after a crash. RocksDB allows four times as well (`max_total_wal_size`).
    pub(crate) fn log_bytes_per_memtable(&self) -> usize {
        4 * self.memtable_bytes().max(self.log_segment_bytes)
    }

    /// How many segments so much log takes.
    pub(crate) fn log_segments_per_memtable(&self) -> usize {
        self.log_bytes_per_memtable().div_ceil(self.log_segment_bytes - crate::log::OVERHEAD_BYTES_MAX)
    }

    /// Room on the disk, in bytes, for the tables of all memtables that may wait to be flushed, the next segments of the log,
    /// and a compaction that has written what it makes of its inputs before those can go; for all stores.
    pub fn disk_needed_bytes(&self) -> u64 {
        let memtables = (1 + self.frozen_max()) * self.memtable_bytes();
        let into_level1 = 2 * self.level0_tables * self.memtable_bytes();
        let compaction = into_level1.max((1 + self.level_ratio) * self.table_bytes);
        (self.stores * (memtables + 2 * self.log_segment_bytes + compaction)) as u64
    }

    /// The record cache, in bytes: a quarter of the memory.
    pub(crate) fn record_cache_bytes(&self) -> usize {
        self.memory_bytes / 4
    }

    /// The block cache, in bytes: 3/8 of the memory less what resident filters and indexes take, but never less than
    /// a sixteenth. (About 2 bytes per key and 60 per block: a 3/8 share is used up by tables of some 50 times the
    /// memory.)
    pub(crate) fn block_cache_bytes(&self, resident_bytes: usize) -> usize {
        (self.memory_bytes * 3 / 8).saturating_sub(resident_bytes).max(self.memory_bytes / 16)
    }

    /// The longest value, in bytes: an entry with the longest key must fit into one log record.
    pub fn value_bytes_max(&self) -> usize {
        self.log_segment_bytes.saturating_sub(crate::log::OVERHEAD_BYTES_MAX + self.key_bytes_max())
    }

    /// The longest key, in bytes.
    pub fn key_bytes_max(&self) -> usize {
        KEY_BYTES_MAX.min(self.log_segment_bytes / 4)
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let refuse = |why: &str| Err(OpenError::Options(why.to_owned()));
        if self.memory_bytes < 64 << 10 {
            return refuse("memory_bytes is below 65536");
        }
        if self.log_segment_bytes < 2 * crate::log::OVERHEAD_BYTES_MAX || self.log_segment_bytes > 1 << 30 {
            return refuse("log_segment_bytes is not between 16384 and 1073741824");
        }
        if self.block_bytes == 0 || self.block_bytes > 1 << 20 || self.table_bytes < self.block_bytes {
            return refuse("block_bytes is not between 1 and 1048576 and at most table_bytes");
        }
        if self.level0_tables == 0 || self.level_ratio < 2 {
            return refuse("level0_tables is below 1 or level_ratio below 2");
        }
        Ok(())
    }
}
