//! A file system in memory that forgets what was not synced, and fails when told to.
//!
//! It holds, apart, what a program sees and what the medium holds, for bytes ([`content`]) and for names ([`names`]).
//! [`SimDisk::crash`] makes the two equal again, in the ways that a real machine may. It is deterministic: the only
//! randomness is the [`Rng`] passed to `crash`. Crash the disk, not the program's objects: a program that syncs in a
//! destructor would never seem to lose anything. Handles from before a crash fail ever after, as a dead process's do.
//!
//! The idea is Pebble's `MemFS` and FoundationDB's `AsyncFileNonDurable`.

mod content;
mod faults;
mod names;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DirLock, Disk, DiskError, DiskErrorKind, File, Space};
use crate::Rng;
use content::Content;
use faults::{Fate, Faults};
use names::{Inode, Names};

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashMode {
    /// The process dies and the machine lives on: nothing is lost, and nothing more is durable than before.
    KeepAll,
    /// The machine stops: nothing survives that was not synced.
    LoseUnsynced,
    /// The machine stops: any subset of the unsynced sectors and names survives.
    KeepSome,
}

impl CrashMode {
    /// All of them, for tests that go through every one.
    pub const ALL: [CrashMode; 3] = [CrashMode::KeepAll, CrashMode::LoseUnsynced, CrashMode::KeepSome];
}

/// A simulated disk; clones are handles on the same one.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Raised by each crash; a handle of an earlier one is dead.
    generation: u64,
    /// How many files were ever made.
    births: u64,
    names: Names,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    faults: Faults,
}

