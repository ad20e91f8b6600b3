//! Work that keeps the database in shape: preparing log segments, flushing memtables, compacting tables, removing files,
//! looking how much room there is for all that, and keeping account of damage.
//!
//! Each kind has at most one job in flight; kinds run side by side, and what keeps a compaction from its work keeps no
//! flush from its own. A job does all its I/O itself, the manifest's edit included, so that when it comes back with
//! success everything is durable already and [`Db::install`] only swaps pointers. A crash at any point leaves either the
//! state before the edit or the one after it, and files that nobody names, which opening removes.

mod damage;
mod kind;
mod segment;
mod space;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use env::disk::DiskErrorKind;
use env::disk::Space;
use env::{Disk, DiskError};

use super::Db;
use crate::compaction::run::Compaction;
use crate::compaction::{Choice, any_choice, choose, choose_dead, choose_partly_dead, choose_to_make_room};
use crate::error::{Damage, LogError, ReadError};
use crate::key_range::KeyRange;
use crate::log::segment::{Life, Prepared, SegmentFile};
use crate::manifest::CommitError;
use crate::memtable::Memtable;
use crate::sstable::Table;
use crate::sstable::writer::TableSink;
use damage::{Account, Entry};
pub use kind::BackgroundKind;
use segment::Prepare;
pub(crate) use segment::{create_segment, lay_out_segment};
use space::{Measure, Room};
use tables::{Compact, Compacted, Flush, Flushed, LetGo};

/// What is in flight and what waits to be done.
#[derive(Debug, Default)]
pub(crate) struct Background {
    preparing: bool,
    flushing: bool,
    compacting: bool,
    removing: bool,
    accounting: bool,
    /// Ranges that were dropped and of which no edit of the manifest tells yet, with the drops' sequence numbers.
    pub(super) drops: Vec<(KeyRange, u64)>,
    /// Keys that are said to be whole again, and are not yet accounted so.
    whole: Vec<KeyRange>,
    /// Segments without records that nothing waits for: as many as one memtable's log takes, and the rest are removed.
    /// A flush sets that many free at once, and each new one costs as much as is written to it.
    recyclable: Vec<SegmentFile>,
    /// Tables that the manifest no longer names; removed when no read holds them.
    obsolete: Vec<Arc<Table>>,
    /// Memtables that are in tables. To let go of one takes tens of milliseconds, which the owner's thread does not have.
    flushed: Vec<Arc<Memtable>>,
    next_segment: u64,
    flushed_through: u64,
    /// Whether the last job that puts wait for, a segment or a flush, found no room.
    disk_is_full: bool,
    room: Room,
}

impl Background {
    pub(crate) fn new(next_segment: u64, flushed_through: u64, recyclable: Vec<SegmentFile>) -> Background {
        Background { next_segment, flushed_through, recyclable, ..Background::default() }
    }

    pub(super) fn flushed_through(&self) -> u64 {
        self.flushed_through
    }

    pub(crate) fn disk_is_full(&self) -> bool {
        self.disk_is_full
    }
}

/// A piece of background work. May block for long; run it off the event loop.
#[derive(Debug)]
pub struct BackgroundJob(Work);

#[derive(Debug)]
enum Work {
    Prepare(Prepare),
    Flush(Flush),
    LetGo(LetGo),
    Compact(Compact),
    Remove(Remove),
    Measure(Measure),
    Account(Account),
}

/// What a [`BackgroundJob`] came to; to be handed to [`Db::install`].
#[derive(Debug)]
pub struct BackgroundOutcome(Done);

#[derive(Debug)]
enum Done {
    Prepared { result: Result<Prepared, Trouble>, unused: Vec<SegmentFile> },
    Flushed(Result<Flushed, Trouble>),
    LetGo,
    Compacted { choice: Choice, result: Result<Compacted, Trouble> },
    Removed,
    Measured(Result<Space, DiskError>),
    Accounted { entry: Entry, result: Result<(), Trouble> },
}

/// Why a job came to nothing.
#[derive(Debug)]
enum Trouble {
    /// Nothing changed; another try may succeed.
    Again(DiskError),
    /// An input is damaged, or its values do not merge; another try would fail as well.
    Unreadable(ReadError),
    /// What is on disk is unknown.
    Broken(String),
}

