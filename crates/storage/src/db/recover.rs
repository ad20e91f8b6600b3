//! Opening a directory: lock, manifest, tables, commit log, and only then the first change.
//!
//! Whatever is found wrong is found before anything is written, so a refusal leaves the directory as it was. Each
//! opening begins a new manifest and a new log segment: nothing is ever appended behind a tail that may be torn.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use env::Disk;
use env::disk::DirLock;

use super::background::{Background, create_segment, lay_out_segment};
use super::write::merged_slot;
use super::{Db, SequenceNumber};
use crate::cache::{BlockCache, RecordCache};
use crate::error::{Damage, OpenError};
use crate::files::{self, FileKind};
use crate::log::recovery::{self, Replayed};
use crate::log::repair::SetAside;
use crate::log::segment::{Life, Prepared};
use crate::log::writer::{Closed, CommitLog};
use crate::manifest::{Manifest, State, file};
use crate::memtable::{Entry, Memtable, Slot};
use crate::merge::Merge;
use crate::options::Options;
use crate::sstable::Table;
use crate::sstable::reports::Reports;
use crate::stats::Counters;
use crate::table_set::{LEVELS, TableSet};

/// How many set-aside tails are kept for people to look at. Each is at most a segment long.
const ASIDES_KEPT: usize = 4;

/// What an opening found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// The directory held no database before.
    pub is_new: bool,
    /// The last stop left its mark: nothing can have been lost. After any other stop an unsynced tail may be gone.
    pub was_clean: bool,
    /// The last entry that there is.
    pub last_sequence: SequenceNumber,
    /// How many entries came from the commit log.
    pub replayed_entries: u64,
    /// How many tables were opened.
    pub tables: usize,
    /// Unsynced tails that were cut off, and where their bytes were kept.
    pub set_aside: Vec<SetAside>,
    /// What was damaged and is given up: others have it (`Options::replicated`), and its keys are missing here until then
    /// ([`Db::missing`]).
    pub given_up: Vec<GivenUp>,
}

/// A file that could not be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    /// What is wrong with it, in words that name it.
    pub why: String,
    /// Where it is kept for people to look at; nothing where there is no file.
    pub kept_in: Option<PathBuf>,
}

/// Everything that is read before anything is written.
struct Found {
    is_new: bool,
    manifest_number: u64,
    state: State,
    tables: TableSet,
    memtables: Memtables,
    replayed: Replayed,
    reports: Arc<Reports>,
    /// Files that are given up, under the names that they have.
    given_up: Vec<(PathBuf, String)>,
}

/// The memtables that replay fills.
struct Memtables {
    merge: Arc<dyn Merge>,
    options: Arc<Options>,
    active: Memtable,
    frozen: VecDeque<Arc<Memtable>>,
}

impl Memtables {
    fn take(&mut self, entry: Entry, sequence: u64) -> Result<(), OpenError> {
        if self.active.bytes() >= self.options.memtable_bytes() {
            let next = Memtable::new(self.options.secret, self.active.last_sequence());
            self.frozen.push_back(Arc::new(std::mem::replace(&mut self.active, next)));
        }
        let merged = merged_slot(&self.active, &*self.merge, &entry.key, entry.kind, &entry.value)?;
        let slot = merged.unwrap_or(Slot { kind: entry.kind, value: entry.value });
        self.active.set(&entry.key, slot, sequence);
        Ok(())
    }
}

impl Db {
    /// Opens the database in `dir`, or begins one there if the directory is empty. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`]; after one the directory is as it was.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        merge: Arc<dyn Merge>,
    ) -> Result<(Db, Recovery), OpenError> {
        options.check()?;
        let options = Arc::new(options);
        disk.create_dir_all(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk.sync_dir(parent)?;
        }
        let lock = disk.lock_dir(dir)?;
        let found = find(&*disk, dir, &options, &merge)?;
        start(disk, dir, options, merge, lock, found)
    }
}

fn find(
    disk: &dyn Disk,
    dir: &Path,
    options: &Arc<Options>,
    merge: &Arc<dyn Merge>,
) -> Result<Found, OpenError> {
    let loaded = file::load(disk, dir)?;
    if loaded.is_none() {
        check_is_empty(disk, dir)?;
    }
    let is_new = loaded.is_none();
    let (manifest_number, mut state) = loaded.unwrap_or_default();
    let manifest = files::manifest(dir, manifest_number);
    let reports = Arc::new(Reports::default());
    let mut given_up = Vec::new();
    let damaged = options.replicated.then_some(&mut given_up);
    let tables = open_tables(disk, dir, &mut state, &manifest, &reports, damaged)?;
    let mut memtables = Memtables {
        merge: Arc::clone(merge),
        options: Arc::clone(options),
        active: Memtable::new(options.secret, state.flushed_through),
        frozen: VecDeque::new(),
    };
    let source = recovery::Source {
        disk,
        dir,
        named: &state.segments,
        manifest: &manifest,
        flushed_through: state.flushed_through,
        next_segment: state.next_segment,
        synced_through: state.synced_through,
    };
    let replayed = recovery::replay(&source, &mut |entry, sequence| memtables.take(entry, sequence))?;
    Ok(Found { is_new, manifest_number, state, tables, memtables, replayed, reports, given_up })
}

/// Without `CURRENT` there must be no data: it is made durable before the first of it.
fn check_is_empty(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let names = disk.list(dir)?;
    let data = |name: &&String| matches!(files::kind_of(name), FileKind::Table(_) | FileKind::Segment(_));
    match names.iter().find(data) {
        Some(name) => Err(OpenError::Missing { file: files::current(dir), named_by: dir.join(name) }),
        None => Ok(()),
    }
}

