//! What the tests of the whole engine share: a merge whose outcome shows its history, and a driver that runs jobs.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part, and a test may stop at surprises"
)]

pub(crate) mod script;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::SimDisk;
use storage::{
    BackgroundJob, BackgroundKind, Db, Installed, KeyRange, Lookup, Merge, MergeError, OpenError, Options,
    Recovery, ScanLimit, ScanOutcome,
};

/// Joins values by writing the newer behind the older: associative, and a lost or doubled operand shows.
pub(crate) struct Append;

impl Merge for Append {
    fn merge(&self, _key: &[u8], older: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok([older, newer].concat())
    }

    fn may_drop(&self, _key: &[u8], value: &[u8]) -> bool {
        value == TOMBSTONE
    }
}

/// A value that a bottom compaction may drop. Reads count it as absent, so that dropping it shows nowhere.
pub(crate) const TOMBSTONE: &[u8] = b"!gone";

pub(crate) fn dir() -> PathBuf {
    PathBuf::from("data/shard")
}

pub(crate) fn open_with(disk: &SimDisk, options: Options) -> Result<(Db, Recovery), OpenError> {
    Db::open(Arc::new(disk.clone()), &dir(), options, Arc::new(Append))
}

pub(crate) fn open(disk: &SimDisk) -> Result<(Db, Recovery), OpenError> {
    open_with(disk, Options::tiny())
}

/// Reads through to the disk; a tombstone is absent.
pub(crate) fn get(db: &mut Db, key: &[u8]) -> Result<Option<Bytes>, String> {
    let mut lookup = db.get(key);
    loop {
        match lookup {
            Lookup::Found(value) if value == TOMBSTONE => return Ok(None),
            Lookup::Found(value) => return Ok(Some(value)),
            Lookup::Absent => return Ok(None),
            Lookup::Cold(job) => lookup = db.complete(job.run()),
            Lookup::Unreadable(error) => return Err(error.to_string()),
        }
    }
}

/// Every entry of the database but tombstones, read in pages of `page` entries.
pub(crate) fn scan_all(db: &Db, page: usize) -> Result<Vec<(Bytes, Bytes)>, String> {
    let (mut all, mut range) = (Vec::new(), KeyRange::all());
    loop {
        match db.scan(range.clone(), ScanLimit { entries: page, bytes: 1 << 20 }).run() {
            ScanOutcome::Page { entries, next } => {
                assert!(entries.len() <= page);
                all.extend(entries.into_iter().filter(|(_, value)| value != TOMBSTONE));
                match next {
                    Some(next) => range.start = next,
                    None => return Ok(all),
                }
            }
            ScanOutcome::Unreadable(error) => return Err(error.to_string()),
        }
    }
}

/// Makes everything put so far durable.
pub(crate) fn sync(db: &mut Db) -> Result<(), String> {
    db.write_log().map_err(|e| e.to_string())?;
    if let Some(job) = db.sync_job() {
        db.synced(job.run()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Runs background jobs until there are none, or until the disk refuses one.
pub(crate) fn settle(db: &mut Db) -> Result<(), String> {
    while let Some(job) = db.background_job() {
        carry_out(db, job)?;
    }
    Ok(())
}

fn carry_out(db: &mut Db, job: BackgroundJob) -> Result<(), String> {
    match db.install(job.run()).map_err(|e| e.to_string())? {
        Installed::Done | Installed::Lost { .. } => Ok(()),
        Installed::Retry(error) => Err(error.to_string()),
        Installed::Unreadable(error) => Err(error.to_string()),
    }
}

/// Carries out a compaction, whether it is worth it or not; false where none can be done.
pub(crate) fn compact_any(db: &mut Db, number: usize) -> Result<bool, String> {
    match db.any_compaction_job(number) {
        Some(job) => carry_out(db, job).map(|()| true),
        None => Ok(false),
    }
}

/// Makes a table of what is in memory.
pub(crate) fn flush(db: &mut Db) {
    sync(db).unwrap();
    db.freeze();
    while let Some(job) = db.background_job_of(BackgroundKind::Flush) {
        carry_out(db, job).unwrap();
    }
}

/// Moves everything down to the deepest level.
pub(crate) fn compact_to_the_bottom(db: &mut Db) {
    while compact_any(db, 0).unwrap() {}
}

/// The one file in the directory whose name begins so, the last by name if there are several.
pub(crate) fn file(disk: &SimDisk, prefix: &str) -> PathBuf {
    let is =
        |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    disk.paths().iter().rfind(is).unwrap_or_else(|| panic!("no {prefix}* in {:?}", disk.paths())).clone()
}

pub(crate) fn is_in_data_dir(path: &Path) -> bool {
    path.starts_with(dir())
}
