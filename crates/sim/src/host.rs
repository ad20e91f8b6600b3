//! A machine: a disk that outlives its node, clocks, and the shards of the node or none.
//!
//! What must hold: nothing of an earlier life reaches a later one. Each life has a number; events carry it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::ClusterState;
use env::disk::CrashMode;
use env::{Disk, Rng, SimDisk};
use node::{Directory, Input, NodeOptions, OpenError, Output, Passed, Shard};
use storage::{KeyRange, ScanLimit, ScanOutcome};
use types::{Instant, Moment, NodeId, ShardId};
use wire::Envelope;

use crate::clock::NodeClock;
use crate::network::Place;

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
    /// Background jobs run one after another: when the last one ends.
    pub background_free: Instant,
    /// Whether syncs take very long for now.
    pub slow_disk: bool,
    /// The state that its node was founded with, or was told when it joined; nothing of a machine that has not.
    pub first: Option<Arc<ClusterState>>,
    /// Whether its node has left the cluster.
    pub has_left: bool,
    /// Until when it is busy with what it began while it was slow.
    pub slow_until: Instant,
    /// Whether a sync may have failed in this life of its node, which is then right to stop by itself.
    pub doubts_its_disk: bool,
    /// What it ails of for now.
    pub ailments: Ailments,
    /// The shards of the node, while it runs.
    pub shards: Vec<Running>,
}

/// What a machine ails of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ailments {
    /// How many times as long as usual all takes; as long as usual, if nothing.
    pub slower: Option<u32>,
    /// Whether its syncs fail.
    pub syncs_fail: bool,
    /// How large its disk is, where that is so little that it is soon full.
    pub capacity: Option<u64>,
}

/// A shard of a node on some machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// The machine.
    pub place: Place,
    /// The shard of its node.
    pub shard: ShardId,
}

/// A message that is to leave.
#[derive(Debug)]
pub struct Outgoing {
    /// To which node.
    pub to: NodeId,
    /// To which of its shards, where it is a reply.
    pub shard: Option<ShardId>,
    /// Whether it is passed on for another node.
    pub passed_on: bool,
    /// What it says.
    pub envelope: Envelope,
}

/// A shard that runs.
#[derive(Debug)]
pub struct Running {
    /// The shard.
    pub shard: Shard,
    /// Whether the end of the turn is on its way.
    pub turn_due: bool,
    /// For which time (of the machine's own clock) an alarm is set.
    pub timer: Option<Instant>,
    /// Messages that leave at the end of the turn.
    pub outbox: Vec<Outgoing>,
    /// What other shards are passed at the end of the turn.
    pub passed: Vec<(ShardId, Passed)>,
    /// When the last of what was passed to each of them arrives: they keep its order.
    pub passed_last: BTreeMap<ShardId, Instant>,
}

