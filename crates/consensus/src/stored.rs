//! All that a member keeps over its restarts: its hard state, a snapshot, and the entries around and after it.
//!
//! What must hold: it hangs together ([`Stored::check`]), or it is refused. A member never starts with something that it cannot
//! have written: it would vote or acknowledge on a state that it has forgotten (INVARIANTS G2).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, HardState, Payload, Position, Snapshot};
use crate::membership::{MemberId, Membership, MembershipError};

/// All that a member keeps over its restarts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stored {
    /// Its term and vote.
    pub hard_state: HardState,
    /// The latest snapshot; nothing with somebody who has not been told anything yet.
    pub snapshot: Option<Snapshot>,
    /// The position before the first entry. Not after the snapshot's.
    pub before: Position,
    /// They follow each other.
    pub entries: Vec<Entry>,
}

/// Why something cannot have been stored by a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Contradiction(pub &'static str);

impl Stored {
    /// What every founding voter of a group has: equal on all of them.
    ///
    /// # Errors
    /// Where these voters make no membership.
    pub fn founding(
        voters: impl IntoIterator<Item = MemberId>,
        data: Bytes,
    ) -> Result<Stored, MembershipError> {
        let position = Position { term: 1, index: 1 };
        let snapshot = Snapshot { position, membership: Membership::founding(voters)?, data };
        let hard_state = HardState { term: 1, vote: 0, commit: 1 };
        Ok(Stored { hard_state, snapshot: Some(snapshot), before: position, entries: Vec::new() })
    }

    /// What somebody has who is about to be added to a group that exists.
    pub fn joining() -> Stored {
        Stored::default()
    }

    /// The index of the last entry, or of the snapshot where there is none after it.
    pub fn last_index(&self) -> u64 {
        self.before.index + self.entries.len() as u64
    }

    /// Takes in what was appended.
    ///
    /// # Errors
    /// Where that leaves a gap, or takes back what this member said it would not.
    pub fn append(&mut self, hard_state: HardState, entries: Vec<Entry>) -> Result<(), Contradiction> {
        let was = self.hard_state;
        if hard_state.term < was.term || hard_state.commit < was.commit {
            return Err(Contradiction("its term or its commit goes back"));
        }
        if hard_state.term == was.term && was.vote != 0 && hard_state.vote != was.vote {
            return Err(Contradiction("it votes twice in a term"));
        }
        if let Some(first) = entries.first() {
            let index = first.position.index;
            if index <= was.commit || index > self.last_index() + 1 || index <= self.before.index {
                return Err(Contradiction("entries are missing before others, or committed ones replaced"));
            }
            let keep = usize::try_from(index - self.before.index - 1).unwrap_or(usize::MAX);
            self.entries.truncate(keep);
        }
        for entry in entries {
            follows(self.last(), &entry)?;
            self.entries.push(entry);
        }
        self.hard_state = hard_state;
        self.check_ends()
    }

    fn last(&self) -> Position {
        self.entries.last().map_or(self.before, |entry| entry.position)
    }

    /// Whether it hangs together.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), Contradiction> {
        let mut last = self.before;
        for entry in &self.entries {
            follows(last, entry)?;
            last = entry.position;
        }
        self.check_snapshot()?;
        self.check_ends()
    }

    fn check_snapshot(&self) -> Result<(), Contradiction> {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.position).unwrap_or_default();
        if (self.before.index == 0) != (self.snapshot.is_none())
            || (self.before.index == 0 && !self.entries.is_empty())
        {
            return Err(Contradiction("it has entries and no snapshot before them"));
        }
        let at_snapshot = snapshot.index.checked_sub(self.before.index).map(|place| match place {
            0 => Some(self.before.term),
            place => {
                usize::try_from(place - 1).ok().and_then(|at| self.entries.get(at)).map(|at| at.position.term)
            }
        });
        if at_snapshot != Some(Some(snapshot.term)) {
            return Err(Contradiction("its entries do not go with its snapshot"));
        }
        if self.hard_state.commit < snapshot.index {
            return Err(Contradiction("its snapshot is not committed"));
        }
        Ok(())
    }

    fn check_ends(&self) -> Result<(), Contradiction> {
        let last = self.last();
        if last.term > self.hard_state.term {
            return Err(Contradiction("its entries are of a later term than it has seen"));
        }
        if self.hard_state.commit > last.index {
            return Err(Contradiction("more is committed than there is"));
        }
        Ok(())
    }

    /// The members at an index that the log has.
    pub(crate) fn membership_at(&self, index: u64) -> Membership {
        let Some(snapshot) = &self.snapshot else { return Membership::unknown() };
        let mut membership = snapshot.membership.clone();
        for entry in &self.entries {
            if entry.position.index > snapshot.position.index
                && entry.position.index <= index
                && let Payload::Change(change) = entry.payload
            {
                membership = membership.with(change).unwrap_or(membership);
            }
        }
        membership
    }
}

/// Whether an entry can stand behind a position.
fn follows(last: Position, entry: &Entry) -> Result<(), Contradiction> {
    let at = entry.position;
    if Some(at.index) != last.index.checked_add(1) || at.term < last.term.max(1) {
        return Err(Contradiction("its entries do not follow each other"));
    }
    if matches!(&entry.payload, Payload::Data(data) if data.is_empty()) {
        return Err(Contradiction("an entry has data of no bytes"));
    }
    Ok(())
}
