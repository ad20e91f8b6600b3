//! B2, D1: an owner that is asked what it holds, by one who says what he holds himself, keeps to itself only what could teach him
//! nothing.
//!
//! The naive model of an answer is the merge of both records. Two sides write one key, as data centers do that are cut off from each
//! other and meet now and then: with what was read there or blindly, deletes and ends too. Whoever goes by the answer then holds what
//! he would hold had he been told everything.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::Bytes;
use causality::{Actor, Context, Dot, Expiry, Payload, Policy, Record, Stamp, Version};
use proptest::prelude::*;
use replica::ReplicaOptions;
use support::{LWW, Rig, SIBLINGS, Said};
use types::{Incarnation, KeyspaceId, OperationId, Stint, WallTime};
use wire::{Own, ReplicaReply, ReplicaRequest, WritePath};

/// Something that happens to a key on one of two sides.
#[derive(Clone, Debug)]
enum Step {
    Put { reads: bool, stamp: u64 },
    Delete { stamp: u64 },
    Expire { at: u64 },
    Meet,
}

type History = Vec<(usize, Step)>;

fn history() -> impl Strategy<Value = History> {
    let step = prop_oneof![
        5 => (any::<bool>(), 0..4_u64).prop_map(|(reads, stamp)| Step::Put { reads, stamp }),
        2 => (0..4_u64).prop_map(|stamp| Step::Delete { stamp }),
        1 => (1..4_u64).prop_map(|at| Step::Expire { at }),
        2 => Just(Step::Meet),
    ];
    prop::collection::vec((0..2_usize, step), 0..9)
}

/// What the two sides hold in the end.
fn lived(history: &History, policy: Policy) -> [Option<Record>; 2] {
    let (mut sides, mut written): ([Option<Record>; 2], [u64; 2]) = ([None, None], [0, 0]);
    for (number, (side, step)) in history.iter().enumerate() {
        let held = sides[*side].clone();
        let read = held.as_ref().map_or(Context::Empty, Record::context);
        let mut write = |payload, stamp: u64, context: &Context| {
            written[*side] += 1;
            let incarnation = Incarnation(1 + *side as u64);
            let dot = Dot { actor: Actor { incarnation, stint: Stint(1) }, counter: written[*side] };
            let stamp = Stamp((number as u64) * 3 + stamp);
            let version = Version::new(dot, stamp, payload, OperationId(number as u64));
            Record::put(held.as_ref(), policy, context, version).ok()
        };
        let made = match step {
            Step::Put { reads, stamp } => {
                let context = if *reads { read } else { Context::Empty };
                write(Payload::Value(Bytes::from(format!("value {number}"))), *stamp, &context)
            }
            Step::Delete { stamp } => write(Payload::Tombstone, *stamp, &read),
            Step::Expire { at } => held.as_ref().and_then(|held| {
                let expiry = Expiry { stamp: Stamp(1000 + number as u64), at: Some(WallTime(*at)) };
                held.with_expiry(&read, expiry).ok()
            }),
            Step::Meet => merged(held.as_ref(), sides[1 - *side].as_ref()),
        };
        // A write that an owner would refuse has not happened.
        sides[*side] = made.or(sides[*side].take());
    }
    sides
}

fn merged(one: Option<&Record>, other: Option<&Record>) -> Option<Record> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.merge(other).unwrap()),
        (one, other) => one.or(other).cloned(),
    }
}

/// What one says that he holds.
fn own(keyspace: KeyspaceId, key: &[u8], record: &Record, outlined: bool) -> Box<Own> {
    let seed = merkle::Seed(ring::key_hash(b"test") ^ u64::from(keyspace.0));
    let digest = seed.digest(key, &record.to_bytes()).short();
    Box::new(Own { digest, outline: outlined.then(|| record.outline()) })
}