/// A test that panicked elsewhere leaves plain data behind, which stays usable.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// An empty disk of boundless capacity without faults.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The machine (or, with [`CrashMode::KeepAll`], the process) stops and starts again: open handles die, locks are
    /// free, an armed [`SimDisk::fail_after`] is disarmed.
    pub fn crash(&self, mode: CrashMode, rng: &mut Rng) {
        let state = &mut *locked(&self.state);
        state.generation += 1;
        state.locked.clear();
        state.faults.down_after = None;
        match mode {
            CrashMode::KeepAll => {}
            CrashMode::LoseUnsynced => {
                state.names.crash(|| false);
                state.names.for_each_file(Content::lose_unsynced);
            }
            CrashMode::KeepSome => {
                state.names.crash(Names::coin(rng));
                state.names.for_each_file(|content| content.keep_some(rng));
            }
        }
    }

    /// How many calls that change something (create, write, sync, rename ...) were made. Reads are not counted: a
    /// crash before a read leaves what a crash before the next change leaves.
    pub fn changes(&self) -> u64 {
        locked(&self.state).faults.changes
    }

    /// Lets `count` more changing calls succeed; the next one is interrupted (its effect may survive, its caller sees
    /// an error) and every call after it fails, until [`SimDisk::crash`].
    pub fn fail_after(&self, count: u64) {
        let faults = &mut locked(&self.state).faults;
        faults.down_after = Some(faults.changes + count);
    }

    /// Whether an armed [`SimDisk::fail_after`] has struck.
    pub fn is_down(&self) -> bool {
        locked(&self.state).faults.is_down()
    }

    /// From now on each sync of this file fails (or no longer does), and the bytes that it should have made durable
    /// never are.
    pub fn fail_sync(&self, path: &Path, fails: bool) {
        set(&mut locked(&self.state).faults.sync_fails, path, fails);
    }

    /// From now on each sync fails (or no longer does, where it does not of its file alone), as [`SimDisk::fail_sync`] says.
    pub fn fail_syncs(&self, fails: bool) {
        locked(&self.state).faults.syncs_fail = fails;
    }

    /// From now on each read of this file fails (or no longer does).
    pub fn fail_reads(&self, path: &Path, fails: bool) {
        set(&mut locked(&self.state).faults.read_fails, path, fails);
    }

    /// How many bytes all files together may have; `None` is no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        locked(&self.state).faults.capacity = bytes;
    }

    /// How many bytes all files together have.
    pub fn used_bytes(&self) -> u64 {
        locked(&self.state).used_bytes()
    }

    /// Flips one bit of a file, on the medium too; false if there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> bool {
        let state = locked(&self.state);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        state.names.get(path).is_some_and(|inode| locked(inode).flip(offset, bit))
    }

    /// What a file holds, as a program would read it.
    pub fn read_file(&self, path: &Path) -> Option<Vec<u8>> {
        locked(&self.state).names.get(path).map(|inode| locked(inode).live().to_vec())
    }

    /// What a file is certain to hold after a crash (if its name survives).
    pub fn read_durable(&self, path: &Path) -> Option<Vec<u8>> {
        locked(&self.state).names.get(path).map(|inode| locked(inode).durable().to_vec())
    }

    /// Replaces what a file holds, on the medium too, or makes the file; it counts as no call.
    pub fn write_file(&self, path: &Path, bytes: Vec<u8>) {
        let state = &mut *locked(&self.state);
        if state.names.get(path).is_none() {
            let inode = state.new_file();
            state.names.link(path, inode);
            let dir = path.parent().unwrap_or(Path::new("")).to_owned();
            state.names.sync(&dir);
            state.dirs.insert(dir);
        }
        if let Some(inode) = state.names.get(path) {
            locked(inode).overwrite(bytes);
        }
    }

    /// Every file's path, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        locked(&self.state).names.iter().map(|(path, _)| path.clone()).collect()
    }

    /// All files as a program would read them, to be put back later.
    pub fn image(&self) -> Image {
        let state = locked(&self.state);
        let file = |(path, inode): (&PathBuf, &Inode)| {
            let content = locked(inode);
            (path.clone(), content.live().to_vec(), content.birthmark())
        };
        Image { files: state.names.iter().map(file).collect() }
    }

    /// Puts these files in the place of all that the disk holds, on the medium too; it counts as no call. They are copies, and
    /// so other files than those that the image was made of, or those themselves, where a whole volume is rolled back.
    pub fn put_back(&self, image: &Image, are_copies: bool) {
        let state = &mut *locked(&self.state);
        state.names = Names::default();
        let latest = image.files.iter().map(|(.., birthmark)| *birthmark).max().unwrap_or(0);
        state.births = state.births.max(latest);
        state.faults.read_fails.clear();
        state.faults.sync_fails.clear();
        for (path, bytes, birthmark) in &image.files {
            state.dirs.extend(path.ancestors().skip(1).map(Path::to_owned));
            let inode =
                if are_copies { state.new_file() } else { Arc::new(Mutex::new(Content::new(*birthmark))) };
            locked(&inode).overwrite(bytes.clone());
            state.names.link(path, inode);
        }
        let dirs: Vec<PathBuf> = state.dirs.iter().cloned().collect();
        dirs.iter().for_each(|dir| state.names.sync(dir));
    }

    fn handle(&self, path: &Path, inode: Inode, generation: u64) -> Arc<dyn File> {
        Arc::new(SimFile { disk: self.clone(), path: path.to_owned(), inode, generation })
    }
}

/// What a disk held at some time. The default is an empty one.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Their bytes, and what tells them from other files.
    files: Vec<(PathBuf, Vec<u8>, u64)>,
}

fn set(paths: &mut BTreeSet<PathBuf>, path: &Path, member: bool) {
    if member {
        paths.insert(path.to_owned());
    } else {
        paths.remove(path);
    }
}

fn error(kind: DiskErrorKind, action: &'static str, path: &Path, message: &str) -> DiskError {
    DiskError { kind, action, path: path.to_owned(), message: message.to_owned() }
}

fn not_found(action: &'static str, path: &Path) -> DiskError {
    error(DiskErrorKind::NotFound, action, path, "no such file or directory")
}

