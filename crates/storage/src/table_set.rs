//! The tables that make up the database at one moment, and how they are arranged.
//!
//! Level 0 holds flushed memtables as they came, newest first; their key ranges overlap. In every deeper level the
//! tables are disjoint and in key order. Whatever a level says of a key is newer than what any deeper one says. A set is
//! never changed: a flush or compaction makes a new one, and whoever reads keeps the one that it started with.

use std::sync::Arc;

use crate::dropped::Dropped;
use crate::key_range::KeyRange;
use crate::manifest::TableMeta;
use crate::sstable::Table;

/// The deepest level's number plus one. With a ratio of 10 seven levels hold a hundred thousand times the first.
pub(crate) const LEVELS: usize = 7;

#[derive(Clone, Debug, Default)]
pub(crate) struct TableSet {
    levels: [Vec<Arc<Table>>; LEVELS],
    /// What of the tables does not count any more.
    dropped: Arc<Dropped>,
}

impl TableSet {
    /// The set of these tables, each with its level.
    pub(crate) fn new(tables: impl IntoIterator<Item = (u8, Arc<Table>)>) -> TableSet {
        let mut set = TableSet::default();
        for (level, table) in tables {
            set.levels[usize::from(level).min(LEVELS - 1)].push(table);
        }
        // File numbers are given in the order of flushes.
        set.levels[0].sort_by_key(|table| std::cmp::Reverse(table.meta().file));
        for level in &mut set.levels[1..] {
            level.sort_by(|a, b| a.meta().smallest.cmp(&b.meta().smallest));
        }
        set
    }

    /// The same tables, of which these keys do not count.
    pub(crate) fn with_dropped(self, dropped: Arc<Dropped>) -> TableSet {
        TableSet { dropped, ..self }
    }

    pub(crate) fn dropped(&self) -> &Arc<Dropped> {
        &self.dropped
    }

    /// What of a range is to be read in a table, in key order.
    pub(crate) fn live_parts(&self, table: &Arc<Table>, range: &KeyRange) -> Vec<(Arc<Table>, KeyRange)> {
        if !table.meta().touches(range) {
            return Vec::new();
        }
        let mut parts = self.dropped.live_parts(range, table.meta().last_sequence);
        parts.retain(|part| table.meta().touches(part));
        parts.into_iter().map(|part| (Arc::clone(table), part)).collect()
    }

    pub(crate) fn level(&self, level: usize) -> &[Arc<Table>] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// Every table with its level.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &Arc<Table>)> {
        (0u8..).zip(&self.levels).flat_map(|(number, level)| level.iter().map(move |table| (number, table)))
    }

    /// The tables that may hold a key by their key ranges and what was dropped, newest first.
    pub(crate) fn candidates<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Arc<Table>> {
        self.candidates_from(0, key)
    }

    /// Those of a level and of the deeper ones.
    pub(crate) fn candidates_from<'a>(
        &'a self,
        level: usize,
        key: &'a [u8],
    ) -> impl Iterator<Item = &'a Arc<Table>> {
        let level0 = if level == 0 { self.level(0) } else { &[] };
        let sorted = self.levels.iter().skip(level.max(1));
        let through = self.dropped.through(key);
        let counts = move |table: &&Arc<Table>| through.is_none_or(|dead| dead < table.meta().last_sequence);
        level0.iter().chain(sorted.filter_map(|level| table_for(level, key))).filter(counts)
    }

    /// The set after an edit: without the tables whose numbers are in `gone`, with those in `added`.
    pub(crate) fn edited(&self, gone: &[u64], added: &[(u8, Arc<Table>)]) -> TableSet {
        let kept = self.iter().filter(|(_, table)| !gone.contains(&table.meta().file));
        let kept = kept.map(|(level, table)| (level, Arc::clone(table)));
        TableSet::new(kept.chain(added.iter().cloned())).with_dropped(Arc::clone(&self.dropped))
    }

    pub(crate) fn resident_bytes(&self) -> usize {
        self.iter().map(|(_, table)| table.resident_bytes()).sum()
    }

    pub(crate) fn bytes(&self, level: usize) -> u64 {
        self.level(level).iter().map(|table| table.meta().bytes).sum()
    }
}

/// The one table of a sorted, disjoint level whose range may include the key.
fn table_for<'a>(level: &'a [Arc<Table>], key: &[u8]) -> Option<&'a Arc<Table>> {
    let index = level.partition_point(|table| table.meta().largest.as_ref() < key);
    level.get(index)
}

/// The least and the greatest key of some tables.
pub(crate) fn key_span<'a>(
    tables: impl Iterator<Item = &'a TableMeta> + Clone,
) -> Option<(&'a [u8], &'a [u8])> {
    let smallest = tables.clone().map(|meta| meta.smallest.as_ref()).min()?;
    let largest = tables.map(|meta| meta.largest.as_ref()).max()?;
    Some((smallest, largest))
}
