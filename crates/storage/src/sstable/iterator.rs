//! The entries of tables in key order: of parts of a table, and of tables that follow each other. No block is read that lies
//! outside of the parts.

use std::collections::VecDeque;
use std::sync::Arc;

use super::block::Block;
use super::table::Table;
use crate::cache::BlockCache;
use crate::error::ReadError;
use crate::key_range::KeyRange;
use crate::memtable::Entry;
use crate::merge_iterator::EntrySource;

/// A position in a run of parts of tables, which ascend and are disjoint. Holds one block at a time.
pub(crate) struct TableIterator {
    parts: VecDeque<(Arc<Table>, KeyRange)>,
    cache: Arc<BlockCache>,
    /// The next block of the first part, once it is known.
    next_block: Option<usize>,
    block: Option<Arc<Block>>,
    position: usize,
}

impl TableIterator {
    pub(crate) fn new(parts: VecDeque<(Arc<Table>, KeyRange)>, cache: Arc<BlockCache>) -> TableIterator {
        TableIterator { parts, cache, next_block: None, block: None, position: 0 }
    }

    /// Goes on with the next part; false where there is none.
    fn end_part(&mut self) -> bool {
        self.parts.pop_front();
        (self.next_block, self.block) = (None, None);
        !self.parts.is_empty()
    }

    /// Brings up the next block; false where there is none.
    fn advance_block(&mut self) -> Result<bool, ReadError> {
        let Some((table, range)) = self.parts.front() else {
            return Ok(false);
        };
        let first = self.next_block.is_none();
        let wanted = self.next_block.unwrap_or_else(|| table.find_block(&range.start));
        let number = (wanted..table.block_count()).find(|block| !table.is_lost(*block)).unwrap_or(usize::MAX);
        if number >= table.block_count() {
            return Ok(self.end_part());
        }
        let block = table.block(number, &self.cache, false)?;
        self.position = match first {
            true => block.lower_bound(&range.start).map_err(|_| self.malformed(number))?,
            false => 0,
        };
        self.block = Some(block);
        self.next_block = Some(number + 1);
        Ok(true)
    }

    fn malformed(&self, block: usize) -> ReadError {
        let (table, _) = self.parts.front().expect("a block is only held while its table is the first");
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
                if self.parts.front().is_some_and(|(_, range)| range.ends_after(&entry.key)) {
                    return Ok(Some(entry));
                }
                self.end_part();
            }
            if !self.advance_block()? {
                return Ok(None);
            }
        }
    }
}