impl State {
    fn new_file(&mut self) -> Inode {
        self.births += 1;
        Arc::new(Mutex::new(Content::new(self.births)))
    }

    fn used_bytes(&self) -> u64 {
        self.names.iter().map(|(_, inode)| locked(inode).live().len() as u64).sum()
    }

    /// Carries out a change, or fails as the faults say; an interrupted change takes place and is reported failed.
    fn change<T>(
        &mut self,
        action: &'static str,
        path: &Path,
        act: impl FnOnce(&mut State) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let down = || error(DiskErrorKind::Io, action, path, "the simulated machine is down");
        match self.faults.next_change() {
            Fate::Done => act(self),
            Fate::Interrupted => act(self).and_then(|_| Err(down())),
            Fate::Refused => Err(down()),
        }
    }

    fn check_read(&self, action: &'static str, path: &Path) -> Result<(), DiskError> {
        self.faults.on_read(path).map_err(|(kind, message)| error(kind, action, path, message))
    }

    fn check_dir_of(&self, action: &'static str, path: &Path) -> Result<(), DiskError> {
        let dir = path.parent().unwrap_or(Path::new(""));
        if self.dirs.contains(dir) { Ok(()) } else { Err(not_found(action, dir)) }
    }

    /// How many bytes may still be added; zero if there are too many already.
    fn room(&self) -> u64 {
        self.faults.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()))
    }

    fn check_room(&self, action: &'static str, path: &Path, grown_by: u64) -> Result<(), DiskError> {
        if grown_by <= self.room() {
            return Ok(());
        }
        Err(error(DiskErrorKind::Full, action, path, "no space left on simulated device"))
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let state = &mut *locked(&self.state);
        let inode = state.change("create", path, |state| {
            state.check_dir_of("create", path)?;
            if state.names.get(path).is_some() {
                return Err(error(DiskErrorKind::Exists, "create", path, "file exists"));
            }
            let inode = state.new_file();
            state.names.link(path, Arc::clone(&inode));
            Ok(inode)
        })?;
        Ok(self.handle(path, inode, state.generation))
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>, DiskError> {
        let state = locked(&self.state);
        state.check_read("open", path)?;
        let inode = state.names.get(path).ok_or_else(|| not_found("open", path))?;
        Ok(self.handle(path, Arc::clone(inode), state.generation))
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        locked(&self.state).change("remove", path, |state| {
            state.names.get(path).ok_or_else(|| not_found("remove", path))?;
            state.names.unlink(path);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        locked(&self.state).change("rename", from, |state| {
            state.check_dir_of("rename", to)?;
            let inode = state.names.get(from).ok_or_else(|| not_found("rename", from))?;
            let inode = Arc::clone(inode);
            state.names.rename(from, to, inode);
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        let state = locked(&self.state);
        state.check_read("list", dir)?;
        if !state.dirs.contains(dir) {
            return Err(not_found("list", dir));
        }
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(inside.filter_map(|(path, _)| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    /// Directories are durable at once: storage makes them before anything that could be lost.
    fn create_dir_all(&self, dir: &Path) -> Result<(), DiskError> {
        locked(&self.state).change("create directory", dir, |state| {
            state.dirs.extend(dir.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    /// The directory stays as an empty one; who lists it finds nothing.
    fn remove_dir_all(&self, dir: &Path) -> Result<(), DiskError> {
        for name in self.list(dir)? {
            self.remove(&dir.join(name))?;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), DiskError> {
        let state = &mut *locked(&self.state);
        if state.faults.fails_sync(dir) {
            return Err(error(DiskErrorKind::Io, "sync directory", dir, "simulated sync error"));
        }
        state.change("sync directory", dir, |state| {
            if !state.dirs.contains(dir) {
                return Err(not_found("sync directory", dir));
            }
            state.names.sync(dir);
            Ok(())
        })
    }

    fn lock_dir(&self, dir: &Path) -> Result<Box<dyn DirLock>, DiskError> {
        let mut state = locked(&self.state);
        state.check_read("lock", dir)?;
        if !state.dirs.contains(dir) {
            return Err(not_found("lock", dir));
        }
        if !state.locked.insert(dir.to_owned()) {
            return Err(error(DiskErrorKind::Locked, "lock", dir, "held by another simulated process"));
        }
        let generation = state.generation;
        Ok(Box::new(SimLock { disk: self.clone(), dir: dir.to_owned(), generation }))
    }

    fn birthmark(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let state = locked(&self.state);
        state.check_read("look at", path)?;
        let inode = state.names.get(path).ok_or_else(|| not_found("look at", path))?;
        Ok(Some(locked(inode).birthmark()))
    }

    fn space(&self, dir: &Path) -> Result<Space, DiskError> {
        let state = locked(&self.state);
        state.check_read("measure the room in", dir)?;
        Ok(Space { free_bytes: state.room(), total_bytes: state.faults.capacity.unwrap_or(u64::MAX) })
    }
}

/// Dropping it frees the directory, unless a crash has freed it before.
#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    dir: PathBuf,
    generation: u64,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = locked(&self.disk.state);
        if state.generation == self.generation {
            state.locked.remove(&self.dir);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: Inode,
    generation: u64,
}

impl SimFile {
    /// The disk's state, if this handle's process is still alive.
    fn state(&self, action: &'static str) -> Result<MutexGuard<'_, State>, DiskError> {
        let state = locked(&self.disk.state);
        if state.generation == self.generation {
            return Ok(state);
        }
        Err(error(DiskErrorKind::Io, action, &self.path, "this handle's process died in a simulated crash"))
    }
}

/// A file offset as an index; beyond the address space there is nothing to read or write.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl File for SimFile {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let state = self.state("read")?;
        state.check_read("read", &self.path)?;
        let content = locked(&self.inode);
        let start = index(offset);
        let found = start.checked_add(buffer.len()).and_then(|end| content.live().get(start..end));
        let found =
            found.ok_or_else(|| error(DiskErrorKind::Short, "read", &self.path, "the file ends before"))?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    /// A full disk takes what fits, as a real one does.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.state("write")?.change("write", &self.path, |state| {
            let end = offset + bytes.len() as u64;
            let grown_by = end.saturating_sub(locked(&self.inode).live().len() as u64);
            let refused = state.check_room("write", &self.path, grown_by);
            let lacking = if refused.is_err() { grown_by - state.room().min(grown_by) } else { 0 };
            let fitting = bytes.len() - index(lacking).min(bytes.len());
            if fitting > 0 {
                locked(&self.inode).write(index(offset), &bytes[..fitting]);
            }
            refused
        })
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.state("sync")?;
        if state.faults.fails_sync(&self.path) {
            locked(&self.inode).fail_sync();
            return Err(error(DiskErrorKind::Io, "sync", &self.path, "simulated sync error"));
        }
        match state.faults.next_change() {
            Fate::Done => {
                locked(&self.inode).sync();
                Ok(())
            }
            // What an interrupted sync got to the medium is for the crash's mode to say.
            Fate::Interrupted | Fate::Refused => {
                Err(error(DiskErrorKind::Io, "sync", &self.path, "the simulated machine is down"))
            }
        }
    }

    fn len(&self) -> Result<u64, DiskError> {
        let state = self.state("read the length of")?;
        state.check_read("read the length of", &self.path)?;
        Ok(locked(&self.inode).live().len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.state("set the length of")?.change("set the length of", &self.path, |state| {
            let grown_by = len.saturating_sub(locked(&self.inode).live().len() as u64);
            state.check_room("set the length of", &self.path, grown_by)?;
            locked(&self.inode).set_len(index(len));
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "simulated/tests.rs"]
mod tests;
