//! What goes into messages, and what two nodes know after they talked.

use std::collections::BTreeMap;

use gossip::codec;
use gossip::{FactError, Gossip, Key, Options, SEAL_BYTES};
use proptest::prelude::*;
use types::NodeId;

use crate::given::key;
use crate::talk::{carry, exchange, node, round, seconds};

const NODES: u16 = 6;

/// A node's generation, heartbeat and facts.
type Known = (u64, u64, Vec<Option<Vec<u8>>>);

/// Everything that a node knows of all, without ages.
fn knowledge(gossip: &Gossip) -> BTreeMap<NodeId, Known> {
    let rows = gossip.table(seconds(0)).into_iter();
    rows.map(|row| {
        let facts = (0..Key::COUNT).map(|number| gossip.fact(row.node, key(number)).map(<[u8]>::to_vec));
        (row.node, (row.generation.map_or(0, |it| it.0), row.heartbeat, facts.collect()))
    })
    .collect()
}

/// What happens among a few nodes.
#[derive(Clone, Debug)]
enum Happening {
    /// One sets a fact.
    Fact(u16, u8, Vec<u8>),
    /// One does a round, and one of its messages arrives.
    Exchange(u16, u16),
    /// One does a round, and all its messages are lost.
    Lost(u16),
    /// One starts again.
    Restart(u16),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let id = 0..NODES;
    let one = prop_oneof![
        (id.clone(), 1_u8..5, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(id, key, value)| Happening::Fact(id, key, value)),
        (id.clone(), id.clone()).prop_map(|(from, to)| Happening::Exchange(from, to)),
        id.clone().prop_map(Happening::Lost),
        id.prop_map(Happening::Restart),
    ];
    prop::collection::vec(one, 0..60)
}

fn happen(nodes: &mut [Gossip], generations: &mut [u64], happening: &Happening) {
    match happening {
        Happening::Fact(id, number, value) => {
            nodes[usize::from(*id)].set_fact(key(*number), value).unwrap();
        }
        Happening::Exchange(from, to) if from != to => talk(nodes, *from, *to),
        Happening::Exchange(..) => {}
        Happening::Lost(id) => drop(round(&mut nodes[usize::from(*id)], seconds(0))),
        Happening::Restart(id) => {
            let generation = &mut generations[usize::from(*id)];
            *generation += 1;
            nodes[usize::from(*id)] = started(*id, *generation);
        }
    }
}

/// A node that did a round: before its first heartbeat there is nothing to tell of it.
fn started(id: u16, generation: u64) -> Gossip {
    let mut started = node(id, generation, NODES);
    round(&mut started, seconds(0));
    started
}

/// Rounds of `from` until it chose `to`, and their exchange.
fn talk(nodes: &mut [Gossip], from: u16, to: u16) {
    let mut one = nodes[usize::from(from)].clone();
    let mut rng = env::Rng::from_seed(u64::from(from));
    let opening = loop {
        let mut out = Vec::new();
        let now = one.next_round();
        one.round(now, &mut rng, &mut out);
        if let Some(opening) = out.into_iter().find(|outgoing| outgoing.to == NodeId(to)) {
            break opening;
        }
    };
    let now = one.next_round();
    let other = &mut nodes[usize::from(to)];
    let bodies = carry(&mut one, other, now.min(other.next_round()), &opening.message);
    for body in bodies {
        let length = codec::encode(&body).len() + SEAL_BYTES;
        assert!(length <= Options::default().message_bytes_max, "{length} bytes");
    }
    nodes[usize::from(from)] = one;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With so few nodes everything fits into one exchange.
    #[test]
    fn two_that_exchange_become_equal(happenings in happenings(), from in 0..NODES, to in 0..NODES) {
        prop_assume!(from != to);
        let mut nodes: Vec<Gossip> = (0..NODES).map(|id| started(id, 1)).collect();
        let mut generations = vec![1; usize::from(NODES)];
        for happening in &happenings {
            happen(&mut nodes, &mut generations, happening);
        }
        talk(&mut nodes, from, to);
        let one = knowledge(&nodes[usize::from(from)]);
        let other = knowledge(&nodes[usize::from(to)]);
        prop_assert_eq!(one, other);
    }
}

