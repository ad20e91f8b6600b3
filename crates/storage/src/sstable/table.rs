//! Reading a table: its filter and index in memory, its blocks one by one from disk or cache.
//!
//! A block that is found damaged is reported ([`Reports`]). Once the manifest says that it is lost, a table without it takes
//! the place of the one with it; whoever began with that meets the damage as before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use env::disk::DiskErrorKind;
use env::{Disk, File};

use super::block::{Block, Malformed};
use super::filter::Filter;
use super::footer::{
    FILE_HEADER_BYTES, FOOTER_BYTES, Footer, FooterError, Properties, VERSION, encode_file_header,
};
use super::frame::{self, BlockKind, Handle};
use super::index::Index;
use super::reports::Reports;
use crate::cache::{BlockCache, BlockName};
use crate::db::estimate::ByteEstimate;
use crate::error::{Damage, OpenError, ReadError};
use crate::files;
use crate::home::Home;
use crate::key_range::{KeyRange, end_behind};
use crate::manifest::TableMeta;

/// Stands for no block.
const NO_BLOCK: usize = usize::MAX;

#[derive(Debug)]
pub(crate) struct Table {
    opened: Arc<Opened>,
    /// Blocks that are lost, by number: they count for nothing.
    lost: BTreeSet<usize>,
    /// Set once a block of it was found damaged: compactions leave the table alone, so that what is damaged stays
    /// known as damaged, and what is not stays readable.
    damaged: AtomicBool,
    /// The block that the disk did not read when last asked for it. That says nothing of what is in it, and may pass.
    unread: AtomicUsize,
}

/// What a table is with whichever of its blocks.
#[derive(Debug)]
struct Opened {
    meta: TableMeta,
    home: Home,
    path: PathBuf,
    file: Arc<dyn File>,
    /// Bytes of its keys and values.
    raw_bytes: u64,
    filter: Filter,
    index: Index,
    reports: Arc<Reports>,
}