/// What became of a job.
#[derive(Debug)]
pub enum Installed {
    /// It is done.
    Done,
    /// The disk refused: usually because it is full, or it did not read what a compaction needs. Nothing is lost and the
    /// same work will be handed out again: wait a while before asking for this kind, and for this kind only.
    Retry(DiskError),
    /// It met damaged data, or values that cannot be merged. The tables concerned are left as they are, readable where they
    /// are whole, and are not chosen again until it is accounted what is damaged.
    Unreadable(ReadError),
    /// Something was damaged and is lost: of these keys something may be missing from now on.
    Lost {
        /// Which keys, at most.
        keys: Vec<KeyRange>,
        /// What was found damaged.
        damages: Vec<Damage>,
    },
}

/// A failed write that did nothing is worth another try where the disk is full; any other may have left anything.
fn write_trouble(error: DiskError) -> Trouble {
    match error.kind {
        DiskErrorKind::Full => Trouble::Again(error),
        _ => Trouble::Broken(error.to_string()),
    }
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Trouble {
        match error {
            CommitError::Refused(error) => Trouble::Again(error),
            CommitError::Broken(error) => Trouble::Broken(error.to_string()),
        }
    }
}

impl BackgroundJob {
    /// Does the work.
    pub fn run(self) -> BackgroundOutcome {
        BackgroundOutcome(match self.0 {
            Work::Prepare(job) => job.run(),
            Work::Flush(job) => Done::Flushed(job.run()),
            Work::LetGo(job) => job.run(),
            Work::Compact(job) => job.run(),
            Work::Remove(job) => job.run(),
            Work::Measure(job) => job.run(),
            Work::Account(job) => job.run(),
        })
    }

    /// What it is for.
    pub fn kind(&self) -> BackgroundKind {
        match self.0 {
            Work::Prepare(_) => BackgroundKind::Segment,
            // Letting go of a memtable is the end of its flush.
            Work::Flush(_) | Work::LetGo(_) => BackgroundKind::Flush,
            Work::Compact(_) => BackgroundKind::Compaction,
            Work::Remove(_) => BackgroundKind::Removal,
            Work::Measure(_) => BackgroundKind::Space,
            Work::Account(_) => BackgroundKind::Damage,
        }
    }
}

impl BackgroundOutcome {
    /// What the job was for.
    pub fn kind(&self) -> BackgroundKind {
        match self.0 {
            Done::Prepared { .. } => BackgroundKind::Segment,
            Done::Flushed(_) | Done::LetGo => BackgroundKind::Flush,
            Done::Compacted { .. } => BackgroundKind::Compaction,
            Done::Removed => BackgroundKind::Removal,
            Done::Measured(_) => BackgroundKind::Space,
            Done::Accounted { .. } => BackgroundKind::Damage,
        }
    }
}

impl Db {
    /// The most pressing piece of background work that can run now. Ask again until there is none; several may run
    /// at a time.
    pub fn background_job(&mut self) -> Option<BackgroundJob> {
        BackgroundKind::ALL.into_iter().find_map(|kind| self.background_job_of(kind))
    }

    /// The piece of background work of this kind, if there is one that can run now. For who leaves a kind alone for a
    /// while that came to nothing.
    pub fn background_job_of(&mut self, kind: BackgroundKind) -> Option<BackgroundJob> {
        if self.failure.is_some() {
            return None;
        }
        let work = match kind {
            BackgroundKind::Segment => self.prepare_job().map(Work::Prepare),
            BackgroundKind::Flush => {
                let flush = self.flush_job().map(Work::Flush);
                flush.or_else(|| self.let_go_job().map(Work::LetGo))
            }
            BackgroundKind::Compaction => self.compact_job().map(Work::Compact),
            BackgroundKind::Removal => self.remove_job().map(Work::Remove),
            BackgroundKind::Space => self.measure_job().map(Work::Measure),
            BackgroundKind::Damage => self.account_job().map(Work::Account),
        };
        work.map(BackgroundJob)
    }

