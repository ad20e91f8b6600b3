//! Whatever a peer says, a member does not panic: the library behind it would (`guard` says at what).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

use std::time::Duration;

use bytes::Bytes;
use consensus::message::Body;
use consensus::{
    Change, Effect, Entry, Group, HardState, MemberId, Membership, Message, Options, Payload, Position,
    Snapshot, Stored, Unfit,
};
use env::Rng;
use proptest::prelude::*;
use types::Instant;

/// Numbers around those that a young group has, and those at the ends.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..14_u64, 1 => Just(u64::MAX), 1 => Just(1 << 60), 1 => any::<u64>()]
}

fn position() -> impl Strategy<Value = Position> {
    (0..5_u64, number()).prop_map(|(term, index)| Position { term, index })
}

fn payload() -> impl Strategy<Value = Payload> {
    let change = (0..3, 0..9_u64).prop_map(|(kind, id)| match kind {
        0 => Change::AddLearner(MemberId(id)),
        1 => Change::Promote(MemberId(id)),
        _ => Change::Remove(MemberId(id)),
    });
    let data = proptest::collection::vec(any::<u8>(), 0..3).prop_map(|data| Payload::Data(Bytes::from(data)));
    prop_oneof![Just(Payload::Nothing), data, change.prop_map(Payload::Change)]
}

/// Mostly such as follow each other, so that they get beyond the first check.
fn append() -> impl Strategy<Value = Body> {
    let entries = proptest::collection::vec((payload(), 0..2_u64, 0..20_u8), 0..5);
    (position(), number(), entries).prop_map(|(before, commit, parts)| {
        let mut last = before;
        let mut entries = Vec::new();
        for (payload, later, odd) in parts {
            last = Position { term: last.term.saturating_add(later), index: last.index.wrapping_add(1) };
            let index = if odd == 0 { last.index.wrapping_add(1) } else { last.index };
            entries.push(Entry { position: Position { index, ..last }, payload });
        }
        Body::Append { before, commit, entries }
    })
}

fn snapshot() -> impl Strategy<Value = Body> {
    (position(), proptest::collection::btree_set(1..7_u64, 1..5)).prop_map(|(position, voters)| {
        let membership = Membership::founding(voters.into_iter().map(MemberId)).unwrap();
        Body::Snapshot(Snapshot { position, membership, data: Bytes::new() })
    })
}

