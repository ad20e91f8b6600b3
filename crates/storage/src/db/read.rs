//! Point reads: from memory on the caller's thread, from disk as a job.
//!
//! Newest first: active memtable, frozen ones, record cache, then the tables by level, each asked only if its key range
//! and its filter allow. A full entry or a delete marker ends the search; operands are merged on the way.
//!
//! The race to mind: a job reads the tables of the moment it was made, and meanwhile the key is put again, perhaps even
//! flushed. [`Db::complete`] therefore answers as of its own moment: if the key may have changed it looks again. For the
//! same reason only a value that is still the merge of all tables, of a key that no memtable has, enters the record
//! cache; anything else could bring back an older value once the memtable that hides it is gone.
//!
//! Of a key of which something was lost ([`crate::missing`]) a read cannot say, whatever there is. Only who asks for what is
//! left is told.

use std::sync::Arc;

use bytes::Bytes;

use super::Db;
use crate::cache::BlockCache;
use crate::error::ReadError;
use crate::memtable::Memtable;
use crate::merge::{Merge, MergeError};
use crate::merge_iterator::Fold;
use crate::sstable::block::Block;
use crate::sstable::{Table, filter};
use crate::table_set::TableSet;

/// What a read came to.
#[derive(Debug)]
pub enum Lookup {
    /// The value.
    Found(Bytes),
    /// The key is not there, and every place that could have it was asked.
    Absent,
    /// Disk has to be read: run the job and hand its outcome to [`Db::complete`].
    Cold(ReadJob),
    /// It cannot be said: what is needed is damaged or unreadable. Never to be taken for absent.
    Unreadable(ReadError),
}

/// A read that needs the disk. Holds what it needs; run it on any thread.
pub struct ReadJob {
    key: Bytes,
    above: Option<Fold>,
    tables: Arc<TableSet>,
    blocks: Arc<BlockCache>,
    merge: Arc<dyn Merge>,
    moment: Moment,
    what: Wanted,
}

impl std::fmt::Debug for ReadJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReadJob({:?})", self.key)
    }
}

/// What a [`ReadJob`] came to; to be handed to [`Db::complete`].
#[derive(Debug)]
pub struct ReadOutcome {
    key: Bytes,
    moment: Moment,
    what: Wanted,
    /// Whether a memtable had an operand for the key when the job was made.
    had_operand: bool,
    value: Result<Option<Bytes>, ReadError>,
}

/// When a job was made: entries taken in, flushes installed, ranges dropped, and losses accounted until then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Moment {
    sequence: u64,
    flushes: u64,
    drops: u64,
    accounts: u64,
}

/// What is to be said of a key of which something is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// That it cannot be said.
    TheTruth,
    /// What is left of it.
    WhatIsLeft,
}

/// Why a search through the tables stopped.
enum Stop {
    /// A block is not in memory.
    Cold,
    Unreadable(ReadError),
}

impl<E: Into<ReadError>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Unreadable(error.into())
    }
}

impl Db {
    /// The value of a key, as of now. Memory only.
    pub fn get(&mut self, key: &[u8]) -> Lookup {
        self.look_up(key, true, Wanted::TheTruth)
    }

    /// The same, but of a key of which something is missing ([`Db::is_missing`]) what is left. Nobody may be told that this
    /// is all; what comes from where the rest is can be merged with it.
    pub fn get_what_is_left(&mut self, key: &[u8], is_to_stay: bool) -> Lookup {
        self.look_up(key, is_to_stay, Wanted::WhatIsLeft)
    }

    /// The same for whoever is about to replace it: what tables have is not put into the record cache, where the next put
    /// would only look for it.
    pub fn get_to_replace(&mut self, key: &[u8]) -> Lookup {
        self.look_up(key, false, Wanted::TheTruth)
    }

    fn look_up(&mut self, key: &[u8], is_to_stay: bool, what: Wanted) -> Lookup {
        self.counters.gets += 1;
        if what == Wanted::TheTruth && self.missing.contains(key) {
            return Lookup::Unreadable(ReadError::Missing);
        }
        let above = match self.search_memtables(key) {
            Ok(above) => above,
            Err(error) => return Lookup::Unreadable(error.into()),
        };
        if above.as_ref().is_some_and(Fold::is_settled) {
            self.counters.memtable_hits += 1;
            return found(above);
        }
        if above.is_none()
            && let Some(value) = self.records.get(key)
        {
            self.counters.record_cache_hits += 1;
            return Lookup::Found(value.clone());
        }
        self.get_from_tables(key, above, is_to_stay, what)
    }

    fn search_memtables(&self, key: &[u8]) -> Result<Option<Fold>, MergeError> {
        let mut fold = None;
        take_in(&mut fold, &*self.merge, key, &self.active)?;
        let through = self.tables.dropped().through(key);
        let counts = |table: &&Arc<Memtable>| through.is_none_or(|dead| dead < table.last_sequence());
        for frozen in self.frozen.iter().rev().filter(counts) {
            take_in(&mut fold, &*self.merge, key, frozen)?;
        }
        Ok(fold)
    }

