//! A replica on a simulated disk, driven a step at a time: what its driver would run, a test runs when it pleases.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part, and a test may stop at surprises"
)]

pub(crate) mod by_hand;
pub(crate) mod clients;
pub(crate) mod difference;
pub(crate) mod movers;
pub(crate) mod owners;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use causality::{Actor, Dot, Lww, Payload, Policy, Record, Stamp, Version};
use cluster::{Addresses, ClusterState, Durability, FoundingPlan, Keyspace, MemberPlan};
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use replica::actors::Actors;
use replica::{Effect, Identity, Made, Make, MakeError, RecordMerge, Replica, ReplicaOptions, Ticket};
use ring::Partitions;
use storage::{BackgroundJob, Db, Options, ReadJob, ScanJob, SyncJob};
use types::{
    Epoch, Incarnation, Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId, ShardId, Stint,
    WallTime,
};
use wire::{ReplicaReply, ReplicaRequest, WritePath};

/// One value a key, acknowledged when synced.
pub(crate) const LWW: KeyspaceId = KeyspaceId(0);
/// Siblings, acknowledged when synced.
pub(crate) const SIBLINGS: KeyspaceId = KeyspaceId(1);
/// One value a key, acknowledged before the sync.
pub(crate) const RELAXED: KeyspaceId = KeyspaceId(2);

/// The only member.
pub(crate) const HERE: NodeId = NodeId(1);

/// What a replica said.
#[derive(Debug)]
pub(crate) enum Said {
    Reply(u64, ReplicaReply),
    Made(u64, Result<Made, MakeError>),
}

/// A replica and what it waits for.
pub(crate) struct Rig {
    pub(crate) disk: SimDisk,
    pub(crate) replica: Option<Replica>,
    pub(crate) now: Moment,
    pub(crate) reads: VecDeque<(u64, ReadJob)>,
    pub(crate) syncs: VecDeque<SyncJob>,
    pub(crate) background: VecDeque<BackgroundJob>,
    pub(crate) scans: VecDeque<(u64, ScanJob)>,
    /// When the operations asked from now on are over.
    pub(crate) until: Instant,
    /// What the store keeps back of the disk from the next start on.
    pub(crate) disk_reserve_bytes: u64,
    options: ReplicaOptions,
    state: Arc<ClusterState>,
    rng: Rng,
}

pub(crate) fn state() -> ClusterState {
    let member = MemberPlan {
        name: "n1".to_owned(),
        data_center: "dc1".to_owned(),
        rack: "r1".to_owned(),
        weight: 1.0,
        addresses: Addresses::default(),
    };
    let relaxed = Keyspace {
        policy: Policy::Lww,
        durability: Durability::Interval,
        ..Keyspace::new(RELAXED.0, "relaxed")
    };
    ClusterState::found(FoundingPlan {
        name: "test".to_owned(),
        members: vec![member],
        partitions: Partitions::default(),
        keyspaces: vec![Keyspace::new(SIBLINGS.0, "siblings"), relaxed],
    })
    .unwrap()
}

impl Rig {
    pub(crate) fn new(options: ReplicaOptions) -> Rig {
        let mut rig = Rig {
            disk: SimDisk::new(),
            replica: None,
            now: Moment { mono: Instant(1_000_000_000), wall: WallTime(1_000_000) },
            reads: VecDeque::new(),
            syncs: VecDeque::new(),
            background: VecDeque::new(),
            scans: VecDeque::new(),
            until: Instant(u64::MAX),
            disk_reserve_bytes: 0,
            options,
            state: Arc::new(state()),
            rng: Rng::from_seed(7),
        };
        rig.start();
        rig
    }

    fn start(&mut self) {
        let dir = Path::new("data");
        let disk = Arc::new(self.disk.clone());
        let identity = Identity::open(disk.as_ref(), dir, "n1", b"state", &mut self.rng).unwrap();
        // Memtables of 8 KiB and a record cache of 16: a few dozen writes are beyond them.
        let disk_reserve_bytes = Some(self.disk_reserve_bytes);
        let options = Options { memory_bytes: 64 << 10, disk_reserve_bytes, ..Options::tiny() };
        let (db, _) = Db::open(disk, &dir.join("store"), options, Arc::new(RecordMerge)).unwrap();
        let actors = Actors::new(identity.incarnation, identity.stints);
        let partitions: Vec<PartitionId> = self.state.partitions().iter().collect();
        let replica =
            Replica::new(HERE, Arc::clone(&self.state), &partitions, db, actors, self.options).unwrap();
        self.replica = Some(replica);
    }

    /// Stops without warning, loses what this kind of stop loses, and starts again.
    pub(crate) fn crash(&mut self, mode: CrashMode) {
        self.replica = None;
        self.reads.clear();
        self.syncs.clear();
        self.background.clear();
        self.scans.clear();
        self.disk.crash(mode, &mut self.rng);
        self.start();
    }

    pub(crate) fn replica(&mut self) -> &mut Replica {
        self.replica.as_mut().unwrap()
    }

