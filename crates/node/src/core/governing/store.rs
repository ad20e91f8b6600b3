//! What a node has on its disk about the cluster state, and the work that keeps it there.
//!
//! The file `state` is the state that the node goes by; it is replaced whole. A voter has the group's log beside it, in a file that
//! is named by its number in the group (`group-0000000000010002`) and bound to the life of the data directory: a directory that
//! was emptied, copied or put back begins another life and finds no log of its own, so nobody votes on what he has forgotten
//! (INVARIANTS E7, G2).

use std::path::Path;
use std::sync::Arc;

use cluster::ClusterState;
use consensus::{MemberId, Owner, Store, StoreError, Stored, Write};
use env::{Disk, DiskError};
use replica::Identity;
use types::{Epoch, Incarnation};

use super::Place;

/// The name of the file with the state.
const STATE_FILE: &str = "state";

/// How the names of files with a log begin.
const LOG_PREFIX: &str = "group-";

/// A log that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) member: MemberId,
    pub(crate) store: Box<Store>,
    pub(crate) stored: Box<Stored>,
}

/// Work that may block.
#[derive(Debug)]
pub(crate) enum Work {
    /// Keep a state.
    Keep { place: Place, epoch: Epoch, bytes: Vec<u8> },
    /// Write to the log.
    Write {
        store: Box<Store>,
        /// Each with its number, in order.
        writes: Vec<(u64, Write)>,
    },
    /// Make a log.
    Make { place: Place, incarnation: Incarnation, member: MemberId, stored: Box<Stored> },
    /// Remove the log of a member that is none any more.
    Remove { place: Place, member: MemberId },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    /// Whether the state is kept.
    Kept(Epoch, Result<(), DiskError>),
    /// The store, and the last write that is on stable storage.
    Written(Box<Store>, Result<u64, StoreError>),
    /// The log that was made.
    Made(Result<Opened, StoreError>),
    /// Whether it is gone.
    Removed(Result<(), DiskError>),
}

impl Work {
    /// Does it. Blocks for as long as the disk does.
    pub(crate) fn run(self) -> Done {
        match self {
            Work::Keep { place, epoch, bytes } => {
                Done::Kept(epoch, env::disk::replace(place.disk.as_ref(), &place.dir, STATE_FILE, &bytes))
            }
            Work::Write { mut store, writes } => {
                let mut last = 0;
                for (number, write) in writes {
                    if let Err(error) = store.write(&write) {
                        return Done::Written(store, Err(error));
                    }
                    last = number;
                }
                Done::Written(store, Ok(last))
            }
            Work::Make { place, incarnation, member, stored } => {
                Done::Made(make(&place, incarnation, member, stored))
            }
            Work::Remove { place, member } => Done::Removed(remove(&place, &log_name(member))),
        }
    }
}

fn make(
    place: &Place,
    incarnation: Incarnation,
    member: MemberId,
    stored: Box<Stored>,
) -> Result<Opened, StoreError> {
    let owner = Owner { group: incarnation.0, member };
    let store = Store::create(Arc::clone(&place.disk), &place.dir, &log_name(member), owner, &stored)?;
    Ok(Opened { member, store: Box::new(store), stored })
}

fn remove(place: &Place, name: &str) -> Result<(), DiskError> {
    place.disk.remove(&place.dir.join(name))?;
    place.disk.sync_dir(&place.dir)
}

fn log_name(member: MemberId) -> String {
    format!("{LOG_PREFIX}{:016x}", member.0)
}

fn member_of(name: &str) -> Option<MemberId> {
    u64::from_str_radix(name.strip_prefix(LOG_PREFIX)?, 16).ok().map(MemberId)
}

/// The state that a directory has kept; nothing where it has kept none since it was made.
///
/// # Errors
/// What the disk said, or why it cannot be read.
pub(crate) fn kept_state(disk: &dyn Disk, dir: &Path) -> Result<Option<ClusterState>, String> {
    match env::disk::read_whole(disk, &dir.join(STATE_FILE)) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => ClusterState::decode(&bytes).map(Some).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The latest state that a directory knows; nothing where it is empty.
///
/// # Errors
/// What the disk said, or why it cannot be read.
pub fn known_state(disk: &dyn Disk, dir: &Path) -> Result<Option<ClusterState>, String> {
    let Some(first) = Identity::first_state(disk, dir).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    match kept_state(disk, dir)? {
        Some(kept) => Ok(Some(kept)),
        None => ClusterState::decode(&first).map(Some).map_err(|error| error.to_string()),
    }
}

/// The log of this life of a directory, if it has one. A log of an earlier life is removed.
///
/// # Errors
/// As [`StoreError`] says.
pub(crate) fn open_log(place: &Place, incarnation: Incarnation) -> Result<Option<Opened>, StoreError> {
    let names = place.disk.list(&place.dir)?;
    let mut members: Vec<MemberId> = names.iter().filter_map(|name| member_of(name)).collect();
    members.sort_unstable();
    let mut found = None;
    while let Some(member) = members.pop() {
        let owner = Owner { group: incarnation.0, member };
        if found.is_none() {
            match Store::open(Arc::clone(&place.disk), &place.dir, &log_name(member), owner) {
                Ok(Some((store, stored))) => {
                    found = Some(Opened { member, store: Box::new(store), stored: Box::new(stored) });
                    continue;
                }
                Ok(None) => continue,
                Err(StoreError::Damaged { damage: consensus::Damage::Foreign(_), .. }) => {}
                Err(error) => return Err(error),
            }
        }
        remove(place, &log_name(member))?;
    }
    Ok(found)
}
