//! INVARIANTS B5: merge is commutative, associative and idempotent, and so is every part of it.

use std::collections::BTreeSet;

use causality::{
    Context, Dot, DottedVector, Expiry, Lww, MergeError, PutError, Record, Siblings, Stamp, Version,
    VersionVector,
};
use proptest::prelude::*;
use types::{OperationId, WallTime};

use crate::given::{
    any_context, any_dot, any_expiry, any_known, any_lww, any_records, any_siblings, any_vector, context,
    dot, value, version,
};

/// The dots that a set of known writes contains, up to the counters that the tests use.
fn members(known: &DottedVector) -> BTreeSet<Dot> {
    let actors = known.flattened();
    let up_to =
        actors.iter().flat_map(|(actor, highest)| (1..=highest).map(move |counter| Dot { actor, counter }));
    up_to.filter(|dot| known.covers(dot)).collect()
}

proptest! {
    #[test]
    fn merging_vectors_is_a_join(a in any_vector(), b in any_vector(), c in any_vector()) {
        prop_assert_eq!(a.merge(&b), b.merge(&a));
        prop_assert_eq!(a.merge(&b).merge(&c), a.merge(&b.merge(&c)));
        prop_assert_eq!(a.merge(&a), a.clone());
        prop_assert!(a.merge(&b).descends(&a));
        prop_assert_eq!(a.descends(&b), a.merge(&b) == a, "to descend is to gain nothing by merging");
    }

    /// The naive model of a dotted vector is the set of dots that it stands for.
    #[test]
    fn dotted_vectors_behave_as_sets_of_dots(a in any_known(), b in any_known(), dot in any_dot()) {
        let (in_a, in_b) = (members(&a), members(&b));
        let union: BTreeSet<Dot> = in_a.union(&in_b).copied().collect();
        prop_assert_eq!(members(&a.merge(&b)), union);
        prop_assert_eq!(a.covers(&dot), in_a.contains(&dot));
        prop_assert_eq!(a.descends(&b), in_a.is_superset(&in_b));
let rebuilt = DottedVector::from_parts(VersionVector::new(), in_a.iter().copied().collect());
        prop_assert_eq!(rebuilt, a, "one set, one form");
    }

    #[test]
    fn adding_a_dot_claims_no_other(known in any_known(), dot in any_dot()) {
        let mut more = known.clone();
        more.add(dot);
        let mut expected = members(&known);
        expected.insert(dot);
        prop_assert_eq!(members(&more), expected);
    }

    #[test]
    fn merge_is_commutative_associative_and_idempotent([a, b, c] in any_records()) {
        let merge = |one: &Record, other: &Record| one.merge(other).expect("of one kind");
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &a), a);
    }

    /// Whoever merges knows what either knew: a context that was covered stays covered.
    #[test]
    fn merging_never_uncovers_a_context([a, b, _] in any_records(), context in any_context()) {
        let merged = a.merge(&b).expect("of one kind");
        prop_assert!(merged.covers(&a.context()));
        prop_assert!(!a.covers(&context) || merged.covers(&context));
        let both = a.context().merge(&b.context()).expect("of one kind");
        prop_assert!(merged.covers(&both));
        prop_assert_eq!(&merged.context(), &both, "to read the merge is to read both");
    }

    #[test]
    fn merging_contexts_is_a_join(a in any_context(), b in any_context()) {
        prop_assert_eq!(a.merge(&b), b.merge(&a));
        prop_assert_eq!(a.merge(&a), Ok(a.clone()));
    }

    /// Stripped records merge to what the stripped merge is, and a stripped copy takes nothing from a whole one.
    #[test]
    fn stripping_values_commutes_with_merging([a, b, _] in any_siblings()) {
        let (a, b) = (Record::Siblings(a), Record::Siblings(b));
        let merged = a.merge(&b).expect("of one kind");
        let stripped = a.strip_values().merge(&b.strip_values()).expect("of one kind");
        prop_assert_eq!(&stripped, &merged.strip_values());
        prop_assert!(stripped.same_metadata(&merged));
        prop_assert_eq!(a.strip_values().merge(&a).expect("of one kind"), a);
    }

    #[test]
    fn same_metadata_is_equality_without_bodies([a, b, _] in any_records()) {
        prop_assert_eq!(a.same_metadata(&b), a.strip_values() == b.strip_values());
    }

    /// A put replaces what its context covers, keeps the rest, and is known to have happened.
    #[test]
    fn a_put_replaces_what_its_context_covers([held, ..] in any_siblings(), read in any_known()) {
        let fresh = dot(9, 1);
        let after = held.put(&Context::from(read.clone()), version(fresh)).expect("an actor that never wrote");
        let mut expected: BTreeSet<Dot> = held.versions().iter().map(|one| one.dot).collect();
        expected.retain(|dot| !read.covers(dot));
        expected.insert(fresh);
        let found: BTreeSet<Dot> = after.versions().iter().map(|one| one.dot).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(after.seen().covers(&fresh) && after.seen().descends(held.seen()) && after.seen().descends(&read));
        prop_assert_eq!(held.merge(&after), after, "the record before is behind the record after");
    }

    /// An expiry register set on copies in any order ends up as the greatest, without a new dot.
    #[test]
    fn an_expiry_register_merges_to_the_greatest(registers in prop::collection::vec(any_expiry(), 1..5)) {
        let written = Siblings::new().put(&Context::Empty, version(dot(1, 1))).expect("a fresh dot");
        let first = written.versions()[0].expiry;
        let copies = registers.iter().map(|one| written.with_expiry(&written.context(), *one).expect("causal"));
        let merged = copies.fold(written.clone(), |merged, copy| copy.merge(&merged));
        let greatest = registers.iter().copied().fold(first, Expiry::max);
        prop_assert_eq!(merged.versions()[0].expiry, greatest);
        prop_assert_eq!(merged.seen(), written.seen());
    }

    /// The greater of (stamp, actor, counter) wins, whole.
    #[test]
    fn lww_keeps_the_greater(a in any_lww(), b in any_lww()) {
        let winner = if a.supersedes(&b) { &a } else { &b };
        let merged = a.merge(&b);
        prop_assert_eq!((merged.version().stamp, merged.version().dot), (winner.version().stamp, winner.version().dot));
        if a.supersedes(&b) || b.supersedes(&a) {
            prop_assert_eq!(&merged, winner);
        }
    }
}

