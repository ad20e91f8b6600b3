//! RocksDB. Writers that know of each other share a `WriteBatch` with `sync`; writers apart each `put` with `sync`, and
//! RocksDB groups them itself.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Options, WriteBatch, WriteOptions, properties,
};

use crate::data::Key;
use crate::engine::{Engine, Setup};

pub(crate) struct Rocks {
    database: DB,
    synced: WriteOptions,
}

impl Engine for Rocks {
    /// The memory is divided as storage divides it: 5/8 to the block cache, filters and indexes in it, 1/8 to each of
    /// three memtables. LZ4 and a Bloom filter of 10 bits are what the others use; its own defaults are Snappy and none. At the end of a
    /// recovery it flushes what it has replayed, which cannot be turned off from here.
    fn open(dir: &Path, setup: Setup) -> Result<Rocks> {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(setup.memory_bytes / 8 * 5));
        table.set_cache_index_and_filter_blocks(true);
        table.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_max_background_jobs(2);
        options.set_max_write_buffer_number(3);
        options.set_write_buffer_size(
            setup
                .unflushed_bytes
                .map_or(setup.memory_bytes / 8, |bytes| bytes * 3 / 2),
        );
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Rocks {
            database: DB::open(&options, dir)?,
            synced,
        })
    }

    fn put_together(&mut self, entries: Vec<(Key, Bytes)>) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in entries {
            batch.put(key, value);
        }
        Ok(self.database.write_opt(batch, &self.synced)?)
    }

    fn put_apart(
        &mut self,
        writers: u64,
        keys: u64,
        entry: &(dyn Fn(u64) -> (Key, Bytes) + Sync),
    ) -> Result<()> {
        let (database, synced) = (&self.database, &self.synced);
        let write = |writer: u64| -> Result<()> {
            for number in (writer..keys).step_by(usize::try_from(writers)?) {
                let (key, value) = entry(number);
                database.put_opt(key, value, synced)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|writer| scope.spawn(move || write(writer)))
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a writer panicked"))?)
        })
    }

    fn get(&mut self, key: &Key) -> Result<Option<usize>> {
        Ok(self.database.get_pinned(key)?.map(|value| value.len()))
    }

    fn settle(&mut self) -> Result<()> {
        let due = [
            properties::NUM_RUNNING_FLUSHES,
            properties::NUM_RUNNING_COMPACTIONS,
            properties::MEM_TABLE_FLUSH_PENDING,
            properties::COMPACTION_PENDING,
        ];
        loop {
            let mut busy = false;
            for name in due {
                busy |= self.database.property_int_value(name)?.unwrap_or(0) > 0;
            }
            if !busy {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn describe(&mut self) -> String {
        self.database
            .property_value(properties::LEVELSTATS)
            .ok()
            .flatten()
            .unwrap_or_default()
    }
}
