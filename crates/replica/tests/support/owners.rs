//! Several replicas of one cluster, whose messages arrive at once and are counted as frames.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use causality::Record;
use cluster::{Addresses, ClusterState, FoundingPlan, Keyspace, MemberPlan};
use env::disk::CrashMode;
use env::{Rng, SimDisk};
use replica::actors::Actors;
use replica::collection::fence::UnderWay;
use replica::handoff::is_own;
use replica::{
    Change, Effect, Identity, Made, Make, MakeError, Named, RecordMerge, Replica, ReplicaOptions, Ticket,
};
use ring::Partitions;
use storage::{Db, Options};
use types::{Epoch, Instant, KeyspaceId, Moment, NodeId, OperationId, PartitionId, ShardId, WallTime};
use wire::{Body, Envelope, ReplicaReply, ReplicaRequest, WriteName, WritePath};

use super::by_hand::ByHand;
use super::{LWW, SIBLINGS};

/// Replicas of all partitions, all of which they own.
pub(crate) struct Owners {
    pub(crate) nodes: Vec<Replica>,
    pub(crate) disks: Vec<SimDisk>,
    pub(crate) state: Arc<ClusterState>,
    /// Of each node, member or not any more.
    ids: Vec<NodeId>,
    /// The state that each node goes by.
    pub(crate) states: Vec<Arc<ClusterState>>,
    pub(crate) now: Moment,
    /// The one partition whose frames are counted; those of all, if none.
    pub(crate) counted: Option<PartitionId>,
    /// Of frames between different nodes.
    pub(crate) bytes: usize,
    /// Frames between different nodes.
    pub(crate) frames: usize,
    /// A node that hears nobody, and is heard by nobody.
    pub(crate) silent: Option<usize>,
    /// A node that says *stored*, stores nothing of what others send, and asks nobody.
    pub(crate) liar: Option<usize>,
    /// Where a test lets messages arrive one by one.
    pub(crate) by_hand: Option<ByHand>,
    queue: VecDeque<Message>,
    replies: Vec<(u64, ReplicaReply)>,
    made: Vec<Result<Made, MakeError>>,
}

/// Between nodes, by their places, or of a node with itself.
pub(crate) enum Message {
    Request(usize, usize, OperationId, PartitionId, ReplicaRequest),
    Reply(usize, Ticket, ReplicaReply),
}

/// Operations of a test, not of a replica.
const OURS: u64 = 1;

impl Owners {
    pub(crate) fn new(count: usize, partitions: u64, options: ReplicaOptions, storage: &Options) -> Owners {
        let member = |number: usize| MemberPlan {
            name: format!("n{number}"),
            data_center: "dc1".to_owned(),
            rack: format!("r{number}"),
            weight: 1.0,
            addresses: Addresses::default(),
        };
        let state = Arc::new(
            ClusterState::found(FoundingPlan {
                name: "test".to_owned(),
                members: (1..=count).map(member).collect(),
                partitions: Partitions::new(partitions).unwrap(),
                keyspaces: vec![Keyspace::new(SIBLINGS.0, "siblings")],
            })
            .unwrap(),
        );
        let all: Vec<PartitionId> = state.partitions().iter().collect();
        let (mut nodes, mut disks) = (Vec::new(), Vec::new());
        for member in state.members() {
            let disk = SimDisk::new();
            nodes.push(open(&disk, &state, &all, member.id, options, storage));
            disks.push(disk);
        }
        let now = Moment { mono: Instant(1_000_000_000), wall: WallTime(1_000_000) };
        let mut owners = Owners {
            nodes,
            disks,
            ids: state.members().iter().map(|member| member.id).collect(),
            states: vec![Arc::clone(&state); count],
            state,
            now,
            counted: None,
            bytes: 0,
            frames: 0,
            silent: None,
            liar: None,
            by_hand: None,
            queue: VecDeque::new(),
            replies: Vec::new(),
            made: Vec::new(),
        };
        for node in 0..owners.nodes.len() {
            for peer in 0..owners.nodes.len() {
                let peer = owners.id(peer);
                owners.nodes[node].peer_up(now, peer);
            }
        }
        owners
    }