    /// The part of a read that a cached block or a filter may still answer.
    fn get_from_tables(&mut self, key: &[u8], above: Option<Fold>, is_to_stay: bool, what: Wanted) -> Lookup {
        let had_operand = above.is_some();
        let fetch = |table: &Table, block| {
            let name = table.block_name(block);
            name.and_then(|name| self.blocks.get(name)).ok_or(Stop::Cold)
        };
        match search_tables(&self.tables, key, &*self.merge, above.clone(), fetch) {
            Ok(fold) => {
                self.counters.block_cache_hits += 1;
                match fold.and_then(Fold::value) {
                    Some(value) if is_to_stay => Lookup::Found(self.remember(key, value, had_operand)),
                    Some(value) => Lookup::Found(value),
                    None => Lookup::Absent,
                }
            }
            Err(Stop::Cold) => {
                self.counters.cold_reads += 1;
                Lookup::Cold(self.read_job(key, above, what))
            }
            Err(Stop::Unreadable(error)) => Lookup::Unreadable(error),
        }
    }

    /// Puts the merge of all tables into the record cache. The value gets memory of its own: as a slice it would keep
    /// its whole block.
    fn remember(&mut self, key: &[u8], value: Bytes, had_operand: bool) -> Bytes {
        if had_operand {
            return value;
        }
        let own = Bytes::copy_from_slice(&value);
        self.records.insert(Bytes::copy_from_slice(key), own.clone());
        own
    }

    fn read_job(&self, key: &[u8], above: Option<Fold>, what: Wanted) -> ReadJob {
        ReadJob {
            key: Bytes::copy_from_slice(key),
            above,
            tables: Arc::clone(&self.tables),
            blocks: Arc::clone(&self.blocks),
            merge: Arc::clone(&self.merge),
            moment: self.moment(),
            what,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            sequence: self.log.gathered_through(),
            flushes: self.counters.flushes,
            drops: self.counters.drops,
            accounts: self.accounts,
        }
    }

    /// Takes a job's outcome. The answer is as of now: what was put meanwhile is in it, and in rare cases another job
    /// is needed.
    pub fn complete(&mut self, outcome: ReadOutcome) -> Lookup {
        if self.may_have_changed(&outcome) {
            return self.look_up(&outcome.key, true, outcome.what);
        }
        match outcome.value {
            Ok(Some(value)) => Lookup::Found(self.remember(&outcome.key, value, outcome.had_operand)),
            Ok(None) => Lookup::Absent,
            Err(error) => Lookup::Unreadable(error),
        }
    }

    fn may_have_changed(&self, outcome: &ReadOutcome) -> bool {
        let now = self.moment();
        if now == outcome.moment {
            return false;
        }
        if now.accounts != outcome.moment.accounts || now.drops != outcome.moment.drops {
            return true;
        }
        let in_memtables = self.active.get(&outcome.key).is_some()
            || self.frozen.iter().any(|table| table.get(&outcome.key).is_some());
        now.flushes != outcome.moment.flushes || outcome.had_operand || in_memtables
    }
}

fn found(fold: Option<Fold>) -> Lookup {
    fold.and_then(Fold::value).map_or(Lookup::Absent, Lookup::Found)
}

fn take_in(
    fold: &mut Option<Fold>,
    merge: &dyn Merge,
    key: &[u8],
    memtable: &Memtable,
) -> Result<(), MergeError> {
    match (memtable.get(key), fold.as_mut()) {
        (None, _) => Ok(()),
        (Some(slot), None) => {
            *fold = Some(Fold::new(slot.kind, slot.value.clone()));
            Ok(())
        }
        (Some(slot), Some(fold)) => fold.older(merge, key, slot.kind, &slot.value),
    }
}

/// Goes through the tables from newest to oldest until nothing older counts. `fetch` gets a block.
fn search_tables(
    tables: &TableSet,
    key: &[u8],
    merge: &dyn Merge,
    above: Option<Fold>,
    mut fetch: impl FnMut(&Table, usize) -> Result<Arc<Block>, Stop>,
) -> Result<Option<Fold>, Stop> {
    let hash = filter::hash(key);
    let mut fold = above;
    for table in tables.candidates(key).filter(|table| table.may_contain(key, hash)) {
        let number = table.find_block(key);
        if table.is_lost(number) {
            continue;
        }
        let block = fetch(table, number)?;
        let offset = || table.block_name(number).map_or(0, |(_, offset)| offset);
        let Some(entry) = block.get(key).map_err(|_| table.malformed(offset()))? else {
            continue;
        };
        match &mut fold {
            None => fold = Some(Fold::new(entry.kind, entry.value)),
            Some(fold) => fold.older(merge, key, entry.kind, &entry.value)?,
        }
        if fold.as_ref().is_some_and(Fold::is_settled) {
            break;
        }
    }
    Ok(fold)
}

impl ReadJob {
    /// Reads. Blocks for as long as the disk takes.
    pub fn run(self) -> ReadOutcome {
        let had_operand = self.above.is_some();
        let blocks = &self.blocks;
        let fetch = |table: &Table, block| table.block(block, blocks, true).map_err(Stop::Unreadable);
        let value = match search_tables(&self.tables, &self.key, &*self.merge, self.above, fetch) {
            Ok(fold) => Ok(fold.and_then(Fold::value)),
            Err(Stop::Unreadable(error)) => Err(error),
            Err(Stop::Cold) => unreachable!("a job's blocks come from disk"),
        };
        ReadOutcome { key: self.key, moment: self.moment, what: self.what, had_operand, value }
    }
}
