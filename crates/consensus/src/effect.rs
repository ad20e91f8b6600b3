//! What a driver is to do, in the order in which it is listed.
//!
//! Everything in the list may be done at once, without waiting for what stands before it: what has to wait for the disk is
//! not listed before [`crate::Group::persisted`] was called. Only writes among each other, and what is applied among each
//! other, keep their order.

use crate::entry::{Entry, HardState, Position, Snapshot};
use crate::membership::MemberId;
use crate::message::Message;
use crate::stored::Stored;

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Put this on stable storage, then call [`crate::Group::persisted`] with its number. Writes are made in their order; one
    /// that fails ends this member's life in this process.
    Persist {
        /// From 1, without gaps.
        number: u64,
        /// What to write.
        write: Write,
    },
    /// Send this. It may be lost, late, doubled and overtaken.
    Send(MemberId, Message),
    /// This is agreed on: the entry after the one before, from the snapshot that was installed or applied last.
    Apply(Entry),
    /// Put this in the place of the caller's state, whatever that was.
    Install(Snapshot),
    /// Who leads, as far as this member knows, in which term.
    Leader {
        /// Nobody is known.
        leader: Option<MemberId>,
        /// The term.
        term: u64,
    },
    /// A read that was begun under this token sees all that was acknowledged before it, in the caller's state as it is now.
    Read(ReadToken),
    /// Nobody can say that of this one any more: ask the leader, with a new token.
    ReadLost(ReadToken),
}

/// A read that waits for the word of a majority that this member still leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReadToken(pub u64);

/// What is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// After what is there. The first entry may take the place of one that is there, and of all after that.
    Append {
        /// In the place of the one before.
        hard_state: HardState,
        /// They follow each other.
        entries: Vec<Entry>,
    },
    /// In the place of all that is there.
    Replace(Box<Stored>),
}

/// Where a proposal will stand if it is ever committed. It is, once an entry of this very position is applied; it never will
/// be, once another one of this index is.
pub type Proposed = Position;