#[test]
fn a_fact_goes_out_with_the_next_heartbeat_and_can_be_taken_back() {
    let (mut a, mut b) = (node(0, 1, 2), node(1, 1, 2));
    a.set_fact(Key::LOAD, b"1").unwrap();
    assert_eq!(a.fact(NodeId(0), Key::LOAD), None);
    exchange(&mut a, &mut b, seconds(0));
    assert_eq!(b.fact(NodeId(0), Key::LOAD), Some(&b"1"[..]));
    a.set_fact(Key::LOAD, b"2").unwrap();
    a.set_fact(Key::LOAD, b"").unwrap();
    exchange(&mut a, &mut b, seconds(2));
    assert_eq!(b.fact(NodeId(0), Key::LOAD), None);
}

/// The difference goes with the opening, unasked, and is not sent where it is known.
#[test]
fn only_what_is_missing_is_sent() {
    let (mut a, mut b) = (node(0, 1, 2), node(1, 1, 2));
    b.set_fact(Key::LOAD, &[1; 100]).unwrap();
    b.set_fact(Key::DISK, &[2; 10]).unwrap();
    round(&mut a, seconds(0));
    for beat in 0..40 {
        exchange(&mut b, &mut a, seconds(2 * beat));
    }
    let said = exchange(&mut a, &mut b, seconds(80));
    assert!(said.iter().all(|message| message.states.is_empty()), "{said:?}");
    b.set_fact(Key::DISK, &[3; 10]).unwrap();
    round(&mut b, seconds(80));
    let said = exchange(&mut a, &mut b, seconds(82));
    let keys: Vec<Key> = said[1].states[&NodeId(1)].facts.keys().copied().collect();
    assert_eq!(keys, [Key::DISK]);
}

#[test]
fn facts_that_would_not_fit_are_refused_and_change_nothing() {
    let mut a = node(0, 1, 2);
    assert_eq!(a.set_fact(Key::SUSPECTS, b"x"), Err(FactError::Reserved(Key::SUSPECTS)));
    a.set_fact(Key::LOAD, &[1; 200]).unwrap();
    a.set_fact(Key::DISK, &[1; 200]).unwrap();
    let refused = a.set_fact(key(3), &[1; 60]);
    assert_eq!(refused, Err(FactError::TooLarge { wanted: 460 + 3 * 13 }));
    a.set_fact(key(3), b"short").unwrap();
    a.set_fact(Key::LOAD, &[1; 20]).unwrap();
    a.set_fact(key(4), &[1; 60]).unwrap();
}

/// Sixteen keys, all full, and as many suspicions as fit: a state is never cut.
#[test]
fn the_largest_state_fits_into_the_smallest_message() {
    let options = gossip::options::FACTS_BYTES_MAX + gossip::options::SUSPECTS_BYTES_MAX;
    let numbers_at_their_longest = 3 * 10;
    let state = 11 + numbers_at_their_longest + options + gossip::options::FACT_OVERHEAD_BYTES;
    let own_entry = 3 + numbers_at_their_longest;
    let message = codec::HEADER_BYTES + own_entry + state + SEAL_BYTES;
    assert!(message <= gossip::options::MESSAGE_BYTES_MIN, "{message}");
}

#[test]
fn options_out_of_range_are_named() {
    let broken = Options { message_bytes_max: 500, ..Options::default() };
    assert_eq!(broken.check().unwrap_err().option, "message_bytes_max");
    let broken = Options { phi_after_failures: 9.0, ..Options::default() };
    assert_eq!(broken.check().unwrap_err().option, "phi_after_failures");
    let broken = Options { phi: f64::NAN, ..Options::default() };
    assert_eq!(broken.check().unwrap_err().option, "phi");
    assert_eq!(Options::default().check(), Ok(()));
}
