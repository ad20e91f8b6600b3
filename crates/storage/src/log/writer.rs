//! Appending to the commit log: entries are gathered in memory, one write per turn brings them to the page cache, one
//! sync makes all that was written durable.
//!
//! Room is checked when an entry is gathered, so a write can only fail if the disk does. Nothing here waits: where
//! no prepared segment is at hand, the entry is refused. A failed write or sync is the end of this log's use; no call
//! is ever tried again (INVARIANTS A4).

use std::collections::VecDeque;
use std::sync::Arc;

use env::{DiskError, File};

use super::record::{ALIGNMENT, Batch, FLAG_CLEAN_STOP, HEADER_BYTES};
use super::segment::{FIRST_RECORD_OFFSET, Prepared, SegmentFile};
use crate::key_range::KeyRange;
use crate::merge::Kind;

/// What a record without entries takes, in bytes.
const MARK_BYTES: usize = HEADER_BYTES + ALIGNMENT;

#[derive(Debug)]
struct Active {
    segment: Prepared,
    offset: u64,
    last_sequence: u64,
}

impl Active {
    fn new(segment: Prepared) -> Active {
        Active { segment, offset: FIRST_RECORD_OFFSET as u64, last_sequence: 0 }
    }

    /// Whether a record of this many bytes fits, and behind it the mark of a clean stop.
    fn has_room(&self, bytes: usize) -> bool {
        self.offset + (bytes + MARK_BYTES) as u64 <= self.segment.life.bytes
    }
}

/// Whether a segment without records can take one of this many bytes.
fn has_room_for(spare: &Prepared, bytes: usize) -> bool {
    Active::new(spare.clone()).has_room(bytes)
}

/// A segment that takes no more records.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) file: SegmentFile,
    /// The last entry in it; zero if it has none.
    pub(crate) last_sequence: u64,
}

/// Makes everything written up to a point durable. May block; run it off the event loop.
#[derive(Debug)]
pub struct SyncJob {
    files: Vec<Arc<dyn File>>,
    through: u64,
}

/// What a [`SyncJob`] came to; to be handed to [`crate::Db::synced`].
#[derive(Debug)]
pub struct SyncOutcome {
    pub(crate) through: u64,
    pub(crate) result: Result<(), DiskError>,
}

impl SyncJob {
    /// Syncs, segment by segment in the log's order.
    pub fn run(self) -> SyncOutcome {
        let result = self.files.iter().try_for_each(|file| file.sync());
        SyncOutcome { through: self.through, result }
    }
}

#[derive(Debug)]
pub(crate) struct CommitLog {
    active: Active,
    spare: Option<Prepared>,
    closed: VecDeque<Closed>,
    batch: Batch,
    /// The last entry gathered, written, synced, and told of by a record as synced.
    gathered: u64,
    written: u64,
    synced: u64,
    told_synced: u64,
    /// Closed segments that have writes which no sync has covered yet.
    unsynced: Vec<Arc<dyn File>>,
    sync_in_flight: bool,
    bytes_written: u64,
}

impl CommitLog {
    /// A log that goes on after `last_sequence` (all of it on disk and synced) in a segment without records.
    pub(crate) fn new(active: Prepared, closed: VecDeque<Closed>, last_sequence: u64) -> CommitLog {
        CommitLog {
            active: Active::new(active),
            spare: None,
            closed,
            batch: Batch::new(),
            gathered: last_sequence,
            written: last_sequence,
            synced: last_sequence,
            told_synced: last_sequence,
            unsynced: Vec::new(),
            sync_in_flight: false,
            bytes_written: 0,
        }
    }

    /// Whether an entry of this size can be gathered now and written later.
    pub(crate) fn has_room(&self, entry_bytes: usize) -> bool {
        let bytes = self.batch.stored_bytes(entry_bytes);
        self.active.has_room(bytes) || self.spare.as_ref().is_some_and(|spare| has_room_for(spare, bytes))
    }

    /// Gathers an entry for the next write and gives it its sequence number.
    pub(crate) fn gather(&mut self, key: &[u8], kind: Kind, value: &[u8]) -> u64 {
        self.batch.push(key, kind, value);
        self.gathered += 1;
        self.gathered
    }

    /// The same for a drop of a range.
    pub(crate) fn gather_drop(&mut self, range: &KeyRange) -> u64 {
        self.batch.push_drop(range);
        self.gathered += 1;
        self.gathered
    }

