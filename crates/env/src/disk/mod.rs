//! The seam to the disk: what storage may ask of a file system, and nothing more.
//!
//! What must hold on either side: bytes are durable only after `sync` of their file returned `Ok`, and a name is
//! durable only after [`Disk::sync_dir`] of its directory did. Whoever writes must assume that everything else is lost,
//! in any subset and any order, when the machine stops. An error of `sync` is final for that file: the kernel may have
//! dropped the pages, and a second try that "succeeds" proves nothing (INVARIANTS A4).
//!
//! Calls are synchronous: storage runs them on threads of its own choosing; under the simulator they take no real time.

mod forgetful;
mod real;
mod simulated;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use forgetful::{ForgetfulDisk, Lost};
pub use real::RealDisk;
pub use simulated::{CrashMode, Image, SimDisk};

/// A file system, or a directory that plays one.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Creates a file for reading and writing; an error if the name exists.
    fn create(&self, path: &Path) -> Result<Arc<dyn File>, DiskError>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError>;
    /// Removes a name. Open handles keep working.
    fn remove(&self, path: &Path) -> Result<(), DiskError>;
    /// Renames, replacing what had the new name. Durable after both directories are synced.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError>;
    /// The names of the files in a directory, sorted; directories are left out.
    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError>;
    /// Creates a directory and those above it.
    fn create_dir_all(&self, dir: &Path) -> Result<(), DiskError>;
    /// Removes a directory and all files in it. A crash may leave any of them.
    fn remove_dir_all(&self, dir: &Path) -> Result<(), DiskError>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError>;
    /// Takes the directory for this process alone until the guard is dropped; an error of kind
    /// [`DiskErrorKind::Locked`] if another holds it.
    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>, DiskError>;
    /// A number that a file has for as long as it is this file, under whatever name, and that a copy of it does not have.
    /// Nothing where the file system cannot say. A volume that is rolled back as a whole keeps the numbers of its files.
    fn birthmark(&self, path: &Path) -> Result<Option<u64>, DiskError>;
    /// How much room there is where this directory is.
    fn space(&self, dir: &Path) -> Result<Space, DiskError>;
}

/// The room of a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// What this process may still write, in bytes.
    pub free_bytes: u64,
    /// All that it has, in bytes.
    pub total_bytes: u64,
}

/// Puts a small file into the place of the one of this name, whole and durable: written as `NAME.new`, synced, renamed, and
/// the directory synced. After a crash there is the old one or the new one.
///
/// # Errors
/// What the disk said; then the old file may or may not have been replaced, and is whole either way.
pub fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let draft = dir.join(format!("{name}.new"));
    match disk.remove(&draft) {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&draft)?;
    file.write_all_at(0, bytes)?;
    file.sync()?;
    disk.rename(&draft, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// All of a small file; nothing where there is none.
///
/// # Errors
/// What the disk said.
pub fn read_whole(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
    file.read_exact_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Held as long as a directory is ours.
pub trait DirLock: Send + Sync + fmt::Debug {}

/// An open file. All offsets are in bytes from its start.
pub trait File: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset`; [`DiskErrorKind::Short`] if the file ends first.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;
    /// Writes all of `bytes` at `offset`, growing the file if needed.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Makes the file's bytes and its length durable (fdatasync).
    fn sync(&self) -> Result<(), DiskError>;
    /// How long the file is, in bytes.
    fn len(&self) -> Result<u64, DiskError>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }
    /// Cuts or grows (with zeros) the file to this length.
    fn set_len(&self, len: u64) -> Result<(), DiskError>;
}

/// What a caller may react to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskErrorKind {
    /// The name does not exist.
    NotFound,
    /// The name exists already.
    Exists,
    /// A read went beyond the end of the file.
    Short,
    /// The device has no room left.
    Full,
    /// Another process holds the directory.
    Locked,
    /// Anything else; for a write or a sync, the end of this file's use.
    Io,
}

/// A failed call: what was asked, of which file, and what came of it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{action} {}: {message}", path.display())]
pub struct DiskError {
    /// What a caller may react to.
    pub kind: DiskErrorKind,
    /// What was tried, as a verb: `read`, `sync`.
    pub action: &'static str,
    /// Of which file or directory.
    pub path: PathBuf,
    /// The system's own words.
    pub message: String,
}
