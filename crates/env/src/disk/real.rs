//! The operating system's file system.
//!
//! Positioned reads and writes only, so that a file has no cursor that two threads could fight over. A sync is
//! `fdatasync`: it makes the bytes and the length durable, and leaves out the times, which nobody needs and which
//! would cost a second journal write. A directory is synced through a handle on the directory itself (fsync(2):
//! "calling fsync() does not necessarily ensure that the entry in the directory containing the file has also reached
//! disk"). The directory's lock is advisory and ends with the process, so a crash leaves nothing to clean up.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{DirLock, Disk, DiskError, DiskErrorKind, File, Space};

/// The name of the file whose lock stands for the directory's.
const LOCK_FILE: &str = "LOCK";

/// The operating system's file system; paths are as the operating system takes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path);
        Ok(RealFile::shared(file.map_err(|e| failure("create", path, &e))?, path))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path);
        Ok(RealFile::shared(file.map_err(|e| failure("open", path, &e))?, path))
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_file(path).map_err(|e| failure("remove", path, &e))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::rename(from, to).map_err(|e| failure("rename", from, &e))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        let mut names = list_files(dir).map_err(|e| failure("list", dir, &e))?;
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<(), DiskError> {
        fs::create_dir_all(dir).map_err(|e| failure("create directory", dir, &e))
    }

    fn remove_dir_all(&self, dir: &Path) -> Result<(), DiskError> {
        fs::remove_dir_all(dir).map_err(|e| failure("remove directory", dir, &e))
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let handle = fs::File::open(dir).map_err(|e| failure("open directory", dir, &e))?;
        handle.sync_all().map_err(|e| failure("sync directory", dir, &e))
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>, DiskError> {
        let path = dir.join(LOCK_FILE);
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|e| failure("open lock", &path, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Err(DiskError {
                kind: DiskErrorKind::Locked,
                action: "lock",
                path,
                message:
                    "another process holds this directory; stop it, or give this one a directory of its own"
                        .to_owned(),
            }),
            Err(fs::TryLockError::Error(e)) => Err(failure("lock", &path, &e)),
        }
    }

    /// Of the inode's number and the time of its birth: numbers are used again, and times may be equal, but hardly both.
    fn birthmark(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let found = fs::metadata(path).map_err(|e| failure("look at", path, &e))?;
        // Not every file system keeps it.
        let Ok(born) = found.created() else { return Ok(None) };
        let since = born.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let nanos = since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(since.subsec_nanos().into());
        Ok(Some(found.ino().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ nanos))
    }

    /// As statvfs(3) tells it; free is what is left to users without privileges, whoever asks.
    fn space(&self, dir: &Path) -> Result<Space, DiskError> {
        let found = rustix::fs::statvfs(dir).map_err(|e| failure("measure the room in", dir, &e.into()))?;
        Ok(Space {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

/// The plain files in a directory. The lock's file is the seam's own and is not shown.
fn list_files(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != LOCK_FILE {
            names.push(name);
        }
    }
    Ok(names)
}

/// Dropping the handle gives up the lock (flock(2)).
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl DirLock for RealLock {}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    path: PathBuf,
}

impl RealFile {
    fn shared(file: fs::File, path: &Path) -> Arc<dyn File> {
        Arc::new(RealFile { file, path: path.to_owned() })
    }
}

impl File for RealFile {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_exact_at(buffer, offset).map_err(|e| failure("read", &self.path, &e))
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all_at(bytes, offset).map_err(|e| failure("write", &self.path, &e))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(|e| failure("sync", &self.path, &e))
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.file.metadata().map_err(|e| failure("read the length of", &self.path, &e))?.len())
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.file.set_len(len).map_err(|e| failure("set the length of", &self.path, &e))
    }
}

fn failure(action: &'static str, path: &Path, error: &io::Error) -> DiskError {
    DiskError { kind: kind_of(error), action, path: path.to_owned(), message: error.to_string() }
}

fn kind_of(error: &io::Error) -> DiskErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => DiskErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => DiskErrorKind::Exists,
        io::ErrorKind::UnexpectedEof => DiskErrorKind::Short,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::Full,
        _ => DiskErrorKind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made and removed by each test; its name is the test's own.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let dir = std::env::temp_dir().join(format!("henge-env-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Scratch(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn what_is_written_is_read_and_listed() {
        let scratch = Scratch::new("write");
        let path = scratch.0.join("a");
        let file = RealDisk.create(&path).unwrap();
        file.write_all_at(3, b"xyz").unwrap();
        file.sync().unwrap();
        RealDisk.sync_dir(&scratch.0).unwrap();
        let mut read = [1; 6];
        RealDisk.open(&path).unwrap().read_exact_at(0, &mut read).unwrap();
        assert_eq!(&read, b"\0\0\0xyz");
        assert_eq!(RealDisk.list(&scratch.0).unwrap(), ["a"]);
        assert_eq!(file.len().unwrap(), 6);
    }

    #[test]
    fn errors_are_of_the_kind_that_a_caller_reacts_to() {
        let scratch = Scratch::new("errors");
        let path = scratch.0.join("a");
        assert_eq!(RealDisk.open(&path).unwrap_err().kind, DiskErrorKind::NotFound);
        let file = RealDisk.create(&path).unwrap();
        assert_eq!(RealDisk.create(&path).unwrap_err().kind, DiskErrorKind::Exists);
        assert_eq!(file.read_exact_at(0, &mut [0]).unwrap_err().kind, DiskErrorKind::Short);
    }

    #[test]
    fn a_copy_is_another_file_and_one_that_was_moved_is_not() {
        let scratch = Scratch::new("birthmark");
        let [path, moved, copy] = ["a", "b", "c"].map(|name| scratch.0.join(name));
        RealDisk.create(&path).unwrap();
        let born = RealDisk.birthmark(&path).unwrap();
        fs::copy(&path, &copy).unwrap();
        RealDisk.rename(&path, &moved).unwrap();
        assert_eq!(RealDisk.birthmark(&moved).unwrap(), born);
        assert!(born.is_none() || RealDisk.birthmark(&copy).unwrap() != born);
        assert_eq!(RealDisk.birthmark(&path).unwrap_err().kind, DiskErrorKind::NotFound);
    }

    #[test]
    fn what_is_free_is_no_more_than_what_there_is() {
        let scratch = Scratch::new("space");
        let space = RealDisk.space(&scratch.0).unwrap();
        assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        assert_eq!(RealDisk.space(&scratch.0.join("a")).unwrap_err().kind, DiskErrorKind::NotFound);
    }

    #[test]
    fn a_directory_has_one_holder() {
        let scratch = Scratch::new("lock");
        let held = RealDisk.lock_dir(&scratch.0).unwrap();
        assert_eq!(RealDisk.lock_dir(&scratch.0).unwrap_err().kind, DiskErrorKind::Locked);
        drop(held);
        assert!(RealDisk.lock_dir(&scratch.0).is_ok());
    }
}
