//! The two caches, each capped in bytes.
//!
//! The block cache holds verified, decompressed blocks and is shared with the threads that run jobs. The record cache
//! holds the whole value of single keys and belongs to the thread that owns the database: no lock on the hottest path.
//! A block of 8 KiB kept for one hot record of 200 bytes wastes most of its room; a record kept alone wastes none.
//!
//! What must hold for the record cache: a key in it is in no memtable, and its value is the merge of all tables. So a
//! put or delete that brings a key into the active memtable removes it here, and a value that a job found is admitted only if no
//! put, delete or flush came in between (`db::read`).

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::{OptionsBuilder, Weighter};

use crate::key_range::KeyRange;
use crate::memtable::SeededXxh3;
use crate::sstable::block::Block;

/// What an entry costs a cache beyond its content, in bytes: slot, hash table, reference counts.
const ENTRY_OVERHEAD_BYTES: usize = 120;

/// Shards of the block cache. A block above a shard's share is silently refused by the cache, so shards are few: with
/// two of them anything up to almost half of the cache has a place. Contention is low, since each hit copies a
/// reference and no more.
const BLOCK_CACHE_SHARDS: usize = 2;

/// A block's name: the table's file number and the block's offset.
pub(crate) type BlockName = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct BlockWeight;

impl Weighter<BlockName, Arc<Block>> for BlockWeight {
    fn weight(&self, _: &BlockName, block: &Arc<Block>) -> u64 {
        (block.bytes() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

pub(crate) struct BlockCache {
    blocks: quick_cache::sync::Cache<BlockName, Arc<Block>, BlockWeight, SeededXxh3>,
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockCache({} blocks, {} bytes)", self.blocks.len(), self.blocks.weight())
    }
}

impl BlockCache {
    /// An empty cache of this many bytes, made for blocks of about `block_bytes`. The hasher is ours because the
    /// library's own is seeded at random, and what a cache keeps must be the same in every run of a simulation.
    pub(crate) fn new(bytes: usize, block_bytes: usize, secret: u64) -> BlockCache {
        let options = OptionsBuilder::new()
            .estimated_items_capacity((bytes / block_bytes.max(1)).max(16))
            .weight_capacity(bytes as u64)
            .shards(BLOCK_CACHE_SHARDS)
            .build()
            .expect("both capacities are set, which is all that the builder asks for");
        let hasher = SeededXxh3(secret);
        BlockCache {
            blocks: quick_cache::sync::Cache::with_options(options, BlockWeight, hasher, Default::default()),
        }
    }

    pub(crate) fn get(&self, name: BlockName) -> Option<Arc<Block>> {
        self.blocks.get(&name)
    }

    pub(crate) fn insert(&self, name: BlockName, block: Arc<Block>) {
        self.blocks.insert(name, block);
    }

    pub(crate) fn set_capacity(&self, bytes: usize) {
        self.blocks.set_capacity(bytes as u64);
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.blocks.weight()).unwrap_or(usize::MAX)
    }
}

#[derive(Clone, Copy, Debug)]
struct RecordWeight;

impl Weighter<Bytes, Bytes> for RecordWeight {
    fn weight(&self, key: &Bytes, value: &Bytes) -> u64 {
        (key.len() + value.len() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

pub(crate) struct RecordCache {
    records: quick_cache::unsync::Cache<Bytes, Bytes, RecordWeight, SeededXxh3>,
}

impl std::fmt::Debug for RecordCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordCache({} records, {} bytes)", self.records.len(), self.records.weight())
    }
}

impl RecordCache {
    pub(crate) fn new(bytes: usize, secret: u64) -> RecordCache {
        const RECORD_BYTES_TYPICAL: usize = 512;
        let items = (bytes / RECORD_BYTES_TYPICAL).max(16);
        RecordCache {
            records: quick_cache::unsync::Cache::with(
                items,
                bytes as u64,
                RecordWeight,
                SeededXxh3(secret),
                Default::default(),
            ),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.records.get(key)
    }

    pub(crate) fn insert(&mut self, key: Bytes, value: Bytes) {
        self.records.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.records.remove(key);
    }

    /// Forgets the records of a range. Looks at each that there is.
    pub(crate) fn remove_range(&mut self, range: &KeyRange) {
        self.records.retain(|key, _| !range.contains(key));
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.records.weight()).unwrap_or(usize::MAX)
    }
}
