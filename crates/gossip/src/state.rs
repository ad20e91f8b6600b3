//! What is known of one node, and how two such states merge.
//!
//! Only the node itself writes its state; everybody else carries copies. Always true: [`NodeState::merge`] is
//! commutative, associative and idempotent, and a later start of the node replaces all that was known of an earlier
//! one. And copies are *whole*: who holds a node's state at heartbeat 9 holds every fact that the node set up to its
//! heartbeat 9. A [`Difference`] therefore says from which heartbeat on it tells everything, and is taken only by who
//! holds that much.
//!
//! A fact's version is the heartbeat with which it was published, and not a count of its own: one number in a digest
//! then stands for the heartbeat and for all facts, which is what lets a hundred nodes fit into one datagram.
//!
//! Written about in `docs/protocols/gossip.md`.

use std::collections::BTreeMap;
use std::fmt;

use types::Incarnation;

/// The number of a start of a node: the node gives a greater one each time it starts. It must rise from start to
/// start of one incarnation, and from one incarnation of a member to its next one, or the new one is not believed
/// until the old is pinned out ([`crate::Gossip::set_members`]). A count kept on disk will do for the former; a boot
/// number given by the cluster state, or the wall clock at the start in milliseconds, for both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One start of a node. The greater generation is the later start; the incarnation decides between equal ones, so
/// that everybody decides alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Start {
    /// The number of this start.
    pub generation: Generation,
    /// Whose data directory it was.
    pub incarnation: Incarnation,
}

/// A point in a node's life: a heartbeat of a start. What is heard of a node later has a greater pulse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Pulse {
    /// The start.
    pub generation: Generation,
    /// The heartbeat, counted from 1 at each start.
    pub heartbeat: u64,
}

/// The name of a fact: a small number, so that what a node can say of itself is bounded by construction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(u8);

impl Key {
    /// How many keys there are.
    pub const COUNT: u8 = 16;
    /// Whom the node suspects, as [`crate::suspicion`] lays it out. Written by this crate only.
    pub const SUSPECTS: Key = Key(0);
    /// How loaded the node is. What the bytes mean is its reader's and writer's business, as with all that follow.
    pub const LOAD: Key = Key(1);
    /// How full the node's disk is, and whether it still takes writes.
    pub const DISK: Key = Key(2);

    /// How far the node's data directory has come: what rises while it runs, and falls if it is rolled back.
    pub const TIDE: Key = Key(3);

    /// The key of this number; nothing if it is [`Key::COUNT`] or more. Numbers without a name here are passed on
    /// unread, so that versions of Henge may differ in what they say.
    pub fn new(number: u8) -> Option<Key> {
        (number < Key::COUNT).then_some(Key(number))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// A fact that a node stated about itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fact {
    /// The heartbeat with which it was published.
    pub version: u64,
    /// What it says. An empty value takes the fact back.
    pub value: Vec<u8>,
}

/// Everything that is known of one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeState {
    start: Start,
    heartbeat: u64,
    facts: BTreeMap<Key, Fact>,
}

/// All that happened to a node's state after heartbeat `since`, or all of it, with `since` zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Of which start this tells.
    pub start: Start,
    /// Up to which heartbeat it tells.
    pub heartbeat: u64,
    /// From which heartbeat on, exclusively, it tells everything.
    pub since: u64,
    /// The facts that were published in between.
    pub facts: BTreeMap<Key, Fact>,
}

/// What became of a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// It was known, or came from too late a point to be taken.
    Nothing,
    /// The node lives on.
    Pulse,
    /// There are new facts, or a new start.
    Facts,
}

impl NodeState {
    /// A start of which there was no heartbeat yet.
    pub fn new(start: Start) -> NodeState {
        NodeState { start, heartbeat: 0, facts: BTreeMap::new() }
    }

    /// Which start of the node it is.
    pub fn start(&self) -> Start {
        self.start
    }

    /// The last heartbeat that is known whole.
    pub fn pulse(&self) -> Pulse {
        Pulse { generation: self.start.generation, heartbeat: self.heartbeat }
    }

    /// The facts, those taken back among them.
    pub fn facts(&self) -> &BTreeMap<Key, Fact> {
        &self.facts
    }

    /// What the node says under `key`.
    pub fn fact(&self, key: Key) -> Option<&[u8]> {
        self.facts.get(&key).map(|fact| fact.value.as_slice()).filter(|value| !value.is_empty())
    }

    /// The version of the newest fact: who holds this state at that heartbeat lacks no fact of it.
    pub fn newest_fact(&self) -> u64 {
        self.facts.values().map(|fact| fact.version).max().unwrap_or(0)
    }

    /// The node's own step: the next heartbeat, with what changed. Only for the node itself.
    pub fn beat(&mut self, changed: BTreeMap<Key, Vec<u8>>) {
        self.heartbeat += 1;
        let version = self.heartbeat;
        self.facts.extend(changed.into_iter().map(|(key, value)| (key, Fact { version, value })));
    }

    /// What somebody lacks who holds this state at heartbeat `since`.
    pub fn since(&self, since: u64) -> Difference {
        let newer = self.facts.iter().filter(|(_, fact)| fact.version > since);
        let facts = newer.map(|(key, fact)| (*key, fact.clone())).collect();
        Difference { start: self.start, heartbeat: self.heartbeat, since: since.min(self.heartbeat), facts }
    }

    /// Takes the node to be alive at `heartbeat` of this start, by somebody who says that no fact is newer than
    /// `newest_fact`. Refused, as false, where this state may lack a fact, or where it is no news.
    pub fn advance(&mut self, heartbeat: u64, newest_fact: u64) -> bool {
        let whole = self.heartbeat >= newest_fact;
        let newer = whole && heartbeat > self.heartbeat;
        if newer {
            self.heartbeat = heartbeat;
        }
        newer
    }

    /// Merges all that is known by somebody else.
    pub fn merge(&mut self, other: &NodeState) -> Learned {
        self.apply(other.since(0))
    }

    /// Takes in a difference.
    pub fn apply(&mut self, difference: Difference) -> Learned {
        if difference.start > self.start && difference.since == 0 {
            *self = NodeState::from_whole(difference);
            return Learned::Facts;
        }
        if difference.start != self.start || difference.since > self.heartbeat {
            return Learned::Nothing;
        }
        let before = self.heartbeat;
        self.heartbeat = self.heartbeat.max(difference.heartbeat);
        let mut new_facts = false;
        for (key, fact) in difference.facts {
            // A version is given once. The value decides only between states that no honest node can have, so that
            // merging stays commutative with those too.
            if self.facts.get(&key).is_none_or(|held| *held < fact) {
                self.facts.insert(key, fact);
                new_facts = true;
            }
        }
        match (new_facts, self.heartbeat > before) {
            (true, _) => Learned::Facts,
            (false, true) => Learned::Pulse,
            (false, false) => Learned::Nothing,
        }
    }

    /// The state that a difference from the beginning describes.
    pub fn from_whole(difference: Difference) -> NodeState {
        NodeState { start: difference.start, heartbeat: difference.heartbeat, facts: difference.facts }
    }
}
