//! The threads that may block: one that syncs the commit log, one that makes its segments ready, one for flushes, one for
//! compactions, a few that read. Segments and flushes hold up writes when they are late, so neither waits behind a
//! compaction.
//!
//! The log has a thread of its own, so that a sync waits for nothing but the disk, and the event loop for no sync. What
//! came of a job goes back to the event loop's thread through one channel. The queues need no bound of their own: at most
//! one sync and one background job of each kind are under way, and the replica bounds its reads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use storage::BackgroundKind;
use tokio::sync::mpsc::UnboundedSender;

use crate::job::{Completion, Job};

/// What comes back from a job's thread.
#[derive(Debug)]
pub(super) enum Ended {
    /// The job was done, well or badly.
    Completed(Completion),
    /// The job panicked: a defect, after which nothing can be promised.
    Panicked(&'static str),
}

/// Hands jobs to their threads. The threads end when this is dropped and their queues are empty.
#[derive(Debug)]
pub(super) struct JobThreads {
    log: Sender<Job>,
    segments: Sender<Job>,
    flushes: Sender<Job>,
    background: Sender<Job>,
    reads: Sender<Job>,
}

impl JobThreads {
    /// Starts the threads.
    pub(super) fn start(
        node: &str,
        readers: usize,
        ended: &UnboundedSender<Ended>,
    ) -> std::io::Result<JobThreads> {
        let (log, log_queue) = channel();
        let (segments, segment_queue) = channel();
        let (flushes, flush_queue) = channel();
        let (background, background_queue) = channel();
        let (reads, read_queue) = channel();
        spawn(format!("{node}-log"), "log", Arc::new(Mutex::new(log_queue)), ended)?;
        spawn(format!("{node}-segment"), "segment", Arc::new(Mutex::new(segment_queue)), ended)?;
        spawn(format!("{node}-flush"), "flush", Arc::new(Mutex::new(flush_queue)), ended)?;
        spawn(format!("{node}-compact"), "background", Arc::new(Mutex::new(background_queue)), ended)?;
        let read_queue = Arc::new(Mutex::new(read_queue));
        for reader in 0..readers.max(1) {
            spawn(format!("{node}-read{reader}"), "read", Arc::clone(&read_queue), ended)?;
        }
        Ok(JobThreads { log, segments, flushes, background, reads })
    }

    /// Hands over a job. Where its thread is gone the node is about to stop, and the job is dropped.
    pub(super) fn run(&self, job: Job) {
        let queue = match &job {
            Job::Sync(_) => &self.log,
            Job::Background(job) => match job.kind() {
                BackgroundKind::Segment | BackgroundKind::Space | BackgroundKind::Damage => &self.segments,
                BackgroundKind::Flush => &self.flushes,
                BackgroundKind::Compaction | BackgroundKind::Removal => &self.background,
            },
            // A compaction may take long, and who waits for an election does not.
            Job::Govern(_) => &self.segments,
            // One after the other, so that the last one written is the last one that was known.
            Job::Remember(_) | Job::Rise(_) | Job::Settle(_) => &self.background,
            Job::Read(..) | Job::Scan(..) => &self.reads,
        };
        let _ = queue.send(job);
    }
}

fn spawn(
    name: String,
    kind: &'static str,
    queue: Arc<Mutex<Receiver<Job>>>,
    ended: &UnboundedSender<Ended>,
) -> std::io::Result<()> {
    let ended = ended.clone();
    thread::Builder::new().name(name).spawn(move || {
        loop {
            // Held only while waiting for a job, not while running it: the readers take turns at the queue.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            let result = match catch_unwind(AssertUnwindSafe(|| job.run())) {
                Ok(completion) => Ended::Completed(completion),
                Err(_) => Ended::Panicked(kind),
            };
            if ended.send(result).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
