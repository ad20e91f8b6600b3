//! How a node's store is divided on disk: a store for each shard, and how their number is changed.
//!
//! The file `division` says how many there are, and which directories are theirs:
//!
//! ```text
//!   0  magic       8 bytes   "HENGEDV1"
//!   8  checksum    u32       CRC-32C of all that follows
//!  12  generation  u32       goes up by one with each change
//!  16  shards      u8
//! ```
//! Little endian, replaced whole. Where there is no such file there is one store, in `store`, of generation 0; the others
//! are `store-GENERATION-SHARD`.
//!
//! What must hold: the file names a division that is complete and durable. A change of the number writes all records into
//! new stores first, then replaces the file, then removes the old stores. Whatever a crash leaves of the other generation
//! is removed at the next start. Of a directory whose stores were opened once, all that the file names are there; where they are
//! not, the file is gone, or an old one that a disk has brought back, and nothing is removed and nothing begun because of it.
//!
//! What a store lacks because of damage its successors lack too. Damage that the copying meets is given up as it is elsewhere: where
//! others have the same (`storage::Options::replicated`), and only there.
//!
//! Why records are copied, and not tables handed over: a table may hold keys of several shards, and one that is shared
//! belongs to nobody's manifest alone. To change how a node uses its cores is rare; it may take as long as reading and
//! writing the data once, and needs room for both copies meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cluster::ClusterState;
use env::disk::DiskErrorKind;
use env::{Disk, DiskError};
use replica::{RecordMerge, store_key};
use storage::{
    BackgroundJob, BackgroundKind, Db, Installed, KeyRange, Kind, LogError, MergeError, Options, PutError,
    ReadError, ScanLimit, ScanOutcome,
};
use types::ShardId;

use crate::checksum::checksum;
use crate::shards::{SHARDS_MAX, Shards, ShardsError};

const MAGIC: &[u8; 8] = b"HENGEDV1";
const FILE: &str = "division";

/// How much is copied between two syncs.
const PAGE: ScanLimit = ScanLimit { entries: 4096, bytes: 4 << 20 };

/// After how many bytes it is said how far a change is.
const SAY_AFTER_BYTES: u64 = 1 << 30;

/// How many shards a node is to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// As many as its directory was made for; so many if it is new.
    AsFound {
        /// For a new directory.
        new: u8,
    },
    /// So many, whatever there was.
    Exactly(u8),
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted::AsFound { new: 1 }
    }
}

/// Why a directory's division cannot be had or changed.
#[derive(Debug, thiserror::Error)]
pub enum DivisionError {
    /// The disk did not do as asked.
    #[error("{0}; see to the disk and start again")]
    Disk(#[from] DiskError),
    /// There cannot be so many shards.
    #[error(transparent)]
    Shards(#[from] ShardsError),
    /// The file is damaged.
    #[error(
        "{} is damaged: {why}. It says how the store beside it is divided: restore the file, or empty the data directory and \
         let this node's peers fill it",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A store is not there.
    #[error(
        "{} is missing or empty, and {} {}; restore the directory as it was, or empty it and let this node's peers fill it",
        store.display(), path.display(),
        if *is_named { "names it" } else { "is not there to name another store" }
    )]
    Gone {
        /// Where it should be.
        store: PathBuf,
        /// The file that says so.
        path: PathBuf,
        /// Whether there is such a file.
        is_named: bool,
    },
    /// A store cannot be opened.
    #[error(transparent)]
    Store(#[from] storage::OpenError),
    /// What is there cannot be read or written anew.
    #[error(
        "{}: the store cannot be divided into {wanted} shards instead of {found}: {why}. Nothing was changed; with node.shards = {found} the node starts as before",
        dir.display()
    )]
    Change {
        /// The data directory.
        dir: PathBuf,
        /// How many there are.
        found: u8,
        /// How many there were to be.
        wanted: u8,
        /// What went wrong.
        why: String,
    },
}

/// What is known of a data directory before its stores are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nobody has named it yet.
    New,
    /// It is somebody's, and its stores may not have been opened yet.
    Named,
    /// Its stores were opened, all of them.
    Opened,
}

/// A division that is complete on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Division {
    generation: u32,
    shards: u8,
}

impl Division {
    /// How many stores there are.
    pub fn shards(self) -> u8 {
        self.shards
    }

    /// Where a shard's store is.
    pub fn store_dir(self, dir: &Path, shard: ShardId) -> PathBuf {
        match (self.generation, shard.0) {
            (0, 0) => dir.join("store"),
            (generation, shard) => dir.join(format!("store-{generation}-{shard}")),
        }
    }

