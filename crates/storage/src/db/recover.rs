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
use super::give_up::{GivenUp, keep_aside, let_go_of_log, open_tables, read_rest};
use super::write::merged_slot;
use super::{Db, SequenceNumber};
use crate::cache::{BlockCache, RecordCache};
use crate::dropped::Dropped;
use crate::error::OpenError;
use crate::files::{self, FileKind};
use crate::key_range::KeyRange;
use crate::log::record::Logged;
use crate::log::recovery::{self, Replayed};
use crate::log::repair::SetAside;
use crate::log::segment::{Life, Prepared};
use crate::log::writer::{Closed, CommitLog};
use crate::manifest::{Edit, Manifest, State, file};
use crate::memtable::{Entry, Memtable, Slot};
use crate::merge::Merge;
use crate::options::Options;
use crate::sstable::reports::Reports;
use crate::stats::Counters;
use crate::table_set::TableSet;

/// How many files that earlier recoveries have set aside are kept for people to look at: tails and segments of the log, and
/// tables.
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
    /// Then what is left of the log is to become tables, and the log to begin anew.
    log_is_damaged: bool,
}

/// The memtables that replay fills.
pub(super) struct Memtables {
    merge: Arc<dyn Merge>,
    options: Arc<Options>,
    pub(super) active: Memtable,
    pub(super) frozen: VecDeque<Arc<Memtable>>,
    /// What was dropped: as the manifest has it, and as the log goes on.
    pub(super) dropped: Dropped,
    /// Those drops that the log has.
    pub(super) drops: Vec<(KeyRange, u64)>,
}

impl Memtables {
    fn new(merge: &Arc<dyn Merge>, options: &Arc<Options>, state: &State) -> Memtables {
        let flushed_through = state.flushed_through;
        Memtables {
            dropped: state.dropped.clone(),
            drops: Vec::new(),
            merge: Arc::clone(merge),
            options: Arc::clone(options),
            active: Memtable::new(options.secret, flushed_through),
            frozen: VecDeque::new(),
        }
    }

    /// What the log has next.
    pub(super) fn take(&mut self, logged: Logged, sequence: u64) -> Result<(), OpenError> {
        match logged {
            Logged::Entry(entry) => self.take_entry(entry, sequence),
            Logged::Drop(range) => {
                // What the frozen ones have is older, and they count as such.
                self.active.take_out(&range, sequence);
                self.dropped.add(&range, sequence);
                self.drops.push((range, sequence));
                Ok(())
            }
        }
    }

    fn take_entry(&mut self, entry: Entry, sequence: u64) -> Result<(), OpenError> {
        if self.dropped.through(&entry.key).is_some_and(|through| through >= sequence) {
            return Ok(());
        }
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
    let empty = || Memtables::new(merge, options, &state);
    let mut memtables = empty();
    let source = recovery::Source {
        disk,
        dir,
        store: state.store,
        named: &state.segments,
        manifest: &manifest,
        flushed_through: state.flushed_through,
        next_segment: state.next_segment,
        synced_through: state.synced_through,
    };
    let mut log_is_damaged = false;
    let replayed = match recovery::replay(&source, &mut |logged, sequence| memtables.take(logged, sequence)) {
        Err(error @ (OpenError::Damaged(_) | OpenError::Missing { .. })) if options.replicated => {
            let rest = read_rest(&source, empty(), &error)?;
            log_is_damaged = true;
            given_up.extend(rest.damaged);
            memtables = rest.memtables;
            rest.replayed
        }
        replayed => replayed?,
    };
    // The log is known to be durable as far as it was read, so the next manifest may say what was dropped in it.
    state.apply(Edit { dropped: std::mem::take(&mut memtables.drops), ..Edit::default() });
    let tables = tables.with_dropped(Arc::new(state.dropped.clone()));
    Ok(Found {
        is_new,
        manifest_number,
        state,
        tables,
        memtables,
        replayed,
        reports,
        given_up,
        log_is_damaged,
    })
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

/// From here on the directory is changed.
fn start(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: Arc<Options>,
    merge: Arc<dyn Merge>,
    lock: Box<dyn DirLock>,
    found: Found,
) -> Result<(Db, Recovery), OpenError> {
    let Found {
        is_new,
        manifest_number,
        mut state,
        mut tables,
        mut memtables,
        mut replayed,
        reports,
        given_up,
        log_is_damaged,
    } = found;
    let mut recovery = Recovery {
        given_up: Vec::new(),
        is_new,
        was_clean: is_new || replayed.clean_stop,
        last_sequence: SequenceNumber(replayed.last_sequence),
        replayed_entries: replayed.entries,
        tables: tables.iter().count(),
        set_aside: replayed.set_aside.clone(),
    };
    if state.store == 0 {
        state.store = draw_number(dir, options.secret);
    }
    if is_new {
        // A segment may exist only once a manifest counts.
        Manifest::begin(Arc::clone(&disk), dir.to_owned(), manifest_number + 1, state.clone())?;
    }
    state.next_file = first_free_number(&*disk, dir, &state)?;
    if log_is_damaged {
        let last = replayed.last_sequence;
        tables = let_go_of_log(&disk, dir, &options, &reports, last, &mut memtables, &mut state, &tables)?;
    }
    let active = first_segment(&*disk, dir, &options, &mut state, &mut replayed)?;
    let numbers = Arc::new(AtomicU64::new(state.next_file));
    let manifest_number = manifest_number + 1 + u64::from(is_new);
    let manifest = Manifest::begin(Arc::clone(&disk), dir.to_owned(), manifest_number, state.clone())?;
    recovery.given_up = keep_aside(&*disk, dir, given_up)?;
    remove_unnamed(&*disk, dir, &state, manifest_number, &recovery.given_up)?;
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
        store: state.store,
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

/// A number for a store that has none, because it is new or was begun before stores had any. Chance makes it another one than
/// those of all stores that may be on the same device, now or before; 0 is no number.
fn draw_number(dir: &Path, secret: u64) -> u32 {
    let drawn = xxhash_rust::xxh3::xxh3_64_with_seed(dir.as_os_str().as_encoded_bytes(), secret);
    u32::try_from(drawn >> 32).unwrap_or_default().max(1)
}

/// The segment that new entries go to: one without records if there is one, else a new one.
fn first_segment(
    disk: &dyn Disk,
    dir: &Path,
    options: &Options,
    state: &mut State,
    replayed: &mut Replayed,
) -> Result<Prepared, OpenError> {
    let segment = state.next_segment.max(replayed.next_segment);
    let life =
        Life::new(state.store, segment, options.secret, options.log_segment_bytes, replayed.last_sequence);
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

/// Removes what a crash or an interrupted job left and the manifest does not name, and all but a few of what earlier recoveries
/// have set aside.
fn remove_unnamed(
    disk: &dyn Disk,
    dir: &Path,
    state: &State,
    manifest_number: u64,
    given_up: &[GivenUp],
) -> Result<(), OpenError> {
    let names = disk.list(dir)?;
    let is_new = |name: &str| given_up.iter().any(|one| one.kept_in.as_ref() == Some(&dir.join(name)));
    let asides = names.iter().filter(|name| files::kind_of(name) == FileKind::Aside && !is_new(name));
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
