//! Values to test with.

use std::collections::BTreeMap;

use gossip::message::{Entry, Message, Step};
use gossip::state::Difference;
use gossip::{Generation, Key, NodeState, Pulse, Start};
use proptest::prelude::*;
use types::{Incarnation, NodeId};

pub(crate) fn key(number: u8) -> Key {
    Key::new(number).unwrap()
}

pub(crate) fn start(generation: u64, incarnation: u64) -> Start {
    Start { generation: Generation(generation), incarnation: Incarnation(incarnation) }
}

pub(crate) fn pulse(generation: u64, heartbeat: u64) -> Pulse {
    Pulse { generation: Generation(generation), heartbeat }
}

/// Few starts, so that they collide.
fn starts() -> impl Strategy<Value = Start> {
    (1_u64..4, 1_u64..3).prop_map(|(generation, incarnation)| start(generation, incarnation))
}

/// A life of a node: what it set before each of its heartbeats.
pub(crate) fn lives() -> impl Strategy<Value = Vec<BTreeMap<u8, Vec<u8>>>> {
    let facts = prop::collection::btree_map(0_u8..4, prop::collection::vec(any::<u8>(), 0..6), 0..3);
    prop::collection::vec(facts, 1..12)
}

/// The states of a node at each heartbeat of such a life.
pub(crate) fn lived(start: Start, life: &[BTreeMap<u8, Vec<u8>>]) -> Vec<NodeState> {
    let mut state = NodeState::new(start);
    let mut states = Vec::new();
    for facts in life {
        state.beat(facts.iter().map(|(number, value)| (key(*number), value.clone())).collect());
        states.push(state.clone());
    }
    states
}

/// Any state, also such as no honest node has.
pub(crate) fn states() -> impl Strategy<Value = NodeState> {
    (starts(), lives(), any::<prop::sample::Index>()).prop_map(|(start, life, at)| {
        let states = lived(start, &life);
        states[at.index(states.len())].clone()
    })
}

fn entries() -> impl Strategy<Value = Entry> {
    let known = (any::<u8>(), any::<u64>(), 1..=u64::MAX, any::<u64>()).prop_map(
        |(tag, generation, heartbeat, newest)| Entry {
            tag,
            pulse: pulse(generation, heartbeat),
            newest_fact: newest % heartbeat,
        },
    );
    prop_oneof![4 => known, 1 => Just(Entry::UNKNOWN)]
}

fn differences() -> impl Strategy<Value = Difference> {
    (states(), any::<u64>()).prop_map(|(state, since)| state.since(since % (state.pulse().heartbeat + 1)))
}

pub(crate) fn messages() -> impl Strategy<Value = Message> {
    let step = prop::sample::select(vec![Step::Opening, Step::Answer, Step::Closing]);
    let node = any::<u16>().prop_map(NodeId);
    (
        step,
        any::<u64>(),
        prop::collection::btree_map(node.clone(), entries(), 0..20),
        prop::collection::btree_map(node, differences(), 0..5),
    )
        .prop_map(|(step, incarnation, entries, states)| Message {
            step,
            incarnation: Incarnation(incarnation),
            entries,
            states,
        })
}
