//! Who is taken for what, by hand: what each observer says is written into the facts that it spreads.

use std::collections::BTreeMap;
use std::time::Duration;

use gossip::codec;
use gossip::message::{Entry, Message, Step};
use gossip::suspicion::{self, Accusations};
use gossip::verdict::Standing;
use gossip::{Change, Gossip, Key, NodeState, Options, Pulse, Verdict};
use types::{Instant, NodeId};

use crate::given::{pulse, start};
use crate::talk::{node, node_at, round, seconds};

/// Node 0, and others of which a test says what they say.
struct Observed {
    me: Gossip,
    others: BTreeMap<u16, NodeState>,
    now: u64,
}

impl Observed {
    /// A cluster of this many; all others were heard every second for half a minute.
    fn new(count: u16) -> Observed {
        let others = (1..count).map(|id| (id, NodeState::new(start(1, 100 + u64::from(id)))));
        let mut observed = Observed { me: node(0, 1, count), others: others.collect(), now: 0 };
        (0..30).for_each(|_| observed.second(&(1..count).collect::<Vec<_>>()));
        observed
    }

    fn at(&self) -> Instant {
        seconds(self.now)
    }

    /// A second in which these are heard, each by itself.
    fn second(&mut self, heard: &[u16]) {
        self.now += 1;
        for id in heard {
            self.beat(*id, BTreeMap::new());
        }
        let now = self.at();
        round(&mut self.me, now);
    }

    fn beat(&mut self, id: u16, facts: BTreeMap<Key, Vec<u8>>) {
        let state = self.others.get_mut(&id).unwrap();
        state.beat(facts);
        let message = Message {
            step: Step::Closing,
            incarnation: state.start().incarnation,
            entries: [(NodeId(id), Entry::of(Some(state)))].into(),
            states: [(NodeId(id), state.since(0))].into(),
        };
        let now = self.at();
        self.me.receive(now, NodeId(id), &codec::encode(&message), &mut Vec::new()).unwrap();
    }

    /// `observer` is heard, and accuses `accused` at this heartbeat.
    fn accuse(&mut self, observer: u16, accused: u16, at: Pulse) {
        let accusations: Accusations = [(NodeId(accused), at)].into();
        self.beat(observer, [(Key::SUSPECTS, suspicion::encode(&accusations))].into());
    }

    fn heard(&self, id: u16) -> Pulse {
        self.others[&id].pulse()
    }

    fn verdict(&self, id: u16) -> Verdict {
        self.me.verdict(NodeId(id))
    }

    /// Seconds in which only these are heard.
    fn pass(&mut self, seconds: u64, heard: &[u16]) {
        (0..seconds).for_each(|_| self.second(heard));
    }
}

#[test]
fn nobody_is_up_before_he_is_heard() {
    let mut me = node(0, 1, 3);
    round(&mut me, seconds(0));
    assert_eq!(me.verdict(NodeId(1)), Verdict::NeverHeard);
    round(&mut me, seconds(100));
    assert_eq!(me.verdict(NodeId(1)), Verdict::NeverHeard, "and is not down either");
    assert_eq!(me.verdict(NodeId(0)), Verdict::Up, "oneself");
    assert_eq!(me.verdict(NodeId(77)), Verdict::NeverHeard, "a stranger");
}

#[test]
fn silence_alone_makes_a_suspect() {
    let mut observed = Observed::new(4);
    observed.pass(10, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Suspected);
    assert_eq!(observed.verdict(2), Verdict::Up);
}

#[test]
fn a_second_observer_makes_it_down() {
    let mut observed = Observed::new(4);
    observed.pass(10, &[2, 3]);
    observed.accuse(2, 1, observed.heard(1));
    observed.pass(1, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Down);
}

#[test]
fn one_accuser_does_not_make_me_doubt_whom_i_hear() {
    let mut observed = Observed::new(4);
    observed.accuse(2, 1, observed.heard(1));
    observed.pass(1, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Up);
}

