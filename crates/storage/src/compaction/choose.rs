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

use super::outside::Outside;
use crate::dropped::DROPPED_RANGES_MAX;
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
    /// The level that the upper ones are in; the outcome goes one down, or stays where nothing is merged.
    pub(crate) level: usize,
    stays: bool,
    /// All tables, as they were then, and what of them is dead.
    pub(crate) tables: Arc<TableSet>,
    /// Where something older than these may be.
    pub(crate) outside: Outside,
}

impl Choice {
    /// Every table that goes in.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Arc<Table>> + Clone {
        self.upper.iter().chain(&self.lower)
    }

    /// The level that the outcome goes to.
    pub(crate) fn output_level(&self) -> u8 {
        u8::try_from(self.level + usize::from(!self.stays)).expect("levels are few")
    }
}

/// How many bytes a level should have at most.
fn target_bytes(options: &Options, level: usize) -> u64 {
    let level1 = (options.level0_tables * options.memtable_bytes()) as u64;
    let ratio = options.level_ratio as u64;
    (1..level).fold(level1, |bytes, _| bytes.saturating_mul(ratio))
}

/// The most pressing compaction, if any level is over its limit.
///
/// One with a table that the disk did not read when last asked comes after all others, so that it does not hold them up. It
/// does come: the disk may read the table now.
pub(crate) fn choose(tables: &Arc<TableSet>, options: &Options) -> Option<Choice> {
    let levels = pressing_levels(tables, options);
    let choose_from = |may_take: &dyn Fn(&Choice) -> bool| {
        levels.iter().find_map(|level| cheapest_of(choices_of(tables, *level).filter(may_take)))
    };
    let is_unread = |choice: &Choice| choice.inputs().any(|table| table.is_unread());
    let choice = choose_from(&|choice| !is_unread(choice));
    let anything_unread = || !levels.is_empty() && tables.iter().any(|(_, table)| table.is_unread());
    choice.or_else(|| if anything_unread() { choose_from(&|_| true) } else { None })
}

/// A compaction that brings together what hides and what is hidden, though no level is over its limit: for a disk that has
/// little room, where what was deleted must not wait for more to come. The smallest, since it writes before it removes.
/// There is none once no table lies above another.
pub(crate) fn choose_to_make_room(tables: &Arc<TableSet>) -> Option<Choice> {
    let choices = (0..LEVELS - 1).flat_map(|level| choices_of(tables, level));
    let lies_above = |choice: &Choice| {
        let span = key_span(choice.upper.iter().map(|table| table.meta()));
        let mut deeper = (choice.level + 1..LEVELS).flat_map(|level| tables.level(level));
        span.is_some_and(|(smallest, largest)| deeper.any(|table| table.meta().overlaps(smallest, largest)))
    };
    choices
        .filter(|choice| choice.upper.len() > 1 || lies_above(choice))
        .min_by_key(|choice| choice.inputs().map(|table| table.meta().bytes).sum::<u64>())
}

/// Of all compactions that would be right, whether they are worth it or not, the one of this number, counted round.
pub(crate) fn any_choice(tables: &Arc<TableSet>, number: usize) -> Option<Choice> {
    let level0 = tables.level(0);
    let oldest = (0..level0.len()).filter_map(|newer| with_lower(tables, 0, level0[newer..].to_vec()));
    let deeper = (1..LEVELS - 1).flat_map(|level| choices_of(tables, level));
    let mut choices: Vec<Choice> = oldest.chain(deeper).collect();
    let number = number.checked_rem(choices.len())?;
    Some(choices.swap_remove(number))
}

/// The levels that are over their limits, the one that is most so first.
fn pressing_levels(tables: &TableSet, options: &Options) -> Vec<usize> {
    let fullness =
        |level: &usize| tables.bytes(*level).saturating_mul(1000) / target_bytes(options, *level).max(1);
    let mut levels: Vec<usize> = (1..LEVELS - 1).filter(|level| fullness(level) > 1000).collect();
    levels.sort_by_key(|level| std::cmp::Reverse(fullness(level)));
    if tables.level(0).len() >= options.level0_tables {
        levels.insert(0, 0);
    }
    levels
}

