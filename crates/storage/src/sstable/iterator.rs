//! The entries of tables in key order: of one table, and of tables that follow each other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::block::Block;
use super::table::Table;
use crate::cache::BlockCache;
use crate::error::ReadError;
use crate::key_range::KeyRange;
use crate::memtable::Entry;
use crate::merge_iterator::EntrySource;

/// A position in a run of tables with ascending, disjoint key ranges. Holds one block at a time.
pub(crate) struct TableIterator {
    tables: VecDeque<Arc<Table>>,
    range: KeyRange,
    cache: Arc<BlockCache>,
    /// The next block of the first table, once it is known.
    next_block: Option<usize>,
    block: Option<Arc<Block>>,
    position: usize,
}

impl TableIterator {
    pub(crate) fn new(
        tables: VecDeque<Arc<Table>>,
        range: KeyRange,
        cache: Arc<BlockCache>,
    ) -> TableIterator {
        TableIterator { tables, range, cache, next_block: None, block: None, position: 0 }
    }

    /// Brings up the next block; false where there is none.
    fn advance_block(&mut self) -> Result<bool, ReadError> {
        let Some(table) = self.tables.front() else {
            return Ok(false);
        };
        let first = self.next_block.is_none();
        let wanted = self.next_block.unwrap_or_else(|| table.find_block(&self.range.start));
        let number = (wanted..table.block_count()).find(|block| !table.is_lost(*block)).unwrap_or(usize::MAX);
        if number >= table.block_count() {
            self.tables.pop_front();
            self.next_block = None;
            self.block = None;
            return Ok(!self.tables.is_empty());
        }
        let block = table.block(number, &self.cache, false)?;
        self.position = match first {
            true => block.lower_bound(&self.range.start).map_err(|_| self.malformed(number))?,
            false => 0,
        };
        self.block = Some(block);
        self.next_block = Some(number + 1);
        Ok(true)
    }

    fn malformed(&self, block: usize) -> ReadError {
        let table = self.tables.front().expect("a block is only held while its table is the first");
        table.malformed(table.block_name(block).map_or(0, |(_, offset)| offset))
    }
}

impl EntrySource for TableIterator {
    fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            if let Some(block) = &self.block
                && self.position < block.count()
            {
                let number = self.next_block.map_or(0, |next| next - 1);
                let entry = block.entry(self.position).map_err(|_| self.malformed(number))?;
                self.position += 1;
                return Ok(self.range.ends_after(&entry.key).then_some(entry));
            }
            if !self.advance_block()? {
                return Ok(None);
            }
        }
    }
}