fn open_tables(
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
        let table = match (Table::open(disk, dir, meta.clone(), manifest, reports), &mut given_up) {
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

/// From here on the directory is changed.
fn start(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Arc<Options>,
    merge: Arc<dyn Merge>,
    lock: Box<dyn DirLock>,
    found: Found,
) -> Result<(Db, Recovery), OpenError> {
    let Found { is_new, manifest_number, mut state, tables, memtables, mut replayed, reports, given_up } =
        found;
    let mut recovery = Recovery {
        given_up: Vec::new(),
        is_new,
        was_clean: is_new || replayed.clean_stop,
        last_sequence: SequenceNumber(replayed.last_sequence),
        replayed_entries: replayed.entries,
        tables: tables.iter().count(),
        set_aside: replayed.set_aside.clone(),
    };
    if is_new {
        // A segment may exist only once a manifest counts.
        Manifest::begin(Arc::clone(&disk), dir.to_owned(), manifest_number + 1, State::default())?;
    }
    let active = first_segment(&*disk, dir, &options, &mut state, &mut replayed)?;
    let numbers = Arc::new(AtomicU64::new(state.next_file));
    let manifest_number = manifest_number + 1 + u64::from(is_new);
    let manifest = Manifest::begin(Arc::clone(&disk), dir.to_owned(), manifest_number, state.clone())?;
    for (path, why) in given_up {
        recovery.given_up.push(GivenUp { why, kept_in: keep_aside(&*disk, dir, &path)? });
    }
    remove_unnamed(&*disk, dir, &state, manifest_number)?;
    let closed =
        replayed.segments.into_iter().map(|(file, last_sequence)| Closed { file, last_sequence }).collect();
    let blocks = BlockCache::new(
        options.block_cache_bytes(tables.resident_bytes()),
        options.block_bytes,
        options.secret,
    );
    let mut log = CommitLog::new(active, closed, replayed.last_sequence);
    log.begin()?;
    let db = Db {
        log,
        background: Background::new(state.next_segment, state.flushed_through, replayed.empty),
        records: RecordCache::new(options.record_cache_bytes(), options.secret),
        blocks: Arc::new(blocks),
        active: memtables.active,
        frozen: memtables.frozen,
        log_bytes_at_freeze: 0,
        tables: Arc::new(tables),
        manifest: Arc::new(Mutex::new(manifest)),
        numbers,
        missing: Arc::new(state.missing),
        reports,
        damages: VecDeque::new(),
        accounts: 0,
        failure: None,
        counters: Counters::default(),
        dir: PathBuf::from(dir),
        _lock: lock,
        options,
        merge,
        disk,
    };
    Ok((db, recovery))
}

/// The segment that new entries go to: one without records if there is one, else a new one.
fn first_segment(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
    state: &mut State,
    replayed: &mut Replayed,
) -> Result<Prepared, OpenError> {
    state.next_file = first_free_number(disk, dir, state)?;
    let segment = state.next_segment.max(replayed.next_segment);
    let life = Life::new(segment, options.secret, options.log_segment_bytes, replayed.last_sequence);
    let prepared = match replayed.empty.pop() {
        Some(file) => lay_out_segment(file, life, false)?,
        None => {
            state.next_file += 1;
            create_segment(disk, dir, state.next_file - 1, life, options.log_zero_fill)?
        }
    };
    state.synced_through = replayed.last_sequence;
    state.segments.insert(prepared.file.number, segment);
    state.next_segment = segment + 1;
    Ok(prepared)
}

/// Above every number that the manifest knows and every file that a crash left unnamed.
fn first_free_number(disk: &dyn Disk, dir: &Path, state: &State) -> Result<u64, OpenError> {
    let names = disk.list(dir)?;
    let used = names.iter().filter_map(|name| match files::kind_of(name) {
        FileKind::Table(number) | FileKind::Segment(number) => Some(number + 1),
        _ => None,
    });
    Ok(used.max().unwrap_or(0).max(state.next_file).max(1))
}

/// Keeps a file that is given up under another name, now that nothing names it any more.
fn keep_aside(disk: &dyn Disk, dir: &Path, path: &Path) -> Result<Option<PathBuf>, OpenError> {
    let aside = files::aside_of(path);
    match disk.rename(path, &aside) {
        Ok(()) => {
            disk.sync_dir(dir)?;
            Ok(Some(aside))
        }
        Err(error) if error.kind == env::disk::DiskErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes what a crash or an interrupted job left and the manifest does not name, and all but the newest of the tails
/// that recoveries have set aside.
fn remove_unnamed(disk: &dyn Disk, dir: &Path, state: &State, manifest_number: u64) -> Result<(), OpenError> {
    let names = disk.list(dir)?;
    let asides = names.iter().filter(|name| files::kind_of(name) == FileKind::Aside);
    let surplus = asides.clone().count().saturating_sub(ASIDES_KEPT);
    let old_asides: Vec<&String> = asides.take(surplus).collect();
    for name in &names {
        let unnamed = match files::kind_of(name) {
            FileKind::Table(number) => !state.tables.contains_key(&number),
            FileKind::Segment(number) => !state.segments.contains_key(&number),
            FileKind::Manifest(number) => number != manifest_number,
            FileKind::CurrentDraft => true,
            FileKind::Aside => old_asides.contains(&name),
            FileKind::Current | FileKind::Unknown => false,
        };
        if unnamed {
            disk.remove(&dir.join(name))?;
        }
    }
    Ok(())
}
