//! fjall 3. It takes no part in who waits for a sync: writers that know of each other put their entries into one
//! `WriteBatch`, which is one write to the journal and one `fdatasync`; writers apart each call `insert` and `persist`.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::data::Key;
use crate::engine::{Engine, Setup};

pub(crate) struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

impl Engine for Fjall {
    /// The memory is divided as storage divides it: 5/8 to the cache, 1/8 to each memtable. What it opens pinned (the
    /// filters and indexes of its upper levels) comes on top.
    fn open(dir: &Path, setup: Setup) -> Result<Fjall> {
        let memtable_bytes = setup
            .unflushed_bytes
            .map_or(setup.memory_bytes / 8, |bytes| bytes * 3 / 2);
        let journal_bytes = setup.unflushed_bytes.map_or(512 << 20, |bytes| bytes * 4);
        let database = Database::builder(dir)
            .cache_size((setup.memory_bytes / 8 * 5) as u64)
            .max_journaling_size(journal_bytes as u64)
            .open()?;
        let keyspace = database.keyspace("comparison", || {
            KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes as u64)
        })?;
        Ok(Fjall { database, keyspace })
    }

    fn put_together(&mut self, entries: Vec<(Key, Bytes)>) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in entries {
            batch.insert(&self.keyspace, key, value);
        }
        Ok(batch.commit()?)
    }

    fn put_apart(
        &mut self,
        writers: u64,
        keys: u64,
        entry: &(dyn Fn(u64) -> (Key, Bytes) + Sync),
    ) -> Result<()> {
        let (database, keyspace) = (&self.database, &self.keyspace);
        let write = |writer: u64| -> Result<()> {
            for number in (writer..keys).step_by(usize::try_from(writers)?) {
                let (key, value) = entry(number);
                keyspace.insert(key, value)?;
                database.persist(PersistMode::SyncData)?;
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
        Ok(self.keyspace.get(key)?.map(|value| value.len()))
    }

    /// It tells how much is under way, not whether more is due: it is taken to have settled after a second without any.
    fn settle(&mut self) -> Result<()> {
        let mut idle = 0;
        while idle < 100 {
            thread::sleep(Duration::from_millis(10));
            let busy = self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0;
            idle = if busy { 0 } else { idle + 1 };
        }
        Ok(())
    }

    fn describe(&mut self) -> String {
        format!(
            "{} tables, {} of them in level 0, {} journals, write buffer {} MiB, cache {} MiB",
            self.keyspace.table_count(),
            self.keyspace.l0_table_count(),
            self.database.journal_count(),
            self.database.write_buffer_size() >> 20,
            self.database.cache_size() >> 20
        )
    }
}
