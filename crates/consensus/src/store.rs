//! A member's file on a disk: [`crate::layout`] has its bytes.
//!
//! What must hold: when [`Store::write`] returns, what it was given survives a crash; where it fails, this file is not written
//! again in this process, because a second sync that succeeds proves nothing (INVARIANTS A4). A damaged file is refused, and
//! its member must not come back: it may have forgotten what it promised (G2). Its node joins again under a new id.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use env::disk::{read_whole, replace};
use env::{Disk, DiskError, File};

use crate::effect::Write;
use crate::layout::{self, Damage, Owner};
use crate::stored::Stored;

/// Why a member's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk did not do as asked.
    #[error("{0}; see to the disk and start again")]
    Disk(#[from] DiskError),
    /// A write failed before, and what the file holds since then is not known.
    #[error("{} failed before and is not written again until this member starts anew", .0.display())]
    Failed(PathBuf),
    /// What the file says is not what was written.
    #[error(
        "{}: {damage}. This member may have forgotten what it promised, so it must not vote again: restore the file as it was last, \
         or remove this member from its group and add it anew", path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// The file of one member, open for writing.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    name: String,
    owner: Owner,
    file: Arc<dyn File>,
    generation: u64,
    length: usize,
    has_failed: bool,
}

impl Store {
    /// Makes the file of a member that has none, with what it begins with; on stable storage when this returns.
    ///
    /// # Errors
    /// What the disk said.
    pub fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        name: &str,
        owner: Owner,
        stored: &Stored,
    ) -> Result<Store, StoreError> {
        let bytes = layout::encode(owner, 1, stored);
        replace(&*disk, dir, name, &bytes)?;
        let file = disk.open(&dir.join(name))?;
        let (dir, name, length) = (dir.to_owned(), name.to_owned(), bytes.len());
        Ok(Store { disk, dir, name, owner, file, generation: 1, length, has_failed: false })
    }

    /// Opens the file of a member; nothing where there is none. What was never synced is cut off.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        name: &str,
        owner: Owner,
    ) -> Result<Option<(Store, Stored)>, StoreError> {
        let path = dir.join(name);
        let Some(bytes) = read_whole(&*disk, &path)? else { return Ok(None) };
        let decoded = layout::decode(owner, &bytes)
            .map_err(|damage| StoreError::Damaged { path: path.clone(), damage })?;
        // Written anew, and not merely synced: what was read may be in the page cache alone, where the process before this one
        // died, and after a sync that failed no other one brings it to the disk.
        let generation = decoded.generation + 1;
        let bytes = layout::encode(owner, generation, &decoded.stored);
        replace(&*disk, dir, name, &bytes)?;
        let file = disk.open(&path)?;
        let (dir, name, length) = (dir.to_owned(), name.to_owned(), bytes.len());
        let store = Store { disk, dir, name, owner, file, generation, length, has_failed: false };
        Ok(Some((store, decoded.stored)))
    }

    /// Puts a write on stable storage.
    ///
    /// # Errors
    /// What the disk said; this store takes nothing more after that.
    pub fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(StoreError::Failed(self.dir.join(&self.name)));
        }
        self.has_failed = true;
        match write {
            Write::Append { hard_state, entries } => {
                let bytes = layout::encode_appended(self.generation, self.length, *hard_state, entries);
                self.file.write_all_at(self.length as u64, &bytes)?;
                self.file.sync()?;
                self.length += bytes.len();
                self.write_mark()?;
            }
            Write::Replace(stored) => {
                let bytes = layout::encode(self.owner, self.generation + 1, stored);
                replace(&*self.disk, &self.dir, &self.name, &bytes)?;
                self.file = self.disk.open(&self.dir.join(&self.name))?;
                self.generation += 1;
                self.length = bytes.len();
            }
        }
        self.has_failed = false;
        Ok(())
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// How long the file is, in bytes.
    pub fn bytes(&self) -> usize {
        self.length
    }

    /// Not synced: it goes to the disk with whatever is next, and until then the file is no worse off than without.
    fn write_mark(&self) -> Result<(), DiskError> {
        self.file.write_all_at(layout::MARK_OFFSET as u64, &layout::encode_mark(self.generation, self.length))
    }
}
