//! Opening where files are damaged and others have what was in them (`Options::replicated`): what cannot be used is given up,
//! its keys are missing from then on, and its bytes are kept for people.
//!
//! What must hold: nothing is renamed or removed before the manifest says what is missing. A crash in between comes to the
//! same again, but for the name under which a file is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use env::Disk;
use env::disk::DiskErrorKind;

use super::recover::Memtables;
use crate::error::{Damage, OpenError};
use crate::files::{self, FileKind};
use crate::key_range::KeyRange;
use crate::log::recovery::{Replayed, Source};
use crate::log::salvage::salvage;
use crate::manifest::State;
use crate::memtable::Memtable;
use crate::options::Options;
use crate::sstable::Table;
use crate::sstable::reports::Reports;
use crate::sstable::writer::{TableSink, TableWriter};
use crate::table_set::{LEVELS, TableSet};

/// A file that could not be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    /// What is wrong with it, in words that name it.
    pub why: String,
    /// Where it is kept for people to look at; nothing where there is no file.
    pub kept_in: Option<PathBuf>,
}

/// Opens the tables that the manifest names. Those that are damaged or gone are given up, if any may be, and named.
pub(super) fn open_tables(
    disk: &dyn Disk,
    dir: &Path,
    state: &mut State,
    manifest: &Path,
    reports: &Arc<Reports>,
    mut given_up: Option<&mut Vec<(PathBuf, String)>>,
) -> Result<TableSet, OpenError> {
    let mut tables = Vec::new();
    for (level, meta) in state.tables.clone().values() {
        if usize::from(*level) >= LEVELS {
            let what = format!("it names level {level}, and there are {LEVELS}");
            return Err(OpenError::Damaged(Damage { file: manifest.to_owned(), offset: 0, what }));
        }
        let table =
            match (Table::open(disk, dir, state.store, meta.clone(), manifest, reports), &mut given_up) {
                (Ok(table), _) => table,
                // The manifest knows what was in it; others have that.
                (Err(error @ (OpenError::Damaged(_) | OpenError::Missing { .. })), Some(given_up)) => {
                    given_up.push((files::table(dir, meta.file), error.what()));
                    state.give_up_table(meta);
                    continue;
                }
                (Err(error), _) => return Err(error),
            };
        let lost = state.blocks_lost.get(&meta.file).into_iter().flatten().copied();
        tables.push((*level, Arc::new(table.without(lost))));
    }
    Ok(TableSet::new(tables))
}

/// A commit log that is damaged, as far as it could be read.
pub(super) struct Rest {
    pub(super) replayed: Replayed,
    pub(super) memtables: Memtables,
    /// The damaged files, and what is wrong with each.
    pub(super) damaged: Vec<(PathBuf, String)>,
}

/// Reads what is left of the log, after an error that says what is damaged.
pub(super) fn read_rest(
    source: &Source<'_>,
    mut memtables: Memtables,
    error: &OpenError,
) -> Result<Rest, OpenError> {
    let mut found = salvage(source, &mut |logged, sequence| memtables.take(logged, sequence))?;
    if let OpenError::Damaged(damage) = error {
        found.damaged.insert(damage.file.clone(), error.what());
    }
    let replayed = Replayed {
        last_sequence: found.last_sequence,
        entries: found.entries,
        next_segment: found.next_segment,
        ..Replayed::empty()
    };
    Ok(Rest { replayed, memtables, damaged: found.damaged.into_iter().collect() })
}

/// Makes tables of what is left of a damaged log, so that the log can begin anew, and says that anything may be missing.
#[allow(clippy::too_many_arguments, reason = "the parts of a database that is being opened")]
pub(super) fn let_go_of_log(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Arc<Options>,
    reports: &Arc<Reports>,
    last_sequence: u64,
    memtables: &mut Memtables,
    state: &mut State,
    tables: &TableSet,
) -> Result<TableSet, OpenError> {
    let sink = TableSink {
        disk: Arc::clone(disk),
        dir: dir.to_owned(),
        options: Arc::clone(options),
        store: state.store,
        warm: None,
        reports: Arc::clone(reports),
    };
    let mut made = Vec::new();
    let active = std::mem::replace(&mut memtables.active, Memtable::new(options.secret, last_sequence));
    let frozen = std::mem::take(&mut memtables.frozen);
    for memtable in frozen.into_iter().chain([Arc::new(active)]).filter(|one| !one.is_empty()) {
        let mut writer = TableWriter::create(sink.clone(), state.next_file)?;
        state.next_file += 1;
        for entry in memtable.range(&KeyRange::all()) {
            writer.add(&entry.key, entry.kind, &entry.value)?;
        }
        // Its own last entry says which drops it is older than.
        let meta = writer.finish(memtable.last_sequence())?;
        state.tables.insert(meta.file, (0, meta.clone()));
        made.push((0, Arc::new(Table::open(&**disk, dir, state.store, meta, dir, reports)?)));
    }
    disk.sync_dir(dir)?;
    state.flushed_through = last_sequence;
    state.synced_through = last_sequence;
    state.segments.clear();
    state.missing.add(KeyRange::all());
    Ok(tables.edited(&[], &made))
}

/// Keeps files that are given up under other names, now that nothing names them any more.
pub(super) fn keep_aside(
    disk: &dyn Disk,
    dir: &Path,
    given_up: Vec<(PathBuf, String)>,
) -> Result<Vec<GivenUp>, OpenError> {
    let mut kept = Vec::new();
    for (path, why) in given_up {
        let kept_in = if is_data(&path) { set_aside(disk, &path)? } else { None };
        kept.push(GivenUp { why, kept_in });
    }
    if kept.iter().any(|one| one.kept_in.is_some()) {
        disk.sync_dir(dir)?;
    }
    Ok(kept)
}

fn is_data(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    matches!(files::kind_of(&name), FileKind::Table(_) | FileKind::Segment(_))
}

fn set_aside(disk: &dyn Disk, path: &Path) -> Result<Option<PathBuf>, OpenError> {
    let aside = files::aside_of(path);
    match disk.rename(path, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
