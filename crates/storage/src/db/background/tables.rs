//! Making tables: of a frozen memtable, or of other tables.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use env::DiskError;

use super::{Done, Trouble, remove_quietly, write_trouble};
use crate::compaction::run::{Compaction, CompactionError, FileNumbers, Written};
use crate::db::locked;
use crate::error::{OpenError, ReadError};
use crate::files;
use crate::key_range::KeyRange;
use crate::manifest::{Edit, Manifest, TableMeta};
use crate::memtable::Memtable;
use crate::sstable::Table;
use crate::sstable::writer::{TableSink, TableWriter};

/// Writes a frozen memtable as a table of level 0.
pub(super) struct Flush {
    pub(super) memtable: Arc<Memtable>,
    pub(super) sink: TableSink,
    pub(super) number: u64,
    pub(super) numbers: FileNumbers,
    pub(super) manifest: Arc<Mutex<Manifest>>,
    /// Ranges that were dropped until it ended: from now on the log need not say so.
    pub(super) drops: Vec<(KeyRange, u64)>,
}

/// What a flush came to.
#[derive(Debug)]
pub(super) struct Flushed {
    /// None where everything was taken out again.
    pub(super) table: Option<Arc<Table>>,
    /// Every entry up to this one is in tables.
    pub(super) through: u64,
}

impl std::fmt::Debug for Flush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flush({})", self.number)
    }
}

impl Flush {
    pub(super) fn run(self) -> Result<Flushed, Trouble> {
        let through = self.memtable.last_sequence();
        let result = self.write().map_err(write_trouble).and_then(|metas| {
            let edit = Edit {
                dropped: self.drops.clone(),
                next_file: Some(self.numbers.load(Ordering::Relaxed)),
                flushed_through: Some(through),
                synced_through: Some(through),
                ..Edit::default()
            };
            commit_tables(&self.sink, &self.manifest, 0, metas, edit)
        });
        if matches!(result, Err(Trouble::Again(_))) {
            remove_quietly(&*self.sink.disk, &files::table(&self.sink.dir, self.number));
        }
        Ok(Flushed { table: result?.pop(), through })
    }

    fn write(&self) -> Result<Vec<TableMeta>, DiskError> {
        if self.memtable.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = TableWriter::create(self.sink.clone(), self.number)?;
        for entry in self.memtable.range(&KeyRange::all()) {
            writer.add(&entry.key, entry.kind, &entry.value)?;
        }
        let meta = writer.finish(self.memtable.last_sequence())?;
        self.sink.disk.sync_dir(&self.sink.dir)?;
        Ok(vec![meta])
    }
}

/// Frees the memory of memtables that are in tables, where no scan reads them any more.
pub(super) struct LetGo(pub(super) Vec<Arc<Memtable>>);

impl std::fmt::Debug for LetGo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LetGo({})", self.0.len())
    }
}

impl LetGo {
    pub(super) fn run(self) -> Done {
        drop(self.0);
        Done::LetGo
    }
}

/// What a compaction has made.
#[derive(Debug)]
pub(super) struct Compacted {
    pub(super) tables: Vec<Arc<Table>>,
    /// Delete markers that are no more.
    pub(super) markers_dropped: u64,
    /// The drops of which the manifest tells now.
    pub(super) drops_told: Vec<(KeyRange, u64)>,
}

/// Merges the chosen tables and lets the manifest name the outcome in place of them.
pub(super) struct Compact {
    pub(super) manifest: Arc<Mutex<Manifest>>,
    /// Ranges that were dropped of which the manifest does not tell yet: what is left out because of them relies on it.
    pub(super) drops: Vec<(KeyRange, u64)>,
    pub(super) work: Compaction,
}

impl std::fmt::Debug for Compact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compact({:?})", self.work.choice)
    }
}

impl Compact {
    pub(super) fn run(self) -> Done {
        let result = self.merge_and_commit();
        Done::Compacted { choice: self.work.choice, result }
    }

    fn merge_and_commit(&self) -> Result<Compacted, Trouble> {
        let Written { tables: metas, markers_dropped } = self.work.run().map_err(|error| match error {
            // Bytes that did not come say nothing of what they are.
            CompactionError::Read(ReadError::Disk(error)) => Trouble::Again(error),
            CompactionError::Read(error) => Trouble::Unreadable(error),
            CompactionError::Write(error) => write_trouble(error),
        })?;
        let edit = Edit {
            next_file: Some(self.work.numbers.load(Ordering::Relaxed)),
            dropped: self.drops.clone(),
            tables_gone: self.work.choice.inputs().map(|table| table.meta().file).collect(),
            ..Edit::default()
        };
        let level = self.work.choice.output_level();
        let sink = &self.work.sink;
        let paths: Vec<PathBuf> = metas.iter().map(|meta| files::table(&sink.dir, meta.file)).collect();
        let result = commit_tables(sink, &self.manifest, level, metas, edit);
        if matches!(result, Err(Trouble::Again(_))) {
            paths.iter().for_each(|path| remove_quietly(&*sink.disk, path));
        }
        Ok(Compacted { tables: result?, markers_dropped, drops_told: self.drops.clone() })
    }
}

/// Opens tables that were just written, which verifies them as far as opening does, and only then lets the manifest
/// name them.
fn commit_tables(
    sink: &TableSink,
    manifest: &Mutex<Manifest>,
    level: u8,
    metas: Vec<TableMeta>,
    mut edit: Edit,
) -> Result<Vec<Arc<Table>>, Trouble> {
    let mut tables = Vec::new();
    for meta in &metas {
        let opened = Table::open(&*sink.disk, &sink.dir, sink.store, meta.clone(), &sink.dir, &sink.reports);
        tables.push(Arc::new(opened.map_err(|error: OpenError| Trouble::Broken(error.to_string()))?));
    }
    edit.tables = metas.into_iter().map(|meta| (level, meta)).collect();
    locked(manifest).commit(edit)?;
    Ok(tables)
}
