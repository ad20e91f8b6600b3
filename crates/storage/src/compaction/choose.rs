//! What to compact next: leveled compaction, as LevelDB does it.
//!
//! Level 0 takes flushed memtables as they come. When it has [`Options::level0_tables`] of them, all are merged with
//! level 1. Each deeper level may be [`Options::level_ratio`] times as large as the one above; one that is larger gives
//! up a table, which is merged with those that it overlaps one level down: the one that drags along the fewest
//! bytes for its own.
//!
//! Why leveled. A read looks at most at one table per level (plus the few of level 0), and stale data is at most about
//! 1/ratio of the whole. Tiered compaction writes less but would keep several stale copies of each record, and reads
//! would pay for all of them. The price is write amplification: an entry is written once to the log, once by its
//! flush, about twice into level 1 (level 1 is as large as what level 0 brings), and in each further level about
//! half the ratio plus one times, since on average a table meets `ratio` others when the level below is full and
//! fewer while it fills. With the defaults and 256 MiB of memory level 1 holds 128 MiB and level 2 1.3 GB: about 4 for
//! data up to 128 MiB and about 10 up to a gigabyte and more. `stats` tells the real figure.

use std::sync::Arc;

use crate::options::Options;
use crate::sstable::Table;
use crate::table_set::{LEVELS, TableSet, key_span};

/// A compaction that is worth doing.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Tables of `level`, newest first where they overlap.
    pub(crate) upper: Vec<Arc<Table>>,
    /// The tables one level down that they overlap, in key order.
    pub(crate) lower: Vec<Arc<Table>>,
    /// The level that the upper ones are in; the outcome goes one down.
    pub(crate) level: usize,
    /// Whether no deeper level holds any key of these: what is left of a key then is all that there is.
    pub(crate) is_bottom: bool,
}

/// How many bytes a level should have at most.
fn target_bytes(options: &Options, level: usize) -> u64 {
    let level1 = (options.level0_tables * options.memtable_bytes()) as u64;
    let ratio = options.level_ratio as u64;
    (1..level).fold(level1, |bytes, _| bytes.saturating_mul(ratio))
}

/// The most pressing compaction, if any level is over its limit.
pub(crate) fn choose(tables: &TableSet, options: &Options) -> Option<Choice> {
    if tables.level(0).len() >= options.level0_tables
        && let Some(choice) = from_level0(tables)
    {
        return Some(choice);
    }
    let fullness =
        |level: &usize| tables.bytes(*level).saturating_mul(1000) / target_bytes(options, *level).max(1);
    let mut levels: Vec<usize> = (1..LEVELS - 1).filter(|level| fullness(level) > 1000).collect();
    levels.sort_by_key(|level| std::cmp::Reverse(fullness(level)));
    levels.into_iter().find_map(|level| cheapest_of(tables, level))
}

/// All of level 0: its tables overlap, so the older ones must not stay above what the newer ones become.
fn from_level0(tables: &TableSet) -> Option<Choice> {
    with_lower(tables, 0, tables.level(0).to_vec())
}

/// The table of a level that costs least to move down for the bytes that it frees.
fn cheapest_of(tables: &TableSet, level: usize) -> Option<Choice> {
    let choices =
        tables.level(level).iter().filter_map(|table| with_lower(tables, level, vec![Arc::clone(table)]));
    choices.min_by_key(|choice| {
        let dragged: u64 = choice.lower.iter().map(|table| table.meta().bytes).sum();
        let own = choice.upper.iter().map(|table| table.meta().bytes).sum::<u64>().max(1);
        dragged.saturating_mul(1000) / own
    })
}

