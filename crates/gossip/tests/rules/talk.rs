//! A few nodes that talk by hand: no network, no losses, and every message looked at.

use std::time::Duration;

use env::Rng;
use gossip::codec;
use gossip::message::{Message, Step};
use gossip::{Generation, Gossip, Key, Options, Outgoing, Refused};
use proptest::prelude::*;
use types::{Incarnation, Instant, NodeId};

use crate::given::messages;

pub(crate) fn seconds(seconds: u64) -> Instant {
    Instant(0) + Duration::from_secs(seconds)
}

/// Node `id` in its start `generation`, with the incarnation 100 + id, in a cluster of nodes 0 to `count` - 1.
pub(crate) fn node(id: u16, generation: u64, count: u16) -> Gossip {
    node_at(id, generation, count, seconds(0))
}

pub(crate) fn node_at(id: u16, generation: u64, count: u16, now: Instant) -> Gossip {
    let incarnation = Incarnation(100 + u64::from(id));
    let mut gossip =
        Gossip::new(Options::default(), NodeId(id), incarnation, Generation(generation), now).unwrap();
    gossip.set_members(now, (0..count).map(|id| (NodeId(id), None)));
    gossip
}

/// One round, with what it sends.
pub(crate) fn round(gossip: &mut Gossip, now: Instant) -> Vec<Outgoing> {
    let mut out = Vec::new();
    let due = gossip.next_round();
    // Not early, and not so late that it would forgive.
    gossip.round(now.max(due), &mut Rng::from_seed(now.0), &mut out);
    out
}

/// Takes a message to its end: all that `to` and `from` still have to say to each other because of it.
pub(crate) fn carry(from: &mut Gossip, to: &mut Gossip, now: Instant, message: &[u8]) -> Vec<Message> {
    let mut said = vec![codec::decode(message).unwrap()];
    let mut replies = Vec::new();
    to.receive(now, from.me(), message, &mut replies).unwrap();
    if let Some(reply) = replies.pop() {
        assert_eq!(reply.to, from.me());
        said.extend(carry(to, from, now, &reply.message));
    }
    said
}

/// A whole exchange that `from` opens, if it chose `to` this round.
pub(crate) fn exchange(from: &mut Gossip, to: &mut Gossip, now: Instant) -> Vec<Message> {
    let opening = round(from, now).into_iter().find(|outgoing| outgoing.to == to.me());
    carry(from, to, now, &opening.unwrap().message)
}

#[test]
fn an_exchange_is_digest_difference_difference() {
    let (mut a, mut b) = (node(0, 1, 2), node(1, 1, 2));
    round(&mut b, seconds(0));
    let steps: Vec<Step> = exchange(&mut a, &mut b, seconds(0)).iter().map(|said| said.step).collect();
    assert_eq!(steps, [Step::Opening, Step::Answer, Step::Closing]);
    // Where nothing is missing the third has nothing to say.
    let steps: Vec<Step> = exchange(&mut a, &mut b, seconds(2)).iter().map(|said| said.step).collect();
    assert_eq!(steps, [Step::Opening, Step::Answer]);
}

#[test]
fn strangers_are_neither_heard_nor_kept() {
    let (mut a, mut b) = (node(0, 1, 2), node(1, 1, 3));
    let mut c = node(2, 1, 3);
    let mut out = Vec::new();
    for outgoing in round(&mut c, seconds(0)) {
        let refused = a.receive(seconds(0), NodeId(2), &outgoing.message, &mut out);
        assert_eq!(refused, Err(Refused::Stranger(NodeId(2))));
    }
    // By way of one that does know the stranger.
    exchange(&mut c, &mut b, seconds(0));
    exchange(&mut b, &mut a, seconds(0));
    assert_eq!(a.table(seconds(0)).len(), 2);
    assert_eq!(a.table(seconds(0))[1].heartbeat, 1, "b itself is heard");
}

#[test]
fn who_is_no_member_says_nothing() {
    let mut a = node(0, 1, 2);
    a.set_members(seconds(0), [(NodeId(1), None)]);
    assert_eq!(round(&mut a, seconds(0)), []);
    let mut out = Vec::new();
    let b = round(&mut node(1, 1, 2), seconds(0)).remove(0);
    assert_eq!(a.receive(seconds(0), NodeId(1), &b.message, &mut out), Err(Refused::Stranger(NodeId(1))));
}

#[test]
fn what_is_no_message_is_refused() {
    let mut a = node(0, 1, 2);
    let refused = a.receive(seconds(0), NodeId(1), b"PING", &mut Vec::new());
    assert!(matches!(refused, Err(Refused::Undecodable(_))), "{refused:?}");
}

