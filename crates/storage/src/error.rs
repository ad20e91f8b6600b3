//! What can go wrong, by what the caller does about it.

use std::fmt;
use std::path::PathBuf;

use env::DiskError;

use crate::merge::MergeError;

/// Bytes that are not what was written, and where. Data that is damaged is never served and never taken for absent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The offset in bytes at which the damaged part begins.
    pub offset: u64,
    /// What was expected there and what was found.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {}: {}", self.file.display(), self.offset, self.what)
    }
}

/// Why a directory could not be opened. Nothing in it was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process has this data directory open: {0}")]
    Locked(DiskError),
    /// Synced bytes are damaged. Opening without them would lose acknowledged writes in silence.
    #[error("{0}; restore the file, or give this node a fresh directory and let its peers fill it")]
    Damaged(Damage),
    /// A file that is known to exist does not.
    #[error("{} is missing, and {} names it; restore the file, or give this node a fresh directory and let its \
             peers fill it", file.display(), named_by.display())]
    Missing {
        /// What is missing.
        file: PathBuf,
        /// Where it is named.
        named_by: PathBuf,
    },
    /// A later version of Henge wrote it.
    #[error("{} has format version {version}, and this program knows versions up to {known}; run the version of \
             henge that wrote it", file.display())]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The settings contradict each other.
    #[error("storage cannot run with these settings: {0}")]
    Options(String),
    /// Two replayed values could not be merged: the merge function is not the one that the data was written under.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The disk failed. What is there may be whole, so nothing is concluded from it and nothing given up.
    #[error(
        "{0}; nothing is given up because of it: see to the disk and start again, or give this node a fresh directory and \
         let its peers fill it"
    )]
    Disk(DiskError),
}

impl OpenError {
    /// What is wrong, without what to do about it.
    pub(crate) fn what(&self) -> String {
        match self {
            OpenError::Damaged(damage) => damage.to_string(),
            OpenError::Missing { file, named_by } => {
                format!("{} is missing, and {} names it", file.display(), named_by.display())
            }
            other => other.to_string(),
        }
    }
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> OpenError {
        match error.kind {
            env::disk::DiskErrorKind::Locked => OpenError::Locked(error),
            _ => OpenError::Disk(error),
        }
    }
}

/// Why an entry was refused. It is in no log and no memtable, and will never be read (INVARIANTS A5).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PutError {
    /// It will never fit.
    #[error("a {what} of {bytes} bytes is above the limit of {limit} bytes")]
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Memory or log space is used up until background jobs have run. Try again later.
    #[error("storage is behind with its background work ({waiting_for}); try again later")]
    Stalled {
        /// What has to happen first.
        waiting_for: &'static str,
    },
    /// As `Stalled`, and background jobs cannot run because the disk is full.
    #[error("the disk is full: free some space; nothing was written")]
    Full,
    /// The disk has room for deletes and for what was taken in already, and is to have it still.
    #[error(
        "the disk is nearly full: {free_bytes} bytes are free, and {kept_back_bytes} are kept back for deletes and \
         compactions; free some space or delete keys; nothing was written"
    )]
    KeptBack {
        /// What is free.
        free_bytes: u64,
        /// What only deletes and background work may use.
        kept_back_bytes: u64,
    },
    /// An earlier write or sync failed. The process must stop and recover from what is on disk.
    #[error("storage stopped after a failed write: {0}")]
    Poisoned(String),
    /// It cannot be merged with what is there.
    #[error(transparent)]
    Merge(#[from] MergeError),
}

/// The commit log failed. From here on every write is refused; the process must stop (INVARIANTS A4).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the commit log cannot be trusted any more, stop this process: {0}")]
pub struct LogError(pub String);

/// Why a read got no answer. It is never to be taken for "absent".
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Bytes that it needs are damaged.
    #[error("{0}")]
    Damaged(Damage),
    /// Something of what it is about was lost to damage, and has not come back from where else it is.
    #[error(
        "what this disk had of the key may have been lost, and was not compared yet with what the other owners have"
    )]
    Missing,
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Stored values could not be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
}
