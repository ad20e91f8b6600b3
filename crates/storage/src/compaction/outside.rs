//! What a compaction does not see: whether something older of a key can be anywhere else.
//!
//! A delete marker hides what is older of its key, so it may go only where nothing older is left once the compaction is
//! done (INVARIANTS H6). The same question decides whether an operand is all that there is, and whether the owner may be
//! asked if a value can be forgotten. [`Outside::may_hold_older`] answers it, and nothing else does.
//!
//! Why it is enough to look at tables of this level and deeper ones. What is older than an entry of a table lies
//!
//! - in an input of this compaction: then it is merged with the entry, and goes with it;
//! - in a deeper level, or in another table of level 0: these are asked here;
//! - in no memtable and no log. Memtables are flushed one after another, oldest first, so whatever is in none of the tables
//!   yet is newer than all that is; and a start replays only entries behind the last one that a flush has brought into a
//!   table, for the two become durable in one edit of the manifest. Levels above the compaction are newer likewise.
//!
//! The answer is that of the tables at the moment of choosing, and stays true until the outcome is installed: one compaction
//! runs at a time, and flushes add only what is newer. Scans and reads under way do not matter. They hold the set of tables
//! that they began with, in which the marker still is, beside what it hides.
//!
//! Tables are asked as a read would ask them, by key range and filter: where no read looks, nothing can show through. A
//! table that is damaged is asked too, for its filter is whole and what it hides stays hidden.

use std::sync::Arc;

use crate::sstable::{Table, filter};
use crate::table_set::TableSet;

/// The tables beside a compaction that may be older than its inputs.
#[derive(Debug)]
pub(crate) struct Outside {
    /// All tables, as they were when the inputs were chosen.
    tables: Arc<TableSet>,
    /// The level that the upper inputs are in.
    level: usize,
    /// The inputs' file numbers.
    inputs: Vec<u64>,
}

impl Outside {
    pub(crate) fn new<'a>(
        tables: &Arc<TableSet>,
        level: usize,
        inputs: impl Iterator<Item = &'a Arc<Table>>,
    ) -> Outside {
        let inputs = inputs.map(|table| table.meta().file).collect();
        Outside { tables: Arc::clone(tables), level, inputs }
    }

    /// Whether something older of this key, which is one of an input, can be outside of the compaction.
    pub(crate) fn may_hold_older(&self, key: &[u8]) -> bool {
        let in_range = |table: &&Arc<Table>| {
            table.meta().overlaps(key, key) && !self.inputs.contains(&table.meta().file)
        };
        let mut candidates = self.tables.candidates_from(self.level, key).filter(in_range).peekable();
        candidates.peek().is_some() && {
            let hash = filter::hash(key);
            candidates.any(|table| table.may_contain(key, hash))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compaction::testing::tables;

    /// INVARIANTS H6: asked are all tables that can be older than an input and have the key, and no others.
    #[test]
    fn older_is_what_lies_deeper_or_beside_in_level_0() {
        let set = Arc::new(tables(&[
            (0, "a", "z"),
            (0, "a", "k"),
            (1, "a", "k"),
            (1, "l", "p"),
            (2, "a", "c"),
            (4, "d", "k"),
        ]));
        let outside = |level: usize, inputs: &[u64]| {
            let chosen: Vec<Arc<Table>> = set.iter().map(|(_, table)| Arc::clone(table)).collect();
            let chosen = chosen.iter().filter(|table| inputs.contains(&table.meta().file));
            Outside::new(&set, level, chosen)
        };
        let all_of_level_0 = outside(0, &[1, 2, 3, 4]);
        assert!(
            all_of_level_0.may_hold_older(b"a") && all_of_level_0.may_hold_older(b"k"),
            "two levels further down"
        );
        assert!(
            !all_of_level_0.may_hold_older(b"l") && !all_of_level_0.may_hold_older(b"z"),
            "nothing lies below"
        );
        assert!(!all_of_level_0.may_hold_older(b"b"), "in the range of a table, and its filter says no");
        assert!(outside(0, &[2, 3]).may_hold_older(b"z"), "another table of level 0");
        assert!(outside(0, &[1, 2, 3]).may_hold_older(b"l"), "in the next level, and not among the inputs");
        let of_level_1 = outside(1, &[3, 5]);
        assert!(!of_level_1.may_hold_older(b"a"), "what lies in level 0 is newer");
        assert!(of_level_1.may_hold_older(b"k") && of_level_1.may_hold_older(b"d"));
        assert!(!outside(2, &[6]).may_hold_older(b"d"), "an input is not outside");
    }

    /// A damaged table keeps hiding what it hid.
    #[test]
    fn a_damaged_table_is_asked_too() {
        let set = Arc::new(tables(&[(1, "a", "c"), (3, "a", "c")]));
        set.level(3)[0].set_aside();
        assert!(Outside::new(&set, 1, set.level(1).iter()).may_hold_older(b"a"));
    }
}