    pub(crate) fn ticket(&self, operation: u64, key: &[u8]) -> Ticket {
        Ticket {
            from: HERE,
            of: ShardId(0),
            via: ShardId(0),
            operation: OperationId(operation),
            round: 1,
            partition: self.partition(key),
            epoch: Epoch(1),
            until: self.until,
        }
    }

    pub(crate) fn partition(&self, key: &[u8]) -> PartitionId {
        self.state.partition_of(key)
    }

    pub(crate) fn read(&mut self, operation: u64, keyspace: KeyspaceId, key: &[u8]) -> Vec<Said> {
        let key = Bytes::copy_from_slice(key);
        self.serve(operation, &key.clone(), ReplicaRequest::Read { keyspace, key, in_place_of: None })
    }

    pub(crate) fn write(
        &mut self,
        operation: u64,
        keyspace: KeyspaceId,
        key: &[u8],
        record: &Record,
        path: WritePath,
    ) -> Vec<Said> {
        let request = ReplicaRequest::Write {
            keyspace,
            key: Bytes::copy_from_slice(key),
            record: record.to_bytes(),
            path,
            in_place_of: None,
        };
        self.serve(operation, key, request)
    }

    pub(crate) fn serve(&mut self, operation: u64, key: &[u8], request: ReplicaRequest) -> Vec<Said> {
        let (now, ticket) = (self.now, self.ticket(operation, key));
        let mut out = Vec::new();
        self.replica().serve(now, ticket, request, &mut out);
        self.sort(out)
    }

    pub(crate) fn make(&mut self, operation: u64, ask: Make) -> Vec<Said> {
        let (now, ticket) = (self.now, self.ticket(operation, &ask.key));
        let mut out = Vec::new();
        self.replica().make(now, ticket, ask, &mut out);
        self.sort(out)
    }

    pub(crate) fn end_turn(&mut self) -> Vec<Said> {
        let (now, mut out) = (self.now, Vec::new());
        self.replica().end_turn(now, &mut out);
        self.sort(out)
    }

    /// Runs one read from disk: that at this place of those that wait, so that they end in any order.
    pub(crate) fn run_read(&mut self, place: usize) -> Vec<Said> {
        if self.reads.is_empty() {
            return Vec::new();
        }
        let place = place % self.reads.len();
        let (token, job) = self.reads.remove(place).unwrap();
        let (now, mut out) = (self.now, Vec::new());
        self.replica().read_done(now, token, job.run(), &mut out);
        self.sort(out)
    }

    pub(crate) fn run_sync(&mut self) -> Vec<Said> {
        let Some(job) = self.syncs.pop_front() else {
            return Vec::new();
        };
        let mut out = Vec::new();
        self.replica().synced(job.run(), &mut out);
        self.sort(out)
    }

    pub(crate) fn run_background(&mut self) -> Vec<Said> {
        let Some(job) = self.background.pop_front() else {
            return Vec::new();
        };
        let (now, mut out) = (self.now, Vec::new());
        self.replica().installed(now, job.run(), &mut out);
        self.sort(out)
    }

    /// Runs everything until nothing is left to run.
    pub(crate) fn settle(&mut self) -> Vec<Said> {
        let mut said = self.end_turn();
        while !(self.reads.is_empty() && self.syncs.is_empty() && self.background.is_empty()) {
            said.extend(self.run_read(0));
            said.extend(self.run_background());
            said.extend(self.run_sync());
            said.extend(self.end_turn());
        }
        said
    }

    /// What the replica says, and its jobs put aside.
    fn sort(&mut self, effects: Vec<Effect>) -> Vec<Said> {
        let mut said = Vec::new();
        for effect in effects {
            match effect {
                Effect::Ask { .. } => panic!("there are no other owners, and no hints, in these tests"),
                Effect::Reply(ticket, reply) => said.push(Said::Reply(ticket.operation.0, reply)),
                Effect::Made(ticket, made) => said.push(Said::Made(ticket.operation.0, made)),
                Effect::Read(token, job) => self.reads.push_back((token, job)),
                Effect::Scan(token, job) => self.scans.push_back((token, job)),
                Effect::Sync(job) => self.syncs.push_back(job),
                Effect::Background(job) => self.background.push_back(job),
                Effect::Noticed(_) => {}
                Effect::Stop(why) => panic!("the replica stopped: {why}"),
            }
        }
        said
    }

    /// Tables on disk, in order.
    pub(crate) fn tables(&self) -> Vec<PathBuf> {
        let is_table = |path: &PathBuf| path.to_string_lossy().contains("/table-");
        self.disk.paths().into_iter().filter(is_table).collect()
    }
}

/// A dot of some other node.
pub(crate) fn foreign_dot(counter: u64) -> Dot {
    Dot { actor: Actor { incarnation: Incarnation(0xf0), stint: Stint(1) }, counter }
}

/// A record of one value, as another node made it.
pub(crate) fn lww(counter: u64, stamp: Stamp, value: &[u8]) -> Record {
    let payload = Payload::Value(Bytes::copy_from_slice(value));
    Record::Lww(Lww::new(Version::new(foreign_dot(counter), stamp, payload, OperationId(counter))))
}
