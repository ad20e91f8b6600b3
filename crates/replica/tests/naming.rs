//! Writes that are made under a name that another node has given them (INVARIANTS A6).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use api::ExpiryChange;
use bytes::Bytes;
use causality::{Context, Lww, Payload, Record, Stamp, Version};
use proptest::prelude::*;
use replica::{Change, Made, Make, MakeError, Named, ReplicaOptions};
use support::{LWW, Rig, Said, foreign_dot, lww};
use types::{OperationId, WallTime};
use wire::{ReplicaReply, WriteName, WritePath};

/// Of all names that are given here.
const NAMED: u64 = 40;

fn rig() -> Rig {
    Rig::new(ReplicaOptions::default())
}

fn name(stamp: Stamp) -> WriteName {
    WriteName { dot: foreign_dot(NAMED), stamp }
}

/// A put under a name, by an operation that has the number 77 where it was named.
fn put(name: WriteName, value: &'static str, ends: Option<WallTime>) -> Make {
    Make {
        keyspace: LWW,
        key: Bytes::from_static(b"k"),
        operation: OperationId(5),
        change: Change::Put {
            value: Bytes::from_static(value.as_bytes()),
            context: Context::Empty,
            expiry: ends.map_or(ExpiryChange::Clear, ExpiryChange::At),
            priority: 0,
        },
        base: None,
        named: Some(Named { name, operation: OperationId(77) }),
        again: None,
        hide: false,
        in_place_of: None,
    }
}

fn made(said: &[Said]) -> Result<Made, MakeError> {
    match said {
        [Said::Made(_, made), ..] => made.clone(),
        other => panic!("{other:?}"),
    }
}

fn read(rig: &mut Rig) -> Option<Record> {
    match &rig.read(999, LWW, b"k")[..] {
        [Said::Reply(999, ReplicaReply::Found { record, .. })] => {
            Some(Record::decode(record.clone()).unwrap())
        }
        [Said::Reply(999, ReplicaReply::Absent)] => None,
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Whatever makers hold and whatever their clocks show: each makes the version that was named, to the byte, or nothing. It
    /// makes nothing exactly where what it holds is another write that is not below.
    #[test]
    fn every_maker_makes_the_named_write_or_nothing(
        makers in prop::collection::vec((prop::option::of((1..60_u64, 990_000..1_010_000_u64)), -30_000..30_000_i64), 1..4),
        stamp in 990_000..1_010_000_u64,
        ends in prop::option::of(1_100_000..2_000_000_u64),
    ) {
        let name = name(Stamp::new(stamp, 3));
        let ends = ends.map(WallTime);
        let version = Version::new(name.dot, name.stamp, Payload::Value(Bytes::from_static(b"v")), OperationId(77));
        let wanted = Record::Lww(Lww::new(version.ending(ends))).to_bytes();
        for (held, beside) in makers {
            let mut rig = rig();
            rig.now.wall = WallTime(rig.now.wall.0.checked_add_signed(beside).unwrap());
            let held = held.filter(|(counter, _)| *counter != NAMED);
            if let Some((counter, stamp)) = held {
                rig.write(1, LWW, b"k", &lww(counter, Stamp::new(stamp, 3), b"held"), WritePath::Merge);
            }
            let before = read(&mut rig);
            let outranked = held.is_some_and(|(_, held)| held >= stamp);
            match made(&rig.make(5, put(name, "v", ends))) {
                Ok(made) => {
                    prop_assert!(!outranked);
                    prop_assert_eq!(&made.record, &wanted);
                    prop_assert_eq!((made.dot, made.path), (Some(name.dot), WritePath::Client));
                    prop_assert_eq!(read(&mut rig).unwrap().to_bytes(), wanted.clone());
                }
                Err(error) => {
                    prop_assert_eq!(error, MakeError::NotAsNamed);
                    prop_assert!(outranked);
                    prop_assert_eq!(read(&mut rig), before, "nothing is stored");
                }
            }
        }
    }
}

/// The maker before it has sent it here already: that is a resend, and is stored and told like any write.
#[test]
fn what_another_maker_has_made_is_made_again_and_is_the_same() {
    let (mut first, mut second) = (rig(), rig());
    let name = name(Stamp::new(first.now.wall.0, 0));
    let record = made(&first.make(5, put(name, "v", None))).unwrap().record;
    second.write(1, LWW, b"k", &Record::decode(record.clone()).unwrap(), WritePath::Client);
    let mut said = second.make(5, put(name, "v", None));
    assert_eq!(made(&said).unwrap().record, record);
    said.extend(second.settle());
    let stored = |one: &Said| matches!(one, Said::Reply(5, ReplicaReply::Stored));
    assert_eq!(said.iter().filter(|one| stored(one)).count(), 1, "{said:?}");
    assert_eq!(read(&mut second).unwrap().to_bytes(), record);
}

/// C2: one maker hides what it made until another owner has it. What another maker sends of the same write it may count, so
/// from then on it is shown here too.
#[test]
fn a_copy_from_another_maker_shows_what_was_hidden() {
    let mut rig = rig();
    let name = name(Stamp::new(rig.now.wall.0, 0));
    let made = made(&rig.make(5, Make { hide: true, ..put(name, "v", None) })).unwrap();
    assert_eq!(read(&mut rig), None);
    let copy = Record::decode(made.record.clone()).unwrap();
    let mut said = rig.write(6, LWW, b"k", &copy, WritePath::Client);
    assert_eq!(read(&mut rig), Some(copy));
    said.extend(rig.settle());
    assert!(said.iter().any(|one| matches!(one, Said::Reply(6, ReplicaReply::Stored))), "{said:?}");
}

/// A name from a clock that is too far ahead is not believed, and moves no clock; one that is near enough moves it, so that
/// what is written next comes after.
#[test]
fn a_name_from_the_future_is_not_made_and_one_from_near_is_followed() {
    let mut rig = rig();
    let far = Stamp::new(rig.now.wall.0 + 60_001, 0);
    assert_eq!(made(&rig.make(5, put(name(far), "v", None))), Err(MakeError::NotAsNamed));
    assert_eq!(read(&mut rig), None);
    let near = Stamp::new(rig.now.wall.0 + 30_000, 0);
    made(&rig.make(5, put(name(near), "v", None))).unwrap();
    let own = made(&rig.make(6, Make { named: None, ..put(name(near), "next", None) })).unwrap();
    let stamp = Record::decode(own.record).unwrap().versions()[0].stamp;
    assert!(near < stamp && stamp < far, "{stamp}");
}

/// B1: names and what is made here share one row of dots and one clock.
#[test]
fn names_are_new_among_all_that_is_made_here() {
    let mut rig = rig();
    let (now, partition) = (rig.now, rig.partition(b"k"));
    let first = rig.replica().name(now, partition);
    let own = made(&rig.make(5, Make { named: None, ..put(first, "v", None) })).unwrap();
    let second = rig.replica().name(now, partition);
    let stamp = Record::decode(own.record).unwrap().versions()[0].stamp;
    assert_eq!([first.dot, own.dot.unwrap(), second.dot].map(|dot| dot.counter), [1, 2, 3]);
    assert!(first.stamp < stamp && stamp < second.stamp);
}