fn stamped(dot: Dot, stamp: u64) -> Version {
    Version::new(dot, Stamp(stamp), value("one"), OperationId(1))
}

/// A write stamped again is the same write, and the greater stamp stays whichever copy arrives last.
#[test]
fn a_restamped_write_keeps_its_dot_and_its_greater_stamp() {
    let first = Lww::new(stamped(dot(1, 1), 10));
    let again = Lww::new(stamped(dot(1, 1), 20));
    assert_eq!(first.merge(&again), again);
    assert_eq!(
        again.put(stamped(dot(1, 1), 10)),
        Ok(again.clone()),
        "a late resend is applied, to no effect"
    );
}

/// The registers of two stamps of one dot are not joined: between the two another version may have won and taken one
/// of the registers along, so joining would depend on the order of arrival.
#[test]
fn a_register_is_bound_to_the_stamp_too() {
    let a = Lww::new(stamped(dot(1, 1), 1))
        .with_expiry(dot(1, 1), Expiry { stamp: Stamp(9), at: Some(WallTime(9)) });
    let b = Lww::new(stamped(dot(2, 1), 2));
    let c = Lww::new(stamped(dot(1, 1), 3));
    assert_eq!(a.merge(&b).merge(&c), a.merge(&c).merge(&b));
}

/// INVARIANTS B6: on the write path a stamp that is not above what is held is refused, and says what is held.
#[test]
fn an_owner_refuses_a_stamp_that_is_not_above_what_it_holds() {
    let held = Lww::new(stamped(dot(1, 1), 10));
    let outranked = PutError::Outranked { held: Stamp(10), offered: Stamp(10) };
    assert_eq!(held.put(stamped(dot(2, 1), 10)), Err(outranked));
    assert!(held.put(stamped(dot(2, 1), 11)).is_ok());
}

/// The register is bound to the dot it was set for: it does nothing to a version that has taken its place.
#[test]
fn an_expiry_for_a_version_that_no_longer_stands_does_nothing() {
    let held = Lww::new(stamped(dot(2, 1), 10));
    assert_eq!(held.with_expiry(dot(1, 1), Expiry { stamp: Stamp(99), at: Some(WallTime(1)) }), held);
}

/// Whatever a put would silently lose, it refuses instead.
#[test]
fn a_dot_that_is_already_claimed_is_refused() {
    let held = Siblings::new().put(&Context::Empty, version(dot(1, 5))).expect("a fresh dot");
    let refused = |counter| PutError::DotIsNotNew { dot: dot(1, counter), known: 5 };
    assert_eq!(held.put(&Context::Empty, version(dot(1, 5))), Err(refused(5)));
    assert_eq!(held.put(&Context::Empty, version(dot(1, 4))), Err(refused(4)));
    assert!(matches!(
        Siblings::new().put(&Context::Empty, version(dot(1, 0))),
        Err(PutError::DotIsNotNew { .. })
    ));
}

/// INVARIANTS B2: an actor that is shown writes of its own which it does not hold has forgotten.
#[test]
fn an_actor_that_is_shown_more_than_it_knows_must_begin_a_fresh_stint() {
    let held = Siblings::new().put(&Context::Empty, version(dot(1, 5))).expect("a fresh dot");
    let forgotten = PutError::ActorHasForgotten { actor: dot(1, 0).actor, known: 5, shown: 7 };
    assert_eq!(held.put(&context(&[(1, 7)], &[]), version(dot(1, 8))), Err(forgotten));
    assert_eq!(held.put(&context(&[], &[(1, 7)]), version(dot(1, 8))), Err(forgotten));
}

/// Records and contexts of different kinds are never mixed in silence.
#[test]
fn kinds_are_not_mixed() {
    let lww = Record::Lww(Lww::new(stamped(dot(1, 1), 1)));
    let siblings = Record::Siblings(Siblings::new());
    assert_eq!(lww.merge(&siblings), Err(MergeError));
    assert_eq!(siblings.merge(&lww), Err(MergeError));
    let read = lww.context();
    assert_eq!(Siblings::new().put(&read, version(dot(1, 1))), Err(PutError::ContextOfAnotherKind));
    assert!(!siblings.covers(&read));
}

/// A vector made of entries in any order is the same vector.
#[test]
fn vectors_are_canonical() {
    let entries = [(dot(2, 0).actor, 4), (dot(1, 0).actor, 3), (dot(2, 0).actor, 1), (dot(3, 0).actor, 0)];
    let forward: VersionVector = entries.into_iter().collect();
    let backward: VersionVector = entries.into_iter().rev().collect();
    assert_eq!(forward, backward);
    assert_eq!(forward.len(), 2);
}