    /// Stops a node without a word, lets something be done to its disk, and starts it again.
    pub(crate) fn restart(
        &mut self,
        node: usize,
        (options, storage): (ReplicaOptions, &Options),
        meanwhile: impl FnOnce(&SimDisk),
    ) {
        let (id, disk) = (self.id(node), self.disks[node].clone());
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(1));
        meanwhile(&disk);
        let all: Vec<PartitionId> = self.states[node].partitions().iter().collect();
        self.nodes[node] = open(&disk, &self.states[node], &all, id, options, storage);
        let now = self.now;
        self.nodes[node].peer_up(now, id);
        for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
            let (now, other) = (self.now, self.id(peer));
            self.nodes[node].peer_up(now, other);
            self.nodes[peer].peer_lost(now, id);
            self.nodes[peer].peer_up(now, id);
        }
    }

    /// A node goes by the last state from now on.
    pub(crate) fn adopt(&mut self, node: usize) {
        self.states[node] = Arc::clone(&self.state);
        let (now, state, mut out) = (self.now, Arc::clone(&self.state), Vec::new());
        self.nodes[node].set_state(now, state, &mut out);
        self.carry(node, out);
        self.settle();
    }

    /// The same, and it is asked something by that state before any page that it reads for it has come. What it says in the end.
    pub(crate) fn adopt_while_asked(
        &mut self,
        node: usize,
        partition: PartitionId,
        request: ReplicaRequest,
    ) -> (bool, ReplicaReply) {
        self.states[node] = Arc::clone(&self.state);
        let (now, here, state) = (self.now, self.id(node), Arc::clone(&self.state));
        let epoch = request.keyspace().map_or(state.since(partition), |one| state.since_in(one, partition));
        let ticket = Ticket { partition, epoch, ..ticket_of(here, OperationId(OURS)) };
        let (mut adopted, mut served) = (Vec::new(), Vec::new());
        self.nodes[node].set_state(now, state, &mut adopted);
        self.nodes[node].serve(now, ticket, request, &mut served);
        self.nodes[node].end_turn(now, &mut served);
        let is_reply = |effect: &Effect| matches!(effect, Effect::Reply(..) | Effect::Sync(_));
        let waits = !served.iter().any(is_reply);
        adopted.extend(served);
        self.carry(node, adopted);
        self.settle();
        (waits, self.replies.pop().expect("it answers").1)
    }

    /// Starts the nodes that the last state has and that are not there yet, on empty disks.
    pub(crate) fn start_new(&mut self, options: ReplicaOptions, storage: &Options) {
        let all: Vec<PartitionId> = self.state.partitions().iter().collect();
        let fresh = self.state.members().iter().map(|member| member.id);
        let fresh: Vec<NodeId> = fresh.filter(|id| !self.ids.contains(id)).collect();
        for id in fresh {
            let (place, disk, now) = (self.nodes.len(), SimDisk::new(), self.now);
            self.ids.push(id);
            self.nodes.push(open(&disk, &self.state, &all, id, options, storage));
            self.disks.push(disk);
            self.states.push(Arc::clone(&self.state));
            for other in 0..=place {
                let peer = self.id(other);
                self.nodes[place].peer_up(now, peer);
                self.nodes[other].peer_up(now, id);
            }
        }
    }

    /// Asks a node as a client's coordinator would that goes by this epoch.
    pub(crate) fn asks_by(
        &mut self,
        node: usize,
        epoch: Epoch,
        partition: PartitionId,
        request: ReplicaRequest,
    ) -> ReplicaReply {
        let here = self.id(node);
        let ticket = Ticket { partition, epoch, ..ticket_of(here, OperationId(OURS)) };
        let (now, mut out) = (self.now, Vec::new());
        self.nodes[node].serve(now, ticket, request, &mut out);
        self.carry(node, out);
        self.settle();
        self.replies.pop().expect("it answers").1
    }

    /// What a node says when it is asked for a key.
    pub(crate) fn says(&mut self, node: usize, keyspace: KeyspaceId, key: &[u8]) -> ReplicaReply {
        let key = Bytes::copy_from_slice(key);
        let request = ReplicaRequest::Read { keyspace, key: key.clone(), in_place_of: None };
        self.ask(node, &key, request)
    }

    pub(crate) fn id(&self, place: usize) -> NodeId {
        self.ids[place]
    }

    pub(crate) fn place(&self, id: NodeId) -> usize {
        self.ids.iter().position(|known| *known == id).unwrap()
    }

    /// Stores a record on one node alone.
    pub(crate) fn store(&mut self, node: usize, keyspace: KeyspaceId, key: &[u8], record: &Record) {
        let request = ReplicaRequest::Write {
            keyspace,
            key: Bytes::copy_from_slice(key),
            record: record.to_bytes(),
            path: WritePath::Merge,
            in_place_of: None,
        };
        let reply = self.ask(node, key, request);
        assert_eq!(reply, ReplicaReply::Stored);
    }

    /// Makes a change on one node alone.
    pub(crate) fn make(
        &mut self,
        node: usize,
        keyspace: KeyspaceId,
        key: &[u8],
        change: Change,
    ) -> Result<Made, MakeError> {
        self.make_named(node, keyspace, key, change, None)
    }

    /// Makes a change on one node alone, under this name if it has one.
    pub(crate) fn make_named(
        &mut self,
        node: usize,
        keyspace: KeyspaceId,
        key: &[u8],
        change: Change,
        name: Option<WriteName>,
    ) -> Result<Made, MakeError> {
        self.make_in_place_of(node, keyspace, key, change, (name, None))
    }

    /// The same in the place of an owner, if it is said whose.
    pub(crate) fn make_in_place_of(
        &mut self,
        node: usize,
        keyspace: KeyspaceId,
        key: &[u8],
        change: Change,
        (name, in_place_of): (Option<WriteName>, Option<NodeId>),
    ) -> Result<Made, MakeError> {
        let operation = OperationId(OURS);
        let ask = Make {
            keyspace,
            key: Bytes::copy_from_slice(key),
            operation,
            change,
            base: None,
            named: name.map(|name| Named { name, operation }),
            again: None,
            hide: false,
            in_place_of,
        };
        let here = self.id(node);
        let partition = self.states[node].partition_of(key);
        let epoch = self.states[node].since_in(keyspace, partition);
        let ticket = Ticket { partition, epoch, ..ticket_of(here, OperationId(OURS)) };
        let (now, mut out) = (self.now, Vec::new());
        self.nodes[node].make(now, ticket, ask, &mut out);
        self.carry(node, out);
        self.settle();
        self.made.pop().expect("it answers")
    }

    /// Sends a node a copy of a record, as it may have been under way for any time. What it says of it.
    pub(crate) fn arrives(
        &mut self,
        node: usize,
        keyspace: KeyspaceId,
        key: &[u8],
        record: Bytes,
    ) -> ReplicaReply {
        let path = WritePath::Merge;
        let key = Bytes::copy_from_slice(key);
        let request = ReplicaRequest::Write { keyspace, key: key.clone(), record, path, in_place_of: None };
        self.ask(node, &key, request)
    }

    /// What a node holds of a key.
    pub(crate) fn held(&mut self, node: usize, keyspace: KeyspaceId, key: &[u8]) -> Option<Record> {
        let key = Bytes::copy_from_slice(key);
        let request = ReplicaRequest::Read { keyspace, key: key.clone(), in_place_of: None };
        match self.ask(node, &key, request) {
            ReplicaReply::Found { record, .. } => Some(Record::decode(record).unwrap()),
            ReplicaReply::Absent => None,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, node: usize, key: &[u8], request: ReplicaRequest) -> ReplicaReply {
        let partition = self.states[node].partition_of(key);
        self.queue.push_back(Message::Request(node, node, OperationId(OURS), partition, request));
        self.settle();
        self.replies.pop().expect("it answers").1
    }

    /// Lets time pass, in steps.
    pub(crate) fn pass(&mut self, time: Duration, step: Duration) {
        let end = self.now.mono + time;
        while self.now.mono < end {
            self.now.mono = self.now.mono + step;
            self.now.wall = self.now.wall.plus_millis(u64::try_from(step.as_millis()).unwrap());
            self.settle();
        }
    }

    /// Delivers and runs all that there is.
    pub(crate) fn settle(&mut self) {
        loop {
            while let Some(message) = self.queue.pop_front() {
                if let Some(message) = self.sort(message) {
                    self.deliver(message);
                }
            }
            for node in 0..self.nodes.len() {
                let mut out = Vec::new();
                self.nodes[node].end_turn(self.now, &mut out);
                self.carry(node, out);
            }
            if self.queue.is_empty() {
                return;
            }
        }
    }

    /// A message that arrives at once is given back.
    fn sort(&mut self, message: Message) -> Option<Message> {
        let sender = match &message {
            Message::Request(from, ..) | Message::Reply(from, ..) => self.id(*from),
        };
        match &mut self.by_hand {
            Some(by_hand) => by_hand.sort(sender, message),
            None => Some(message),
        }
    }

    pub(crate) fn deliver(&mut self, message: Message) {
        let mut out = Vec::new();
        let now = self.now;
        match message {
            Message::Request(from, to, operation, partition, request) => {
                let apart = from != to && (self.silent == Some(from) || self.silent == Some(to));
                if apart || (self.liar == Some(from) && from != to) {
                    return;
                }
                self.count(from, to, operation, partition, Body::Request(request.clone()));
                let since = |node: usize| match request.keyspace() {
                    Some(keyspace) => self.states[node].since_in(keyspace, partition),
                    None => self.states[node].since(partition),
                };
                let epoch = since(from);
                if epoch > since(to) {
                    // It would wait there until he has heard of it.
                    return;
                }
                let ticket = Ticket { partition, epoch, ..ticket_of(self.id(from), operation) };
                if self.liar == Some(to) && from != to && matches!(request, ReplicaRequest::Write { .. }) {
                    self.queue.push_back(Message::Reply(to, ticket, ReplicaReply::Stored));
                    return;
                }
                match request {
                    ReplicaRequest::Collect(ask) => {
                        self.nodes[to].collect(now, ticket, &ask, UnderWay::default(), &mut out);
                    }
                    request => self.nodes[to].serve(now, ticket, request, &mut out),
                }
                self.carry(to, out);
            }
            Message::Reply(from, ticket, reply) => {
                let to = self.place(ticket.from);
                self.count(from, to, ticket.operation, ticket.partition, Body::Reply(reply.clone()));
                if is_own(ticket.operation) {
                    let id = self.id(from);
                    self.nodes[to].replied(now, id, ticket.operation, reply, &mut out);
                    self.carry(to, out);
                } else {
                    self.replies.push((ticket.operation.0, reply));
                }
            }
        }
    }

    fn count(&mut self, from: usize, to: usize, operation: OperationId, partition: PartitionId, body: Body) {
        if from != to && self.counted.is_none_or(|counted| counted == partition) {
            let epoch = Epoch(1);
            let envelope = Envelope { operation, round: 0, epoch, partition, deadline_ms: 5000, body };
            let mut frame = BytesMut::new();
            wire::encode_frame(&envelope, &mut frame);
            self.bytes += frame.len();
            self.frames += 1;
        }
    }

    fn carry(&mut self, node: usize, effects: Vec<Effect>) {
        let now = self.now;
        for effect in effects {
            let mut out = Vec::new();
            match effect {
                Effect::Ask { to, operation, partition, request, .. } => {
                    let to = self.place(to);
                    self.queue.push_back(Message::Request(node, to, operation, partition, request));
                }
                Effect::Reply(ticket, reply) => self.queue.push_back(Message::Reply(node, ticket, reply)),
                Effect::Made(_, made) => self.made.push(made),
                Effect::Read(token, job) => self.nodes[node].read_done(now, token, job.run(), &mut out),
                Effect::Scan(token, job) => self.nodes[node].scan_done(now, token, job.run(), &mut out),
                Effect::Sync(job) => self.nodes[node].synced(job.run(), &mut out),
                Effect::Background(job) => self.nodes[node].installed(now, job.run(), &mut out),
                Effect::Noticed(_) => {}
                Effect::Stop(why) => panic!("a replica stopped: {why}"),
            }
            self.carry(node, out);
        }
    }
}

fn open(
    disk: &SimDisk,
    state: &Arc<ClusterState>,
    partitions: &[PartitionId],
    id: NodeId,
    options: ReplicaOptions,
    storage: &Options,
) -> Replica {
    let mut rng = Rng::from_seed(u64::from(id.0));
    let dir = Path::new("data");
    let name = &id.to_string();
    let identity = Identity::open(disk, dir, name, b"state", &mut rng).unwrap();
    let seam = Arc::new(disk.clone());
    let (db, _) = Db::open(seam, &dir.join("store"), storage.clone(), Arc::new(RecordMerge)).unwrap();
    let actors = Actors::new(identity.incarnation, identity.stints);
    Replica::new(id, Arc::clone(state), partitions, db, actors, options).unwrap()
}

fn ticket_of(from: NodeId, operation: OperationId) -> Ticket {
    Ticket {
        from,
        of: ShardId(0),
        via: ShardId(0),
        operation,
        round: 0,
        partition: PartitionId(0),
        epoch: Epoch(1),
        until: Instant(u64::MAX),
    }
}

/// The keyspaces that there are.
pub(crate) const KEYSPACES: [KeyspaceId; 2] = [LWW, SIBLINGS];
