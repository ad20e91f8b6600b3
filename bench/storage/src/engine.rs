//! What every engine is asked for. Each is used as its own documentation says it is used best, with the same memory and
//! otherwise its own defaults.

use std::path::Path;

use anyhow::Result;
use bytes::Bytes;

use crate::data::Key;

/// How an engine is to be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// What memtables and caches may take together, in bytes.
    pub(crate) memory_bytes: usize,
    /// A log of so many bytes is to stay unflushed, whatever memory that takes: to measure recovery.
    pub(crate) unflushed_bytes: Option<usize>,
}

pub(crate) trait Engine: Sized {
    /// Opens or makes the database. Background work runs on threads of its own from here on.
    fn open(dir: &Path, setup: Setup) -> Result<Self>;

    /// Takes in entries whose writers wait together. Durable when it returns, with one sync for all of them.
    fn put_together(&mut self, entries: Vec<(Key, Bytes)>) -> Result<()>;

    /// Each of `writers` threads puts its entries one by one, and each entry is durable before the next of that thread.
    /// Thread `w` writes the numbers that leave `w` when divided by `writers`.
    fn put_apart(
        &mut self,
        writers: u64,
        keys: u64,
        entry: &(dyn Fn(u64) -> (Key, Bytes) + Sync),
    ) -> Result<()>;

    /// The length of a value, once the engine has handed out its bytes.
    fn get(&mut self, key: &Key) -> Result<Option<usize>>;

    /// Waits until flushes and compactions that are due have ended.
    fn settle(&mut self) -> Result<()>;

    /// What the engine says of itself, for people.
    fn describe(&mut self) -> String;
}
