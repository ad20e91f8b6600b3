//! Taking entries in: put, write, sync.
//!
//! An entry is visible at once, written with the turn's batch by [`Db::write_log`], and durable when a sync that began
//! after that has come back through [`Db::synced`]. Only then may its writer be told that it is safe.
//!
//! A delete is an entry like any other: a marker without a value, which hides what is older until compactions have brought
//! the two together. So it needs room in the log and in memory, and is refused where there is none. That there is some on a
//! disk that fills up is for whoever puts values to see to, by [`Db::room_for_values`]; where others have filled the disk
//! all the same, a delete goes in wherever a put of its few bytes would.
//!
//! There is no other way in for many entries at once: a page of records that is put in one turn is one record of the log, one
//! write and one sync, and a key that is not here is known to be absent from filters alone. A page of 256 KiB takes the owner's thread
//! a fifth of a millisecond, and its sync three (`examples/pages.rs`). Tables built beside the log would spare that sync and the
//! flush, at most half of what is written. But they would lie below the memtables, in which a full entry hides what is older: one
//! that was put while such a table was built would hide what it never met.

use std::sync::Arc;

use bytes::Bytes;

use super::{Db, SequenceNumber};
use crate::error::{LogError, PutError};
use crate::log::record::ENTRY_HEADER_BYTES;
use crate::log::writer::{SyncJob, SyncOutcome};
use crate::memtable::{Memtable, Slot};
use crate::merge::{Kind, Merge, MergeError};

impl Db {
    /// Takes an entry in. Memory only. After an error nothing of it exists or ever will.
    ///
    /// The value is kept as it is: it should own its memory and not be a slice of a larger buffer, which it would
    /// keep alive uncounted. With [`Kind::Delete`] there is none, and what is passed is left out.
    pub fn put(&mut self, key: &[u8], value: Bytes, kind: Kind) -> Result<SequenceNumber, PutError> {
        let value = if kind == Kind::Delete { Bytes::new() } else { value };
        self.check_usable().map_err(|LogError(why)| PutError::Poisoned(why))?;
        self.check_sizes(key, &value)?;
        self.make_room(ENTRY_HEADER_BYTES + key.len() + value.len())?;
        let merged = merged_slot(&self.active, &*self.merge, key, kind, &value)?;
        let sequence = self.log.gather(key, kind, &value);
        match kind {
            Kind::Delete => self.counters.deletes += 1,
            Kind::Full | Kind::Merge => self.counters.puts += 1,
        }
        self.counters.put_bytes += (key.len() + value.len()) as u64;
        let is_new = self.active.set(key, merged.unwrap_or(Slot { kind, value }), sequence);
        if is_new {
            self.records.remove(key);
        }
        Ok(SequenceNumber(sequence))
    }

    /// Takes a key out: absent at once, durable like a put. A later put or operand of the key begins with nothing. Memory
    /// only; after an error the key is as it was.
    pub fn delete(&mut self, key: &[u8]) -> Result<SequenceNumber, PutError> {
        self.put(key, Bytes::new(), Kind::Delete)
    }

    fn check_sizes(&self, key: &[u8], value: &Bytes) -> Result<(), PutError> {
        let limits = [
            ("key", key.len(), self.options.key_bytes_max()),
            ("value", value.len(), self.options.value_bytes_max()),
        ];
        match limits.into_iter().find(|(_, bytes, limit)| bytes > limit) {
            Some((what, bytes, limit)) => Err(PutError::TooLarge { what, bytes, limit }),
            None => Ok(()),
        }
    }

    /// Memory and log space for one more entry of at most so many bytes of key and value, or the refusal that
    /// [`Db::put`] would give. Never waits. For who would rather keep a write until there is room than have it refused.
    ///
    /// More than the longest entry is taken for that: no wait makes room for more, and whether an entry is too long is for
    /// `put` to say, which knows its length.
    pub fn room_for(&mut self, bytes: usize) -> Result<(), PutError> {
        let longest = self.options.key_bytes_max() + self.options.value_bytes_max();
        self.make_room(ENTRY_HEADER_BYTES + bytes.min(longest))
    }

