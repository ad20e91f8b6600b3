//! B2, D1: *I have nothing that you lack* is said only where it is true. The naive model of an outline is the record itself, and of
//! the question, merging.

use bytes::Bytes;
use causality::{Context, Expiry, Frontier, Lww, Outline, Payload, Record, Siblings, Stamp, Version};
use proptest::prelude::*;
use types::{OperationId, WallTime};

use crate::given::{any_records, context, dot, version};

proptest! {
    /// Whoever is told so could have merged the other record and would hold the very bytes that it holds: no sibling, no delete,
    /// and no register is missed, whatever puts, deletes, expiries and copies led to the two.
    #[test]
    fn nothing_is_lost_with_what_is_not_sent([ours, theirs, _] in any_records()) {
        let outline = ours.outline();
        let merged = ours.merge(&theirs).expect("of one kind");
        prop_assert!(!outline.has_all_of(&theirs) || merged.to_bytes() == ours.to_bytes());
    }

    /// And it is said wherever an outline can tell: where all that the other has is covered, and nothing stands in both, of which
    /// the registers and the bytes may differ.
    #[test]
    fn it_is_said_where_it_can_be_told([ours, theirs, _] in any_records()) {
        let merged = ours.merge(&theirs).expect("of one kind");
        // In an `lww` keyspace a write that was stamped again is another version of its dot.
        let is_lww = matches!(ours, Record::Lww(_));
        let are_copies = |a: &Version, b: &Version| a.dot == b.dot && (!is_lww || a.stamp == b.stamp);
        let stands_here = |one: &Version| ours.versions().iter().any(|ours| are_copies(ours, one));
        let stands_in_both = theirs.versions().iter().any(stands_here);
        let covers = merged == ours && !stands_in_both;
        prop_assert_eq!(ours.outline().has_all_of(&theirs), covers);
    }

    #[test]
    fn decoding_gives_back_what_was_encoded([record, ..] in any_records()) {
        let outline = record.outline();
        prop_assert_eq!(Outline::decode(Bytes::from(outline.to_bytes())), Ok(outline));
    }

    /// K3: whatever a peer says in place of an outline is read or refused.
    #[test]
    fn arbitrary_bytes_never_panic(kind in 0..4_u8, body in prop::collection::vec(0..9_u8, 0..80)) {
        let bytes = Bytes::from([vec![kind], body].concat());
        if let (Ok(outline), true) = (Outline::decode(bytes), kind == 2) {
            let nothing = Record::Siblings(Siblings::new());
            outline.has_all_of(&nothing);
        }
    }

    #[test]
    fn no_proper_prefix_is_an_outline([record, ..] in any_records(), cut in any::<prop::sample::Index>()) {
        let bytes = Bytes::from(record.outline().to_bytes());
        prop_assert!(Outline::decode(bytes.slice(..cut.index(bytes.len()))).is_err());
    }
}

fn siblings(context: &Context, incarnation: u64, counter: u64) -> Record {
    let made = Siblings::new().put(context, version(dot(incarnation, counter)));
    Record::Siblings(made.expect("a first write"))
}

/// B3: two data centers write the same key without having read each other's value. Neither is older.
#[test]
fn values_of_two_sides_that_did_not_know_of_each_other_both_travel() {
    let (one, other) = (siblings(&Context::Empty, 1, 1), siblings(&Context::Empty, 2, 1));
    assert!(!one.outline().has_all_of(&other) && !other.outline().has_all_of(&one));
}

/// The writer of the one has read the other: that one has nothing to add.
#[test]
fn what_was_overwritten_need_not_travel() {
    let old = siblings(&Context::Empty, 1, 1);
    let new = siblings(&context(&[(1, 1)], &[]), 2, 1);
    assert!(new.outline().has_all_of(&old) && !old.outline().has_all_of(&new));
}

/// D1: of a delete nothing but that it is known is left. Whoever has the value still is told of it.
#[test]
fn a_delete_is_news_to_who_has_the_value() {
    let Record::Siblings(value) = siblings(&Context::Empty, 1, 1) else { unreachable!("they are siblings") };
    let deleted = value.delete(&context(&[(1, 1)], &[]), dot(1, 2)).expect("its own actor's");
    let (value, deleted) = (Record::Siblings(value), Record::Siblings(deleted));
    assert!(deleted.outline().has_all_of(&value) && !value.outline().has_all_of(&deleted));
}

/// D3: an end that was set later, beside a value that both have.
#[test]
fn a_register_that_was_set_later_travels() {
    let version = Version::new(dot(1, 1), Stamp(5), Payload::Value(Bytes::from_static(b"x")), OperationId(1));
    let ends = Lww::new(version.clone().ending(Some(WallTime(9))));
    let (lasts, ends) = (Record::Lww(Lww::new(version)), Record::Lww(ends));
    assert!(!lasts.outline().has_all_of(&ends) && !ends.outline().has_all_of(&lasts));
}

/// The same with siblings. To have seen all that the other has seen is not enough to know it: of a register nothing is seen.
#[test]
fn what_was_seen_does_not_tell_of_a_register() {
    let Record::Siblings(lasts) = siblings(&Context::Empty, 1, 1) else { unreachable!("they are siblings") };
    let expiry = Expiry { stamp: Stamp(9), at: Some(WallTime(9)) };
    let ends = lasts.with_expiry(&context(&[(1, 1)], &[]), expiry).expect("a causal context");
    assert!(lasts != ends && lasts.seen().descends(ends.seen()));
    assert!(!Record::Siblings(lasts).outline().has_all_of(&Record::Siblings(ends)));
}

/// D1: nor to know that it has been let go of. Where a write is settled, it is taken in as one that was deleted or overwritten, with
/// nothing more to be seen of that than the write itself.
#[test]
fn what_was_seen_does_not_tell_of_what_was_let_go_of() {
    let value = siblings(&Context::Empty, 1, 1);
    let both = value.merge(&siblings(&Context::Empty, 2, 1)).expect("of one kind");
    let settled: Frontier = [(dot(1, 1).actor, 1)].into_iter().collect();
    let let_go = both.clone().unsettled(None, &settled).expect("the other value is news");
    assert_eq!((both.context(), let_go.versions().len()), (let_go.context(), 1));
    assert!(!both.outline().has_all_of(&let_go));
    let news = both.merge(&let_go).expect("of one kind");
    assert_eq!(news, let_go, "it would be let go of here too");
}

/// Of a keyspace's two policies neither tells anything of the other's records.
#[test]
fn an_outline_says_nothing_of_a_record_of_another_kind() {
    let lww = Record::Lww(Lww::new(version(dot(1, 1))));
    let siblings = siblings(&Context::Empty, 1, 2);
    assert!(!lww.outline().has_all_of(&siblings) && !siblings.outline().has_all_of(&lww));
}