/// What a replica that holds this answers to one who says that.
fn answer(
    (rig, number): (&mut Rig, u64),
    keyspace: KeyspaceId,
    held: Option<&Record>,
    own: impl FnOnce(&[u8]) -> Option<Box<Own>>,
) -> ReplicaReply {
    let key = format!("key:{number}").into_bytes();
    if let Some(held) = held {
        rig.write(number * 2, keyspace, &key, held, WritePath::Merge);
        rig.settle();
    }
    let request = ReplicaRequest::ReadHeld { keyspace, key: Bytes::copy_from_slice(&key), own: own(&key) };
    let mut said = rig.serve(number * 2 + 1, &key, request);
    said.extend(rig.settle());
    match said.pop() {
        Some(Said::Reply(_, reply)) => reply,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nobody_misses_what_he_is_not_told(histories in prop::collection::vec((history(), any::<bool>()), 1..24)) {
        let mut rig = Rig::new(ReplicaOptions::default());
        let cases = histories.iter().flat_map(|case| [(LWW, Policy::Lww, case), (SIBLINGS, Policy::Siblings, case)]);
        for (number, (keyspace, policy, (history, outlined))) in cases.enumerate() {
            let [asker, held] = lived(history, policy);
            let says = |key: &[u8]| Some(own(keyspace, key, asker.as_ref()?, *outlined));
            let reply = answer((&mut rig, number as u64), keyspace, held.as_ref(), says);
            let together = merged(asker.as_ref(), held.as_ref());
            match reply {
                ReplicaReply::Same => prop_assert_eq!(&held, &asker),
                ReplicaReply::Older => prop_assert!(*outlined && held != asker),
                ReplicaReply::Found { ref record, .. } => {
                    prop_assert_eq!(Record::decode(record.clone()).ok(), held.clone());
                    prop_assert!(asker != held, "the same record crossed");
                }
                ReplicaReply::Absent => prop_assert_eq!(&held, &None),
                ref other => prop_assert!(false, "{other:?}"),
            }
            let comes_to = match &reply {
                ReplicaReply::Found { .. } => merged(asker.as_ref(), held.as_ref()),
                _ => asker.clone(),
            };
            prop_assert_eq!(comes_to, together, "{:?} said of {:?} to one with {:?}", reply, held, asker);
        }
    }
}

fn put(held: Option<&Record>, side: u64, counter: u64, context: &Context) -> Record {
    let dot = Dot { actor: Actor { incarnation: Incarnation(side), stint: Stint(1) }, counter };
    let payload = Payload::Value(Bytes::from(format!("of {side}, {counter}")));
    let version = Version::new(dot, Stamp(counter), payload, OperationId(counter));
    Record::put(held, Policy::Siblings, context, version).unwrap()
}

/// B3: the three cases by name. Each data center has an actor of its own.
#[test]
fn an_answer_without_the_record_is_for_who_has_read_it() {
    let mut rig = Rig::new(ReplicaOptions::default());
    let old = put(None, 1, 1, &Context::Empty);
    let newer = put(Some(&old), 2, 1, &old.context());
    let concurrent = put(None, 2, 1, &Context::Empty);
    let both = put(Some(&old), 3, 1, &Context::Empty);
    let mut asked = |number, held: &Record, asker: &Record| {
        let says = |key: &[u8]| Some(own(SIBLINGS, key, asker, true));
        answer((&mut rig, number), SIBLINGS, Some(held), says)
    };
    let found = |record: &Record| ReplicaReply::Found { record: record.to_bytes(), synced: true };
    assert_eq!(asked(0, &old, &newer), ReplicaReply::Older, "he has overwritten it");
    assert_eq!(asked(1, &newer, &old), found(&newer), "it was overwritten here");
    assert_eq!(asked(2, &old, &concurrent), found(&old), "neither has read the other's");
    assert_eq!(
        asked(3, &both, &newer),
        found(&both),
        "its other value was written by one who had not read the first"
    );
    assert_eq!(asked(4, &both, &both), ReplicaReply::Same);
}

/// One who says nothing of what he holds is told everything: a reader who looks, and a node of which it is not known.
#[test]
fn who_says_nothing_is_told_all() {
    let mut rig = Rig::new(ReplicaOptions::default());
    let held = put(None, 1, 1, &Context::Empty);
    let reply = answer((&mut rig, 0), SIBLINGS, Some(&held), |_| None);
    assert_eq!(reply, ReplicaReply::Found { record: held.to_bytes(), synced: true });
}
