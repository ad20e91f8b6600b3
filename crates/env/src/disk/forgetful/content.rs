//! How to undo what was written to files and not synced.
//!
//! What must hold: a file's notes are in the order of its changes, and each says what the change before left, so that undoing
//! them from the last to the first restores what the oldest of them found. Notes belong to the file itself and not to its
//! name or a handle: two handles share them, and a rename takes them along. Their size is bounded: beyond it the file is
//! synced, as a kernel writes back by itself what has become too much. What was nothing but zeros, as in a log's segment that
//! was made ready, is kept as their number.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::super::{DiskError, DiskErrorKind, File};
use super::{locked, refusal};

/// How many bytes a file's notes may take.
const NOTES_BYTES_MAX: usize = 64 << 20;

/// What a note takes beside the bytes in it, about.
const NOTE_BYTES: usize = 64;

/// A file, as all its handles and names share it.
#[derive(Debug)]
pub(super) struct Inode {
    file: Arc<dyn File>,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    notes: VecDeque<Note>,
    /// The number of the oldest; the others' follow.
    first: u64,
    bytes: usize,
    /// How long the file is, where that is known without asking.
    len: Option<u64>,
}

#[derive(Debug)]
struct Note {
    /// How long the file was.
    len: u64,
    /// Where the change began, and what was there.
    offset: u64,
    old: Old,
    /// How many bytes the change wrote.
    written: usize,
}

/// Bytes that may have to be put back.
#[derive(Debug)]
enum Old {
    Zeros(usize),
    Bytes(Vec<u8>),
}

impl Old {
    fn new(bytes: Vec<u8>) -> Old {
        if bytes.iter().all(|&byte| byte == 0) { Old::Zeros(bytes.len()) } else { Old::Bytes(bytes) }
    }

    /// What it takes to keep.
    fn kept_bytes(&self) -> usize {
        match self {
            Old::Zeros(_) => 0,
            Old::Bytes(bytes) => bytes.len(),
        }
    }

    fn write_to(&self, file: &dyn File, offset: u64) -> Result<(), DiskError> {
        match self {
            Old::Zeros(0) => Ok(()),
            Old::Zeros(count) => file.write_all_at(offset, &vec![0; *count]),
            Old::Bytes(bytes) => file.write_all_at(offset, bytes),
        }
    }
}

impl Notes {
    fn push(&mut self, note: Note) {
        self.bytes += note.old.kept_bytes() + NOTE_BYTES;
        self.notes.push_back(note);
    }

    fn next(&self) -> u64 {
        self.first + self.notes.len() as u64
    }

    /// Strikes off those with lower numbers.
    fn strike_off(&mut self, before: u64) {
        while self.first < before
            && let Some(note) = self.notes.pop_front()
        {
            self.first += 1;
            self.bytes -= note.old.kept_bytes() + NOTE_BYTES;
        }
    }
}

impl Inode {
    pub(super) fn file(&self) -> &dyn File {
        self.file.as_ref()
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut notes = locked(&self.notes);
        let end = offset.saturating_add(bytes.len() as u64);
        let len = self.note(&mut notes, offset..end, bytes.len())?;
        self.file.write_all_at(offset, bytes)?;
        notes.len = Some(len.max(end));
        Ok(())
    }

    pub(super) fn set_len(&self, len: u64) -> Result<(), DiskError> {
        let mut notes = locked(&self.notes);
        self.note(&mut notes, len..u64::MAX, 0)?;
        self.file.set_len(len)?;
        notes.len = Some(len);
        Ok(())
    }

    /// Writes go on meanwhile.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        let began = locked(&self.notes).next();
        self.file.sync()?;
        locked(&self.notes).strike_off(began);
        Ok(())
    }

    /// Notes what is there before it is changed; how long the file is.
    fn note(
        &self,
        notes: &mut Notes,
        changed: std::ops::Range<u64>,
        written: usize,
    ) -> Result<u64, DiskError> {
        if notes.bytes > NOTES_BYTES_MAX {
            let began = notes.next();
            self.file.sync()?;
            notes.strike_off(began);
        }
        // Unknown again until the change is known to have been made whole.
        let known = notes.len.take();
        let len = known.map_or_else(|| self.file.len(), Ok)?;
        let there = changed.end.min(len).saturating_sub(changed.start);
        let mut old = vec![0; usize::try_from(there).unwrap_or(usize::MAX)];
        if !old.is_empty() {
            self.file.read_exact_at(changed.start, &mut old)?;
        }
        notes.push(Note { len, offset: changed.start, old: Old::new(old), written });
        Ok(len)
    }

    /// How many bytes were lost.
    fn undo(&self) -> (Result<(), DiskError>, u64) {
        let mut notes = locked(&self.notes);
        let mut lost = 0;
        while let Some(note) = notes.notes.pop_back() {
            lost += note.written as u64;
            let restored = note.old.write_to(self.file.as_ref(), note.offset);
            if let Err(error) = restored.and_then(|()| self.file.set_len(note.len)) {
                return (Err(error), lost);
            }
        }
        (Ok(()), lost)
    }
}

/// By device and number, as the file system tells files apart. One that is kept here is open, so its number is not given to
/// another.
#[derive(Debug, Default)]
pub(super) struct Inodes(BTreeMap<(u64, u64), Arc<Inode>>);

impl Inodes {
    /// The file of this name, which was just opened as `file`.
    pub(super) fn get(&mut self, path: &Path, file: Arc<dyn File>) -> Result<Arc<Inode>, DiskError> {
        // Those that nobody has open any more and that have nothing to undo.
        self.0.retain(|_, inode| Arc::strong_count(inode) > 1 || !locked(&inode.notes).notes.is_empty());
        let id = id_of(path)
            .map_err(|error| refusal(DiskErrorKind::Io, "tell apart", path, &error.to_string()))?;
        let inode = self.0.entry(id).or_insert_with(|| Arc::new(Inode { file, notes: Mutex::default() }));
        Ok(Arc::clone(inode))
    }

    /// The file of this name is about to be gone for good: nothing of it needs to be undone.
    pub(super) fn forget(&mut self, path: &Path) {
        if let Ok(id) = id_of(path) {
            self.0.remove(&id);
        }
    }

    /// The same for all files of a directory.
    pub(super) fn forget_all_in(&mut self, dir: &Path) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            self.forget(&entry.path());
        }
    }

    /// Undoes what was not synced: the first error, and how many bytes were lost.
    pub(super) fn undo(&mut self) -> (Result<(), DiskError>, u64) {
        let undone = std::mem::take(&mut self.0).into_values().map(|inode| inode.undo());
        undone.fold((Ok(()), 0), |(first, sum), (result, lost)| (first.and(result), sum + lost))
    }
}

fn id_of(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