/// The local node need not be one of them.
#[test]
fn two_others_are_enough() {
    let mut observed = Observed::new(4);
    observed.accuse(2, 1, observed.heard(1));
    observed.accuse(3, 1, observed.heard(1));
    observed.pass(1, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Down);
}

#[test]
fn an_accusation_at_an_older_heartbeat_counts_for_nothing() {
    let mut observed = Observed::new(4);
    let old = observed.heard(1);
    observed.pass(1, &[1, 2, 3]);
    observed.accuse(2, 1, old);
    observed.accuse(3, 1, old);
    observed.pass(1, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Up);
}

#[test]
fn an_accusation_at_a_newer_heartbeat_or_of_a_later_start_counts() {
    for newer in [pulse(1, 1_000), pulse(2, 1)] {
        let mut observed = Observed::new(4);
        observed.accuse(2, 1, newer);
        observed.accuse(3, 1, newer);
        observed.pass(1, &[2, 3]);
        assert_eq!(observed.verdict(1), Verdict::Down, "{newer:?}");
    }
}

#[test]
fn the_accused_refutes_by_a_newer_heartbeat() {
    let mut observed = Observed::new(4);
    observed.pass(10, &[2, 3]);
    observed.accuse(2, 1, observed.heard(1));
    observed.pass(5, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Down);
    observed.pass(1, &[1, 2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Up);
    assert_eq!(observed.me.table(observed.at())[1].suspected_by, []);
}

/// INVARIANTS K2: what was said before is no sign of life, however often it comes.
#[test]
fn a_replayed_message_is_neither_news_nor_a_sign_of_life() {
    let mut observed = Observed::new(4);
    let state = observed.others[&1].clone();
    let replayed = Message {
        step: Step::Opening,
        incarnation: state.start().incarnation,
        entries: [(NodeId(1), Entry::of(Some(&state)))].into(),
        states: [(NodeId(1), state.since(0))].into(),
    };
    for _ in 0..10 {
        let now = observed.at();
        observed.me.receive(now, NodeId(1), &codec::encode(&replayed), &mut Vec::new()).unwrap();
        observed.pass(1, &[2, 3]);
    }
    assert_eq!(observed.verdict(1), Verdict::Suspected);
}

/// Node 2 is suspected by this node itself: its word counts no more, though it was given before.
#[test]
fn the_word_of_a_suspect_does_not_count() {
    let mut observed = Observed::new(5);
    // At a heartbeat that is far ahead, so that it stands.
    observed.accuse(2, 1, pulse(1, 9_999));
    observed.pass(10, &[1, 3, 4]);
    assert_eq!(observed.verdict(2), Verdict::Suspected);
    observed.pass(8, &[3, 4]);
    assert_eq!(observed.verdict(1), Verdict::Suspected, "only this node says so");
}

#[test]
fn nobody_accuses_himself_and_a_stranger_cannot_be_accused() {
    let mut observed = Observed::new(4);
    observed.accuse(1, 1, observed.heard(1));
    observed.accuse(2, 77, pulse(1, 1));
    observed.pass(1, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Up);
    assert_eq!(observed.me.table(observed.at()).len(), 4);
}

#[test]
fn one_voice_is_enough_where_one_observer_is_left() {
    let mut observed = Observed::new(2);
    observed.pass(6, &[]);
    assert_eq!(observed.verdict(1), Verdict::Down);
    let mut observed = Observed::new(4);
    observed.pass(10, &[]);
    assert!((1..4).all(|id| observed.verdict(id) == Verdict::Down), "all others are silent");
}

/// Down ends with a sign of life, and not already because an accuser takes back what it said, or dies.
#[test]
fn down_lasts_until_there_is_a_sign_of_life() {
    let mut observed = Observed::new(4);
    observed.pass(10, &[2, 3]);
    observed.accuse(2, 1, observed.heard(1));
    observed.pass(1, &[2, 3]);
    observed.beat(2, [(Key::SUSPECTS, Vec::new())].into());
    observed.pass(20, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Down);
    let now = observed.at();
    observed.me.request_succeeded(now, NodeId(1));
    observed.pass(1, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Up, "an answered request is one");
}

#[test]
fn who_answers_requests_is_up_whatever_others_say() {
    let mut observed = Observed::new(4);
    observed.accuse(2, 1, observed.heard(1));
    observed.accuse(3, 1, observed.heard(1));
    let now = observed.at();
    observed.me.request_succeeded(now, NodeId(1));
    observed.pass(1, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Up);
    observed.pass(10, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Down, "until that is too long ago");
}

#[test]
fn an_observer_that_was_away_forgives_everybody_once() {
    let mut observed = Observed::new(4);
    observed.now += 60;
    observed.pass(1, &[]);
    assert!((1..4).all(|id| observed.verdict(id) == Verdict::Up));
    assert_eq!(observed.me.fact(NodeId(0), Key::SUSPECTS), None, "and accuses nobody");
    // Once: if they are silent from now on, they are silent.
    observed.pass(12, &[]);
    assert!((1..4).all(|id| observed.verdict(id) == Verdict::Down));
}

/// What waited for it is taken in first, and would otherwise be an interval of a minute.
#[test]
fn it_forgives_before_it_looks_at_what_waited() {
    let mut observed = Observed::new(4);
    observed.now += 60;
    observed.beat(1, BTreeMap::new());
    let limit_of_1 = observed.me.table(observed.at())[1].age;
    assert_eq!(limit_of_1, Some(Duration::ZERO));
    observed.pass(7, &[2, 3]);
    assert_eq!(observed.verdict(1), Verdict::Up, "with few intervals there is more time");
}

#[test]
fn suspicions_are_told_to_others_with_the_heartbeat_and_taken_back() {
    let mut observed = Observed::new(4);
    observed.pass(10, &[2, 3]);
    let told = observed.me.fact(NodeId(0), Key::SUSPECTS).map(suspicion::decode);
    assert_eq!(told, Some([(NodeId(1), observed.heard(1))].into()));
    observed.pass(3, &[1, 2, 3]);
    assert_eq!(observed.me.fact(NodeId(0), Key::SUSPECTS), None);
}

/// So that a death in a large cluster is not told a thousand times.
#[test]
fn who_comes_late_does_not_add_to_enough_voices() {
    let mut observed = Observed::new(7);
    for observer in 2..6 {
        observed.accuse(observer, 1, observed.heard(1));
    }
    observed.pass(10, &[2, 3, 4, 5, 6]);
    assert_eq!(observed.verdict(1), Verdict::Down);
    assert_eq!(observed.me.fact(NodeId(0), Key::SUSPECTS), None);
    assert_eq!(
        observed.me.table(observed.at())[1].suspected_by.len(),
        5,
        "its own suspicion counts for itself"
    );
}

#[test]
fn witnesses_speak_first_and_the_others_in_waves_that_double() {
    let waits = [(0, 0), (7, 0), (8, 2), (23, 2), (24, 4), (55, 4), (56, 6), (999, 12)];
    for (rank, rounds) in waits {
        assert_eq!(suspicion::patience_rounds(rank), rounds, "rank {rank}");
    }
}

#[test]
fn changes_are_told_once_and_from_what_was_told_last() {
    let mut observed = Observed::new(3);
    let first = observed.me.changes();
    let all: Vec<_> = first.iter().map(|change| (change.node.0, change.from, change.to)).collect();
    assert_eq!(all, [(1, Verdict::NeverHeard, Verdict::Up), (2, Verdict::NeverHeard, Verdict::Up)]);
    observed.pass(10, &[2]);
    observed.accuse(2, 1, observed.heard(1));
    observed.pass(1, &[2]);
    let Change { node, from, to, .. } = observed.me.changes()[0];
    assert_eq!((node, from, to), (NodeId(1), Verdict::Up, Verdict::Down), "suspected in between");
    assert_eq!(observed.me.changes(), []);
    observed.pass(4, &[1, 2]);
    observed.pass(10, &[2]);
    observed.accuse(2, 1, observed.heard(1));
    observed.pass(5, &[2]);
    assert_eq!(observed.me.changes(), [], "up, and down again: nothing that anybody has to be told");
}

#[test]
fn the_table_shows_all_members() {
    let mut observed = Observed::new(3);
    observed.pass(10, &[2]);
    let table = observed.me.table(observed.at());
    assert_eq!(table.iter().map(|row| row.node.0).collect::<Vec<_>>(), [0, 1, 2]);
    let row = &table[1];
    assert_eq!(row.heartbeat, 30);
    assert_eq!(row.age, Some(Duration::from_secs(10)));
    assert!(row.phi > 8.0 && row.phi.is_finite());
    assert_eq!((row.verdict, row.suspected_by.as_slice()), (Verdict::Suspected, &[NodeId(0)][..]));
    let me = &table[0];
    assert_eq!((me.age, me.phi, me.verdict), (Some(Duration::ZERO), 0.0, Verdict::Up));
    let fresh = node_at(0, 1, 2, seconds(0)).table(seconds(5));
    assert_eq!((fresh[1].age, fresh[1].heartbeat, fresh[1].generation), (None, 0, None));
}

mod damping {
    use super::*;

    fn options() -> Options {
        Options::default()
    }

    /// From when on each flip is allowed, if the opposite is wanted all the time.
    #[test]
    fn a_verdict_stands_longer_with_every_second_flip_up_to_a_bound() {
        let mut standing = Standing::default();
        standing.settle(seconds(0), Verdict::Up, &options());
        let (mut flipped_at, mut stood) = (0, Vec::new());
        for now in 1..600 {
            let opposite = if standing.verdict() == Verdict::Up { Verdict::Suspected } else { Verdict::Up };
            if standing.settle(seconds(now), opposite, &options()).is_some() {
                stood.push(now - flipped_at);
                flipped_at = now;
            }
        }
        assert_eq!(stood[..12], [2, 2, 4, 4, 8, 8, 16, 16, 32, 32, 60, 60]);
        assert!(stood[12..].iter().all(|seconds| *seconds <= 60));
    }

    #[test]
    fn calm_is_rewarded() {
        let mut standing = Standing::default();
        standing.settle(seconds(0), Verdict::Up, &options());
        standing.settle(seconds(10), Verdict::Suspected, &options());
        standing.settle(seconds(20), Verdict::Up, &options());
        assert_eq!(standing.dwell(seconds(21), &options()), Duration::from_secs(4));
        assert_eq!(standing.dwell(seconds(80), &options()), Duration::from_secs(2));
    }

    #[test]
    fn from_suspected_to_down_nobody_waits() {
        let mut standing = Standing::default();
        standing.settle(seconds(0), Verdict::Up, &options());
        standing.settle(seconds(10), Verdict::Suspected, &options());
        assert_eq!(standing.settle(seconds(10), Verdict::Down, &options()), Some(Verdict::Suspected));
        assert_eq!(standing.settle(seconds(11), Verdict::Up, &options()), None);
        assert_eq!(standing.settle(seconds(12), Verdict::Up, &options()), Some(Verdict::Down));
    }

    #[test]
    fn a_reason_that_is_gone_by_then_flips_nothing() {
        let mut standing = Standing::default();
        standing.settle(seconds(0), Verdict::Up, &options());
        assert_eq!(standing.settle(seconds(1), Verdict::Suspected, &options()), None);
        assert_eq!(standing.settle(seconds(3), Verdict::Up, &options()), None);
        assert_eq!(standing.verdict(), Verdict::Up);
    }
}
