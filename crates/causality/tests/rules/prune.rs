//! Pruning is lossy and says so: it never drops a value, but may bring a superseded one back.

use causality::{Actor, Context, Dot, Siblings};
use proptest::prelude::*;
use types::{Incarnation, Stint};

use crate::given::{any_siblings, context, dot, standing, version};

proptest! {
    #[test]
    fn pruning_drops_no_value_and_no_more_than_asked([record, ..] in any_siblings(), max_clock_entries in 0..5_usize) {
        let pruned = record.prune(max_clock_entries);
        prop_assert_eq!(standing(&pruned), standing(&record));
        prop_assert!(record.seen().descends(pruned.seen()));
        prop_assert_eq!(pruned.prune(max_clock_entries), pruned.clone());
        let entries = |record: &Siblings| causality::Record::Siblings(record.clone()).usage().clock_entries;
        prop_assert!(entries(&pruned) >= max_clock_entries.min(entries(&record)));
        prop_assert!(pruned.merge(&record) == record, "what was dropped comes back by merging, and nothing is lost");
    }
}

/// The documented loss: without the entry, the value that it covered comes back from a replica that missed the rest.
#[test]
fn a_superseded_value_may_come_back() {
    let old = Siblings::new().put(&Context::Empty, version(dot(1, 1))).expect("a fresh dot");
    let new = old.put(&old.context(), version(dot(2, 1))).expect("a fresh dot");
    assert_eq!(standing(&new.merge(&old)), [(2, 1)]);
    assert_eq!(standing(&new.prune(1).merge(&old)), [(1, 1), (2, 1)]);
}

/// Earlier stints of an incarnation that goes on in a later one go first, then the lowest counters.
#[test]
fn the_oldest_entry_goes_first() {
    let of = |incarnation, stint, counter| Dot {
        actor: Actor { incarnation: Incarnation(incarnation), stint: Stint(stint) },
        counter,
    };
    let writes = [of(1, 0, 50), of(1, 1, 9), of(2, 0, 2), of(3, 0, 70)];
    let write = |record: Siblings, dot: &Dot| {
        let read = record.context();
        record.put(&read, version(*dot)).expect("a fresh dot")
    };
    let record = writes.iter().fold(Siblings::new(), write);
    assert!(!record.prune(3).seen().covers(&writes[0]));
    assert!(record.prune(3).seen().covers(&writes[2]));
    assert!(!record.prune(2).seen().covers(&writes[2]));
    assert!(record.prune(2).seen().covers(&writes[1]));
    assert_eq!(
        record.prune(0).context(),
        context(&[(3, 70)], &[]),
        "the entry of a value that stands is never dropped"
    );
}