    /// Writes what was gathered as one record. Without entries, writes a mark if a sync has not been told of yet: so
    /// also after the last write before a long silence the log on disk says how much of it is synced.
    pub(crate) fn write(&mut self) -> Result<(), DiskError> {
        if self.batch.is_empty() && self.told_synced == self.synced {
            return Ok(());
        }
        let bytes = self.batch.stored_bytes(0);
        if !self.active.has_room(bytes) {
            if self.batch.is_empty() {
                return Ok(());
            }
            self.switch_segment();
        }
        self.write_record(0)
    }

    fn write_record(&mut self, flags: u32) -> Result<(), DiskError> {
        let life = self.active.segment.life;
        let first = self.written + 1;
        let has_entries = !self.batch.is_empty();
        let bytes = self.batch.seal(life.segment, life.salt, first, self.synced, flags);
        let result = self.active.segment.file.handle.write_all_at(self.active.offset, bytes);
        let len = bytes.len() as u64;
        self.batch.clear();
        result?;
        // The end mark is overwritten by the next record.
        self.active.offset += len - ALIGNMENT as u64;
        self.bytes_written += len;
        self.written = self.gathered;
        self.told_synced = self.synced;
        if has_entries {
            self.active.last_sequence = self.written;
        }
        Ok(())
    }

    fn switch_segment(&mut self) {
        let spare =
            self.spare.take().expect("an entry is gathered only if the active segment or a spare has room");
        let full = std::mem::replace(&mut self.active, Active::new(spare));
        self.unsynced.push(Arc::clone(&full.segment.file.handle));
        self.closed.push_back(Closed { file: full.segment.file, last_sequence: full.last_sequence });
    }

    /// The sync of everything written, unless one is in flight or there is nothing to make durable.
    pub(crate) fn sync_job(&mut self) -> Option<SyncJob> {
        if self.sync_in_flight || self.written == self.synced {
            return None;
        }
        self.sync_in_flight = true;
        let mut files = std::mem::take(&mut self.unsynced);
        files.push(Arc::clone(&self.active.segment.file.handle));
        Some(SyncJob { files, through: self.written })
    }

    /// Takes note of a finished sync; the last entry that is durable.
    pub(crate) fn synced(&mut self, outcome: SyncOutcome) -> Result<u64, DiskError> {
        self.sync_in_flight = false;
        outcome.result?;
        self.synced = self.synced.max(outcome.through);
        Ok(self.synced)
    }

    /// Writes and syncs everything and marks the stop as clean, all on this thread.
    pub(crate) fn close(&mut self) -> Result<(), DiskError> {
        self.write()?;
        let mut files = std::mem::take(&mut self.unsynced);
        files.push(Arc::clone(&self.active.segment.file.handle));
        files.iter().try_for_each(|file| file.sync())?;
        self.synced = self.written;
        self.write_record(FLAG_CLEAN_STOP)?;
        self.active.segment.file.handle.sync()
    }

    /// Makes it durable that the log is in use, so that the mark of the last clean stop no longer stands at its end:
    /// who stops without writing anything may all the same have promised something.
    pub(crate) fn begin(&mut self) -> Result<(), DiskError> {
        self.write_record(0)?;
        self.active.segment.file.handle.sync()
    }

    pub(crate) fn needs_spare(&self) -> bool {
        self.spare.is_none()
    }

    pub(crate) fn set_spare(&mut self, spare: Prepared) {
        self.spare = Some(spare);
    }

    /// Takes out the oldest segment, if every entry in it is synced and in the tables.
    pub(crate) fn take_obsolete(&mut self, flushed_through: u64) -> Option<SegmentFile> {
        let oldest = self.closed.front()?;
        let covered = oldest.last_sequence <= flushed_through && oldest.last_sequence <= self.synced;
        if covered { self.closed.pop_front().map(|closed| closed.file) } else { None }
    }

    pub(crate) fn synced_through(&self) -> u64 {
        self.synced
    }

    pub(crate) fn written_through(&self) -> u64 {
        self.written
    }

    pub(crate) fn gathered_through(&self) -> u64 {
        self.gathered
    }

    /// Bytes written since the log was opened.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    pub(crate) fn segment_count(&self) -> usize {
        self.closed.len() + 1 + usize::from(self.spare.is_some())
    }

    /// Memory that gathered entries take.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.batch.capacity()
    }

    /// Gathered entries that no write has brought to disk yet.
    pub(crate) fn unwritten_entries(&self) -> u32 {
        self.batch.entries()
    }
}
