//! The database: one owner, no threads of its own, nothing that blocks outside of jobs.
//!
//! The owner (one shard's event loop) calls methods that touch memory only. Whatever may wait for a disk is handed out
//! as a job, a value that can be sent to any thread and run there, and its outcome is handed back. So a hot read never
//! waits behind a cold one, and under the simulator the same code runs in one thread.
//!
//! One exception: [`Db::write_log`] writes to the page cache on the caller's thread, because a hop to another thread
//! costs more than the write.
//!
//! In reading order: `write` (put, delete, write, sync), `drop` (of ranges), `read`, `scan`, `estimate`, `background` (flush, compaction, segments,
//! removal), `recover` (opening).

pub(crate) mod background;
pub(crate) mod drop;
pub(crate) mod estimate;
pub(crate) mod give_up;
pub(crate) mod read;
pub(crate) mod recover;
pub(crate) mod scan;
pub(crate) mod write;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use env::Disk;
use env::disk::DirLock;

use crate::cache::{BlockCache, RecordCache};
use crate::compaction::run::FileNumbers;
use crate::error::{Damage, LogError};
use crate::log::writer::CommitLog;
use crate::manifest::{CommitError, Edit, Manifest};
use crate::memtable::Memtable;
use crate::merge::Merge;
use crate::missing::Missing;
use crate::options::Options;
use crate::sstable::reports::Reports;
use crate::stats::{Counters, Stats};
use crate::table_set::{LEVELS, TableSet};
use background::Background;

/// The place of an entry in the order of all writes of this database; the first is 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct SequenceNumber(pub u64);

/// An open database. Dropping it without [`Db::close`] is a crash as far as the next opening can tell.
pub struct Db {
    options: Arc<Options>,
    merge: Arc<dyn Merge>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    _lock: Box<dyn DirLock>,
    /// Takes the newest entries.
    active: Memtable,
    /// Waiting for their flush, oldest first. Never changed.
    frozen: VecDeque<Arc<Memtable>>,
    log: CommitLog,
    /// What the log had written when the active memtable was begun.
    log_bytes_at_freeze: u64,
    tables: Arc<TableSet>,
    records: RecordCache,
    blocks: Arc<BlockCache>,
    manifest: Arc<Mutex<Manifest>>,
    numbers: FileNumbers,
    /// Keys of which something was lost.
    missing: Arc<Missing>,
    /// The number of the store, which its files say.
    store: u32,
    /// Where readers of tables tell what they find damaged.
    reports: Arc<Reports>,
    /// The last of what was found damaged.
    damages: VecDeque<Damage>,
    /// How many times blocks were found to be lost.
    accounts: u64,
    background: Background,
    /// Set by the first failed write or sync, for ever.
    failure: Option<LogError>,
    counters: Counters,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Db({})", self.dir.display())
    }
}

/// A panic in a job leaves the manifest as the last finished edit left it, or its file with a torn edit, which counts
/// for nothing; either way its state can be read.
pub(crate) fn locked(manifest: &Mutex<Manifest>) -> MutexGuard<'_, Manifest> {
    manifest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Db {
    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings that it runs with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Makes everything durable and leaves the mark of a clean stop. Blocks; nothing else can be asked afterwards.
    pub fn close(mut self) -> Result<(), LogError> {
        self.check_usable()?;
        self.log.close().map_err(|error| LogError(error.to_string()))?;
        // The log's last page cannot testify to its own loss. Where the disk is full it has to do without a witness.
        let edit = Edit { synced_through: Some(self.log.synced_through()), ..Edit::default() };
        match locked(&self.manifest).commit(edit) {
            Ok(()) | Err(CommitError::Refused(_)) => Ok(()),
            Err(CommitError::Broken(error)) => Err(LogError(error.to_string())),
        }
    }

    fn check_usable(&self) -> Result<(), LogError> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// From here on nothing is written any more.
    fn fail(&mut self, why: &impl std::fmt::Display) -> LogError {
        let failure = LogError(why.to_string());
        self.failure.get_or_insert(failure).clone()
    }

    /// What it holds and what it has done.
    pub fn stats(&self) -> Stats {
        let memtable_bytes =
            self.active.bytes() + self.frozen.iter().map(|table| table.bytes()).sum::<usize>();
        let resident_bytes = self.tables.resident_bytes();
        let (record_cache_bytes, block_cache_bytes) = (self.records.bytes(), self.blocks.bytes());
        let log_buffer_bytes = self.log.buffer_bytes();
        Stats {
            memory_bytes: memtable_bytes
                + resident_bytes
                + record_cache_bytes
                + block_cache_bytes
                + log_buffer_bytes,
            memtable_bytes,
            memtable_entries: self.active.len() + self.frozen.iter().map(|table| table.len()).sum::<usize>(),
            frozen_memtables: self.frozen.len(),
            record_cache_bytes,
            block_cache_bytes,
            resident_bytes,
            level_tables: (0..LEVELS).map(|level| self.tables.level(level).len()).collect(),
            level_bytes: (0..LEVELS).map(|level| self.tables.bytes(level)).collect(),
            table_entries: self.tables.iter().map(|(_, table)| table.meta().entries).sum(),
            damaged_tables: self.tables.iter().filter(|(_, table)| table.is_damaged()).count(),
            dropped_ranges: self.tables.dropped().ranges().len(),
            missing_ranges: self.missing.ranges().len(),
            unread_tables: self.tables.iter().filter(|(_, table)| table.is_unread()).count(),
            log_segments: self.log.segment_count(),
            log_bytes_written: self.log.bytes_written(),
            manifest_bytes_written: locked(&self.manifest).bytes_written(),
            last_sequence: SequenceNumber(self.log.gathered_through()),
            synced_through: SequenceNumber(self.log.synced_through()),
            counters: self.counters.clone(),
        }
    }
}
