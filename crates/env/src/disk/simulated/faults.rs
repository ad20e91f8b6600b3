//! What a test asked to go wrong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::DiskErrorKind;

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Calls that change something, since the disk was made.
    pub(super) changes: u64,
    /// The number of changing calls after which the machine is down.
    pub(super) down_after: Option<u64>,
    pub(super) capacity: Option<u64>,
    pub(super) sync_fails: BTreeSet<PathBuf>,
    /// Whether all syncs fail.
    pub(super) syncs_fail: bool,
    pub(super) read_fails: BTreeSet<PathBuf>,
}

/// What becomes of a call that changes something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is carried out.
    Done,
    /// The machine stops in the midst of it: its effect may or may not survive, and the caller sees an error.
    Interrupted,
    /// The machine is down already.
    Refused,
}

impl Faults {
    pub(super) fn is_down(&self) -> bool {
        self.down_after.is_some_and(|limit| self.changes > limit)
    }

    pub(super) fn next_change(&mut self) -> Fate {
        if self.is_down() {
            return Fate::Refused;
        }
        self.changes += 1;
        if self.is_down() { Fate::Interrupted } else { Fate::Done }
    }

    /// Whether a sync of this file or directory fails.
    pub(super) fn fails_sync(&self, path: &Path) -> bool {
        self.syncs_fail || self.sync_fails.contains(path)
    }

    pub(super) fn on_read(&self, path: &Path) -> Result<(), (DiskErrorKind, &'static str)> {
        if self.is_down() {
            return Err((DiskErrorKind::Io, "the simulated machine is down"));
        }
        if self.read_fails.contains(path) {
            return Err((DiskErrorKind::Io, "simulated read error"));
        }
        Ok(())
    }
}
