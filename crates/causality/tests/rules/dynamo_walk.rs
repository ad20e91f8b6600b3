//! The sentences of DeCandia et al. (2007), section 4.4, and the walk of its figure 3.

use std::cmp::Ordering;

use causality::{Actor, Context, Siblings, VersionVector, clock_entries};
use types::{Incarnation, Stint};

use crate::given::{actor, context, dot, standing, version};

const SX: u64 = 1;
const SY: u64 = 2;
const SZ: u64 = 3;

fn name_of(incarnation: Incarnation) -> Option<&'static str> {
    [None, Some("Sx"), Some("Sy"), Some("Sz")].get(usize::try_from(incarnation.0).ok()?).copied()?
}

fn printed(vector: &VersionVector) -> String {
    let entries = clock_entries(vector, vector, name_of);
    entries.iter().map(|(server, counter)| format!("[{server},{counter}]")).collect::<Vec<_>>().join(",")
}

/// The clocks of the values that stand, by dot.
fn clocks(record: &Siblings) -> Vec<String> {
    record.versions().iter().map(|version| printed(&version.clock())).collect()
}

/// A put by `server`, whose partition has seen `counter - 1` writes; `read` is what the client had read.
fn put(held: &Siblings, read: &Context, server: u64, counter: u64) -> Siblings {
    held.put(read, version(dot(server, counter))).expect("a fresh dot")
}

/// "Increment the server's entry, or create it at 1."
#[test]
fn increment_raises_the_entry_or_creates_it_at_one() {
    let mut vector = VersionVector::new();
    assert_eq!(vector.increment(actor(SX)), dot(SX, 1));
    assert_eq!(vector.increment(actor(SX)), dot(SX, 2));
    assert_eq!(vector.increment(actor(SY)), dot(SY, 1));
    assert_eq!(printed(&vector), "[Sx,2],[Sy,1]");
}

/// Counters are per partition: an entry goes above what the actor has issued for other keys.
#[test]
fn increment_goes_above_the_floor_of_the_partition() {
    let mut vector = VersionVector::new();
    assert_eq!(vector.increment_above(actor(SX), 41), dot(SX, 42));
    assert_eq!(vector.increment_above(actor(SX), 7), dot(SX, 43));
}

/// "If the counters on the first object's clock are less-than-or-equal to all of the nodes in the second clock, then
/// the first is an ancestor of the second. Otherwise the two are in conflict."
#[test]
fn an_ancestor_has_every_counter_less_or_equal_and_otherwise_they_are_siblings() {
    let clock = |entries: &[(u64, u64)]| -> VersionVector {
        entries.iter().map(|&(server, counter)| (actor(server), counter)).collect()
    };
    let (d2, d3, d4) = (clock(&[(SX, 2)]), clock(&[(SX, 2), (SY, 1)]), clock(&[(SX, 2), (SZ, 1)]));
    assert_eq!(d2.compare(&d3), Some(Ordering::Less));
    assert_eq!(d3.compare(&d2), Some(Ordering::Greater));
    assert_eq!(d3.compare(&d3), Some(Ordering::Equal));
    assert_eq!(d3.compare(&d4), None);
}

/// Figure 3: D1 and D2 by Sx; D3 by Sy and D4 by Sz, both from D2, in conflict; D5 by Sx reconciles them.
#[test]
fn the_classic_walk_prints_the_classic_clocks() {
    let d1 = put(&Siblings::new(), &Context::Empty, SX, 1);
    assert_eq!(clocks(&d1), ["[Sx,1]"]);
    let d2 = put(&d1, &d1.context(), SX, 2);
    assert_eq!(clocks(&d2), ["[Sx,2]"]);

    let d3 = put(&d2, &d2.context(), SY, 1);
    let d4 = put(&d2, &d2.context(), SZ, 1);
    assert_eq!(clocks(&d3), ["[Sx,2],[Sy,1]"]);
    assert_eq!(clocks(&d4), ["[Sx,2],[Sz,1]"]);

    let both = d3.merge(&d4);
    assert_eq!(
        clocks(&both),
        ["[Sx,2],[Sy,1]", "[Sx,2],[Sz,1]"],
        "each sibling keeps the clock it was written with"
    );
    assert_eq!(printed(&both.seen().flattened()), "[Sx,2],[Sy,1],[Sz,1]");

    let d5 = put(&both, &both.context(), SX, 3);
    assert_eq!(clocks(&d5), ["[Sx,3],[Sy,1],[Sz,1]"]);
    assert_eq!(d5.merge(&d3).merge(&d4).merge(&d1), d5, "D5 descends all of them");
}

