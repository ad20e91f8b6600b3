//! Damage that readers of tables have found, on whatever thread, for the database to take account of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Damage;

/// How many blocks are kept at most. What is beyond is found again.
const FOUND_MAX: usize = 1024;

/// Blocks that were found damaged: (file number, offset).
#[derive(Debug, Default)]
pub(crate) struct Reports {
    any: AtomicBool,
    found: Mutex<BTreeMap<(u64, u64), Damage>>,
}

impl Reports {
    /// A block of this table is damaged.
    pub(crate) fn found(&self, file: u64, damage: &Damage) {
        let mut found = self.lock();
        if found.len() < FOUND_MAX {
            found.insert((file, damage.offset), damage.clone());
            self.any.store(true, Ordering::Release);
        }
    }

    /// What was found since this was last asked.
    pub(crate) fn take(&self) -> BTreeMap<(u64, u64), Damage> {
        if !self.any.load(Ordering::Acquire) {
            return BTreeMap::new();
        }
        let mut found = self.lock();
        self.any.store(false, Ordering::Release);
        std::mem::take(&mut found)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u64, u64), Damage>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
