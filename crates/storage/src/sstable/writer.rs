//! Writing a table: entries come in key order, blocks leave in file order.
//!
//! The table counts for nothing until its file and its name are synced and an edit of the manifest names it; that is
//! the caller's last step, after [`TableWriter::finish`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, DiskError, File};

use super::block::{Block, BlockBuilder};
use super::footer::{self, Footer, Properties};
use super::frame::{self, BlockKind, Handle};
use super::reports::Reports;
use super::{filter, index};
use crate::cache::BlockCache;
use crate::files;
use crate::home::Home;
use crate::manifest::TableMeta;
use crate::merge::Kind;
use crate::options::Options;

/// Finished blocks are written together once they are this long, in bytes.
const WRITE_BYTES: usize = 256 << 10;

/// What tables are written with.
#[derive(Clone)]
pub(crate) struct TableSink {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) options: Arc<Options>,
    /// The number of the store that they are of.
    pub(crate) store: u32,
    /// Where the blocks go as they are written, if the table is made of what was used last.
    pub(crate) warm: Option<Arc<BlockCache>>,
    /// Where it is told what is found damaged in them.
    pub(crate) reports: Arc<Reports>,
}

pub(crate) struct TableWriter {
    sink: TableSink,
    home: Home,
    file: Arc<dyn File>,
    path: PathBuf,
    /// Bytes that are framed and not yet written, and where in the file they begin.
    pending: Vec<u8>,
    pending_at: u64,
    block: BlockBuilder,
    block_bound: Vec<u8>,
    index: Vec<u8>,
    hashes: Vec<u64>,
    smallest: Option<Bytes>,
    last_key: Vec<u8>,
    raw_bytes: u64,
}

impl TableWriter {
    pub(crate) fn create(sink: TableSink, number: u64) -> Result<TableWriter, DiskError> {
        let path = files::table(&sink.dir, number);
        let file = sink.disk.create(&path)?;
        let home = Home { store: sink.store, file: number };
        Ok(TableWriter {
            sink,
            home,
            file,
            path,
            pending: footer::encode_file_header(home),
            pending_at: 0,
            block: BlockBuilder::default(),
            block_bound: Vec::new(),
            index: Vec::new(),
            hashes: Vec::new(),
            smallest: None,
            last_key: Vec::new(),
            raw_bytes: 0,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// About how long the file would be if it were finished now.
    pub(crate) fn len(&self) -> u64 {
        self.pending_at + (self.pending.len() + self.block.len()) as u64
    }

    /// Adds an entry whose key is above all before it.
    pub(crate) fn add(&mut self, key: &[u8], kind: Kind, value: &[u8]) -> Result<(), DiskError> {
        debug_assert!(self.smallest.is_none() || key > self.last_key.as_slice(), "keys come in order");
        if self.block.is_empty() {
            self.block_bound.clear();
            if self.smallest.is_some() {
                self.block_bound.extend_from_slice(index::shortest_bound(&self.last_key, key));
            }
        }
        if self.smallest.is_none() {
            self.smallest = Some(Bytes::copy_from_slice(key));
        }
        self.block.add(key, kind, value);
        self.hashes.push(filter::hash(key));
        self.raw_bytes += (key.len() + value.len()) as u64;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if self.block.len() >= self.sink.options.block_bytes { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), DiskError> {
        let raw = self.block.finish();
        let handle = self.append(BlockKind::Data, &raw);
        index::append(&mut self.index, handle, &self.block_bound);
        self.warm_cache(handle, raw);
        if self.pending.len() >= WRITE_BYTES { self.write_pending() } else { Ok(()) }
    }

    fn warm_cache(&self, handle: Handle, raw: Vec<u8>) {
        if let Some(cache) = &self.sink.warm
            && let Ok(block) = Block::parse(Bytes::from(raw))
        {
            cache.insert((self.home.file, handle.offset), Arc::new(block));
        }
    }

    fn append(&mut self, kind: BlockKind, raw: &[u8]) -> Handle {
        let offset = self.pending_at + self.pending.len() as u64;
        // A filter is as good as random, and what is read once at opening need not be small.
        let compress = self.sink.options.compression && kind == BlockKind::Data;
        frame::append(&mut self.pending, self.home, offset, kind, raw, compress)
    }

    fn write_pending(&mut self) -> Result<(), DiskError> {
        self.file.write_all_at(self.pending_at, &self.pending)?;
        self.pending_at += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes what is left and syncs the file. Its name is synced by the caller, once for all tables of a job.
    pub(crate) fn finish(&mut self, last_sequence: u64) -> Result<TableMeta, DiskError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let properties = Properties {
            entries: self.hashes.len() as u64,
            last_sequence,
            raw_bytes: self.raw_bytes,
            smallest: self.smallest.take().unwrap_or_default(),
            largest: Bytes::copy_from_slice(&self.last_key),
        };
        self.append_tail(&properties);
        self.write_pending()?;
        self.file.sync()?;
        Ok(TableMeta {
            file: self.home.file,
            bytes: self.pending_at,
            entries: properties.entries,
            last_sequence,
            smallest: properties.smallest,
            largest: properties.largest,
        })
    }

    fn append_tail(&mut self, properties: &Properties) {
        let filter_bytes = filter::build(&self.hashes, self.sink.options.bloom_bits_per_key);
        let index_bytes = std::mem::take(&mut self.index);
        let footer = Footer {
            filter: self.append(BlockKind::Filter, &filter_bytes),
            index: self.append(BlockKind::Index, &index_bytes),
            properties: self.append(BlockKind::Properties, &properties.encode()),
        };
        let file_len = self.pending_at + (self.pending.len() + footer::FOOTER_BYTES) as u64;
        self.pending.extend_from_slice(&footer.encode(self.home, file_len));
    }
}