impl Table {
    /// Opens a table that the manifest of a store names, and verifies everything but its data blocks.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        store: u32,
        meta: TableMeta,
        manifest: &Path,
        reports: &Arc<Reports>,
    ) -> Result<Table, OpenError> {
        let path = files::table(dir, meta.file);
        let file = disk.open(&path).map_err(|error| match error.kind {
            DiskErrorKind::NotFound => {
                OpenError::Missing { file: path.clone(), named_by: manifest.to_owned() }
            }
            _ => OpenError::Disk(error),
        })?;
        let mut parts = Parts { path: &path, file: &*file, home: Home { store, file: meta.file } };
        parts.check_length(&meta)?;
        let footer = parts.footer(meta.bytes)?;
        parts.check_header()?;
        let filter = parts.part(footer.filter, BlockKind::Filter, Filter::parse)?;
        let index = parts.part(footer.index, BlockKind::Index, Index::parse)?;
        let properties = parts.part(footer.properties, BlockKind::Properties, |b| Properties::decode(&b))?;
        let agrees = properties.entries == meta.entries
            && properties.smallest == meta.smallest
            && properties.largest == meta.largest;
        if !agrees {
            return Err(
                parts.damage(footer.properties.offset, "the table is not the one that the manifest names")
            );
        }
        let (home, reports, raw_bytes) = (parts.home, Arc::clone(reports), properties.raw_bytes);
        let opened = Opened { meta, home, path, file, raw_bytes, filter, index, reports };
        Ok(Table::of(Arc::new(opened), BTreeSet::new()))
    }

    fn of(opened: Arc<Opened>, lost: BTreeSet<usize>) -> Table {
        Table { opened, lost, damaged: AtomicBool::new(false), unread: AtomicUsize::new(NO_BLOCK) }
    }

    /// The same table without these blocks, by offset. Of those that it has; the others are none of its.
    pub(crate) fn without(&self, offsets: impl IntoIterator<Item = u64>) -> Table {
        let mut lost = self.lost.clone();
        lost.extend(offsets.into_iter().filter_map(|offset| self.opened.index.block_at(offset)));
        Table::of(Arc::clone(&self.opened), lost)
    }

    /// Whether a block is lost.
    pub(crate) fn is_lost(&self, block: usize) -> bool {
        self.lost.contains(&block)
    }

    /// The keys that a block with entries has at most, if there is one at this offset that is not lost.
    pub(crate) fn keys_of(&self, offset: u64) -> Option<KeyRange> {
        let block = self.opened.index.block_at(offset).filter(|block| !self.is_lost(*block))?;
        let start = match block {
            0 => self.meta().smallest.clone(),
            _ => self.opened.index.bound_of(block)?,
        };
        let end = self.opened.index.bound_of(block + 1).or_else(|| end_behind(&self.meta().largest));
        Some(KeyRange { start, end })
    }

    /// Whether nothing reads its file any more but who asks.
    pub(crate) fn is_let_go_of(table: &Arc<Table>) -> bool {
        Arc::strong_count(table) == 1 && Arc::strong_count(&table.opened) == 1
    }

    pub(crate) fn meta(&self) -> &TableMeta {
        &self.opened.meta
    }

    pub(crate) fn path(&self) -> &Path {
        &self.opened.path
    }

    /// Memory it takes as long as it is open.
    pub(crate) fn resident_bytes(&self) -> usize {
        self.opened.filter.bytes() + self.opened.index.bytes() + size_of::<Table>() + size_of::<Opened>()
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Keeps compactions off this table from now on.
    pub(crate) fn set_aside(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// Whether the disk has not read a block of it when last asked.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed) != NO_BLOCK
    }

    pub(crate) fn set_unread(&self, block: usize) {
        self.unread.store(block, Ordering::Relaxed);
    }

    /// Reads the block that could not be read the last time, if there is one.
    pub(crate) fn read_again(&self) -> Result<(), ReadError> {
        let block = self.unread.load(Ordering::Relaxed);
        match self.opened.index.handle(block) {
            Some(handle) => self.read_block(block, handle).map(drop),
            None => Ok(()),
        }
    }

    /// False only if the key is not in it. Costs no I/O.
    pub(crate) fn may_contain(&self, key: &[u8], hash: u64) -> bool {
        self.meta().overlaps(key, key) && self.opened.filter.may_contain(hash)
    }

    pub(crate) fn block_count(&self) -> usize {
        self.opened.index.len()
    }

    /// The number of the block that holds the key if any does.
    pub(crate) fn find_block(&self, key: &[u8]) -> usize {
        self.opened.index.find(key)
    }

    /// The blocks that have keys of a range and no others.
    fn blocks_within(&self, range: &KeyRange) -> std::ops::Range<usize> {
        let (index, meta) = (&self.opened.index, self.meta());
        let first = if range.start <= meta.smallest { 0 } else { index.first_from(&range.start) };
        let end = range.end.as_ref().filter(|end| **end <= meta.largest);
        let end = end.map_or(index.len(), |end| index.find(end));
        first..end.max(first)
    }

    /// How many bytes the blocks take that have keys of a range and no others.
    pub(crate) fn bytes_within(&self, range: &KeyRange) -> u64 {
        self.opened.index.bytes_of(self.blocks_within(range))
    }

    /// About how much it has of a range, of which it has keys. A block at an end of the range counts half.
    pub(crate) fn estimate(&self, range: &KeyRange) -> ByteEstimate {
        let (index, within) = (&self.opened.index, self.blocks_within(range));
        let first = if range.start <= self.meta().smallest { 0 } else { index.find(&range.start) };
        let end = range.end.as_ref().filter(|end| **end <= self.meta().largest);
        let behind = end.map_or(index.len(), |end| index.find(end) + 1);
        let (touched_bytes, within_bytes) = (index.bytes_of(first..behind), index.bytes_of(within));
        let all = ByteEstimate {
            bytes: self.opened.raw_bytes,
            stored_bytes: self.meta().bytes,
            keys: self.meta().entries,
        };
        all.share(
            within_bytes + (touched_bytes - within_bytes.min(touched_bytes)) / 2,
            index.bytes_of(0..index.len()),
        )
    }

    pub(crate) fn block_name(&self, block: usize) -> Option<BlockName> {
        self.opened.index.handle(block).map(|handle| (self.meta().file, handle.offset))
    }

    /// A block from the cache, or from disk. Only `fill` puts it into the cache: a scan or a compaction, which reads
    /// each block once, must not push out what is read often.
    pub(crate) fn block(
        &self,
        block: usize,
        cache: &BlockCache,
        fill: bool,
    ) -> Result<Arc<Block>, ReadError> {
        let handle =
            self.opened.index.handle(block).ok_or_else(|| self.damage(0, "the index has no such block"))?;
        let name = (self.meta().file, handle.offset);
        if let Some(cached) = cache.get(name) {
            return Ok(cached);
        }
        let read = Arc::new(self.read_block(block, handle)?);
        if fill {
            cache.insert(name, Arc::clone(&read));
        }
        Ok(read)
    }

    fn read_block(&self, block: usize, handle: Handle) -> Result<Block, ReadError> {
        let framed = read_framed(&*self.opened.file, handle).map_err(|error| match error.kind {
            DiskErrorKind::Short => self.damage(handle.offset, "the file ends before the block does"),
            _ => {
                self.set_unread(block);
                ReadError::Disk(error)
            }
        })?;
        if self.unread.load(Ordering::Relaxed) == block {
            self.set_unread(NO_BLOCK);
        }
        let raw = frame::open(&framed, self.opened.home, handle.offset, BlockKind::Data);
        let raw = raw.map_err(|what| self.damage(handle.offset, what))?;
        Block::parse(raw).map_err(|Malformed| self.malformed(handle.offset))
    }

    /// The damage of a block that passed its checksum and still makes no sense.
    pub(crate) fn malformed(&self, offset: u64) -> ReadError {
        self.damage(offset, "the block's entries overlap or lie outside it")
    }

    fn damage(&self, offset: u64, what: &str) -> ReadError {
        self.set_aside();
        let damage = Damage { file: self.opened.path.clone(), offset, what: what.to_owned() };
        self.opened.reports.found(self.meta().file, &damage);
        ReadError::Damaged(damage)
    }
}