/// The choice of these tables with what they overlap below. None if one of them is damaged: merging around a damaged
/// block would turn "cannot say" into "absent".
fn with_lower(tables: &TableSet, level: usize, upper: Vec<Arc<Table>>) -> Option<Choice> {
    let (smallest, largest) = key_span(upper.iter().map(|table| table.meta()))?;
    let overlapping = |level: usize| {
        tables.level(level).iter().filter(|table| table.meta().overlaps(smallest, largest)).cloned()
    };
    let lower: Vec<Arc<Table>> = overlapping(level + 1).collect();
    let is_bottom = (level + 2..LEVELS).all(|deeper| overlapping(deeper).next().is_none());
    let damaged = upper.iter().chain(&lower).any(|table| table.is_damaged());
    (!damaged).then_some(Choice { upper, lower, level, is_bottom })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::Kind;
    use crate::sstable::writer::{TableSink, TableWriter};
    use env::{Disk, SimDisk};
    use std::path::{Path, PathBuf};

    /// Tables with the keys `from` and `to`, at a level, numbered from 1.
    fn tables(of: &[(u8, &str, &str)]) -> TableSet {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let dir = PathBuf::from("d");
        disk.create_dir_all(&dir).unwrap();
        let options = Arc::new(Options::tiny());
        let sink = TableSink { disk: Arc::clone(&disk), dir: dir.clone(), options, warm: None };
        let made = of.iter().zip(1..).map(|((level, from, to), number)| {
            let mut writer = TableWriter::create(sink.clone(), number).unwrap();
            writer.add(from.as_bytes(), Kind::Full, b"v").unwrap();
            writer.add(to.as_bytes(), Kind::Full, b"v").unwrap();
            let meta = writer.finish(1).unwrap();
            (*level, Arc::new(Table::open(&*disk, &dir, meta, Path::new("manifest")).unwrap()))
        });
        TableSet::new(made.collect::<Vec<_>>())
    }

    fn numbers(tables: &[Arc<Table>]) -> Vec<u64> {
        tables.iter().map(|table| table.meta().file).collect()
    }

    #[test]
    fn nothing_is_chosen_below_the_limits() {
        let options = Options { level0_tables: 2, ..Options::tiny() };
        assert!(choose(&tables(&[]), &options).is_none());
        assert!(choose(&tables(&[(0, "a", "z"), (1, "a", "c"), (2, "d", "e")]), &options).is_none());
    }

    /// All of level 0 goes down together, newest first, with what it overlaps and nothing else.
    #[test]
    fn level0_takes_along_what_it_overlaps() {
        let set = tables(&[
            (0, "c", "f"),
            (0, "d", "g"),
            (1, "a", "b"),
            (1, "c", "d"),
            (1, "g", "h"),
            (1, "i", "k"),
        ]);
        let choice = choose(&set, &Options { level0_tables: 2, ..Options::tiny() }).unwrap();
        assert_eq!((numbers(&choice.upper), numbers(&choice.lower)), (vec![2, 1], vec![4, 5]));
        assert!(choice.is_bottom && choice.level == 0);
    }

    /// A tombstone may go only where nothing deeper has its key.
    #[test]
    fn an_overlap_further_down_is_not_the_bottom() {
        let options = Options { level0_tables: 1, ..Options::tiny() };
        assert!(!choose(&tables(&[(0, "c", "f"), (3, "e", "z")]), &options).unwrap().is_bottom);
        assert!(choose(&tables(&[(0, "c", "f"), (3, "g", "z")]), &options).unwrap().is_bottom);
    }

    /// A level above its limit gives up the table that drags along the least.
    #[test]
    fn a_full_level_gives_up_its_cheapest_table() {
        let set = tables(&[(1, "a", "c"), (1, "d", "f"), (2, "a", "b"), (2, "bx", "c"), (2, "e", "f")]);
        let options = Options { level0_tables: 2, memory_bytes: 64, ..Options::tiny() };
        let choice = choose(&set, &options).unwrap();
        assert_eq!((choice.level, numbers(&choice.upper), numbers(&choice.lower)), (1, vec![2], vec![5]));
    }

    #[test]
    fn damaged_tables_are_left_alone() {
        let set = tables(&[(0, "a", "b"), (0, "c", "d")]);
        set.level(0)[0].set_aside();
        assert!(choose(&set, &Options { level0_tables: 2, ..Options::tiny() }).is_none());
    }
}
