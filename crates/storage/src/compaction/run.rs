//! Carrying out a compaction: the chosen tables are read in key order, merged, and written as new tables.
//!
//! Nothing that is there is touched. The outputs count once the manifest names them, in the same edit that lets go of
//! the inputs; a crash before that leaves files that nobody names, which opening removes.
//!
//! A delete marker is dropped only where nothing older of its key can be left anywhere (INVARIANTS H6); what that means, and
//! why it is enough, stands in [`super::outside`]. What was dropped is not even read, and what is written is newer than all drops
//! that were known, since nothing in it is dead ([`crate::dropped`]).

use std::sync::Arc;

use env::DiskError;

use super::Choice;
use crate::cache::BlockCache;
use crate::error::ReadError;
use crate::key_range::KeyRange;
use crate::manifest::TableMeta;
use crate::memtable::Entry;
use crate::merge::{Kind, Merge};
use crate::merge_iterator::{EntrySource, MergeIterator};
use crate::sstable::Table;
use crate::sstable::iterator::TableIterator;
use crate::sstable::writer::{TableSink, TableWriter};

/// Where the outputs of a job get their file numbers.
pub(crate) type FileNumbers = Arc<std::sync::atomic::AtomicU64>;

/// What a compaction wrote.
pub(crate) struct Written {
    pub(crate) tables: Vec<TableMeta>,
    /// Delete markers that were left out.
    pub(crate) markers_dropped: u64,
}

pub(crate) struct Compaction {
    pub(crate) choice: Choice,
    pub(crate) sink: TableSink,
    pub(crate) numbers: FileNumbers,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) merge: Arc<dyn Merge>,
}

/// Why a compaction came to nothing.
#[derive(Debug)]
pub(crate) enum CompactionError {
    Read(ReadError),
    Write(DiskError),
}

impl From<ReadError> for CompactionError {
    fn from(error: ReadError) -> CompactionError {
        CompactionError::Read(error)
    }
}

impl From<DiskError> for CompactionError {
    fn from(error: DiskError) -> CompactionError {
        CompactionError::Write(error)
    }
}

impl Compaction {
    /// Writes the outputs and syncs them, files and names. On an error the files that were begun are removed.
    pub(crate) fn run(&self) -> Result<Written, CompactionError> {
        // What could not be read the last time comes first: if it still cannot, nothing is written in vain.
        let is_read = |table: &&Arc<Table>| !self.choice.tables.dropped().covers(table.meta());
        self.choice.inputs().filter(is_read).try_for_each(|table| table.read_again())?;
        let mut outputs = Outputs { made: Vec::new(), current: None };
        let result = self.merge_into(&mut outputs);
        if result.is_err() {
            outputs.remove(&self.sink);
        }
        result.map(|markers_dropped| Written { tables: outputs.made, markers_dropped })
    }

    /// How many delete markers were left out.
    fn merge_into(&self, outputs: &mut Outputs) -> Result<u64, CompactionError> {
        let mut entries = MergeIterator::new(self.sources(), Arc::clone(&self.merge))?;
        let last_sequences = self.choice.inputs().map(|table| table.meta().last_sequence);
        let behind_drops = self.choice.tables.dropped().newest().map(|newest| newest + 1);
        let last_sequence = last_sequences.chain(behind_drops).max().unwrap_or(0);
        let mut markers_dropped = 0;
        while let Some(entry) = entries.next()? {
            let is_marker = entry.kind == Kind::Delete;
            match self.settle(entry) {
                Some(entry) => outputs.add(self, &entry, last_sequence)?,
                None => markers_dropped += u64::from(is_marker),
            }
        }
        outputs.end(last_sequence)?;
        self.sink.disk.sync_dir(&self.sink.dir)?;
        Ok(markers_dropped)
    }

    /// Newest first: each table of level 0 by itself, or the run of upper tables, then the run of lower ones.
    fn sources(&self) -> Vec<Box<dyn EntrySource>> {
        let mut sources = Vec::new();
        let mut add = |tables: &[Arc<Table>]| {
            let live_parts = |table| self.choice.tables.live_parts(table, &KeyRange::all());
            let parts = tables.iter().flat_map(live_parts).collect();
            let source = TableIterator::new(parts, Arc::clone(&self.cache));
            sources.push(Box::new(source) as Box<dyn EntrySource>);
        };
        self.choice.upper.iter().for_each(|table| add(std::slice::from_ref(table)));
        add(&self.choice.lower);
        sources
    }

    /// What is left of a key's entry. Where nothing older can exist, a delete marker has nothing to hide, an operand is all
    /// that there is, and the owner may say that a value is no longer needed (INVARIANTS H6).
    fn settle(&self, entry: Entry) -> Option<Entry> {
        if self.choice.outside.may_hold_older(&entry.key) {
            return Some(entry);
        }
        let droppable = entry.kind == Kind::Delete || self.merge.may_drop(&entry.key, &entry.value);
        (!droppable).then_some(Entry { kind: Kind::Full, ..entry })
    }
}

struct Outputs {
    made: Vec<TableMeta>,
    current: Option<TableWriter>,
}

impl Outputs {
    fn add(&mut self, job: &Compaction, entry: &Entry, last_sequence: u64) -> Result<(), DiskError> {
        if self.current.is_none() {
            let number = job.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.current = Some(TableWriter::create(job.sink.clone(), number)?);
        }
        let Some(writer) = &mut self.current else {
            return Ok(());
        };
        writer.add(&entry.key, entry.kind, &entry.value)?;
        let full = writer.len() >= job.sink.options.table_bytes as u64;
        if full { self.end(last_sequence) } else { Ok(()) }
    }

    fn end(&mut self, last_sequence: u64) -> Result<(), DiskError> {
        if let Some(mut writer) = self.current.take() {
            let finished = writer.finish(last_sequence);
            if finished.is_err() {
                self.current = Some(writer);
            }
            self.made.push(finished?);
        }
        Ok(())
    }

    fn remove(&mut self, sink: &TableSink) {
        let begun = self.current.take().map(|writer| writer.path().to_owned());
        let made = self.made.iter().map(|meta| crate::files::table(&sink.dir, meta.file));
        for path in made.chain(begun) {
            // If this fails too, the file stays until the next opening finds that nobody names it.
            drop(sink.disk.remove(&path));
        }
    }
}
