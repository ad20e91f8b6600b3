//! Work that may block, handed out by the node and run wherever the driver likes.

use storage::{
    BackgroundJob, BackgroundOutcome, ReadJob, ReadOutcome, ScanJob, ScanOutcome, SyncJob, SyncOutcome,
};

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
}

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
}

impl Job {
    /// Does the work. Blocks for as long as the disk does.
    pub fn run(self) -> Completion {
        match self {
            Job::Sync(job) => Completion::Sync(job.run()),
            Job::Read(token, job) => Completion::Read(token, job.run()),
            Job::Scan(token, job) => Completion::Scan(token, job.run()),
            Job::Background(job) => Completion::Background(job.run()),
        }
    }
}