/// What may be moved down from a level. Of level 0 that is everything at once: its tables overlap, so the older ones must
/// not stay above what the newer ones become. Of a deeper one it is each table by itself.
fn choices_of(tables: &Arc<TableSet>, level: usize) -> impl Iterator<Item = Choice> + '_ {
    let upper = tables.level(level);
    let at_a_time = if level == 0 { upper.len() } else { 1 };
    upper.chunks(at_a_time.max(1)).filter_map(move |upper| with_lower(tables, level, upper.to_vec()))
}

/// The one that costs least for the bytes that it frees.
fn cheapest_of(choices: impl Iterator<Item = Choice>) -> Option<Choice> {
    choices.min_by_key(|choice| {
        let dragged: u64 = choice.lower.iter().map(|table| table.meta().bytes).sum();
        let own = choice.upper.iter().map(|table| table.meta().bytes).sum::<u64>().max(1);
        dragged.saturating_mul(1000) / own
    })
}

/// The choice of these tables with what they overlap below. None if one of them is damaged: merging around a damaged
/// block would turn "cannot say" into "absent".
fn with_lower(tables: &Arc<TableSet>, level: usize, upper: Vec<Arc<Table>>) -> Option<Choice> {
    let (smallest, largest) = key_span(upper.iter().map(|table| table.meta()))?;
    let below = tables.level(level + 1).iter();
    let lower: Vec<Arc<Table>> =
        below.filter(|table| table.meta().overlaps(smallest, largest)).cloned().collect();
    let inputs = || upper.iter().chain(&lower);
    if inputs().any(|table| table.is_damaged()) {
        return None;
    }
    let outside = Outside::new(tables, level, inputs());
    Some(Choice { upper, lower, level, stays: false, tables: Arc::clone(tables), outside })
}

/// Tables without a key that counts: they go without being read, damaged or not.
pub(crate) fn choose_dead(tables: &Arc<TableSet>) -> Option<Choice> {
    if tables.dropped().is_empty() {
        return None;
    }
    let is_dead = |table: &&Arc<Table>| tables.dropped().covers(table.meta());
    let dead: Vec<Arc<Table>> = tables.iter().map(|(_, table)| table).filter(is_dead).cloned().collect();
    (!dead.is_empty()).then(|| by_themselves(tables, 0, dead))
}

/// The table of which the most is dead, if a quarter of it is, or any of it where room is needed or many drops wait to be
/// forgotten. It is written anew without that, in its level. Not so in level 0, where tables are in the order of their numbers:
/// from there everything goes down.
pub(crate) fn choose_partly_dead(tables: &Arc<TableSet>, is_room_needed: bool) -> Option<Choice> {
    const WORTH_THOUSANDTHS: u64 = 250;
    if tables.dropped().is_empty() {
        return None;
    }
    let any_will_do = is_room_needed || tables.dropped().ranges().len() > DROPPED_RANGES_MAX / 2;
    let worth = if any_will_do { 0 } else { WORTH_THOUSANDTHS };
    let candidates = tables.iter().filter(|(_, table)| !table.is_damaged()).filter_map(|(level, table)| {
        let dead = dead_bytes(tables, table)?;
        let thousandths = dead.saturating_mul(1000) / table.meta().bytes.max(1);
        (thousandths >= worth).then_some((thousandths, level, table))
    });
    let mut candidates: Vec<(u64, u8, &Arc<Table>)> = candidates.collect();
    candidates.sort_by_key(|(thousandths, _, table)| std::cmp::Reverse((*thousandths, table.meta().file)));
    candidates.into_iter().find_map(|(_, level, table)| match usize::from(level) {
        0 => choices_of(tables, 0).next(),
        level => Some(by_themselves(tables, level, vec![Arc::clone(table)])),
    })
}

/// How much of a table is in blocks that are wholly dead; nothing where no drop takes anything of it.
fn dead_bytes(tables: &TableSet, table: &Table) -> Option<u64> {
    let mut taking = tables.dropped().taking_from(table.meta()).peekable();
    taking.peek()?;
    Some(taking.map(|range| table.bytes_within(range)).sum())
}

