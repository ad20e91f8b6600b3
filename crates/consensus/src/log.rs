//! The log in memory, as the library reads it: a snapshot, and the entries around and after it.
//!
//! It holds what is on its way to the disk as well. What is there already the library knows from `on_persist_ready`, and it
//! counts and applies nothing before that.

use std::cell::Cell;
use std::collections::VecDeque;

use raft::eraftpb;
use raft::{GetEntriesContext, RaftState, StorageError};

use crate::convert;
use crate::entry::{Entry, HardState, Position, Snapshot};
use crate::membership::{MemberId, Membership};
use crate::stored::Stored;

/// What an entry takes beside its data, at the most, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 24;

pub(crate) struct Log {
    /// Only read when the library starts: with what, and who the members are at the entry that was applied last.
    start: (HardState, Membership),
    snapshot: Option<Snapshot>,
    /// The position before the first entry.
    before: Position,
    entries: VecDeque<Entry>,
    entry_bytes: usize,
    /// Whether somebody must have a snapshot that this one does not do for.
    wants_snapshot: Cell<bool>,
}

impl Log {
    pub(crate) fn new(stored: Stored, hard_state: HardState, membership: Membership) -> Log {
        let Stored { snapshot, before, entries, .. } = stored;
        let entry_bytes = entries.iter().map(|entry| entry.payload.bytes()).sum();
        Log {
            start: (hard_state, membership),
            snapshot,
            before,
            entries: entries.into(),
            entry_bytes,
            wants_snapshot: Cell::new(false),
        }
    }

    /// All of it, to be written anew.
    pub(crate) fn to_stored(&self, hard_state: HardState) -> Stored {
        let entries = self.entries.iter().cloned().collect();
        Stored { hard_state, snapshot: self.snapshot.clone(), before: self.before, entries }
    }

    /// The position that the latest snapshot goes up to.
    pub(crate) fn snapshot_position(&self) -> Position {
        self.snapshot.as_ref().map(|snapshot| snapshot.position).unwrap_or_default()
    }

    pub(crate) fn last(&self) -> u64 {
        self.before.index + self.entries.len() as u64
    }

    /// Whether a member waits for a snapshot that was made after it was added.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.wants_snapshot.get()
    }

    /// How many bytes its entries carry.
    pub(crate) fn entry_bytes(&self) -> usize {
        self.entry_bytes
    }

    /// The term of an entry; nothing where it is not here.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.before.index {
            return Some(self.before.term);
        }
        self.at(index).map(|entry| entry.position.term)
    }

    /// The entries after this index.
    pub(crate) fn after(&self, index: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.position.index > index)
    }

    /// The position of the last entry, or of what was before the first where there is none.
    pub(crate) fn end(&self) -> Position {
        self.entries.back().map_or(self.before, |entry| entry.position)
    }

    fn at(&self, index: u64) -> Option<&Entry> {
        let place = index.checked_sub(self.before.index + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// Puts entries in the place of those from the first of them on.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) {
        let Some(first) = entries.first() else { return };
        let first = first.position.index;
        while let Some(replaced) = self.entries.pop_back_if(|entry| entry.position.index >= first) {
            self.entry_bytes -= replaced.payload.bytes();
        }
        self.entry_bytes += entries.iter().map(|entry| entry.payload.bytes()).sum::<usize>();
        self.entries.extend(entries);
    }

    /// Begins anew with a snapshot of another member.
    pub(crate) fn install(&mut self, snapshot: Snapshot) {
        self.before = snapshot.position;
        self.entries.clear();
        self.entry_bytes = 0;
        self.snapshot = Some(snapshot);
        self.wants_snapshot.set(false);
    }

    /// Takes a snapshot of this member in the place of the entries that it contains, but for the last of them.
    pub(crate) fn compact(&mut self, snapshot: Snapshot, kept: u64) {
        let through = snapshot.position.index.saturating_sub(kept);
        self.snapshot = Some(snapshot);
        self.wants_snapshot.set(false);
        while self.before.index < through {
            let Some(entry) = self.entries.pop_front() else { return };
            self.before = entry.position;
            self.entry_bytes -= entry.payload.bytes();
        }
    }
}

impl raft::Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let (hard_state, membership) = &self.start;
        Ok(RaftState {
            hard_state: convert::hard_state_to_raft(*hard_state),
            conf_state: convert::membership_to_raft(membership),
        })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        bytes_max: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low <= self.before.index {
            return Err(StorageError::Compacted.into());
        }
        let bytes_max = bytes_max.into().and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let mut found = Vec::new();
        for index in low..high {
            let entry = self.at(index).ok_or(StorageError::Unavailable)?;
            bytes = bytes.saturating_add(entry.payload.bytes() + ENTRY_OVERHEAD_BYTES);
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(convert::entry_to_raft(entry));
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let error =
            if index < self.before.index { StorageError::Compacted } else { StorageError::Unavailable };
        self.term_of(index).ok_or_else(|| error.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// A member takes no snapshot in whose membership it is not, so one that was added after the latest has to wait for the next.
    fn snapshot(&self, _request_index: u64, to: u64) -> raft::Result<eraftpb::Snapshot> {
        match &self.snapshot {
            Some(snapshot) if snapshot.membership.contains(MemberId(to)) => {
                Ok(convert::snapshot_to_raft(snapshot))
            }
            _ => {
                self.wants_snapshot.set(true);
                Err(StorageError::SnapshotTemporarilyUnavailable.into())
            }
        }
    }
}
