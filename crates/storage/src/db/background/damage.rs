//! Keeping account of what was damaged here, until it has come back from where else it is.
//!
//! A block that is found damaged is *lost*: the manifest says so, and the keys that it had at most are *missing*. From then on
//! it counts for nothing, so that compactions go on, and nothing is concluded from what is left of those keys
//! ([`crate::missing`]). Who has seen to it that they are here again says so ([`Db::is_whole`]).
//!
//! What must hold: no compaction or restart makes a missing key look as if nothing were amiss. A compaction cannot take in a
//! damaged block, and passes over a lost one only after the edit that made its keys missing. And what is found damaged after
//! somebody looked is not whole because of what he saw: one job at a time, and one that knows of damage strikes off
//! nothing there.
//!
//! Where nobody else has what is here (`Options::replicated`), damage stays as it is: compactions leave the table alone, so
//! that people may restore it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Done, Installed, Trouble};
use crate::cache::RecordCache;
use crate::db::{Db, locked};
use crate::dropped::Dropped;
use crate::error::{Damage, LogError};
use crate::key_range::KeyRange;
use crate::manifest::{CommitError, Edit, Manifest};
use crate::sstable::Table;

/// How many damages are remembered for people.
const REMEMBERED_MAX: usize = 16;

/// Lets the manifest say it.
#[derive(Debug)]
pub(super) struct Account {
    manifest: Arc<Mutex<Manifest>>,
    entry: Entry,
}

/// What is lost, and what is whole again.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    blocks: BTreeMap<(u64, u64), Damage>,
    /// The keys that these had, each with the last sequence number of the table that it is of.
    keys: Vec<(KeyRange, u64)>,
    whole: Vec<KeyRange>,
}

impl Entry {
    /// The keys of which something is missing: of what was dropped nothing is.
    fn missing(&self, dropped: &Dropped) -> Vec<KeyRange> {
        self.keys.iter().flat_map(|(keys, last)| dropped.live_parts(keys, *last)).collect()
    }
}

impl Account {
    pub(super) fn run(self) -> Done {
        let mut manifest = locked(&self.manifest);
        let edit = Edit {
            blocks_lost: self.entry.blocks.keys().copied().collect(),
            missing: self.entry.missing(manifest.dropped()),
            whole: self.entry.whole.clone(),
            ..Edit::default()
        };
        let result = manifest.commit(edit).map_err(Trouble::from);
        drop(manifest);
        Done::Accounted { entry: self.entry, result }
    }
}

impl Db {
    /// The keys of which something was lost here and has not come back, as ranges in their order.
    pub fn missing(&self) -> &[KeyRange] {
        self.missing.ranges()
    }

    /// Whether something may be missing of this key. Then reads say that they cannot say.
    pub fn is_missing(&self, key: &[u8]) -> bool {
        self.missing.contains(key)
    }

    /// What was found damaged since the start, the last of it.
    pub fn damages(&self) -> impl Iterator<Item = &Damage> {
        self.damages.iter()
    }

    /// Something of these keys may be missing, for another reason than damage: nothing is concluded from what is here until
    /// [`is_whole`](Self::is_whole). On stable storage when this returns; blocks, and is for what is rare: an opening, or the
    /// discovery that a disk was rolled back.
    ///
    /// # Errors
    /// What became of the manifest.
    pub fn lose(&mut self, range: KeyRange) -> Result<(), LogError> {
        let edit = Edit { missing: vec![range.clone()], ..Edit::default() };
        // Twice: of a manifest's last edit nobody can tell damage from a write that was cut short, and no reader of this
        // database would find out for himself what this one says.
        let mut manifest = locked(&self.manifest);
        let committed = manifest.commit(edit.clone()).and_then(|()| manifest.commit(edit));
        drop(manifest);
        if let Err(CommitError::Refused(error) | CommitError::Broken(error)) = committed {
            return Err(self.fail(&error));
        }
        let mut missing = (*self.missing).clone();
        missing.add(range);
        self.missing = Arc::new(missing);
        Ok(())
    }