fn body() -> impl Strategy<Value = Body> {
    let token = || proptest::option::of(0..4_u64);
    prop_oneof![
        4 => append(),
        2 => snapshot(),
        2 => (number(), token()).prop_map(|(commit, token)| Body::Heartbeat { commit, token }),
        2 => (number(), token()).prop_map(|(commit, token)| Body::HeartbeatAnswer { commit, token }),
        2 => (number(), number()).prop_map(|(index, commit)| Body::Appended { index, commit }),
        2 => (number(), position(), number())
            .prop_map(|(index, hint, commit)| Body::NotAppended { index, hint, commit }),
        2 => (any::<bool>(), any::<bool>(), position(), position()).prop_map(
            |(is_trial, is_transfer, last, committed)| Body::Vote { is_trial, is_transfer, last, committed }
        ),
        4 => (any::<bool>(), any::<bool>(), position())
            .prop_map(|(is_trial, refuses, committed)| Body::VoteAnswer { is_trial, refuses, committed }),
        1 => Just(Body::TakeOver),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Message { from: u64, to: u64, term: u64, body: Body },
    Time,
    Persisted,
    Propose,
    Change(u64),
    Read,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let message = (
        0..6_u64,
        prop_oneof![9 => Just(1_u64), 1 => 0..3_u64],
        prop_oneof![9 => 0..6_u64, 1 => number()],
        body(),
    );
    prop_oneof![
        12 => message.prop_map(|(from, to, term, body)| Step::Message { from, to, term, body }),
        6 => Just(Step::Time),
        6 => Just(Step::Persisted),
        1 => Just(Step::Propose),
        1 => (2..9_u64).prop_map(Step::Change),
        1 => Just(Step::Read),
        1 => Just(Step::Compact),
    ]
}

fn stored(voters: u64, log: u64) -> Stored {
    let mut stored = Stored::founding((1..=voters).map(MemberId), Bytes::from_static(b"state")).unwrap();
    let entry =
        |index| Entry { position: Position { term: 1 + index / 4, index }, payload: Payload::Nothing };
    let entries: Vec<Entry> = (2..=log).map(entry).collect();
    let hard_state = HardState { term: 1 + log / 4, vote: 0, commit: log.div_ceil(2).max(1) };
    stored.append(hard_state, entries).unwrap();
    stored
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// K3, G3: nothing that peers say, in whatever order with what the member does itself, makes it panic.
    #[test]
    fn no_message_makes_a_member_panic(
        voters in 1..4_u64,
        log in 1..12_u64,
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let options = Options { election_ticks: 3, heartbeat_ticks: 1, entries_kept: 1, ..Options::default() };
        let mut now = Instant(0);
        let mut out = Vec::new();
        let rng = Rng::from_seed(1);
        let mut group = Group::open(now, MemberId(1), options, stored(voters, log), 0, rng, &mut out).unwrap();
        let mut written = 0;
        for step in steps {
            match step {
                Step::Message { from, to, term, body } => {
                    let message = Message { to: MemberId(to), term, body };
                    let _ = group.receive(now, MemberId(from), message, &mut out);
                }
                Step::Time => {
                    now = group.next_timer();
                    group.timer(now, &mut out);
                }
                Step::Persisted => {
                    group.persisted(now, written, &mut out);
                }
                Step::Propose => drop(group.propose(now, Bytes::from_static(b"x"), &mut out)),
                Step::Change(id) => {
                    let _ = group.change(now, Change::AddLearner(MemberId(id)), &mut out);
                    let _ = group.change(now, Change::Promote(MemberId(id)), &mut out);
                    let _ = group.change(now, Change::Remove(MemberId(id)), &mut out);
                }
                Step::Read => drop(group.read(now, &mut out)),
                Step::Compact => group.compact(now, Bytes::from_static(b"state"), &mut out).unwrap(),
            }
            for effect in out.drain(..) {
                if let Effect::Persist { number, .. } = effect {
                    written = number;
                }
            }
            let _ = group.status(now);
        }
    }

    /// K3: bytes of others are a message or an error.
    #[test]
    fn bytes_of_others_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes, 1000);
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        if let Ok(message) = Message::decode(&bytes, 1000) {
            prop_assert!(message.encode().len() <= bytes.len());
        }
    }

    /// What one member writes another reads as it was.
    #[test]
    fn messages_come_back_as_they_were(to in 1..9_u64, term in any::<u64>(), body in body()) {
        let message = Message { to: MemberId(to), term, body };
        prop_assert_eq!(Message::decode(&message.encode(), 10_000), Ok(message));
    }
}

/// I2: what is sent keeps its bytes, so that members of adjacent versions understand each other.
#[test]
fn the_bytes_of_messages_stay_as_they_are() {
    let entry = |index, payload| Entry { position: Position { term: 3, index }, payload };
    let entries = vec![
        entry(6, Payload::Nothing),
        entry(7, Payload::Data(Bytes::from_static(b"ab"))),
        entry(8, Payload::Change(Change::Promote(MemberId(4)))),
    ];
    let before = Position { term: 2, index: 5 };
    let append = Message { to: MemberId(9), term: 3, body: Body::Append { before, commit: 4, entries } };
    let expected = [1, 9, 3, 0, 2, 5, 4, 3, 3, 6, 0, 3, 7, 1, 2, b'a', b'b', 3, 8, 2, 1, 4];
    assert_eq!(append.encode(), expected);
    let vote =
        Body::Vote { is_trial: true, is_transfer: false, last: before, committed: Position::default() };
    assert_eq!(Message { to: MemberId(9), term: 3, body: vote }.encode(), [1, 9, 3, 5, 1, 0, 2, 5, 0, 0]);
    let membership = Membership::founding([MemberId(1), MemberId(2)]).unwrap();
    let snapshot = Snapshot { position: before, membership, data: Bytes::from_static(b"s") };
    let sent = Message { to: MemberId(9), term: 3, body: Body::Snapshot(snapshot) };
    assert_eq!(sent.encode(), [1, 9, 3, 7, 2, 5, 2, 1, 2, 0, 2, 1, b's']);
}

/// J1: while the disk stands still a member keeps no more than so much to say.
#[test]
fn a_stalled_member_goes_deaf_before_its_memory_is_full() {
    let (mut group, now) = follower();
    let before = Position { term: 3, index: 8 };
    let entries = vec![Entry { position: Position { term: 9, index: 9 }, payload: Payload::Nothing }];
    hear(&mut group, now, 2, 9, Body::Append { before, commit: 8, entries }).unwrap();
    let heartbeat = Body::Heartbeat { commit: 8, token: None };
    let heard = (0..10_000).take_while(|_| hear(&mut group, now, 2, 9, heartbeat.clone()).is_ok()).count();
    assert!((1000..9000).contains(&heard), "{heard}");
    assert_eq!(hear(&mut group, now, 2, 9, heartbeat), Err(Unfit::NotNow));
}