    fn prepare_job(&mut self) -> Option<Prepare> {
        if self.background.preparing || !self.log.needs_spare() {
            return None;
        }
        self.background.preparing = true;
        while let Some(file) = self.log.take_obsolete(self.background.flushed_through) {
            self.background.recyclable.push(file);
        }
        let background = &mut self.background;
        let recycled = background.recyclable.pop();
        let surplus = background.recyclable.len().saturating_sub(self.options.log_segments_per_memtable());
        let retired = background.recyclable.drain(..surplus).collect();
        let segment = background.next_segment;
        background.next_segment += 1;
        Some(Prepare {
            disk: Arc::clone(&self.disk),
            dir: self.dir.clone(),
            options: Arc::clone(&self.options),
            manifest: Arc::clone(&self.manifest),
            numbers: Arc::clone(&self.numbers),
            life: Life::new(
                self.store,
                segment,
                self.options.secret,
                self.options.log_segment_bytes,
                self.log.synced_through(),
            ),
            recycled,
            retired,
        })
    }

    fn flush_job(&mut self) -> Option<Flush> {
        let oldest = self.frozen.front()?;
        if self.background.flushing || self.oldest_frozen_is_unsynced() {
            return None;
        }
        self.background.flushing = true;
        let drops = self.background.drops.iter();
        Some(Flush {
            memtable: Arc::clone(oldest),
            sink: self.table_sink(true),
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            numbers: Arc::clone(&self.numbers),
            manifest: Arc::clone(&self.manifest),
            drops: drops.filter(|(_, sequence)| *sequence <= oldest.last_sequence()).cloned().collect(),
        })
    }

    fn let_go_job(&mut self) -> Option<LetGo> {
        let flushed = std::mem::take(&mut self.background.flushed);
        (!flushed.is_empty()).then_some(LetGo(flushed))
    }

    /// What was just written is likely to be read, so a flush fills the block cache. A compaction does if all tables fit in:
    /// what it moves is then there already, under names that end with it.
    fn table_sink(&self, warm: bool) -> TableSink {
        TableSink {
            disk: Arc::clone(&self.disk),
            dir: self.dir.clone(),
            options: Arc::clone(&self.options),
            store: self.store,
            warm: warm.then(|| Arc::clone(&self.blocks)),
            reports: Arc::clone(&self.reports),
        }
    }

    fn compact_job(&mut self) -> Option<Compact> {
        if self.background.compacting || self.has_unsynced_drop() {
            return None;
        }
        let is_nearly_full = self.room_for_values().is_err();
        let choice = choose_dead(&self.tables)
            .or_else(|| choose(&self.tables, &self.options))
            .or_else(|| choose_partly_dead(&self.tables, is_nearly_full))
            .or_else(|| if is_nearly_full { choose_to_make_room(&self.tables) } else { None });
        choice.map(|choice| self.compaction_of(choice))
    }

    /// A compaction that need not be worth its cost: of all that would be right at this moment the one of this number,
    /// counted round. For tests, since what is read must be the same whichever is chosen.
    pub fn any_compaction_job(&mut self, number: usize) -> Option<BackgroundJob> {
        if self.background.compacting || self.failure.is_some() || self.has_unsynced_drop() {
            return None;
        }
        let choice = any_choice(&self.tables, number)?;
        Some(BackgroundJob(Work::Compact(self.compaction_of(choice))))
    }

    fn compaction_of(&mut self, choice: Choice) -> Compact {
        self.background.compacting = true;
        Compact {
            manifest: Arc::clone(&self.manifest),
            drops: self.background.drops.clone(),
            work: Compaction {
                choice,
                sink: self.table_sink(self.fits_into_block_cache()),
                numbers: Arc::clone(&self.numbers),
                cache: Arc::clone(&self.blocks),
                merge: Arc::clone(&self.merge),
            },
        }
    }

    fn fits_into_block_cache(&self) -> bool {
        let tables: u64 = self.tables.iter().map(|(_, table)| table.meta().bytes).sum();
        tables <= self.options.block_cache_bytes(self.tables.resident_bytes()) as u64
    }

    fn remove_job(&mut self) -> Option<Remove> {
        if self.background.removing {
            return None;
        }
        let obsolete = std::mem::take(&mut self.background.obsolete);
        let (free, held) = obsolete.into_iter().partition(Table::is_let_go_of);
        self.background.obsolete = held;
        let free: Vec<Arc<Table>> = free;
        if free.is_empty() {
            return None;
        }
        self.background.removing = true;
        let paths = free.iter().map(|table| table.path().to_owned()).collect();
        Some(Remove { disk: Arc::clone(&self.disk), paths })
    }

