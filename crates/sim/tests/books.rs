//! The books refuse what may not be told: an answer for each rule.

use std::collections::BTreeSet;

use api::{Found, ShownValue};
use bytes::Bytes;
use causality::{Actor, Context, Dot, Stamp};
use sim::workload::registers::{ReadPromise, Register, WritePromise};
use sim::workload::siblings::{Shown, SiblingKey};

const QUORUM_READ: ReadPromise = ReadPromise { meets: 2, leaves: Some(2) };
const READ_AT_ONE: ReadPromise = ReadPromise { meets: 3, leaves: None };
const QUORUM_WRITE: WritePromise = WritePromise { leaves: 2, outranks: Some(2) };
const WRITE_AT_ONE: WritePromise = WritePromise { leaves: 1, outranks: None };

fn at(millis: u64) -> Context {
    Context::Stamp { stamp: Stamp::new(millis, 0), dot: Dot { actor: Actor::default(), counter: millis } }
}

fn value(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

fn found(context: Context, name: Option<&str>) -> Found {
    let values = name.map(|name| ShownValue { value: value(name), ..ShownValue::default() });
    Found { context, values: values.into_iter().collect(), ..Found::default() }
}

/// A register to which `name` was written at this stamp, and acknowledged.
fn written(name: &str, millis: u64, promise: WritePromise) -> Register {
    let mut register = Register::default();
    let begun = register.begin();
    register.put_begins(value(name), None);
    register.written(begun, Some(&value(name)), &at(millis), promise).expect("the first write");
    register
}

/// C1: what was acknowledged before a quorum read began is met by it; by a read at one of three it need not be.
#[test]
fn a_stale_read_is_refused_where_levels_overlap() {
    let mut register = written("new", 7, QUORUM_WRITE);
    let nothing = found(Context::Empty, None);
    assert!(register.read(register.begin(), &nothing, READ_AT_ONE, None, 0).is_ok());
    assert!(register.read(register.begin(), &nothing, QUORUM_READ, None, 0).is_err());
}

/// C2: what one quorum read returned, the next returns or supersedes, acknowledged or not.
#[test]
fn a_value_that_vanishes_is_refused() {
    let mut register = Register::default();
    register.put_begins(value("open"), None);
    assert!(register.read(register.begin(), &found(at(5), Some("open")), QUORUM_READ, None, 0).is_ok());
    assert!(register.read(register.begin(), &found(Context::Empty, None), QUORUM_READ, None, 0).is_err());
}

/// B6: an acknowledged write is above what was acknowledged before it began.
#[test]
fn a_write_below_what_was_there_is_refused() {
    let mut register = written("first", 7, QUORUM_WRITE);
    let begun = register.begin();
    register.put_begins(value("second"), None);
    assert!(register.written(begun, Some(&value("second")), &at(6), QUORUM_WRITE).is_err());
}

/// A5: what was not done is never seen, before or after its client was told so.
#[test]
fn a_failed_write_that_is_seen_is_refused() {
    let mut register = Register::default();
    register.put_begins(value("failed"), None);
    assert!(register.put_failed(&value("failed")).is_ok());
    assert!(register.read(register.begin(), &found(at(5), Some("failed")), READ_AT_ONE, None, 0).is_err());
    let mut register = Register::default();
    register.put_begins(value("failed"), None);
    assert!(register.read(register.begin(), &found(at(5), Some("failed")), READ_AT_ONE, None, 0).is_ok());
    assert!(register.put_failed(&value("failed")).is_err());
}

/// A value that was seen, outranked, and is seen again under another stamp has moved in time.
#[test]
fn a_value_at_two_ranks_is_refused() {
    let mut register = Register::default();
    register.put_begins(value("moved"), None);
    assert!(register.read(register.begin(), &found(at(5), Some("moved")), QUORUM_READ, None, 0).is_ok());
    assert!(register.read(register.begin(), &found(at(6), Some("moved")), QUORUM_READ, None, 0).is_err());
}

/// D3: an expired value is not read by a node whose clock is past its end, and is not gone before.
#[test]
fn expiry_is_judged_by_the_coordinators_clock() {
    let mut register = Register::default();
    register.put_begins(value("mortal"), Some(100));
    let mut shown = found(at(5), Some("mortal"));
    shown.values[0].expires = Some(types::WallTime(100));
    assert!(register.read(register.begin(), &shown, QUORUM_READ, Some((90, 99)), 0).is_ok());
    assert!(register.read(register.begin(), &shown, QUORUM_READ, Some((100, 101)), 0).is_err());
    let gone = found(at(5), None);
    assert!(register.read(register.begin(), &gone, QUORUM_READ, Some((98, 99)), 0).is_err());
    assert!(register.read(register.begin(), &gone, QUORUM_READ, Some((99, 100)), 0).is_ok());
}

/// A1: in the end nothing acknowledged is lost, at whatever level.
#[test]
fn the_last_read_holds_what_was_acknowledged_at_one() {
    let register = written("weak", 7, WRITE_AT_ONE);
    assert!(register.check_last(&found(at(7), Some("weak")), 0).is_ok());
    assert!(register.check_last(&found(Context::Empty, None), 0).is_err());
}

/// D1: what shows nothing may be gone altogether, and only that; and only from when it has ended on.
#[test]
fn a_delete_may_be_dropped_and_a_value_may_not() {
    let nothing = found(Context::Empty, None);
    let mut register = written("value", 7, QUORUM_WRITE);
    assert!(register.read(register.begin(), &nothing, QUORUM_READ, None, u64::MAX).is_err());
    let begun = register.begin();
    register.delete_begins();
    assert!(register.written(begun, None, &at(9), QUORUM_WRITE).is_ok());
    assert!(register.read(register.begin(), &nothing, QUORUM_READ, None, 0).is_ok());
    assert!(register.read(register.begin(), &found(at(7), Some("value")), QUORUM_READ, None, 0).is_err());
    let mut mortal = Register::default();
    let begun = mortal.begin();
    mortal.put_begins(value("mortal"), Some(100));
    assert!(mortal.written(begun, Some(&value("mortal")), &at(9), QUORUM_WRITE).is_ok());
    assert!(mortal.read(mortal.begin(), &nothing, QUORUM_READ, None, 99).is_err());
    assert!(mortal.read(mortal.begin(), &nothing, QUORUM_READ, None, 100).is_ok());
}

fn ids<const N: usize>(ids: [u64; N]) -> BTreeSet<u64> {
    ids.into_iter().collect()
}

fn shown<const N: usize>(of: [u64; N]) -> Shown {
    Shown { ids: ids(of), elements: ids(of) }
}

/// B2: a value that nobody replaced stays; one that was replaced is gone.
#[test]
fn siblings_are_the_values_that_nobody_replaced() {
    let mut key = SiblingKey::default();
    key.put_begins(1, 0, BTreeSet::new());
    key.put_done(1, 2);
    key.put_begins(2, 1, BTreeSet::new());
    key.put_done(2, 2);
    assert!(key.read(&key.begin(2), &shown([1, 2]), Some(2)).is_ok());
    assert!(key.read(&key.begin(2), &shown([1]), Some(2)).is_err(), "2 is lost");
    key.put_begins(3, 0, ids([1, 2]));
    key.put_done(3, 2);
    let merged = Shown { ids: ids([3]), elements: ids([1, 2, 3]) };
    assert!(key.read(&key.begin(2), &merged, Some(2)).is_ok());
    assert!(key.read(&key.begin(2), &shown([1, 2, 3]), Some(2)).is_err(), "1 and 2 were replaced");
    assert!(key.read(&key.begin(2), &shown([3]), Some(2)).is_err(), "elements 1 and 2 are lost");
}

/// B3: one client that reads before it writes leaves one value.
#[test]
fn more_siblings_than_writers_are_refused() {
    let mut key = SiblingKey::default();
    key.put_begins(1, 0, BTreeSet::new());
    key.put_begins(2, 0, ids([1]));
    key.put_begins(3, 0, ids([2]));
    assert!(key.read(&key.begin(3), &shown([1, 3]), None).is_ok());
    assert!(key.read(&key.begin(3), &shown([1, 2, 3]), None).is_err());
}