impl Running {
    fn new(shard: Shard) -> Running {
        Running {
            shard,
            turn_due: false,
            timer: None,
            outbox: Vec::new(),
            passed: Vec::new(),
            passed_last: BTreeMap::new(),
        }
    }
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
            background_free: Instant::default(),
            first: None,
            has_left: false,
            slow_disk: false,
            slow_until: Instant::default(),
            doubts_its_disk: false,
            ailments: Ailments::default(),
            shards: Vec::new(),
        }
    }

    /// Whether its node runs.
    pub fn is_up(&self) -> bool {
        !self.shards.is_empty()
    }

    /// Whether all its shards can reach a node, as they see it.
    pub fn reaches(&self, node: NodeId) -> bool {
        self.shards.iter().all(|running| running.shard.topology().is_reachable(node))
    }

    /// Whether any of them can.
    pub fn reaches_at_all(&self, node: NodeId) -> bool {
        self.shards.iter().any(|running| running.shard.topology().is_reachable(node))
    }

    /// Whether it may lack something that it had, or that its directory had before.
    pub fn lacks_something(&self) -> bool {
        self.shards.iter().any(|running| running.shard.replica().lacks_something())
    }

    /// Whom the node itself suspects.
    pub fn suspects(&self, now: Instant) -> Vec<NodeId> {
        let moment = self.moment(now);
        let Some(liveness) = self.shards.first().and_then(|running| running.shard.liveness()) else {
            return Vec::new();
        };
        let rows = liveness.table(moment.mono).into_iter();
        rows.filter(|row| row.suspected_by.contains(&self.id)).map(|row| row.node).collect()
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
        first: &Arc<ClusterState>,
        options: NodeOptions,
        rng: &mut Rng,
    ) -> Result<(), OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let dir = Path::new(DATA_DIR);
        // A clone has a name of its own for the trace alone.
        let name = first.member(self.id).map_or(&self.name, |member| &member.name);
        let directory = Directory::open(&disk, dir, name, Some(first), options, rng)?;
        let shards = directory.shards().iter().map(|index| directory.open_shard(index));
        let shards = shards.map(|shard| shard.map(Running::new)).collect::<Result<_, _>>()?;
        directory.opened()?;
        self.shards = shards;
        self.life.0 += 1;
        self.background_free = now;
        Ok(())
    }

    /// All its shards; none while it is down.
    pub fn seats(&self, place: Place) -> impl Iterator<Item = At> + use<> {
        let count = u8::try_from(self.shards.len()).unwrap_or(u8::MAX);
        (0..count).map(move |index| At { place, shard: ShardId(index) })
    }

    /// One of its shards, while it runs.
    pub fn running(&mut self, shard: ShardId) -> Option<&mut Running> {
        self.shards.get_mut(usize::from(shard.0))
    }

    /// Its name, with the number of a shard where there are several.
    pub fn label(&self, shard: ShardId) -> String {
        if self.shards.len() < 2 { self.name.clone() } else { format!("{}.{}", self.name, shard.0) }
    }

    /// The node is gone, and what it had in memory; of what it had not synced, `mode` says what is left.
    pub fn crash(&mut self, mode: CrashMode, rng: &mut Rng) {
        // The disk first: what is dropped afterwards can no longer write.
        let used = self.disk.used_bytes();
        self.disk.crash(mode, rng);
        self.make_room_for_what_is_back(used);
        self.leave();
    }

    /// Files whose removal was not synced come back with a power cut. A real disk has not given their room to others before that; this
    /// one has, and without it the node could not so much as start (seed 720235).
    fn make_room_for_what_is_back(&mut self, used_before: u64) {
        let back = self.disk.used_bytes().saturating_sub(used_before);
        if let Some(capacity) = &mut self.ailments.capacity {
            *capacity += back;
            self.disk.set_capacity(Some(*capacity));
        }
    }

    /// Ends the node in good order, unless its machine stops in the midst of that; then it is still to be crashed.
    ///
    /// # Errors
    /// What the commit log said.
    pub fn close(&mut self, rng: &mut Rng) -> Result<(), storage::LogError> {
        let closed = self.shards.drain(..).try_for_each(|running| running.shard.close());
        if !self.disk.is_down() {
            self.crash(CrashMode::KeepAll, rng);
        }
        closed
    }

    fn leave(&mut self) {
        self.life.0 += 1;
        self.shards.clear();
    }

    /// Gives a shard an input; what it wants done. Nothing if the node is down.
    pub fn handle(&mut self, now: Instant, shard: ShardId, input: Input, out: &mut Vec<Output>) {
        let moment = self.moment(now);
        if let Some(running) = self.running(shard) {
            running.shard.handle(moment, input, out);
        }
    }

    /// Ends a turn of a shard's event loop.
    pub fn end_turn(&mut self, now: Instant, shard: ShardId, out: &mut Vec<Output>) {
        let moment = self.moment(now);
        if let Some(running) = self.running(shard) {
            running.turn_due = false;
            running.shard.end_turn(moment, out);
        }
    }

    /// All that the node's stores hold, in the order of storage keys. Reads the disk and changes nothing.
    ///
    /// # Errors
    /// What cannot be read, in words.
    pub fn contents(&self) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, String> {
        if !self.is_up() {
            return Err(format!("{} is down", self.name));
        }
        let limit = ScanLimit { entries: usize::MAX, bytes: usize::MAX };
        let mut contents = Vec::new();
        for running in &self.shards {
            match running.shard.replica().db().scan_what_is_left(KeyRange::new(b"", None), limit).run() {
                ScanOutcome::Page { entries, .. } => contents.extend(entries),
                ScanOutcome::Unreadable(error) => return Err(error.to_string()),
            }
        }
        contents.sort();
        Ok(contents)
    }

    /// How long it takes here what takes so long on a machine that is well.
    pub fn takes(&self, usual: Duration) -> Duration {
        usual * self.ailments.slower.unwrap_or(1)
    }

    /// Whether some of its shards take in no values, for want of room.
    pub fn refuses_values(&self) -> bool {
        self.shards.iter().any(|running| running.shard.replica().db().room_for_values().is_err())
    }

    /// How long until a sync that begins now is done.
    pub fn sync_takes(&self, rng: &mut Rng, usual_micros: u64) -> Duration {
        let usual = self.takes(crate::random::heavy_tailed(rng, usual_micros));
        if self.slow_disk { usual + crate::random::millis(rng, 50, 800) } else { usual }
    }
}
