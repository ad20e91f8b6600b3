//! Looking how much room the disk has, and keeping some of it back.
//!
//! What must hold (INVARIANTS H4): values are refused while there is still room to write what was taken in already, and to
//! delete; and they are taken in again once there is room, without a restart. What a put fills is memory, and what fills the
//! disk is the background's work. So it is enough to look after each of its jobs, and again and again while there is too
//! little, for then somebody is expected to make room. Until then what deletes is flushed and compacted though nothing else
//! calls for it, so that deleting does make room.
//!
//! Who takes values in asks [`Db::room_for_values`]; the database cannot tell by itself which values stand for deletes.

use std::path::PathBuf;
use std::sync::Arc;

use env::disk::{DiskErrorKind, Space};
use env::{Disk, DiskError};

use super::{Done, Trouble};
use crate::db::Db;
use crate::error::PutError;

/// No more than a quarter of the disk is kept back by itself: a store that is too large for its disk should still store.
const KEPT_BACK_OF_DISK: u64 = 4;

/// What is known of the disk's room.
#[derive(Debug)]
pub(crate) struct Room {
    /// As last measured; `None` before the first time, and where the system would not say.
    found: Option<Space>,
    measuring: bool,
    due: bool,
}

impl Default for Room {
    fn default() -> Room {
        Room { found: None, measuring: false, due: true }
    }
}

impl Room {
    /// Something was written or removed.
    pub(super) fn has_changed(&mut self) {
        self.due = true;
    }
}

/// Measures.
#[derive(Debug)]
pub(super) struct Measure {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl Measure {
    pub(super) fn run(self) -> Done {
        Done::Measured(self.disk.space(&self.dir))
    }
}

impl Db {
    pub(super) fn measure_job(&mut self) -> Option<Measure> {
        let room = &mut self.background.room;
        if room.measuring || !room.due {
            return None;
        }
        (room.measuring, room.due) = (true, false);
        Some(Measure { disk: Arc::clone(&self.disk), dir: self.dir.clone() })
    }

    pub(super) fn install_space(&mut self, result: Result<Space, DiskError>) -> Result<(), Trouble> {
        self.background.room.measuring = false;
        // A file system that does not say how much room it has is written until it refuses.
        self.background.room.found = result.ok();
        let Err(refused) = self.room_for_values() else {
            return Ok(());
        };
        self.background.room.due = true;
        // What deletes is to meet what it deletes, and that is in tables.
        if self.frozen.is_empty() {
            self.freeze();
        }
        Err(Trouble::Again(DiskError {
            kind: DiskErrorKind::Full,
            action: "keep room in",
            path: self.dir.clone(),
            message: refused.to_string(),
        }))
    }

    /// How much room the disk had when last measured; `None` where that is not known.
    pub fn disk_space(&self) -> Option<Space> {
        self.background.room.found
    }

    /// How much of that is kept back for deletes and for background work, in bytes.
    pub fn disk_kept_back_bytes(&self) -> u64 {
        let of_disk = self.disk_space().map_or(u64::MAX, |space| space.total_bytes / KEPT_BACK_OF_DISK);
        self.options.disk_reserve_bytes.unwrap_or_else(|| self.options.disk_needed_bytes().min(of_disk))
    }

    /// Whether the disk has room for more than deletes, as last measured. To be asked before a put that is none.
    ///
    /// # Errors
    /// [`PutError::KeptBack`], with the figures.
    pub fn room_for_values(&self) -> Result<(), PutError> {
        let kept_back_bytes = self.disk_kept_back_bytes();
        match self.disk_space() {
            Some(space) if space.free_bytes < kept_back_bytes => {
                Err(PutError::KeptBack { free_bytes: space.free_bytes, kept_back_bytes })
            }
            _ => Ok(()),
        }
    }
}