/// Tables that are merged with nothing.
fn by_themselves(tables: &Arc<TableSet>, level: usize, upper: Vec<Arc<Table>>) -> Choice {
    let outside = Outside::new(tables, level, upper.iter());
    Choice { upper, lower: Vec::new(), level, stays: true, tables: Arc::clone(tables), outside }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compaction::testing::tables;

    fn set(of: &[(u8, &str, &str)]) -> Arc<TableSet> {
        Arc::new(tables(of))
    }

    fn numbers(tables: &[Arc<Table>]) -> Vec<u64> {
        tables.iter().map(|table| table.meta().file).collect()
    }

    #[test]
    fn nothing_is_chosen_below_the_limits() {
        let options = Options { level0_tables: 2, ..Options::tiny() };
        let few = [(0, "a", "z"), (1, "a", "c"), (2, "d", "e")];
        assert!(choose(&set(&[]), &options).is_none() && choose(&set(&few), &options).is_none());
    }

    /// All of level 0 goes down together, newest first, with what it overlaps and nothing else.
    #[test]
    fn level0_takes_along_what_it_overlaps() {
        let set =
            set(&[(0, "c", "f"), (0, "d", "g"), (1, "a", "b"), (1, "c", "d"), (1, "g", "h"), (1, "i", "k")]);
        let choice = choose(&set, &Options { level0_tables: 2, ..Options::tiny() }).unwrap();
        assert_eq!((numbers(&choice.upper), numbers(&choice.lower)), (vec![2, 1], vec![4, 5]));
        assert_eq!(choice.level, 0);
    }

    /// A level above its limit gives up the table that drags along the least.
    #[test]
    fn a_full_level_gives_up_its_cheapest_table() {
        let set = set(&[(1, "a", "c"), (1, "d", "f"), (2, "a", "b"), (2, "bx", "c"), (2, "e", "f")]);
        let options = Options { level0_tables: 2, memory_bytes: 64, ..Options::tiny() };
        let choice = choose(&set, &options).unwrap();
        assert_eq!((choice.level, numbers(&choice.upper), numbers(&choice.lower)), (1, vec![2], vec![5]));
    }

    /// To make room the smallest compaction is chosen that can free anything, until no table lies above another.
    #[test]
    fn room_is_made_as_long_as_anything_can_be_hidden() {
        let chosen = |of: &[(u8, &str, &str)]| {
            choose_to_make_room(&set(of)).map(|choice| (numbers(&choice.upper), numbers(&choice.lower)))
        };
        assert_eq!(chosen(&[(1, "a", "c"), (2, "d", "f"), (3, "g", "h")]), None);
        assert_eq!(chosen(&[(0, "a", "c"), (2, "b", "c")]), Some((vec![1], vec![])), "it goes down to it");
        assert_eq!(chosen(&[(1, "a", "c"), (2, "b", "c")]), Some((vec![1], vec![2])));
        assert_eq!(chosen(&[(0, "a", "c"), (0, "b", "d")]), Some((vec![2, 1], vec![])));
        let few = [(0, "a", "c"), (1, "a", "b"), (1, "c", "f"), (2, "e", "f")];
        assert_eq!(chosen(&few), Some((vec![3], vec![4])), "two tables and not three");
    }

    #[test]
    fn damaged_tables_are_left_alone() {
        let set = set(&[(0, "a", "b"), (0, "c", "d")]);
        set.level(0)[0].set_aside();
        assert!(choose(&set, &Options { level0_tables: 2, ..Options::tiny() }).is_none());
    }

    /// A table that the disk did not read is left for last, and is not forgotten.
    #[test]
    fn what_could_not_be_read_comes_after_all_else() {
        let set = set(&[(0, "a", "c"), (1, "a", "c"), (1, "d", "f"), (1, "g", "i")]);
        let options = Options { level0_tables: 1, memory_bytes: 64, ..Options::tiny() };
        let chosen = || numbers(&choose(&set, &options).unwrap().upper);
        assert_eq!(chosen(), [1], "level 0 is what presses most");
        set.level(1)[0].set_unread(0);
        assert_eq!(chosen(), [3], "level 0 would take along what could not be read");
        set.level(1).iter().for_each(|table| table.set_unread(0));
        assert_eq!(chosen(), [1], "there is nothing else");
    }

    /// Every choice keeps what is newer above what is older.
    #[test]
    fn any_choice_is_a_right_one() {
        let set = set(&[(0, "c", "f"), (0, "d", "g"), (1, "a", "b"), (1, "c", "d"), (6, "c", "d")]);
        let upper: Vec<Vec<u64>> =
            (0..5).map(|number| numbers(&any_choice(&set, number).unwrap().upper)).collect();
        assert_eq!(upper, [vec![2, 1], vec![1], vec![3], vec![4], vec![2, 1]]);
        assert!(any_choice(&Arc::new(TableSet::default()), 3).is_none());
    }
}
