//! Henge's storage, driven as a node drives it: one owner, syncs where the caller waits for them anyway, background jobs on
//! threads of their own.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::{Result, bail};
use bytes::Bytes;
use env::RealDisk;
use storage::{
    BackgroundJob, BackgroundKind, BackgroundOutcome, Db, Installed, Kind, Lookup, Merge, MergeError,
    Options, PutError,
};

use crate::data::Key;
use crate::engine::{Engine, Setup};

/// Every entry here is the whole truth about its key.
struct Newer;

impl Merge for Newer {
    fn merge(&self, _: &[u8], _: &[u8], newer: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok(newer.to_vec())
    }
}

/// A thread that runs one kind of job.
struct Lane(Sender<BackgroundJob>);

impl Lane {
    fn start(done: Sender<BackgroundOutcome>) -> Lane {
        let (jobs, queue) = channel::<BackgroundJob>();
        thread::spawn(move || {
            for job in queue {
                if done.send(job.run()).is_err() {
                    return;
                }
            }
        });
        Lane(jobs)
    }
}

/// With this much memory memtables are as large as they ever get: the log is never longer than three of them allow.
const LARGEST_MEMTABLES_BYTES: usize = 2 << 30;

pub(crate) struct Henge {
    db: Db,
    /// Flushes that are due are not carried out: to measure the longest log that there can be.
    unflushed: bool,
    segments: Lane,
    flushes: Lane,
    compactions: Lane,
    done: Receiver<BackgroundOutcome>,
    under_way: usize,
}

impl Engine for Henge {
    fn open(dir: &Path, setup: Setup) -> Result<Henge> {
        let memory_bytes = setup
            .unflushed_bytes
            .map_or(setup.memory_bytes, |_| LARGEST_MEMTABLES_BYTES);
        let options = Options::with_memory(memory_bytes);
        let (db, recovery) = Db::open(Arc::new(RealDisk), dir, options, Arc::new(Newer))?;
        if !recovery.is_new {
            eprintln!("{recovery:?}");
        }
        let (sender, done) = channel();
        let mut henge = Henge {
            db,
            unflushed: setup.unflushed_bytes.is_some(),
            segments: Lane::start(sender.clone()),
            flushes: Lane::start(sender.clone()),
            compactions: Lane::start(sender),
            done,
            under_way: 0,
        };
        henge.start_background()?;
        Ok(henge)
    }

    fn put_together(&mut self, entries: Vec<(Key, Bytes)>) -> Result<()> {
        for (key, value) in entries {
            self.put(&key, value)?;
        }
        self.sync()?;
        self.background()
    }

    /// As in a node: the owner takes in what has come while the last sync ran, and answers all of it after the next.
    fn put_apart(
        &mut self,
        writers: u64,
        keys: u64,
        entry: &(dyn Fn(u64) -> (Key, Bytes) + Sync),
    ) -> Result<()> {
        thread::scope(|scope| {
            let (inbox, puts) = channel::<(usize, Key, Bytes)>();
            let mut answers = Vec::new();
            for writer in 0..writers {
                let (answer, answered) = channel::<()>();
                let number_in_line = answers.len();
                answers.push(answer);
                let inbox = inbox.clone();
                scope.spawn(move || {
                    for number in (writer..keys).step_by(usize::try_from(writers).unwrap_or(1)) {
                        let (key, value) = entry(number);
                        if inbox.send((number_in_line, key, value)).is_err() || answered.recv().is_err() {
                            return;
                        }
                    }
                });
            }
            drop(inbox);
            // Ends when the last writer has, and drops `answers` on an error, which ends the writers.
            while let Ok(first) = puts.recv() {
                let (waiting, entries): (Vec<usize>, Vec<(Key, Bytes)>) = std::iter::once(first)
                    .chain(puts.try_iter())
                    .map(|(writer, key, value)| (writer, (key, value)))
                    .unzip();
                self.put_together(entries)?;
                for writer in waiting {
                    answers[writer].send(())?;
                }
            }
            drop(answers);
            Ok(())
        })
    }

    fn get(&mut self, key: &Key) -> Result<Option<usize>> {
        let mut lookup = self.db.get(key);
        loop {
            match lookup {
                Lookup::Found(value) => return Ok(Some(value.len())),
                Lookup::Absent => return Ok(None),
                Lookup::Cold(job) => lookup = self.db.complete(job.run()),
                Lookup::Unreadable(error) => return Err(error.into()),
            }
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.background()?;
        while self.under_way > 0 {
            self.wait_for_background()?;
        }
        Ok(())
    }

    fn describe(&mut self) -> String {
        let stats = self.db.stats();
        format!(
            "memory {} MiB, tables {:?}, their bytes {:?}, log {} MiB, {:?}",
            stats.memory_bytes >> 20,
            stats.level_tables,
            stats.level_bytes,
            stats.log_bytes_written >> 20,
            stats.counters
        )
    }
}

impl Henge {
    fn put(&mut self, key: &Key, value: Bytes) -> Result<()> {
        loop {
            match self.db.put(key, value.clone(), Kind::Full) {
                Ok(_) => return Ok(()),
                Err(PutError::Stalled { .. }) => self.wait_for_room()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn sync(&mut self) -> Result<()> {
        self.db.write_log()?;
        if let Some(job) = self.db.sync_job() {
            self.db.synced(job.run())?;
        }
        Ok(())
    }

    /// A flush may wait for a sync of what it is to flush.
    fn wait_for_room(&mut self) -> Result<()> {
        if self.db.needs_sync() {
            self.sync()?;
        }
        self.start_background()?;
        self.wait_for_background()
    }

    /// Takes in what has ended and starts what is due.
    fn background(&mut self) -> Result<()> {
        while let Ok(outcome) = self.done.try_recv() {
            self.install(outcome)?;
        }
        self.start_background()
    }

    fn wait_for_background(&mut self) -> Result<()> {
        let outcome = self.done.recv()?;
        self.install(outcome)?;
        self.start_background()
    }

    fn install(&mut self, outcome: BackgroundOutcome) -> Result<()> {
        self.under_way -= 1;
        match self.db.install(outcome)? {
            Installed::Done => Ok(()),
            Installed::Retry(error) => Err(error.into()),
            Installed::Unreadable(error) => Err(error.into()),
        }
    }

    fn start_background(&mut self) -> Result<()> {
        while let Some(job) = self.db.background_job() {
            if self.unflushed && job.kind() == BackgroundKind::Flush {
                continue;
            }
            let lane = match job.kind() {
                BackgroundKind::Segment => &self.segments,
                BackgroundKind::Flush => &self.flushes,
                BackgroundKind::Compaction | BackgroundKind::Removal => &self.compactions,
            };
            if lane.0.send(job).is_err() {
                bail!("a thread for background work has ended");
            }
            self.under_way += 1;
        }
        Ok(())
    }
}
