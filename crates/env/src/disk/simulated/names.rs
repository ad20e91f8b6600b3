//! The names in simulated directories: those that a program sees, those that a crash leaves, and what lies between.
//!
//! A change of a name is durable when its directory is synced. Until then a crash keeps or loses each change by
//! itself; a rename within one directory stays one change, as journaling file systems promise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::content::Content;
use crate::Rng;

/// A file's content, shared between its names and its open handles.
pub(super) type Inode = Arc<Mutex<Content>>;

#[derive(Clone, Debug)]
enum NameChange {
    Link(PathBuf, Inode),
    Unlink(PathBuf),
    Rename { from: PathBuf, to: PathBuf, inode: Inode },
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, Inode>) {
        match self {
            NameChange::Link(path, inode) => {
                names.insert(path, inode);
            }
            NameChange::Unlink(path) => {
                names.remove(&path);
            }
            NameChange::Rename { from, to, inode } => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }

    fn dir(&self) -> Option<&Path> {
        match self {
            NameChange::Link(path, _) | NameChange::Unlink(path) | NameChange::Rename { to: path, .. } => {
                path.parent()
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Names {
    live: BTreeMap<PathBuf, Inode>,
    durable: BTreeMap<PathBuf, Inode>,
    unsynced: Vec<NameChange>,
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<&Inode> {
        self.live.get(path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Inode)> {
        self.live.iter()
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.live);
        self.unsynced.push(change);
    }

    pub(super) fn link(&mut self, path: &Path, inode: Inode) {
        self.change(NameChange::Link(path.to_owned(), inode));
    }

    pub(super) fn unlink(&mut self, path: &Path) {
        self.change(NameChange::Unlink(path.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, inode: Inode) {
        if from.parent() == to.parent() {
            self.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        } else {
            self.link(to, inode);
            self.unlink(from);
        }
    }

    pub(super) fn sync(&mut self, dir: &Path) {
        let (synced, rest) =
            std::mem::take(&mut self.unsynced).into_iter().partition(|change| change.dir() == Some(dir));
        self.unsynced = rest;
        let synced: Vec<NameChange> = synced;
        for change in synced {
            change.apply(&mut self.durable);
        }
    }

    /// After a crash: the durable names, and of the changes since then those that `keep` says.
    pub(super) fn crash(&mut self, mut keep: impl FnMut() -> bool) {
        for change in std::mem::take(&mut self.unsynced) {
            if keep() {
                change.apply(&mut self.durable);
            }
        }
        self.live.clone_from(&self.durable);
    }

    /// Every file that is left, each once.
    pub(super) fn for_each_file(&mut self, mut act: impl FnMut(&mut Content)) {
        for inode in self.live.values() {
            act(&mut super::locked(inode));
        }
    }

    /// A coin for each change, so that any subset may survive.
    pub(super) fn coin(rng: &mut Rng) -> impl FnMut() -> bool + '_ {
        || rng.chance(1, 2)
    }
}