    /// Memory and log space for one more entry, or a refusal. Never waits.
    pub(super) fn make_room(&mut self, entry_bytes: usize) -> Result<(), PutError> {
        if self.active_is_full() {
            if self.frozen.len() >= self.options.frozen_max() {
                return Err(self.behind("a flush"));
            }
            self.freeze();
        }
        if self.log.has_room(entry_bytes) { Ok(()) } else { Err(self.behind("a segment of the commit log")) }
    }

    fn active_is_full(&self) -> bool {
        let log_bytes = self.log.bytes_written() - self.log_bytes_at_freeze;
        self.active.bytes() >= self.options.memtable_bytes()
            || log_bytes >= self.options.log_bytes_per_memtable() as u64
    }

    pub(super) fn behind(&mut self, waiting_for: &'static str) -> PutError {
        self.counters.stalls += 1;
        if self.background.disk_is_full() { PutError::Full } else { PutError::Stalled { waiting_for } }
    }

    /// Ends the active memtable, so that the next background job can flush it. Happens by itself when it is full.
    pub fn freeze(&mut self) {
        if self.active.is_untouched() {
            return;
        }
        let next = Memtable::new(self.options.secret, self.log.gathered_through());
        let full = std::mem::replace(&mut self.active, next);
        self.frozen.push_back(Arc::new(full));
        self.log_bytes_at_freeze = self.log.bytes_written();
    }

    /// Writes what was put since the last call, as one record with one write to the page cache: all of it survives a
    /// crash or none. Call it at the end of each turn of the event loop, also when nothing was put: it then notes in
    /// the log how far it is synced, so that later damage is known for what it is.
    pub fn write_log(&mut self) -> Result<(), LogError> {
        self.check_usable()?;
        self.log.write().map_err(|error| self.fail(&error))
    }

    /// The sync that makes everything written durable; `None` while one is in flight and while there is nothing new.
    pub fn sync_job(&mut self) -> Option<SyncJob> {
        if self.failure.is_some() {
            return None;
        }
        self.log.sync_job()
    }

    /// Takes a sync's outcome: the last entry that is durable now. After an error the process must stop; a second
    /// sync that succeeds would prove nothing (INVARIANTS A4).
    pub fn synced(&mut self, outcome: SyncOutcome) -> Result<SequenceNumber, LogError> {
        self.check_usable()?;
        self.log.synced(outcome).map(SequenceNumber).map_err(|error| self.fail(&error))
    }

    /// Whether background work waits for a sync: a memtable is flushed only once its entries are durable in the log,
    /// so that a batch that it shares with the next memtable survives a crash whole or not at all; and nothing is compacted
    /// while a drop could still be undone. A driver that syncs at intervals should sync at once when this is true.
    pub fn needs_sync(&self) -> bool {
        self.oldest_frozen_is_unsynced() || self.has_unsynced_drop()
    }

    pub(super) fn oldest_frozen_is_unsynced(&self) -> bool {
        self.frozen.front().is_some_and(|table| table.last_sequence() > self.log.synced_through())
    }

    /// The last entry that was put or deleted.
    pub fn last_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.log.gathered_through())
    }

    /// The last entry that is durable.
    pub fn synced_through(&self) -> SequenceNumber {
        SequenceNumber(self.log.synced_through())
    }

    /// Whether something was put that no [`Db::write_log`] has written yet.
    pub fn has_unwritten(&self) -> bool {
        self.log.unwritten_entries() > 0
    }

    /// Whether something was written that no sync covers yet.
    pub fn has_unsynced(&self) -> bool {
        self.log.written_through() > self.log.synced_through()
    }
}

/// What a memtable is to have for a key once an entry is in, if that is not the entry itself: an operand is merged
/// with the entry that it meets, and is all that there is where it meets a delete marker.
pub(crate) fn merged_slot(
    memtable: &Memtable,
    merge: &dyn Merge,
    key: &[u8],
    kind: Kind,
    value: &Bytes,
) -> Result<Option<Slot>, MergeError> {
    if kind != Kind::Merge {
        return Ok(None);
    }
    let Some(present) = memtable.get(key) else {
        return Ok(None);
    };
    if present.kind == Kind::Delete {
        return Ok(Some(Slot { kind: Kind::Full, value: value.clone() }));
    }
    let merged = merge.merge(key, &present.value, value)?;
    Ok(Some(Slot { kind: present.kind, value: Bytes::from(merged) }))
}
