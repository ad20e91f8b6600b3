//! The operating system's file system, with a power switch: what was not synced can be made to be lost.
//!
//! A process that is killed loses nothing, for the kernel has all that it wrote. To see on real files what a machine loses
//! that stops, the disk keeps notes of how to undo whatever is not durable yet: of bytes and lengths in [`content`], of names
//! in [`names`]. [`ForgetfulDisk::kill`] goes by them. What must hold: after it there is exactly what was synced, as
//! [`SimDisk`](super::SimDisk) has it with [`CrashMode::LoseUnsynced`](super::CrashMode) (a test compares the two); handles
//! of before fail ever after, so that threads that linger change nothing more; and the directory stays locked meanwhile, so
//! that nobody else starts on it.
//!
//! A sync strikes off the notes that were there when it began, and no others: what is written while it runs may or may not be
//! on the medium, so it may as well be lost.

mod content;
mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use self::content::Inodes;
use self::names::Names;
use super::{DirLock, Disk, DiskError, DiskErrorKind, File, RealDisk, Space};

/// A disk that forgets when it is told to. Clones belong to the same process.
#[derive(Clone, Debug, Default)]
pub struct ForgetfulDisk {
    shared: Arc<Shared>,
    /// Of which process's life this is a handle.
    life: u64,
}

#[derive(Debug, Default)]
struct Shared {
    /// Which process lives. Held by each call while it runs.
    life: RwLock<u64>,
    state: Mutex<State>,
    locks: Mutex<BTreeMap<PathBuf, Held>>,
}

#[derive(Debug, Default)]
struct State {
    names: Names,
    inodes: Inodes,
}

/// A directory that is locked.
#[derive(Debug)]
struct Held {
    _lock: Box<dyn DirLock>,
    /// By the process of which life.
    by: u64,
}