    /// The division of a data directory, changed first if another is wanted. Of a new one the wish for that counts. Whatever is
    /// stored there is kept. Blocks; where there is much to copy, for long.
    ///
    /// # Errors
    /// As [`DivisionError`] says; the directory is then divided as it was.
    pub fn settle(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        known: Known,
        wanted: Wanted,
        state: &ClusterState,
        options: &Options,
    ) -> Result<(Division, Shards), DivisionError> {
        let found = read(disk.as_ref(), dir)?;
        let wanted = match (wanted, found) {
            (Wanted::Exactly(count), _) => count,
            (Wanted::AsFound { new }, None) if known == Known::New => new,
            (Wanted::AsFound { .. }, found) => found.map_or(1, Division::shards),
        };
        let shards = Shards::new(wanted, state.partitions())?;
        let is_named = found.is_some();
        let found = found.unwrap_or(Division { generation: 0, shards: 1 });
        if known == Known::Opened {
            found.check_stores(disk.as_ref(), dir, is_named)?;
        }
        remove_others(disk.as_ref(), dir, found)?;
        if found.shards == wanted {
            return Ok((found, shards));
        }
        let next = Division { generation: found.generation + 1, shards: wanted };
        let copy = Copy { disk, dir, from: found, to: next, shards, state, options };
        copy.run().map_err(|error| error.at(dir, found.shards, wanted))?;
        env::disk::replace(disk.as_ref(), dir, FILE, &next.encode())?;
        remove_others(disk.as_ref(), dir, next)?;
        Ok((next, shards))
    }

    fn check_stores(self, disk: &dyn Disk, dir: &Path, is_named: bool) -> Result<(), DivisionError> {
        for shard in (0..self.shards).map(ShardId) {
            let store = self.store_dir(dir, shard);
            if !has_files(disk, &store)? {
                return Err(DivisionError::Gone { store, path: dir.join(FILE), is_named });
            }
        }
        Ok(())
    }

