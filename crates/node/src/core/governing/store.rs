//! What a node has on its disk about the cluster state, and the work that keeps it there.
//!
//! The file `state` is the state that the node goes by; it is replaced whole. A voter has the group's log beside it, in a file that
//! is named by its number in the group (`group-0000000000010002`) and bound to the life of the data directory: a directory that
//! was emptied, copied or put back begins another life and finds no log of its own, so nobody votes on what he has forgotten
//! (INVARIANTS E7, G2). It is bound to the history as well: who goes by one that was begun again has no log of the one before.

use std::path::Path;
use std::sync::Arc;

use cluster::ClusterState;
use consensus::{MemberId, Owner, Store, StoreError, Stored, Write};
use env::{Disk, DiskError};
use replica::Identity;
use types::{Epoch, Incarnation};
use wire::History;

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
    /// Make a log, for the life and the history that this stands for.
    Make { place: Place, log_of: u64, member: MemberId, stored: Box<Stored> },
    /// Make a log and keep a state of a history that is begun again. Before the state is kept nothing has happened: a log of another
    /// history than that of the state is of no use.
    BeginAgain { place: Place, log_of: u64, member: MemberId, stored: Box<Stored>, bytes: Vec<u8> },
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
    Made(u64, Result<Opened, StoreError>),
    /// The log of a history that is begun again, whose state is kept too.
    BeganAgain(Result<Opened, String>),
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
            Work::Make { place, log_of, member, stored } => {
                Done::Made(log_of, make(&place, log_of, member, stored))
            }
            Work::BeginAgain { place, log_of, member, stored, bytes } => {
                let made = make(&place, log_of, member, stored).map_err(|error| error.to_string());
                Done::BeganAgain(made.and_then(|opened| {
                    let kept = env::disk::replace(place.disk.as_ref(), &place.dir, STATE_FILE, &bytes);
                    kept.map(|()| opened).map_err(|error| error.to_string())
                }))
            }
            Work::Remove { place, member } => Done::Removed(remove(&place, &log_name(member))),
        }
    }
}

/// What a log is bound to: the life of the data directory, and the history that it is of. A log of an earlier history is not opened, and
/// nobody goes on from it who has heard of a later one.
pub(crate) fn log_of(incarnation: Incarnation, history: History) -> u64 {
    incarnation.0 ^ history.number
}

fn make(place: &Place, log_of: u64, member: MemberId, stored: Box<Stored>) -> Result<Opened, StoreError> {
    let owner = Owner { group: log_of, member };
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

/// The log of this life of a directory and of this history, if it has one. A log of an earlier one is removed.
///
/// # Errors
/// As [`StoreError`] says.
pub(crate) fn open_log(place: &Place, log_of: u64) -> Result<Option<Opened>, StoreError> {
    let names = place.disk.list(&place.dir)?;
    let mut members: Vec<MemberId> = names.iter().filter_map(|name| member_of(name)).collect();
    members.sort_unstable();
    let mut found = None;
    while let Some(member) = members.pop() {
        let owner = Owner { group: log_of, member };
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