/// What was lost with a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lost {
    /// How many bytes had been written and not been synced, those that were written twice counted twice.
    pub bytes: u64,
    /// How many changes of names had been made in directories that were not synced since.
    pub names: u64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dir_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl ForgetfulDisk {
    /// The machine's file system, with nothing to forget yet.
    pub fn new() -> ForgetfulDisk {
        ForgetfulDisk::default()
    }

    /// Ends the life of the process that has this handle: waits for its calls that are under way, fails all others from now
    /// on, and undoes what it had not synced.
    ///
    /// # Errors
    /// The first thing that could not be undone; the rest has been.
    pub fn kill(&self) -> Result<Lost, DiskError> {
        let mut life = self.shared.life.write().unwrap_or_else(PoisonError::into_inner);
        if *life != self.life {
            return Ok(Lost::default());
        }
        *life += 1;
        let mut state = locked(&self.shared.state);
        let (names, names_lost) = state.names.undo();
        let (content, bytes) = state.inodes.undo();
        names.and(content).map(|()| Lost { bytes, names: names_lost })
    }

    /// The disk as the next process finds it.
    pub fn restarted(&self) -> ForgetfulDisk {
        let life = *self.shared.life.read().unwrap_or_else(PoisonError::into_inner);
        ForgetfulDisk { shared: Arc::clone(&self.shared), life }
    }

    /// Held while a call runs.
    fn alive(&self, action: &'static str, path: &Path) -> Result<RwLockReadGuard<'_, u64>, DiskError> {
        let life = self.shared.life.read().unwrap_or_else(PoisonError::into_inner);
        if *life == self.life {
            return Ok(life);
        }
        Err(refusal(DiskErrorKind::Io, action, path, "the process that opened this was killed"))
    }

    fn file(&self, path: &Path, inode: Arc<content::Inode>) -> Arc<dyn File> {
        Arc::new(ForgetfulFile { disk: self.clone(), path: path.to_owned(), inode })
    }
}

fn refusal(kind: DiskErrorKind, action: &'static str, path: &Path, message: &str) -> DiskError {
    DiskError { kind, action, path: path.to_owned(), message: message.to_owned() }
}

impl Disk for ForgetfulDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let _alive = self.alive("create", path)?;
        let state = &mut *locked(&self.shared.state);
        let file = RealDisk.create(path)?;
        state.names.created(path);
        Ok(self.file(path, state.inodes.get(path, file)?))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let _alive = self.alive("open", path)?;
        let state = &mut *locked(&self.shared.state);
        let file = RealDisk.open(path)?;
        Ok(self.file(path, state.inodes.get(path, file)?))
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        let _alive = self.alive("remove", path)?;
        locked(&self.shared.state).names.remove(path)
    }

    /// Within one directory only, which is all that storage asks for.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        let _alive = self.alive("rename", from)?;
        if dir_of(from) != dir_of(to) {
            let why = "this disk renames within one directory only";
            return Err(refusal(DiskErrorKind::Io, "rename", from, why));
        }
        locked(&self.shared.state).names.rename(from, to)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        let _alive = self.alive("list", dir)?;
        locked(&self.shared.state).names.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<(), DiskError> {
        let _alive = self.alive("create directory", dir)?;
        RealDisk.create_dir_all(dir)
    }

    /// Durable at once: a crash may leave any of the files, and so none.
    fn remove_dir_all(&self, dir: &Path) -> Result<(), DiskError> {
        let _alive = self.alive("remove directory", dir)?;
        let state = &mut *locked(&self.shared.state);
        state.inodes.forget_all_in(dir);
        RealDisk.remove_dir_all(dir)?;
        state.names.forget_all_in(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let _alive = self.alive("sync directory", dir)?;
        let began = locked(&self.shared.state).names.next_number();
        RealDisk.sync_dir(dir)?;
        let state = &mut *locked(&self.shared.state);
        for gone in state.names.synced(dir, began) {
            state.inodes.forget(&gone);
            // One that stays is found and removed when its directory is listed.
            let _ = std::fs::remove_file(gone);
        }
        Ok(())
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>, DiskError> {
        let _alive = self.alive("lock", dir)?;
        let mut locks = locked(&self.shared.locks);
        match locks.get_mut(dir) {
            Some(held) if held.by == self.life => {
                return Err(refusal(DiskErrorKind::Locked, "lock", dir, "this process holds it already"));
            }
            Some(held) => held.by = self.life,
            None => {
                let held = Held { _lock: RealDisk.lock_dir(dir)?, by: self.life };
                locks.insert(dir.to_owned(), held);
            }
        }
        Ok(Box::new(ForgetfulLock { disk: self.clone(), dir: dir.to_owned() }))
    }

    fn birthmark(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let _alive = self.alive("look at", path)?;
        RealDisk.birthmark(path)
    }

    fn space(&self, dir: &Path) -> Result<Space, DiskError> {
        let _alive = self.alive("measure the room in", dir)?;
        RealDisk.space(dir)
    }
}

/// Dropped by a process that lives, it frees the directory; what a killed one held stays locked for its successor.
#[derive(Debug)]
struct ForgetfulLock {
    disk: ForgetfulDisk,
    dir: PathBuf,
}

impl DirLock for ForgetfulLock {}

impl Drop for ForgetfulLock {
    fn drop(&mut self) {
        if self.disk.alive("unlock", &self.dir).is_ok() {
            locked(&self.disk.shared.locks).remove(&self.dir);
        }
    }
}

#[derive(Debug)]
struct ForgetfulFile {
    disk: ForgetfulDisk,
    path: PathBuf,
    inode: Arc<content::Inode>,
}

impl File for ForgetfulFile {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let _alive = self.disk.alive("read", &self.path)?;
        self.inode.file().read_exact_at(offset, buffer)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let _alive = self.disk.alive("write", &self.path)?;
        self.inode.write(offset, bytes)
    }

    fn sync(&self) -> Result<(), DiskError> {
        let _alive = self.disk.alive("sync", &self.path)?;
        self.inode.sync()
    }

    fn len(&self) -> Result<u64, DiskError> {
        let _alive = self.disk.alive("read the length of", &self.path)?;
        self.inode.file().len()
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        let _alive = self.disk.alive("set the length of", &self.path)?;
        self.inode.set_len(len)
    }
}

#[cfg(test)]
mod tests;
