//! Work that may block, handed out by the node and run wherever the driver likes.

use std::path::PathBuf;
use std::sync::Arc;

use env::{Disk, DiskError};
use replica::{Identity, IdentityError};
use storage::{
    BackgroundJob, BackgroundOutcome, ReadJob, ReadOutcome, ScanJob, ScanOutcome, SyncJob, SyncOutcome,
};

use crate::core::governing::{GovernDone, GovernWork};

/// Something to run away from the event loop. At most one sync is under way at a time.
#[derive(Debug)]
pub enum Job {
    /// Make the commit log durable.
    Sync(SyncJob),
    /// Read what memory does not hold.
    Read(u64, ReadJob),
    /// Walk over tables.
    Scan(u64, ScanJob),
    /// Flush or compact.
    Background(BackgroundJob),
    /// Something for the cluster state.
    Govern(GovernJob),
    /// Write down which lives peers are in.
    Remember(Remember),
    /// Write down how far the data directory has come.
    Rise(Place),
    /// Write down that its stores lack nothing any more because of how its life began.
    Settle(Place),
}

/// The data directory.
#[derive(Debug)]
pub struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
}

/// The file `lives` of a data directory, and what is to be in it.
#[derive(Debug)]
pub struct Remember {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Something to be kept of the cluster state.
#[derive(Debug)]
pub struct GovernJob(pub(crate) GovernWork);

/// What came of that.
#[derive(Debug)]
pub struct GovernOutcome(pub(crate) GovernDone);

/// What came of a job; to be handed back to the node.
#[derive(Debug)]
pub enum Completion {
    /// Of a sync.
    Sync(SyncOutcome),
    /// Of a read.
    Read(u64, ReadOutcome),
    /// Of a walk.
    Scan(u64, ScanOutcome),
    /// Of a flush or compaction.
    Background(BackgroundOutcome),
    /// Of work for the cluster state.
    Govern(GovernOutcome),
    /// Whether it is written down.
    Remembered(Result<(), DiskError>),
    /// How far it has come.
    Rose(Result<u32, IdentityError>),
    /// Whether it is written down.
    Settled(Result<(), IdentityError>),
}

impl Job {
    /// Does the work. Blocks for as long as the disk does.
    pub fn run(self) -> Completion {
        match self {
            Job::Sync(job) => Completion::Sync(job.run()),
            Job::Read(token, job) => Completion::Read(token, job.run()),
            Job::Scan(token, job) => Completion::Scan(token, job.run()),
            Job::Background(job) => Completion::Background(job.run()),
            Job::Govern(GovernJob(work)) => Completion::Govern(GovernOutcome(work.run())),
            Job::Remember(Remember { disk, dir, name, bytes }) => {
                Completion::Remembered(env::disk::replace(disk.as_ref(), &dir, name, &bytes))
            }
            Job::Rise(Place { disk, dir }) => Completion::Rose(Identity::rise(disk.as_ref(), &dir)),
            Job::Settle(Place { disk, dir }) => Completion::Settled(Identity::settle(disk.as_ref(), &dir)),
        }
    }
}
