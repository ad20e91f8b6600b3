//! Reading a run of keys, a page at a time.
//!
//! The memtables' part is gathered on the caller's thread and bounded by the page's limits, the tables' part is read
//! when the job runs. A page is a moment's truth; two pages may have writes between them.
//!
//! Delete markers hide what is older of their keys and are not shown. They count for a page's limits all the same, so that
//! a page's work is bounded where a great many keys were deleted. A scan sees the memtables and the set of tables of the
//! moment it was made, and both stay as they were for as long as it holds them: a marker that a compaction drops meanwhile
//! is still there for it, beside what it hides.

use std::sync::Arc;

use bytes::Bytes;

use super::Db;
use crate::cache::BlockCache;
use crate::error::ReadError;
use crate::key_range::{KeyRange, successor};
use crate::memtable::Entry;
use crate::merge::{Kind, Merge};
use crate::merge_iterator::{EntrySource, Gathered, MergeIterator};
use crate::sstable::Table;
use crate::sstable::iterator::TableIterator;
use crate::table_set::{LEVELS, TableSet};

/// How large a page may get. It ends with the entry that reaches either limit. Deleted keys that are still to be compacted
/// away count, and are not shown: a page may be empty and not be the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanLimit {
    /// How many entries.
    pub entries: usize,
    /// How many bytes of keys and values.
    pub bytes: usize,
}

/// A scan of one page. Run it on any thread.
pub struct ScanJob {
    range: KeyRange,
    limit: ScanLimit,
    /// What the memtables have, newest memtable first.
    gathered: Vec<Vec<Entry>>,
    /// Beyond this key a memtable may have more than was gathered.
    horizon: Option<Bytes>,
    tables: Arc<TableSet>,
    blocks: Arc<BlockCache>,
    merge: Arc<dyn Merge>,
    /// The range ends where something is missing, and nothing can be said of what follows.
    ends_early: bool,
}

impl std::fmt::Debug for ScanJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScanJob({:?})", self.range)
    }
}

/// What a scan came to.
#[derive(Debug)]
pub enum ScanOutcome {
    /// A page.
    Page {
        /// Keys with their values, in key order.
        entries: Vec<(Bytes, Bytes)>,
        /// Where the next page begins; `None` when the range is done.
        next: Option<Bytes>,
    },
    /// It cannot be said what is in the range: something needed is damaged or unreadable.
    Unreadable(ReadError),
}

impl Db {
    /// The scan of the first page of a range. Touches memory only; the job reads the disk.
    ///
    /// A page that would have to go on where something is missing cannot be read.
    pub fn scan(&self, range: KeyRange, limit: ScanLimit) -> ScanJob {
        let missing = self.missing.first_in(&range).map(|missing| missing.start.clone());
        let end = missing.as_ref().map(|start| start.max(&range.start).clone());
        let job = self.scan_what_is_left(KeyRange { end: end.or(range.end), start: range.start }, limit);
        ScanJob { ends_early: missing.is_some(), ..job }
    }

    /// The same, but of keys of which something is missing ([`Db::is_missing`]) what is left. Nobody may be told that this
    /// is all.
    pub fn scan_what_is_left(&self, range: KeyRange, limit: ScanLimit) -> ScanJob {
        let limit = ScanLimit { entries: limit.entries.max(1), bytes: limit.bytes.max(1) };
        let newest_first =
            std::iter::once(&self.active).chain(self.frozen.iter().rev().map(|table| &**table));
        let (mut gathered, mut horizon) = (Vec::new(), None::<Bytes>);
        for memtable in newest_first {
            let parts = self.tables.dropped().live_parts(&range, memtable.last_sequence());
            let (entries, cut_at) = gather(parts.iter().flat_map(|part| memtable.range(part)), limit);
            gathered.push(entries);
            horizon = [horizon, cut_at].into_iter().flatten().min();
        }
        ScanJob {
            range,
            limit,
            gathered,
            horizon,
            tables: Arc::clone(&self.tables),
            blocks: Arc::clone(&self.blocks),
            merge: Arc::clone(&self.merge),
            ends_early: false,
        }
    }
}

/// The first entries of a memtable, and the last key taken if there are more.
fn gather(of: impl Iterator<Item = Entry>, limit: ScanLimit) -> (Vec<Entry>, Option<Bytes>) {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for entry in of {
        if entries.len() >= limit.entries || bytes >= limit.bytes {
            let last: Option<&Entry> = entries.last();
            let cut_at = last.map(|entry| entry.key.clone());
            return (entries, cut_at);
        }
        bytes += entry.key.len() + entry.value.len();
        entries.push(entry);
    }
    (entries, None)
}

impl ScanJob {
    /// Reads the page. Blocks for as long as the disk takes.
    pub fn run(self) -> ScanOutcome {
        match self.page() {
            Ok((entries, next)) => ScanOutcome::Page { entries, next },
            Err(error) => ScanOutcome::Unreadable(error),
        }
    }

    #[allow(clippy::type_complexity, reason = "the two halves of a page, named by the caller")]
    fn page(self) -> Result<(Vec<(Bytes, Bytes)>, Option<Bytes>), ReadError> {
        let (limit, horizon) = (self.limit, self.horizon.clone());
        let ends_early = self.ends_early;
        let mut merged = MergeIterator::new(self.sources(), Arc::clone(&self.merge))?;
        let (mut entries, mut met, mut bytes) = (Vec::new(), 0, 0);
        while let Some(entry) = merged.next()? {
            met += 1;
            bytes += entry.key.len() + entry.value.len();
            let at_horizon = horizon.as_ref() == Some(&entry.key);
            let is_last = met >= limit.entries || bytes >= limit.bytes || at_horizon;
            let next = is_last.then(|| successor(&entry.key));
            if entry.kind != Kind::Delete {
                entries.push((entry.key, entry.value));
            }
            if next.is_some() {
                return Ok((entries, next));
            }
        }
        if ends_early { Err(ReadError::Missing) } else { Ok((entries, None)) }
    }

    fn sources(&self) -> Vec<Box<dyn EntrySource>> {
        let mut sources: Vec<Box<dyn EntrySource>> = Vec::new();
        for entries in &self.gathered {
            sources.push(Box::new(Gathered(entries.clone().into_iter())));
        }
        for table in self.tables.level(0) {
            sources.push(self.tables_source([table]));
        }
        for level in 1..LEVELS {
            sources.push(self.tables_source(self.tables.level(level)));
        }
        sources
    }

    fn tables_source<'a>(&self, tables: impl IntoIterator<Item = &'a Arc<Table>>) -> Box<dyn EntrySource> {
        let parts = tables.into_iter().flat_map(|table| self.tables.live_parts(table, &self.range));
        Box::new(TableIterator::new(parts.collect(), Arc::clone(&self.blocks)))
    }
}
