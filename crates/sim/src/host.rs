//! A machine: a disk that outlives its node, clocks, and the node or none.
//!
//! What must hold: nothing of an earlier life reaches a later one. Each life has a number; events carry it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::ClusterState;
use env::disk::CrashMode;
use env::{Disk, Rng, SimDisk};
use node::{Input, Node, NodeOptions, OpenError, Output};
use storage::{KeyRange, ScanLimit, ScanOutcome};
use types::{Instant, Moment, NodeId};
use wire::Envelope;

use crate::clock::NodeClock;

/// Where a node keeps its data, on its own disk.
pub const DATA_DIR: &str = "/data";

/// Which of its lives a node is in; one that is down is in none that an event could name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Life(pub u64);

/// One machine.
#[derive(Debug)]
pub struct Host {
    /// Its node's number.
    pub id: NodeId,
    /// Its node's name.
    pub name: String,
    /// What survives a crash.
    pub disk: SimDisk,
    /// What it takes the time to be.
    pub clock: NodeClock,
    /// Its present life.
    pub life: Life,
    /// Whether the end of the turn is on its way.
    pub turn_due: bool,
    /// For which time (of its own clock) an alarm is set.
    pub timer: Option<Instant>,
    /// Messages that leave at the end of the turn.
    pub outbox: Vec<(NodeId, Envelope)>,
    /// Background jobs run one after another: when the last one ends.
    pub background_free: Instant,
    /// Whether syncs take very long for now.
    pub slow_disk: bool,
    /// The node, while it runs.
    pub node: Option<Node>,
}

impl Host {
    /// A machine with an empty disk, not started yet.
    pub fn new(id: NodeId, name: &str, clock: NodeClock) -> Host {
        Host {
            id,
            name: name.to_owned(),
            disk: SimDisk::new(),
            clock,
            life: Life::default(),
            turn_due: false,
            timer: None,
            outbox: Vec::new(),
            background_free: Instant::default(),
            slow_disk: false,
            node: None,
        }
    }

    /// Whether its node runs.
    pub fn is_up(&self) -> bool {
        self.node.is_some()
    }

    /// Both its clocks.
    pub fn moment(&self, now: Instant) -> Moment {
        self.clock.read(now)
    }

    /// Opens the node on what the disk holds.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn start(
        &mut self,
        now: Instant,
        state: &Arc<ClusterState>,
        options: &NodeOptions,
        rng: &mut Rng,
    ) -> Result<(), OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let moment = self.moment(now);
        let node =
            Node::open(&disk, Path::new(DATA_DIR), &self.name, Arc::clone(state), options, moment, rng)?;
        self.life.0 += 1;
        self.background_free = now;
        self.node = Some(node);
        Ok(())
    }

    /// The node is gone, and what it had in memory; of what it had not synced, `mode` says what is left.
    pub fn crash(&mut self, mode: CrashMode, rng: &mut Rng) {
        // The disk first: what is dropped afterwards can no longer write.
        self.disk.crash(mode, rng);
        self.leave();
    }

    /// Ends the node in good order, unless its machine stops in the midst of that; then it is still to be crashed.
    ///
    /// # Errors
    /// What the commit log said.
    pub fn close(&mut self, rng: &mut Rng) -> Result<(), storage::LogError> {
        let closed = self.node.take().map_or(Ok(()), Node::close);
        if !self.disk.is_down() {
            self.crash(CrashMode::KeepAll, rng);
        }
        closed
    }

    fn leave(&mut self) {
        self.life.0 += 1;
        self.node = None;
        self.turn_due = false;
        self.timer = None;
        self.outbox.clear();
    }

    /// Gives the node an input; what it wants done. Nothing if it is down.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let moment = self.moment(now);
        if let Some(node) = &mut self.node {
            node.handle(moment, input, out);
        }
    }

    /// Ends a turn of the node's event loop.
    pub fn end_turn(&mut self, now: Instant, out: &mut Vec<Output>) {
        let moment = self.moment(now);
        self.turn_due = false;
        if let Some(node) = &mut self.node {
            node.end_turn(moment, out);
        }
    }

    /// All that the node's store holds, in the order of storage keys. Reads the disk and changes nothing.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn contents(&self) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, String> {
        let Some(node) = &self.node else {
            return Err(format!("{} is down", self.name));
        };
        let limit = ScanLimit { entries: usize::MAX, bytes: usize::MAX };
        match node.replica().db().scan(KeyRange::new(b"", None), limit).run() {
            ScanOutcome::Page { entries, .. } => Ok(entries),
            ScanOutcome::Unreadable(error) => Err(error.to_string()),
        }
    }

    /// How long until a sync that begins now is done.
    pub fn sync_takes(&self, rng: &mut Rng, usual_micros: u64) -> Duration {
        let usual = crate::random::heavy_tailed(rng, usual_micros);
        if self.slow_disk { usual + crate::random::millis(rng, 50, 800) } else { usual }
    }
}