    /// Nothing of these keys is missing any more: what others have of them has been put. It takes effect when the background
    /// job is done that this makes, unless more of them is found damaged meanwhile.
    pub fn is_whole(&mut self, range: KeyRange) {
        if self.missing.first_in(&range).is_some() && !self.background.whole.contains(&range) {
            self.background.whole.push(range);
        }
    }

    /// What there is to be said of damage, if there is anything.
    pub(super) fn account_job(&mut self) -> Option<Account> {
        if self.background.accounting {
            return None;
        }
        let mut entry = Entry::default();
        for (block, damage) in self.reports.take() {
            self.note_damage(&damage);
            let table = self.table(block.0).filter(|_| self.options.replicated);
            let keys = table.and_then(|table| Some((table.keys_of(block.1)?, table.meta().last_sequence)));
            if let Some(keys) = keys {
                entry.keys.push(keys);
                entry.blocks.insert(block, damage);
            }
        }
        let found = &entry.keys;
        let is_missing = |range: &KeyRange| self.missing.first_in(range).is_some();
        let is_sound =
            |range: &KeyRange| is_missing(range) && !found.iter().any(|(lost, _)| overlap(lost, range));
        let whole = std::mem::take(&mut self.background.whole);
        entry.whole = whole.into_iter().filter(is_sound).collect();
        if entry.blocks.is_empty() && entry.whole.is_empty() {
            return None;
        }
        self.background.accounting = true;
        Some(Account { manifest: Arc::clone(&self.manifest), entry })
    }

    fn note_damage(&mut self, damage: &Damage) {
        if !self.damages.contains(damage) {
            self.damages.push_back(damage.clone());
        }
        if self.damages.len() > REMEMBERED_MAX {
            self.damages.pop_front();
        }
    }

    fn table(&self, file: u64) -> Option<&Arc<Table>> {
        self.tables.iter().map(|(_, table)| table).find(|table| table.meta().file == file)
    }

    pub(super) fn install_account(
        &mut self,
        entry: Entry,
        result: Result<(), Trouble>,
    ) -> Result<Installed, Trouble> {
        self.background.accounting = false;
        if let Err(trouble) = result {
            entry.blocks.iter().for_each(|((file, _), damage)| self.reports.found(*file, damage));
            self.background.whole.extend(entry.whole);
            return Err(trouble);
        }
        let mut missing = (*self.missing).clone();
        entry.whole.iter().for_each(|range| missing.remove(range));
        let lost = entry.missing(self.tables.dropped());
        lost.iter().cloned().for_each(|range| missing.add(range));
        self.missing = Arc::new(missing);
        if entry.blocks.is_empty() {
            return Ok(Installed::Done);
        }
        self.let_go_of_blocks(&entry.blocks);
        Ok(Installed::Lost { keys: lost, damages: entry.blocks.into_values().collect() })
    }

    /// Puts tables without these blocks in the place of those that have them.
    fn let_go_of_blocks(&mut self, blocks: &BTreeMap<(u64, u64), Damage>) {
        let offsets_of =
            |file: u64| blocks.keys().filter(move |(of, _)| *of == file).map(|(_, offset)| *offset);
        let has_lost = |table: &Table| offsets_of(table.meta().file).next().is_some();
        let without: Vec<(u8, Arc<Table>)> = self
            .tables
            .iter()
            .filter(|(_, table)| has_lost(table))
            .map(|(level, table)| (level, Arc::new(table.without(offsets_of(table.meta().file)))))
            .collect();
        let files: Vec<u64> = without.iter().map(|(_, table)| table.meta().file).collect();
        self.replace_tables(&files, &without);
        // What it has of these keys is more than the tables have from now on.
        self.records = RecordCache::new(self.options.record_cache_bytes(), self.options.secret);
        self.accounts += 1;
    }
}

fn overlap(a: &KeyRange, b: &KeyRange) -> bool {
    a.ends_after(&b.start) && b.ends_after(&a.start)
}