/// A put without a context replaces nothing.
#[test]
fn a_blind_put_leaves_all_as_siblings() {
    let first = put(&Siblings::new(), &Context::Empty, SX, 1);
    let second = put(&first, &Context::Empty, SX, 2);
    assert_eq!(standing(&second), [(SX, 1), (SX, 2)]);
}

/// What the context covers is replaced, what it does not cover stays.
#[test]
fn a_put_replaces_exactly_what_its_context_covers() {
    let two = put(&put(&Siblings::new(), &Context::Empty, SX, 1), &Context::Empty, SX, 2);
    let third = put(&two, &context(&[(SX, 1)], &[]), SX, 3);
    assert_eq!(standing(&third), [(SX, 2), (SX, 3)]);
}

/// Two blind clients of one server: with plain vectors the second client's next write would discard the first's value.
#[test]
fn a_writer_covers_its_own_earlier_write_and_not_the_one_before_that() {
    let theirs = put(&Siblings::new(), &Context::Empty, SX, 1);
    let first = put(&theirs, &Context::Empty, SX, 2);
    let known = first.context_after(&Context::Empty, dot(SX, 2)).expect("causal");
    assert_eq!(known, context(&[], &[(SX, 2)]), "its own dot, and nothing of what it has not read");
    let second = put(&first, &known, SX, 3);
    assert_eq!(standing(&second), [(SX, 1), (SX, 3)]);

    let elsewhere = put(&Siblings::new(), &known, SY, 1);
    assert_eq!(
        standing(&elsewhere.merge(&first)),
        [(SX, 1), (SY, 1)],
        "also through a server that has seen neither"
    );
}

/// A writer whose value stands alone knows all that led to it; its context stays a plain vector.
#[test]
fn a_value_that_stands_alone_gives_its_writer_the_whole_context() {
    let first = put(&Siblings::new(), &Context::Empty, SX, 1);
    let second = put(&first, &first.context(), SX, 2);
    assert_eq!(second.context_after(&first.context(), dot(SX, 2)), Ok(second.context()));
}

/// A delete leaves no value, covers what its context covers, and can itself be demanded by a context.
#[test]
fn a_delete_covers_and_leaves_no_value() {
    let written = put(&Siblings::new(), &Context::Empty, SX, 1);
    let deleted = written.delete(&written.context(), dot(SY, 1)).expect("a fresh dot");
    assert!(deleted.versions().is_empty());
    assert_eq!(written.merge(&deleted), deleted, "a deleted value does not come back");
    assert!(!written.seen().descends(deleted.seen()), "who deleted it can demand a state that knows");
}

/// INVARIANTS D2: a key written again after a delete is not killed by the older delete.
#[test]
fn an_older_delete_does_not_kill_a_later_write() {
    let written = put(&Siblings::new(), &Context::Empty, SX, 1);
    let deleted = written.delete(&written.context(), dot(SX, 2)).expect("a fresh dot");
    let anew = put(&Siblings::new(), &Context::Empty, SX, 3);
    assert_eq!(standing(&anew.merge(&deleted)), [(SX, 3)]);
}

/// Unknown incarnations are hexadecimal; several stints of one node, and two lives under one name, are told apart.
#[test]
fn clocks_name_nodes_and_tell_their_stints_apart() {
    let of = |incarnation, stint| Actor { incarnation: Incarnation(incarnation), stint: Stint(stint) };
    let vector: VersionVector =
        [(of(1, 4), 9), (of(1, 5), 2), (of(2, 7), 1), (of(0xbeef, 0), 3)].into_iter().collect();
    let entries = clock_entries(&vector, &vector, name_of);
    let expected = [("000000000000beef", 3), ("Sx/4", 9), ("Sx/5", 2), ("Sy", 1)];
    assert_eq!(entries, expected.map(|(name, counter)| (name.to_owned(), counter)));

    let renewed: VersionVector = [(of(1, 4), 9), (of(2, 4), 2)].into_iter().collect();
    let entries = clock_entries(&renewed, &renewed, |_| Some("n1"));
    let expected = [("0000000000000001/4", 9), ("0000000000000002/4", 2)];
    assert_eq!(entries, expected.map(|(name, counter)| (name.to_owned(), counter)));

    // Of two siblings each has one entry of the same node; shown together they are told apart all the same.
    let [before, after] = [4, 5].map(|stint| [(of(1, stint), 1)].into_iter().collect::<VersionVector>());
    let shown = [&before, &after].map(|vector| clock_entries(vector, &before.merge(&after), name_of));
    assert_eq!(shown, ["Sx/4", "Sx/5"].map(|name| vec![(name.to_owned(), 1)]));
}
