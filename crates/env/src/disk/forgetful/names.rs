//! How to undo changes of names in directories that were not synced since.
//!
//! What must hold: undone from the last to the first, changes of one directory leave its names as they were when it was last
//! synced, and the files under them. So a file whose removal may have to be undone keeps a hidden name; a rename that
//! replaces a file gives that one a hidden name first, and remains one step for whoever looks on: if this process itself is
//! killed in between, there is the old file or the new one. Hidden names that a process has left behind are removed when
//! their directory is listed.

use std::io;
use std::path::{Path, PathBuf};

use super::super::{Disk, DiskError, DiskErrorKind, RealDisk};
use super::{dir_of, refusal};

/// What hidden names begin with.
const HIDDEN: &str = ".unsynced-";

#[derive(Debug)]
enum Change {
    Created(PathBuf),
    /// The file has this hidden name now.
    Removed {
        path: PathBuf,
        hidden: PathBuf,
    },
    /// The file that had the new name before has this hidden one.
    Renamed {
        from: PathBuf,
        to: PathBuf,
        replaced: Option<PathBuf>,
    },
}

impl Change {
    fn dir(&self) -> &Path {
        match self {
            Change::Created(path) | Change::Removed { path, .. } | Change::Renamed { to: path, .. } => {
                dir_of(path)
            }
        }
    }

    /// The hidden name that it needs for being undone.
    fn hidden(&self) -> Option<&PathBuf> {
        match self {
            Change::Created(_) => None,
            Change::Removed { hidden, .. } => Some(hidden),
            Change::Renamed { replaced, .. } => replaced.as_ref(),
        }
    }

    fn undo(self) -> Result<(), DiskError> {
        match self {
            Change::Created(path) => RealDisk.remove(&path),
            Change::Removed { path, hidden } => RealDisk.rename(&hidden, &path),
            Change::Renamed { from, to, replaced } => {
                RealDisk.rename(&to, &from)?;
                replaced.map_or(Ok(()), |hidden| RealDisk.rename(&hidden, &to))
            }
        }
    }
}

/// All changes that may have to be undone, each with its number, from the oldest to the last.
#[derive(Debug, Default)]
pub(super) struct Names {
    changes: Vec<(u64, Change)>,
    next: u64,
}

impl Names {
    /// The number of the next change.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    fn push(&mut self, change: Change) {
        self.changes.push((self.next, change));
        self.next += 1;
    }

    fn hidden_in(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{HIDDEN}{}", self.next))
    }

    pub(super) fn created(&mut self, path: &Path) {
        self.push(Change::Created(path.to_owned()));
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<(), DiskError> {
        let hidden = self.hidden_in(dir_of(path));
        RealDisk.rename(path, &hidden).map_err(|error| DiskError { action: "remove", ..error })?;
        self.push(Change::Removed { path: path.to_owned(), hidden });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), DiskError> {
        if from == to {
            return RealDisk.open(from).map(drop);
        }
        let hidden = self.hidden_in(dir_of(to));
        let replaced = link(to, &hidden)?.then_some(hidden);
        if let Err(error) = RealDisk.rename(from, to) {
            // It is no more than a second name, which would be removed when the directory is next listed.
            replaced.map(std::fs::remove_file);
            return Err(error);
        }
        self.push(Change::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(())
    }

    pub(super) fn list(&self, dir: &Path) -> Result<Vec<String>, DiskError> {
        let (hidden, shown) =
            RealDisk.list(dir)?.into_iter().partition::<Vec<_>, _>(|name| name.starts_with(HIDDEN));
        for name in hidden {
            let path = dir.join(name);
            if !self.changes.iter().any(|(_, change)| change.hidden() == Some(&path)) {
                RealDisk.remove(&path)?;
            }
        }
        Ok(shown)
    }

    /// A sync of a directory that began at this number is done: the files that are gone for good, by their hidden names.
    pub(super) fn synced(&mut self, dir: &Path, began: u64) -> Vec<PathBuf> {
        let is_durable = |(number, change): &mut (u64, Change)| *number < began && change.dir() == dir;
        let durable = self.changes.extract_if(.., is_durable);
        durable.filter_map(|(_, change)| change.hidden().cloned()).collect()
    }

    /// A directory is gone, with all that is in it.
    pub(super) fn forget_all_in(&mut self, dir: &Path) {
        self.changes.retain(|(_, change)| !change.dir().starts_with(dir));
    }

    /// Undoes what was not synced: the first error, and how many changes there were.
    pub(super) fn undo(&mut self) -> (Result<(), DiskError>, u64) {
        let changes = std::mem::take(&mut self.changes);
        let count = changes.len() as u64;
        let results = changes.into_iter().rev().map(|(_, change)| change.undo());
        (results.fold(Ok(()), Result::and), count)
    }
}

/// Gives a file a second name; false where there is no such file.
fn link(path: &Path, second: &Path) -> Result<bool, DiskError> {
    let _ = std::fs::remove_file(second); // One of this name was left behind by an earlier process.
    match std::fs::hard_link(path, second) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let why =
                format!("{error}; a file that is replaced needs a second name (a hard link) until then");
            Err(refusal(DiskErrorKind::Io, "keep", path, &why))
        }
    }
}
