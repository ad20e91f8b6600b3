//! Notes: how far this node is with each partition that moves, kept in the store.
//!
//! A note lies in the store under a key of its own ([`store_key::note_key`]), so it is in the log behind the records that it speaks
//! of: once it is on stable storage, so are they. What must hold: a note says nothing of another movement than the one that it
//! names; and before the first record of a partition is taken in for a movement there is one. A note of a partition that was halved
//! since says of each half what it said of the whole, for the movement goes on under its session.

use std::collections::BTreeMap;

use bytes::Bytes;
use cluster::{ClusterState, Session};
use serde::{Deserialize, Serialize};
use storage::{Db, KeyRange, ReadError, ScanLimit, ScanOutcome};
use types::Epoch;

use crate::collection::mark;
use crate::store_key::{self, Slots};

/// What is noted of a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    /// In which movement.
    session: Epoch,
    pub(crate) done: Done,
}

/// How far this node is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Done {
    /// It has what an old owner had before this place of the store.
    FetchedTo(Bytes),
    /// It has all that one had, and has yet to compare.
    Fetched,
    /// It has all that any old owner had.
    Filled,
    /// The new owners have all that it had, and it drops that.
    HandedOver,
    /// It has dropped it.
    Cleared,
}

impl Note {
    pub(crate) fn new(session: Session, done: Done) -> Note {
        Note { session: session.0, done }
    }

    pub(crate) fn session(&self) -> Session {
        Session(self.session)
    }

    /// As it is stored.
    pub(crate) fn encode(&self) -> Bytes {
        let note = postcard::to_allocvec(self).expect("these types have no case that postcard cannot write");
        [&[FORMAT], note.as_slice()].concat().into()
    }

    /// From how it is stored; nothing where it is not what this version writes.
    fn decode(bytes: &[u8]) -> Option<Note> {
        match bytes {
            [FORMAT, note @ ..] => postcard::from_bytes(note).ok(),
            _ => None,
        }
    }
}

/// All notes of a store.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    by_slots: BTreeMap<Slots, Note>,
}

impl Notes {
    /// What is noted of a partition with these slots in a movement: of it, or where it is half of one that was, of that.
    pub(crate) fn of(&self, slots: Slots, session: Session) -> Option<&Note> {
        let all = self.by_slots.iter();
        let of_it = all.filter(|(noted, note)| noted.contain(slots) && note.session() == session);
        of_it.min_by_key(|(noted, _)| noted.count).map(|(_, note)| note)
    }

    /// Whether there is a note under the key of these slots.
    pub(crate) fn has(&self, slots: Slots) -> bool {
        self.by_slots.contains_key(&slots)
    }

    /// The keys of notes that say nothing of any movement that there is.
    pub(crate) fn outdated(&self, state: &ClusterState) -> Vec<Bytes> {
        let of = state.partitions();
        let is_of_use = |slots: &Slots, note: &Note| {
            // One that is of a partition there is goes with that.
            *slots == Slots { first: slots.first, count: of.slots_each() }
                || slots
                    .partitions(of)
                    .any(|one| state.movement(one).is_some_and(|movement| movement.session == note.session()))
        };
        let outdated = self.by_slots.iter().filter(|(slots, note)| !is_of_use(slots, note));
        outdated.map(|(slots, _)| store_key::note_key(*slots)).collect()
    }
}

/// The first byte of what is kept, so that a later version can tell.
const FORMAT: u8 = 1;

/// How many notes are read at once: as many as a ring has partitions at most.
const NOTES_MAX: usize = 1 << 14;

/// Reads all notes that the store keeps. Blocks. One that was lost to damage, or is not what this version writes, is as if it had
/// never been: what it speaks of is done again.
///
/// # Errors
/// If they cannot be read.
pub(crate) fn load(db: &mut Db) -> Result<Notes, ReadError> {
    let (start, end) = store_key::notes();
    let limit = ScanLimit { entries: NOTES_MAX, bytes: usize::MAX };
    let mut notes = Notes::default();
    let mut from = Some(start);
    while let Some(start) = from {
        match db.scan_what_is_left(KeyRange::new(&start, Some(&end)), limit).run() {
            ScanOutcome::Unreadable(ReadError::Damaged(damage)) if mark::give_up(db) => {
                drop(damage);
                from = Some(start);
            }
            ScanOutcome::Unreadable(error) => return Err(error),
            ScanOutcome::Page { entries, next } => {
                let parse =
                    |(key, bytes): &(Bytes, Bytes)| store_key::parse_note(key).zip(Note::decode(bytes));
                notes.by_slots.extend(entries.iter().filter_map(parse));
                from = next;
            }
        }
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_nothing_else_is_one() {
        let all = [Done::FetchedTo(Bytes::from_static(b"k")), Done::Fetched, Done::Filled, Done::HandedOver];
        for done in all.into_iter().chain([Done::Cleared]) {
            let note = Note::new(Session(Epoch(7)), done);
            assert_eq!(Note::decode(&note.encode()), Some(note));
        }
        assert_eq!(Note::decode(b""), None);
        assert_eq!(Note::decode(b"\x02\x07\x00"), None);
    }
}