    /// Puts a job's outcome into effect. Memory only.
    pub fn install(&mut self, outcome: BackgroundOutcome) -> Result<Installed, LogError> {
        let kind = outcome.kind();
        let trouble = match outcome.0 {
            Done::Prepared { result, unused } => self.install_segment(result, unused),
            Done::Flushed(result) => self.install_flush(result),
            Done::LetGo => return Ok(Installed::Done),
            Done::Compacted { choice, result } => self.install_compaction(&choice, result),
            Done::Removed => {
                self.background.removing = false;
                Ok(())
            }
            Done::Measured(result) => self.install_space(result),
            Done::Accounted { entry, result } => match self.install_account(entry, result) {
                Ok(installed) => return Ok(installed),
                Err(trouble) => Err(trouble),
            },
        };
        if kind != BackgroundKind::Space {
            self.background.room.has_changed();
        }
        if kind.holds_up_puts() {
            self.background.disk_is_full = matches!(&trouble, Err(Trouble::Again(_)));
        }
        match trouble {
            Ok(()) => Ok(Installed::Done),
            Err(Trouble::Again(error)) => Ok(Installed::Retry(error)),
            Err(Trouble::Unreadable(error)) => Ok(Installed::Unreadable(error)),
            Err(Trouble::Broken(why)) => Err(self.fail(&why)),
        }
    }

    fn install_segment(
        &mut self,
        result: Result<Prepared, Trouble>,
        unused: Vec<SegmentFile>,
    ) -> Result<(), Trouble> {
        self.background.preparing = false;
        self.background.recyclable.extend(unused);
        self.log.set_spare(result?);
        Ok(())
    }

    fn install_flush(&mut self, result: Result<Flushed, Trouble>) -> Result<(), Trouble> {
        self.background.flushing = false;
        let Flushed { table, through } = result?;
        self.background.flushed.extend(self.frozen.pop_front());
        self.background.flushed_through = through;
        self.background.drops.retain(|(_, sequence)| *sequence > through);
        self.counters.flushes += 1;
        self.counters.flushed_bytes += table.iter().map(|table| table.meta().bytes).sum::<u64>();
        let added: Vec<(u8, Arc<Table>)> = table.into_iter().map(|table| (0, table)).collect();
        self.replace_tables(&[], &added);
        Ok(())
    }

    fn install_compaction(
        &mut self,
        choice: &Choice,
        result: Result<Compacted, Trouble>,
    ) -> Result<(), Trouble> {
        self.background.compacting = false;
        // A damaged table has set itself aside; which of several has the value that does not merge, nobody knows.
        if matches!(result, Err(Trouble::Unreadable(ReadError::Merge(_)))) {
            choice.inputs().for_each(|table| table.set_aside());
        }
        let Compacted { tables: outputs, markers_dropped, drops_told } = result?;
        self.background.drops.retain(|drop| !drops_told.contains(drop));
        self.counters.compactions += 1;
        self.counters.markers_dropped += markers_dropped;
        self.counters.compacted_bytes += outputs.iter().map(|table| table.meta().bytes).sum::<u64>();
        let level = choice.output_level();
        let gone: Vec<u64> = choice.inputs().map(|table| table.meta().file).collect();
        let added: Vec<(u8, Arc<Table>)> = outputs.into_iter().map(|table| (level, table)).collect();
        self.background.obsolete.extend(choice.inputs().cloned());
        self.replace_tables(&gone, &added);
        Ok(())
    }

    fn replace_tables(&mut self, gone: &[u64], added: &[(u8, Arc<Table>)]) {
        self.tables = Arc::new(self.tables.edited(gone, added));
        self.forget_drops();
        self.blocks.set_capacity(self.options.block_cache_bytes(self.tables.resident_bytes()));
    }
}

/// Removes a file that nothing names. If that fails the file stays until an opening finds it.
fn remove_quietly(disk: &dyn Disk, path: &Path) {
    drop(disk.remove(path));
}

/// Removes tables that nothing names and nobody reads.
#[derive(Debug)]
struct Remove {
    disk: Arc<dyn Disk>,
    paths: Vec<PathBuf>,
}

impl Remove {
    fn run(self) -> Done {
        for path in &self.paths {
            remove_quietly(&*self.disk, path);
        }
        Done::Removed
    }
}
