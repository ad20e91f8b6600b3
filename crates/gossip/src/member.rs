//! What a node keeps of one member, itself included.
//!
//! Always true: `heard` is never behind what is held whole in `state`. It may be ahead, where a digest told of a
//! heartbeat and the facts that belong to it are still on their way: enough to know that the member lives, and not
//! enough to pass on.

use std::collections::BTreeMap;

use types::{Incarnation, Instant};

use crate::detector::Arrivals;
use crate::message::Entry;
use crate::state::{Difference, Key, Learned, NodeState, Pulse, Start};
use crate::suspicion::{self, Accusations};
use crate::verdict::Standing;

/// One member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The one incarnation that is believed, where the cluster state names one.
    pub(crate) pinned: Option<Incarnation>,
    /// What is held whole.
    pub(crate) state: Option<NodeState>,
    /// The newest heartbeat that was heard.
    pub(crate) heard: Option<Pulse>,
    /// When they came.
    pub(crate) arrivals: Arrivals,
    /// Whether it answered a request after the newest heartbeat.
    pub(crate) answered: bool,
    /// Since when this node suspects it.
    pub(crate) suspected_at: Option<Instant>,
    /// Whom it suspects.
    pub(crate) accuses: Accusations,
    /// What it is taken for.
    pub(crate) standing: Standing,
}

impl Member {
    pub(crate) fn new(now: Instant, pinned: Option<Incarnation>) -> Member {
        Member {
            pinned,
            state: None,
            heard: None,
            arrivals: Arrivals::new(now),
            answered: false,
            suspected_at: None,
            accuses: BTreeMap::new(),
            standing: Standing::default(),
        }
    }

    /// How far it is known.
    pub(crate) fn entry(&self) -> Entry {
        Entry::of(self.state.as_ref())
    }

    pub(crate) fn fact(&self, key: Key) -> Option<&[u8]> {
        self.state.as_ref().and_then(|state| state.fact(key))
    }

    /// Takes in what somebody knows of it.
    pub(crate) fn learn(&mut self, difference: Difference) -> Learned {
        let learned = match &mut self.state {
            Some(state) => state.apply(difference),
            None if difference.since > 0 => Learned::Nothing,
            None => {
                self.state = Some(NodeState::from_whole(difference));
                Learned::Facts
            }
        };
        if learned == Learned::Facts {
            self.accuses = self.fact(Key::SUSPECTS).map(suspicion::decode).unwrap_or_default();
        }
        learned
    }

    /// Whether it is certainly of another incarnation than the one that is believed.
    pub(crate) fn refuses(&self, incarnation: Incarnation) -> bool {
        self.pinned.is_some_and(|pinned| pinned != incarnation)
    }

    /// What somebody lacks who knows it as far as `entry` says; nothing if that is all of it.
    pub(crate) fn missing_from(&self, entry: &Entry) -> Option<Missing> {
        let state = self.state.as_ref().filter(|state| state.pulse().heartbeat > 0)?;
        if !entry.is_of(state.start()) {
            let newer = entry.pulse.generation <= state.start().generation || !entry.is_known();
            return newer.then(|| Missing::Facts(state.since(0)));
        }
        if entry.pulse.heartbeat >= state.pulse().heartbeat {
            return None;
        }
        let has_all_facts = entry.pulse.heartbeat >= state.newest_fact();
        Some(if has_all_facts {
            Missing::Pulse(self.entry())
        } else {
            Missing::Facts(state.since(entry.pulse.heartbeat))
        })
    }

    /// Whether somebody who knows it as far as `entry` says could tell something new.
    pub(crate) fn lacks(&self, entry: &Entry) -> bool {
        let Some(state) = &self.state else { return entry.is_known() };
        if entry.is_of(state.start()) {
            return entry.pulse.heartbeat > state.pulse().heartbeat;
        }
        entry.is_known() && entry.pulse.generation >= state.start().generation
    }

    /// Starts over with this state, for this node's own entry.
    pub(crate) fn be(&mut self, start: Start) {
        self.state = Some(NodeState::new(start));
    }
}

/// What somebody lacks of a member.
#[derive(Debug)]
pub(crate) enum Missing {
    /// No more than a heartbeat, which an entry tells.
    Pulse(Entry),
    /// Facts, or everything.
    Facts(Difference),
}
