//! A mark, as it is asked of: what is settled of some slots, what may be dropped there, and who has agreed on it.

use bytes::Bytes;
use causality::{Actor, Frontier, Stamp};
use types::{Incarnation, WallTime};
use wire::{Mark, Written};

/// A mark, as it is asked of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// What is settled: a copy that is not held here is not taken in again.
    pub settled: Frontier,
    /// A time that had passed on all clocks when that was begun.
    pub settled_by: WallTime,
    /// Behind which deletes are dropped.
    pub droppable: Frontier,
    /// A time that had passed on all clocks when that was begun: what ends by then is dropped too.
    pub droppable_by: WallTime,
    /// The newest stamp of what was dropped, or is settled.
    pub newest: Stamp,
    /// The lives of the owners that agreed on it.
    pub owners: Vec<Incarnation>,
}

impl Standing {
    /// As it travels and is kept.
    pub fn to_mark(&self) -> Mark {
        Mark {
            settled: entries(&self.settled),
            settled_by: self.settled_by,
            droppable: entries(&self.droppable),
            droppable_by: self.droppable_by,
            newest: self.newest,
            owners: self.owners.clone(),
        }
    }

    /// From how it travels.
    pub fn of_mark(mark: &Mark) -> Standing {
        let frontier = |entries: &[Written]| entries.iter().map(|one| (actor_of(one), one.counter)).collect();
        Standing {
            settled: frontier(&mark.settled),
            settled_by: mark.settled_by,
            droppable: frontier(&mark.droppable),
            droppable_by: mark.droppable_by,
            newest: mark.newest,
            owners: mark.owners.clone(),
        }
    }

    /// From how it is kept under [`mark_key`](crate::store_key::mark_key); nothing where it is not what this version writes.
    pub fn decode(bytes: &[u8]) -> Option<Standing> {
        match bytes {
            [FORMAT, mark @ ..] => postcard::from_bytes(mark).ok().map(|mark| Standing::of_mark(&mark)),
            _ => None,
        }
    }

    /// As it is kept.
    pub fn encode(&self) -> Bytes {
        let mark = postcard::to_allocvec(&self.to_mark());
        let mark = mark.expect("these types have no case that postcard cannot write");
        [&[FORMAT], mark.as_slice()].concat().into()
    }

    /// What is true of two runs of slots, each with what was agreed on of it: the lesser of both, and the newest stamp of either.
    #[must_use]
    pub fn of_both(self, other: &Standing) -> Standing {
        Standing {
            settled: self.settled.meet(&other.settled),
            settled_by: self.settled_by.min(other.settled_by),
            droppable: self.droppable.meet(&other.droppable),
            droppable_by: self.droppable_by.min(other.droppable_by),
            newest: self.newest.max(other.newest),
            owners: self.owners.into_iter().filter(|owner| other.owners.contains(owner)).collect(),
        }
    }

    /// Agrees on more. One that comes late, and has nothing more to say, changes nothing.
    pub fn absorb(&mut self, later: &Standing) {
        let before = self.clone();
        self.settled.absorb(&later.settled);
        self.settled_by = self.settled_by.max(later.settled_by);
        self.droppable.absorb(&later.droppable);
        self.droppable_by = self.droppable_by.max(later.droppable_by);
        self.newest = self.newest.max(later.newest);
        if *self != before {
            self.owners.clone_from(&later.owners);
        }
    }
}

/// A frontier, as it travels.
pub fn entries(frontier: &Frontier) -> Vec<Written> {
    frontier.iter().map(written_of).collect()
}

/// Who wrote so far.
pub fn actor_of(written: &Written) -> Actor {
    Actor { incarnation: written.incarnation, stint: written.stint }
}

fn written_of((actor, counter): (Actor, u64)) -> Written {
    Written { incarnation: actor.incarnation, stint: actor.stint, counter }
}

/// The first byte of what is kept, so that a later version can tell.
const FORMAT: u8 = 1;