/// INVARIANTS E8: a removed incarnation stays removed.
#[test]
fn only_the_pinned_incarnation_is_believed() {
    let (mut a, mut b, mut c) = (node(0, 1, 3), node(1, 1, 3), node(2, 9, 3));
    exchange(&mut c, &mut a, seconds(0));
    exchange(&mut c, &mut b, seconds(2));
    assert!(a.table(seconds(2))[2].heartbeat > 0);
    let pins = [(NodeId(0), None), (NodeId(1), None), (NodeId(2), Some(Incarnation(7)))];
    a.set_members(seconds(2), pins);
    assert_eq!(a.table(seconds(2))[2].heartbeat, 0, "what was known of the old one is forgotten");
    let opening = round(&mut c, seconds(4)).remove(0);
    let refused = a.receive(seconds(2), NodeId(2), &opening.message, &mut Vec::new());
    let wrong = Refused::Incarnation { node: NodeId(2), incarnation: Incarnation(102) };
    assert_eq!(refused, Err(wrong));
    exchange(&mut b, &mut a, seconds(2));
    assert_eq!(a.table(seconds(2))[2].heartbeat, 0, "and does not come back by others");
}

#[test]
fn rounds_come_when_they_are_due_and_not_before() {
    let mut a = node(0, 1, 2);
    let mut out = Vec::new();
    let mut rng = Rng::from_seed(1);
    assert_eq!(a.next_round(), seconds(0));
    a.round(seconds(0), &mut rng, &mut out);
    assert_eq!(out.len(), 1);
    let next = a.next_round();
    let early = next - Duration::from_nanos(1);
    assert!((950..=1_050).contains(&next.since(seconds(0)).as_millis()));
    a.round(early, &mut rng, &mut out);
    assert_eq!((out.len(), a.next_round()), (1, next));
}

#[test]
fn each_round_raises_the_heartbeat_and_asks_as_many_as_the_fan_out_says() {
    let mut nodes: Vec<Gossip> = (0..10).map(|id| node(id, 1, 10)).collect();
    let mut asked = Vec::new();
    for beat in 1..=40 {
        let now = seconds(2 * beat);
        let mut a = nodes.remove(0);
        let out = round(&mut a, now);
        let mut peers: Vec<NodeId> = out.iter().map(|outgoing| outgoing.to).collect();
        peers.sort_unstable();
        peers.dedup();
        assert_eq!(peers.len(), out.len(), "nobody twice");
        assert!((3..=4).contains(&out.len()), "three, and one of those that were not heard");
        asked.extend(peers);
        for outgoing in out {
            carry(&mut a, &mut nodes[usize::from(outgoing.to.0) - 1], now, &outgoing.message);
        }
        assert_eq!(a.table(now)[0].heartbeat, beat);
        nodes.insert(0, a);
    }
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 9, "in time everybody is asked");
}

#[test]
fn who_runs_under_an_id_that_lives_elsewhere_is_told() {
    let (mut a, mut b) = (node(0, 1, 2), node(1, 1, 2));
    let mut other = node(0, 2, 2);
    exchange(&mut a, &mut b, seconds(0));
    assert_eq!(a.impersonated(), None);
    exchange(&mut other, &mut b, seconds(0));
    exchange(&mut b, &mut a, seconds(2));
    assert_eq!(a.impersonated().map(|pulse| pulse.generation), Some(Generation(2)));
    assert_eq!(other.impersonated(), None);
}

/// A node whose start is not later than what others remember of it becomes heard again, with its facts.
#[test]
fn who_is_taken_for_a_later_start_outlives_it() {
    let (mut b, mut remembered) = (node(1, 1, 2), node(0, 9, 2));
    exchange(&mut remembered, &mut b, seconds(0));
    let mut a = node(0, 3, 2);
    a.set_fact(Key::LOAD, b"low").unwrap();
    exchange(&mut a, &mut b, seconds(2));
    assert_eq!(b.fact(NodeId(0), Key::LOAD), None, "nobody hears an earlier start");
    assert_eq!(a.outlive().map(|pulse| pulse.generation), Some(Generation(9)));
    assert_eq!(a.outlive(), None, "once is enough");
    exchange(&mut a, &mut b, seconds(4));
    assert_eq!(b.table(seconds(4))[0].generation, Some(Generation(10)));
    assert_eq!(b.fact(NodeId(0), Key::LOAD), Some(&b"low"[..]));
}

proptest! {
    /// Whatever a member says: nobody is added, this node believes nothing about itself, and what it says afterwards
    /// is still within its limit.
    #[test]
    fn no_message_does_harm(said in prop::collection::vec((messages(), 1_u16..4), 1..8)) {
        let mut a = node(0, 1, 4);
        round(&mut a, seconds(0));
        for (message, from) in said {
            let Message { step, incarnation, entries, states } = message;
            let entries = entries.into_iter().map(|(node, entry)| (NodeId(node.0 % 6), entry)).collect();
            let states = states.into_iter().map(|(node, state)| (NodeId(node.0 % 6), state)).collect();
            let bytes = codec::encode(&Message { step, incarnation, entries, states });
            let mut out = Vec::new();
            a.receive(seconds(1), NodeId(from), &bytes, &mut out).unwrap();
            out.extend(round(&mut a, seconds(1)));
            let own = a.table(seconds(1)).remove(0);
            prop_assert_eq!((own.node, own.generation, own.incarnation), (NodeId(0), Some(Generation(1)), Some(Incarnation(100))));
            prop_assert!(own.heartbeat < 20);
            prop_assert_eq!(a.table(seconds(1)).len(), 4);
            let longest = out.iter().map(|outgoing| outgoing.message.len()).max().unwrap_or(0);
            prop_assert!(longest + gossip::SEAL_BYTES <= Options::default().message_bytes_max);
        }
    }
}
