//! What readers are shown: policy and time, never part of merging.

use causality::{Context, Expiry, Lww, Payload, Policy, Record, Siblings, Stamp, Version, View};
use proptest::prelude::*;
use types::{OperationId, WallTime};

use crate::given::{any_records, dot, value, version};

const NOW: WallTime = WallTime(100);

fn siblings(versions: &[Version]) -> Record {
    let put = |record: Siblings, version: &Version| record.put(&Context::Empty, version.clone());
    Record::Siblings(versions.iter().try_fold(Siblings::new(), put).expect("fresh dots"))
}

fn shown(record: &Record, policy: Policy) -> Vec<u64> {
    View::of(record, policy, NOW).versions().iter().map(|one| one.dot.actor.incarnation.0).collect()
}

/// Under `siblings` all concurrent values are shown.
#[test]
fn siblings_are_all_shown() {
    let record = siblings(&[version(dot(1, 1)), version(dot(2, 1))]);
    assert!(matches!(View::of(&record, Policy::Siblings, NOW), View::Conflict(both) if both.len() == 2));
}

/// Under `priority` the value of the more important writer is shown, ties by stamp, then by dot.
#[test]
fn priority_shows_the_more_important_writer() {
    let of = |incarnation, priority, stamp| Version {
        stamp: Stamp(stamp),
        ..version(dot(incarnation, 1)).with_priority(priority)
    };
    assert_eq!(shown(&siblings(&[of(1, 9, 1), of(2, 3, 8)]), Policy::Priority), [1]);
    assert_eq!(shown(&siblings(&[of(1, 3, 8), of(2, 3, 1)]), Policy::Priority), [1]);
    assert_eq!(shown(&siblings(&[of(1, 3, 1), of(2, 3, 1)]), Policy::Priority), [2]);
}

/// An important value that has expired gives way to a lesser one that stands.
#[test]
fn expired_values_are_absent() {
    let important = version(dot(1, 1)).with_priority(9).ending(Some(NOW));
    let record = siblings(&[important.clone(), version(dot(2, 1))]);
    assert_eq!(shown(&record, Policy::Priority), [2]);
    assert_eq!(shown(&record, Policy::Siblings), [2]);
    assert_eq!(View::of(&siblings(&[important]), Policy::Siblings, NOW), View::Absent);
}

/// A value ends at its time, not after it.
#[test]
fn a_value_ends_when_its_time_comes() {
    let held = Record::Lww(Lww::new(version(dot(1, 1)).ending(Some(WallTime(100)))));
    assert!(matches!(View::of(&held, Policy::Lww, WallTime(99)), View::One(_)));
    assert_eq!(View::of(&held, Policy::Lww, WallTime(100)), View::Absent);
    let persisted =
        held.with_expiry(&held.context(), Expiry { stamp: Stamp(9), at: None }).expect("of one kind");
    assert!(
        matches!(View::of(&persisted, Policy::Lww, WallTime(100)), View::One(_)),
        "PERSIST writes no value"
    );
}

/// One operation made twice, under two dots, is shown once, and both stay in the record.
#[test]
fn twins_are_shown_as_one_and_kept_as_two() {
    let twin = |incarnation| Version::new(dot(incarnation, 1), Stamp(1), value("same"), OperationId(7));
    let record = siblings(&[twin(1), twin(2)]);
    assert_eq!(shown(&record, Policy::Siblings), [1]);
    assert_eq!(record.versions().len(), 2);
}

/// Operation ids are unique per node only: different values under one id are both shown.
#[test]
fn a_colliding_operation_id_hides_no_value() {
    let of = |incarnation, text| Version::new(dot(incarnation, 1), Stamp(1), value(text), OperationId(7));
    assert_eq!(shown(&siblings(&[of(1, "a"), of(2, "b")]), Policy::Siblings), [1, 2]);
}

/// A tombstone is absent.
#[test]
fn a_tombstone_is_absent() {
    let held = Record::Lww(Lww::new(Version { payload: Payload::Tombstone, ..version(dot(1, 1)) }));
    assert_eq!(View::of(&held, Policy::Lww, NOW), View::Absent);
}

/// Policies are written as they are read.
#[test]
fn policies_have_names() {
    for policy in Policy::ALL {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    let error = "newest".parse::<Policy>().expect_err("no policy");
    assert_eq!(error.to_string(), "\"newest\" is not a conflict policy: want siblings, lww or priority");
}

proptest! {
    /// INVARIANTS D3: as time goes on values only go away, so two nodes of different clocks never disagree for long.
    #[test]
    fn time_only_hides([record, ..] in any_records(), one in 0..4_u64, other in 0..4_u64) {
        let (earlier, later) = (one.min(other), one.max(other));
        let at = |now| View::of(&record, Policy::Siblings, WallTime(now)).versions().len();
        prop_assert!(at(later) <= at(earlier));
    }

    /// A stripped record shows the same versions, bodies apart (values with equal bodies may then look like twins).
    #[test]
    fn liveness_survives_stripping([record, ..] in any_records(), now in 0..4_u64) {
        let stripped = record.strip_values();
        let of = |record: &Record| View::of(record, Policy::Priority, WallTime(now)).versions().first().map(|one| one.dot);
        prop_assert_eq!(of(&record), of(&stripped));
    }
}
