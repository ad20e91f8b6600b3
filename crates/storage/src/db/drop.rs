//! Dropping a range: all its keys are gone at once, with one entry of the log.
//!
//! What must hold: a drop stands in the order of all writes. What was put before it is dead for ever, whichever memtable,
//! table or part of the log has it, and what is put after it stays. How tables are read past what is dead stands in
//! [`crate::dropped`].
//!
//! A drop is durable as a put is, when a sync that began after it has come back: until then a crash may bring back everything
//! that it took, and takes nothing of it for good, since no compaction begins before. The manifest says it from the first edit
//! on that relies on it: the flush that brings the log's entries up to it into tables, or a compaction that reads past it. The
//! log has it until then.
//!
//! Not an edit of the manifest alone: a crash between the edit and the writes that follow it would have no order, and a
//! drop that is tried again would take them.

use std::sync::Arc;

use super::{Db, SequenceNumber};
use crate::dropped::DROPPED_RANGES_MAX;
use crate::error::{LogError, PutError};
use crate::key_range::KeyRange;
use crate::log::record;

/// So many entries of the active memtable are taken out one by one on the owner's thread, in less than a millisecond. Of more
/// the memtable is ended, and counts for nothing in the range. If each drop did that there would be a table for each.
const TAKEN_OUT_MAX: usize = 512;

impl Db {
    /// Forgets every key of a range: absent at once, durable like a put. What is put later stays. Memory only, and no key is
    /// read or written; a pass over the record cache is the most that it costs. The space comes back with compactions: at once
    /// from tables that lie in the range, and where a quarter of a table is dead or it is compacted anyway.
    ///
    /// Nothing of the range is missing any more ([`Db::missing`]).
    ///
    /// # Errors
    /// As of a put; after one the range is as it was. Also where too many ranges wait for compactions.
    pub fn drop_range(&mut self, range: &KeyRange) -> Result<SequenceNumber, PutError> {
        self.check_usable().map_err(|LogError(why)| PutError::Poisoned(why))?;
        let limit = self.options.key_bytes_max();
        let longest = range.end.iter().chain([&range.start]).map(bytes::Bytes::len).max().unwrap_or(0);
        if longest > limit {
            return Err(PutError::TooLarge { what: "key", bytes: longest, limit });
        }
        if range.is_empty() {
            return Ok(self.last_sequence());
        }
        self.make_room(record::drop_bytes(range))?;
        if self.tables.dropped().ranges().len() >= DROPPED_RANGES_MAX {
            return Err(self.behind("compactions of what was dropped"));
        }
        if self.active.range(range).nth(TAKEN_OUT_MAX).is_some() {
            if self.frozen.len() >= self.options.frozen_max() {
                return Err(self.behind("a flush"));
            }
            self.freeze();
        }
        let sequence = self.log.gather_drop(range);
        self.active.take_out(range, sequence);
        self.take_from_view(range, sequence);
        self.background.drops.push((range.clone(), sequence));
        self.counters.drops += 1;
        Ok(SequenceNumber(sequence))
    }

    fn take_from_view(&mut self, range: &KeyRange, sequence: u64) {
        let mut dropped = (**self.tables.dropped()).clone();
        dropped.add(range, sequence);
        self.tables = Arc::new((*self.tables).clone().with_dropped(Arc::new(dropped)));
        let mut missing = (*self.missing).clone();
        missing.remove(range);
        self.missing = Arc::new(missing);
        self.records.remove_range(range);
    }

    /// Lets go of drops of which no table has anything left.
    pub(super) fn forget_drops(&mut self) {
        if self.tables.dropped().is_empty() {
            return;
        }
        let mut dropped = (**self.tables.dropped()).clone();
        let metas = self.tables.iter().map(|(_, table)| table.meta());
        dropped.forget(self.background.flushed_through(), metas);
        self.tables = Arc::new((*self.tables).clone().with_dropped(Arc::new(dropped)));
    }

    /// Whether there is a drop that a crash could still undo.
    pub(super) fn has_unsynced_drop(&self) -> bool {
        let newest = self.background.drops.last();
        newest.is_some_and(|(_, sequence)| *sequence > self.log.synced_through())
    }
}