    fn encode(self) -> Vec<u8> {
        let mut rest = self.generation.to_le_bytes().to_vec();
        rest.push(self.shards);
        [MAGIC.as_slice(), &checksum(&rest).to_le_bytes(), &rest].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Division, &'static str> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or("it is too short")?;
        if magic != MAGIC {
            return Err("it does not begin as a division file of this version does");
        }
        let (expected, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
        if u32::from_le_bytes(*expected) != checksum(rest) {
            return Err("its checksum does not match");
        }
        let (generation, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
        let [shards] = rest else { return Err("its length is not right") };
        Ok(Division { generation: u32::from_le_bytes(*generation), shards: *shards })
    }
}

fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Division>, DivisionError> {
    let path = dir.join(FILE);
    let bytes = env::disk::read_whole(disk, &path)?;
    let division = bytes.map(|bytes| Division::decode(&bytes)).transpose();
    division.map_err(|why| DivisionError::Damaged { path, why })
}

/// Removes what a change that was cut short may have left: of the generation before, and of the one after.
fn remove_others(disk: &dyn Disk, dir: &Path, current: Division) -> Result<(), DiskError> {
    if let Some(before) = current.generation.checked_sub(1) {
        remove_stores(disk, dir, before)?;
    }
    remove_stores(disk, dir, current.generation + 1)
}

fn remove_stores(disk: &dyn Disk, dir: &Path, generation: u32) -> Result<(), DiskError> {
    let any = Division { generation, shards: SHARDS_MAX };
    for shard in (0..SHARDS_MAX).map(ShardId) {
        match disk.remove_dir_all(&any.store_dir(dir, shard)) {
            Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A change of the number of stores.
struct Copy<'a> {
    disk: &'a Arc<dyn Disk>,
    dir: &'a Path,
    from: Division,
    to: Division,
    shards: Shards,
    state: &'a ClusterState,
    options: &'a Options,
}

/// Why records could not be copied.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Open(#[from] storage::OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Put(#[from] PutError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("{0}")]
    Background(String),
    #[error("there is an entry in it whose key is none of ours")]
    Foreign,
}

impl CopyError {
    fn at(self, dir: &Path, found: u8, wanted: u8) -> DivisionError {
        DivisionError::Change { dir: dir.to_owned(), found, wanted, why: self.to_string() }
    }
}

impl Copy<'_> {
    fn run(&self) -> Result<(), CopyError> {
        tracing::info!(
            dir = %self.dir.display(), from = self.from.shards, to = self.to.shards,
            "dividing the store anew; the node serves when that is done"
        );
        let mut targets: Vec<Db> = Vec::new();
        for shard in self.shards.iter() {
            targets.push(self.open(self.to, shard)?);
        }
        let (mut bytes, mut said) = (0, 0);
        for shard in (0..self.from.shards).map(ShardId) {
            if !has_files(self.disk.as_ref(), &self.from.store_dir(self.dir, shard))? {
                continue;
            }
            let mut source = self.open(self.from, shard)?;
            let mut from = Some(Bytes::new());
            while let Some(begin) = from {
                let Page { entries, next } = page(&mut source, &begin)?;
                for (key, value) in entries {
                    bytes += (key.len() + value.len()) as u64;
                    for shard in self.homes(&key)? {
                        put(&mut targets[usize::from(shard.0)], &key, value.clone())?;
                    }
                }
                for target in &mut targets {
                    settle(target)?;
                }
                if bytes - said >= SAY_AFTER_BYTES {
                    said = bytes;
                    tracing::info!(mib = bytes >> 20, "dividing the store anew");
                }
                from = next;
            }
            for range in source.missing().to_vec() {
                // More than what a target has of it does no harm: what is nobody's is not missed.
                targets.iter_mut().try_for_each(|target| target.lose(range.clone()))?;
            }
            source.close()?;
        }
        targets.into_iter().try_for_each(Db::close)?;
        tracing::info!(mib = bytes >> 20, "the store is divided anew");
        Ok(())
    }

    /// The shards that an entry belongs to. What is noted of a partition that was halved since may be of the halves of several.
    fn homes(&self, key: &Bytes) -> Result<BTreeSet<ShardId>, CopyError> {
        let of = self.state.partitions();
        let home = |partition| self.shards.of_partition(partition, of);
        match store_key::parse_mark(key).or_else(|| store_key::parse_note(key)) {
            Some(slots) => Ok(slots.partitions(of).map(home).collect()),
            None => {
                let slot = store_key::slot_of(key).ok_or(CopyError::Foreign)?;
                Ok(BTreeSet::from([home(self.state.partition_of_slot(slot).0)]))
            }
        }
    }

    fn open(&self, division: Division, shard: ShardId) -> Result<Db, storage::OpenError> {
        let options = self.options.clone().divided(usize::from(division.shards));
        let dir = division.store_dir(self.dir, shard);
        let (db, recovery) = Db::open(Arc::clone(self.disk), &dir, options, Arc::new(RecordMerge))?;
        for damaged in recovery.given_up {
            tracing::warn!(store = %dir.display(), why = damaged.why, "is given up, and comes from the other owners");
        }
        Ok(db)
    }
}

fn has_files(disk: &dyn Disk, dir: &Path) -> Result<bool, DiskError> {
    match disk.list(dir) {
        Ok(names) => Ok(!names.is_empty()),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Entries, and where the next begin.
struct Page {
    entries: Vec<(Bytes, Bytes)>,
    next: Option<Bytes>,
}

/// The entries from here on. What is found damaged, and others have, is given up first.
fn page(source: &mut Db, from: &Bytes) -> Result<Page, CopyError> {
    loop {
        match source.scan_what_is_left(KeyRange::new(from, None), PAGE).run() {
            ScanOutcome::Page { entries, next } => return Ok(Page { entries, next }),
            ScanOutcome::Unreadable(error) if !gives_up_damage(source)? => return Err(error.into()),
            ScanOutcome::Unreadable(_) => {}
        }
    }
}

/// Keeps account of what was found damaged. Whether something is known to be lost by it.
fn gives_up_damage(source: &mut Db) -> Result<bool, CopyError> {
    let mut is_lost = false;
    while let Some(job) = source.background_job_of(BackgroundKind::Damage) {
        is_lost |= matches!(install(source, job)?, Installed::Lost { .. });
    }
    Ok(is_lost)
}

fn put(target: &mut Db, key: &[u8], value: Bytes) -> Result<(), CopyError> {
    if target.room_for(key.len() + value.len()).is_err() {
        settle(target)?;
    }
    target.put(key, value, Kind::Full)?;
    Ok(())
}

/// Does all that is due: writes, syncs, flushes, compacts.
fn settle(target: &mut Db) -> Result<(), CopyError> {
    target.write_log()?;
    if let Some(job) = target.sync_job() {
        target.synced(job.run())?;
    }
    while let Some(job) = target.background_job() {
        install(target, job)?;
    }
    Ok(())
}

fn install(db: &mut Db, job: BackgroundJob) -> Result<Installed, CopyError> {
    match db.install(job.run())? {
        Installed::Retry(error) => Err(CopyError::Background(error.to_string())),
        Installed::Unreadable(error) => Err(error.into()),
        done => Ok(done),
    }
}
