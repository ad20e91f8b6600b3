//! What two nodes say to each other in one exchange: digest, difference, difference.
//!
//! ```text
//!   A                                                B
//!   |  Opening   entries: how far A knows nodes;     |
//!   |            state: what is new of A itself      |
//!   |----------------------------------------------->|
//!   |  Answer    entries: what B wants, and how far  |
//!   |            B knows others;                     |
//!   |            states: what A misses               |
//!   |<-----------------------------------------------|
//!   |  Closing   states: what B misses               |
//!   |----------------------------------------------->|
//! ```
//!
//! All three are one [`Message`], because an entry means the same in each: *so far do I know this node*. Who knows
//! more sends what is missing, who knows less takes it as a heartbeat where it lacks no fact. Only an opening is
//! answered by asking back, so an exchange has three messages at most.
//!
//! Always true: a draft never grows beyond the bytes that it was given, and sizes do not depend on the order in which
//! things are added. Written about in `docs/protocols/gossip.md`; the bytes are drawn in [`crate::codec`].

use std::collections::BTreeMap;

use types::{Incarnation, NodeId};

use crate::codec;
use crate::state::{Difference, Generation, NodeState, Pulse, Start};

/// Which message of an exchange it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The first: a digest.
    Opening,
    /// The second: differences, and what is wanted in return.
    Answer,
    /// The third: differences.
    Closing,
}

/// How far somebody knows a node: a line of a digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// A byte made of the incarnation, to notice two of them that took the same generation.
    pub tag: u8,
    /// Up to where the node is known; the heartbeat is zero where it is not known at all.
    pub pulse: Pulse,
    /// The version of the newest fact. Not above the heartbeat.
    pub newest_fact: u64,
}

impl Entry {
    /// Of a node that is not known.
    pub const UNKNOWN: Entry =
        Entry { tag: 0, pulse: Pulse { generation: Generation(0), heartbeat: 0 }, newest_fact: 0 };

    /// Of what is known.
    pub fn of(state: Option<&NodeState>) -> Entry {
        let known = state.filter(|state| state.pulse().heartbeat > 0);
        known.map_or(Entry::UNKNOWN, |state| Entry {
            tag: tag(state.start().incarnation),
            pulse: state.pulse(),
            newest_fact: state.newest_fact(),
        })
    }

    /// Whether it is of this start, as far as can be told.
    pub fn is_of(&self, start: Start) -> bool {
        self.pulse.heartbeat > 0
            && self.pulse.generation == start.generation
            && self.tag == tag(start.incarnation)
    }

    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        self.pulse.heartbeat > 0
    }
}

/// A byte by which incarnations are told apart, nearly always.
pub fn tag(incarnation: Incarnation) -> u8 {
    incarnation.0.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Which of the three.
    pub step: Step,
    /// The sender's incarnation.
    pub incarnation: Incarnation,
    /// How far the sender knows nodes.
    pub entries: BTreeMap<NodeId, Entry>,
    /// What the receiver misses, by what it said.
    pub states: BTreeMap<NodeId, Difference>,
}

/// A message in the making, within a limit of bytes.
pub(crate) struct Draft {
    message: Message,
    left: usize,
}

impl Draft {
    /// An empty message that may become `limit` bytes long, or as long as an empty one is.
    pub(crate) fn new(step: Step, incarnation: Incarnation, limit: usize) -> Draft {
        let message = Message { step, incarnation, entries: BTreeMap::new(), states: BTreeMap::new() };
        Draft { message, left: limit.saturating_sub(codec::HEADER_BYTES) }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Adds an entry if there is room for it, and none of this node yet.
    pub(crate) fn add_entry(&mut self, node: NodeId, entry: Entry) -> bool {
        if self.message.entries.contains_key(&node) || !self.take(codec::entry_bytes(&entry)) {
            return false;
        }
        self.message.entries.insert(node, entry);
        true
    }

    /// Adds a difference if there is room for it.
    pub(crate) fn add_state(&mut self, node: NodeId, difference: Difference) -> bool {
        if self.message.states.contains_key(&node) || !self.take(codec::difference_bytes(&difference)) {
            return false;
        }
        self.message.states.insert(node, difference);
        true
    }

    pub(crate) fn finish(self) -> Message {
        self.message
    }

    fn take(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}