fn follower() -> (Group, Instant) {
    let mut out = Vec::new();
    let now = Instant(0);
    let group =
        Group::open(now, MemberId(1), Options::default(), stored(3, 8), 0, Rng::from_seed(1), &mut out)
            .unwrap();
    (group, now)
}

fn hear(group: &mut Group, now: Instant, from: u64, term: u64, body: Body) -> Result<(), Unfit> {
    group.receive(now, MemberId(from), Message { to: MemberId(1), term, body }, &mut Vec::new())
}

/// G2: a leader that speaks of entries which this member has acknowledged, and does not have, is not obeyed.
#[test]
fn a_commit_beyond_the_log_is_refused() {
    let (mut group, now) = follower();
    let refused = hear(&mut group, now, 2, 9, Body::Heartbeat { commit: 9, token: None });
    assert_eq!(refused, Err(Unfit::BeyondTheEnd { index: 9, last: 8 }));
}

/// G3: two that lead in one term are not obeyed both.
#[test]
fn a_second_leader_of_a_term_is_refused() {
    let (mut group, now) = follower();
    let heartbeat = Body::Heartbeat { commit: 1, token: None };
    hear(&mut group, now, 2, 9, heartbeat.clone()).unwrap();
    let refused = hear(&mut group, now, 3, 9, heartbeat);
    assert_eq!(refused, Err(Unfit::TwoLeaders { term: 9, first: MemberId(2), second: MemberId(3) }));
}

/// G3: what was sent to an earlier life of a member is not for this one.
#[test]
fn messages_for_another_life_are_refused() {
    let (mut group, now) = follower();
    let message = Message { to: MemberId(7), term: 9, body: Body::TakeOver };
    let refused = group.receive(now, MemberId(2), message, &mut Vec::new());
    assert_eq!(refused, Err(Unfit::NotForUs { to: MemberId(7), here: MemberId(1) }));
}

/// G2: a vote is not sent before it is durable, and neither is an acknowledgement.
#[test]
fn promises_wait_for_the_disk() {
    let (mut group, now) = follower();
    let mut out = Vec::new();
    let last = Position { term: 5, index: 20 };
    let vote = Body::Vote { is_trial: false, is_transfer: false, last, committed: Position::default() };
    group.receive(now, MemberId(2), Message { to: MemberId(1), term: 9, body: vote }, &mut out).unwrap();
    let number = |out: &[Effect]| {
        out.iter().find_map(|effect| match effect {
            Effect::Persist { number, .. } => Some(*number),
            _ => None,
        })
    };
    let sends = |out: &[Effect]| out.iter().filter(|effect| matches!(effect, Effect::Send(..))).count();
    assert_eq!(sends(&out), 0, "{out:?}");
    let first = number(&out).expect("a vote is written");
    out.clear();
    group.persisted(now, first, &mut out);
    assert_eq!(sends(&out), 1, "{out:?}");

    out.clear();
    let before = Position { term: 3, index: 8 };
    let entries = vec![Entry { position: Position { term: 9, index: 9 }, payload: Payload::Nothing }];
    let append = Body::Append { before, commit: 8, entries };
    group.receive(now, MemberId(2), Message { to: MemberId(1), term: 9, body: append }, &mut out).unwrap();
    assert_eq!(sends(&out), 0, "{out:?}");
    let second = number(&out).expect("entries are written");
    out.clear();
    group.persisted(now, second, &mut out);
    assert_eq!(sends(&out), 1, "{out:?}");
}

/// H5: a member whose disk stands still does not begin an election.
#[test]
fn a_stalled_member_does_not_campaign() {
    let (mut group, mut now) = follower();
    let mut out = Vec::new();
    let before = Position { term: 3, index: 8 };
    let entries = vec![Entry { position: Position { term: 9, index: 9 }, payload: Payload::Nothing }];
    let body = Body::Append { before, commit: 8, entries };
    group.receive(now, MemberId(2), Message { to: MemberId(1), term: 9, body }, &mut out).unwrap();
    for _ in 0..100 {
        now = now + Duration::from_millis(100);
        group.timer(now, &mut out);
    }
    assert!(!out.iter().any(|effect| matches!(effect, Effect::Send(..))), "{out:?}");
    assert_eq!(group.status(now).role, consensus::Role::Follower);
}