fn read_framed(file: &dyn File, handle: Handle) -> Result<Bytes, env::DiskError> {
    let mut framed = vec![0; handle.len as usize];
    file.read_exact_at(handle.offset, &mut framed)?;
    Ok(Bytes::from(framed))
}

/// A table on its way to being opened.
struct Parts<'a> {
    path: &'a Path,
    file: &'a dyn File,
    home: Home,
}

impl Parts<'_> {
    fn damage(&self, offset: u64, what: &str) -> OpenError {
        OpenError::Damaged(Damage { file: self.path.to_owned(), offset, what: what.to_owned() })
    }

    fn check_length(&self, meta: &TableMeta) -> Result<(), OpenError> {
        let len = self.file.len()?;
        if len != meta.bytes || len < (FILE_HEADER_BYTES + FOOTER_BYTES) as u64 {
            let what = format!("the manifest says {} bytes, the file has {len}", meta.bytes);
            return Err(self.damage(len.min(meta.bytes), &what));
        }
        Ok(())
    }

    fn check_header(&self) -> Result<(), OpenError> {
        let mut header = [0; FILE_HEADER_BYTES];
        self.file.read_exact_at(0, &mut header)?;
        if header[..] == encode_file_header(self.home)[..] {
            return Ok(());
        }
        Err(self.damage(0, "the file's header is not that of this table"))
    }

    /// The footer; it knows where the blocks are at home.
    fn footer(&mut self, file_len: u64) -> Result<Footer, OpenError> {
        let offset = file_len - FOOTER_BYTES as u64;
        let mut bytes = [0; FOOTER_BYTES];
        self.file.read_exact_at(offset, &mut bytes)?;
        let decoded = Footer::decode(&bytes, self.home, file_len).map_err(|error| match error {
            FooterError::Damaged(what) => self.damage(offset, what),
            FooterError::Newer(version) => {
                OpenError::Newer { file: self.path.to_owned(), version, known: VERSION }
            }
        });
        let (footer, home) = decoded?;
        self.home = home;
        Ok(footer)
    }

    fn part<T>(
        &self,
        handle: Handle,
        kind: BlockKind,
        parse: impl Fn(Bytes) -> Option<T>,
    ) -> Result<T, OpenError> {
        let framed = read_framed(self.file, handle)?;
        let raw = frame::open(&framed, self.home, handle.offset, kind);
        let raw = raw.map_err(|what| self.damage(handle.offset, what))?;
        parse(raw).ok_or_else(|| self.damage(handle.offset, "this part of the table makes no sense"))
    }
}
