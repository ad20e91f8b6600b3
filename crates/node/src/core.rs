//! The node without I/O.
//!
//! It routes between two machines: the coordinator's operations, which ask owners, and the replica, which is one. What an
//! operation asks of this node itself takes the same path as what a peer asks. An input is settled completely (all effects
//! of its effects) before the next; then, at the end of a turn, the commit log is written once for all of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::Outcome;
use cluster::{ClusterState, Topology};
use coordinator::{Operations, Options, answer};
use env::{Disk, Rng};
use replica::actors::Actors;
use replica::{Identity, IdentityError, RecordMerge, Replica, ReplicaOptions, Ticket};
use storage::Db;
use types::{Instant, Moment, NodeId, OperationId, WallTime};
use wire::{Body, Envelope, Hello, ReplicaReply, ReplicaRequest};

use crate::job::{Completion, Job};

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// A client asks; the number comes back with the answer.
    Client(u64, api::Request),
    /// A peer says something.
    Message(NodeId, Envelope),
    /// A message to a peer provably never left.
    NotSent(NodeId, OperationId),
    /// A peer that belongs here can be reached.
    PeerUp(Hello),
    /// A peer cannot be reached any more; what was under way to it may or may not have arrived.
    PeerLost(NodeId),
    /// A job has ended.
    Completed(Completion),
    /// The time that [`Node::next_timer`] named has come.
    Timer,
}

/// What a node wants done, in order.
#[derive(Debug)]
pub enum Output {
    /// Answer a client.
    Answer(u64, Outcome),
    /// Send a peer a message.
    Send(NodeId, Envelope),
    /// Run a job and hand its completion back.
    Run(Job),
    /// Stop at once: nothing can be promised any more.
    Stop(String),
}

/// Settings of a node.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Of its store.
    pub storage: storage::Options,
    /// Of its replica.
    pub replica: ReplicaOptions,
    /// Of its coordinator.
    pub coordinator: Options,
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its data directory is not usable as this node's.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its store cannot be opened.
    #[error(transparent)]
    Storage(#[from] storage::OpenError),
    /// Its configuration names no such member.
    #[error("node.id is `{0}`, and no member of the cluster is called that: add it to [[cluster.members]]")]
    NotAMember(String),
    /// The cluster state kept in the data directory cannot be read.
    #[error("{}: the cluster state kept here cannot be read: {why}", path.display())]
    State {
        /// The data directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The configuration says something else than the data directory.
    #[error(
        "{}: the configuration differs from what this cluster was made with: {}. Members and keyspaces are read at the first start only",
        path.display(), differences.join("; ")
    )]
    Changed {
        /// The data directory.
        path: PathBuf,
        /// In words, each with both values.
        differences: Vec<String>,
    },
}

/// One node.
#[derive(Debug)]
pub struct Node {
    replica: Replica,
    operations: Operations,
    topology: Arc<Topology>,
    hello: Hello,
    recovery: storage::Recovery,
    started: WallTime,
    figures: Figures,
    /// Reused from input to input.
    asks: Vec<coordinator::Effect>,
    serves: Vec<replica::Effect>,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Requests of clients.
    pub client_requests: u64,
    /// Messages from peers.
    pub peer_messages: u64,
    /// Reads handed to the read threads.
    pub cold_reads: u64,
    /// Syncs of the commit log.
    pub syncs: u64,
}

impl Node {
    /// Opens the node's data directory, makes sure that it is this node's, and recovers what it holds.
    ///
    /// # Errors
    /// As [`OpenError`] says; nothing in the directory is changed by a refusal.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &std::path::Path,
        name: &str,
        state: Arc<ClusterState>,
        options: &NodeOptions,
        now: Moment,
        rng: &mut Rng,
    ) -> Result<Node, OpenError> {
        let Some(member) = state.member_by_name(name) else {
            return Err(OpenError::NotAMember(name.to_owned()));
        };
        let here = member.id;
        let identity = Identity::open(disk.as_ref(), dir, name, &state.encode(), rng)?;
        check_state(dir, &identity, &state)?;
        // Unknown to clients, so that none can choose keys that collide in the store's tables.
        let storage = storage::Options { secret: rng.next_u64(), ..options.storage.clone() };
        let (db, recovery) = Db::open(Arc::clone(disk), &dir.join("store"), storage, Arc::new(RecordMerge))?;
        let hello = Hello {
            cluster: state.name().to_owned(),
            fingerprint: state.fingerprint(),
            epoch: state.epoch(),
            node: here,
            name: name.to_owned(),
            incarnation: identity.incarnation,
        };
        let topology = Topology::new(Arc::clone(&state), here, identity.incarnation)
            .ok_or_else(|| OpenError::NotAMember(name.to_owned()))?;
        let topology = Arc::new(topology);
        // Ids are never used twice by one incarnation: each run begins above all that an earlier one can have reached. A
        // start reserves 1,024 stints, so a run has 2^42 ids, and the last stint there can be still leaves room.
        let first_id = u64::from(identity.stints.start) << 32;
        let actors = Actors::new(identity.incarnation, identity.stints);
        Ok(Node {
            replica: Replica::new(here, state, db, actors, options.replica),
            operations: Operations::new(Arc::clone(&topology), first_id, options.coordinator),
            topology,
            hello,
            recovery,
            started: now.wall,
            figures: Figures::default(),
            asks: Vec::new(),
            serves: Vec::new(),
        })
    }

    /// How this node introduces itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The cluster as this node sees it.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// What opening the store found.
    pub fn recovery(&self) -> &storage::Recovery {
        &self.recovery
    }

    /// When it was opened.
    pub fn started(&self) -> WallTime {
        self.started
    }

    /// Counts since the start.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// The replica, for its figures.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// How many operations are under way.
    pub fn operations_under_way(&self) -> usize {
        self.operations.len()
    }

    /// Answers a read that this node's memory alone can answer, without an operation, a queue or a wake-up. Nothing where
    /// there is more to it; then [`Input::Client`] is the way.
    pub fn answer_at_once(&mut self, now: Moment, request: &api::Request) -> Option<Outcome> {
        let api::Command::Key(request) = &request.command else {
            return None;
        };
        let alone = answer::alone(&self.topology, request)?;
        let policy = self.topology.state.keyspace(request.keyspace)?.policy;
        let record = match self.replica.read_at_once(request.keyspace, alone.partition, &request.key)? {
            ReplicaReply::Found { synced: false, .. } if alone.needs_synced => return None,
            ReplicaReply::Found { record, .. } => Some(record),
            ReplicaReply::Absent => None,
            _ => return None,
        };
        let found = answer::found_alone(policy, record.as_ref(), now.wall).ok()?;
        self.figures.client_requests += 1;
        Some(Ok(api::Reply::Found(found)))
    }

    /// Takes an input and settles all that comes of it.
    pub fn handle(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Client(client, request) => {
                self.figures.client_requests += 1;
                self.operations.ask(now, client, request, &mut self.asks);
            }
            Input::Message(from, envelope) => self.message(now, from, envelope, out),
            Input::NotSent(to, operation) => self.operations.not_sent(now, to, operation, &mut self.asks),
            Input::PeerUp(hello) => {
                self.set_topology(self.topology.with_reachable(hello.node, hello.incarnation));
            }
            Input::PeerLost(peer) => {
                self.set_topology(self.topology.with_unreachable(peer));
                self.operations.peer_lost(now, peer, &mut self.asks);
            }
            Input::Completed(completion) => self.completed(now, completion),
            Input::Timer => self.operations.timer(now, &mut self.asks),
        }
        self.settle(now, out);
    }

    /// Ends a turn: what was written is handed to the operating system in one write, and what may follow from it.
    pub fn end_turn(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.replica.end_turn(now, &mut self.serves);
        self.settle(now, out);
    }

    /// Ends the node in good order: everything that was taken is made durable. Blocks.
    ///
    /// # Errors
    /// What the commit log said; then what was acknowledged without a sync may be lost in a power cut.
    pub fn close(self) -> Result<(), storage::LogError> {
        self.replica.close().close()
    }

    /// When [`Input::Timer`] is due, and a turn is to be ended, though nothing else happens.
    pub fn next_timer(&self) -> Option<Instant> {
        let timers = [self.operations.next_timer(), self.replica.next_timer()];
        timers.into_iter().flatten().min()
    }

    fn message(&mut self, now: Moment, from: NodeId, envelope: Envelope, out: &mut Vec<Output>) {
        self.figures.peer_messages += 1;
        let Envelope { operation, round, epoch, partition, deadline_ms, body } = envelope;
        let ticket = Ticket {
            from,
            operation,
            round,
            partition,
            until: now.mono + Duration::from_millis(u64::from(deadline_ms)),
        };
        match body {
            Body::Ping => out.push(Output::Send(from, self.envelope(ticket, Body::Pong))),
            Body::Pong => {}
            Body::Reply(reply) => {
                self.operations.replied(now, from, (operation, round), reply, &mut self.asks);
            }
            Body::Request(_) if epoch < self.topology.state.epoch() => {
                let reply = ReplicaReply::StaleEpoch { newest: self.topology.state.epoch() };
                out.push(Output::Send(from, self.envelope(ticket, Body::Reply(reply))));
            }
            Body::Request(ReplicaRequest::Forward(passed)) => {
                self.operations.passed(now, ticket, deadline_ms, *passed, &mut self.asks);
            }
            Body::Request(request) => self.replica.serve(now, ticket, request, &mut self.serves),
        }
    }

    fn completed(&mut self, now: Moment, completion: Completion) {
        match completion {
            Completion::Sync(outcome) => self.replica.synced(outcome, &mut self.serves),
            Completion::Read(token, outcome) => self.replica.read_done(now, token, outcome, &mut self.serves),
            Completion::Scan(token, outcome) => self.replica.scan_done(now, token, outcome, &mut self.serves),
            Completion::Background(outcome) => self.replica.installed(now, outcome, &mut self.serves),
        }
    }

    fn settle(&mut self, now: Moment, out: &mut Vec<Output>) {
        while !self.asks.is_empty() || !self.serves.is_empty() {
            let mut asks = std::mem::take(&mut self.asks);
            for effect in asks.drain(..) {
                self.carry_ask(now, effect, out);
            }
            give_back(&mut self.asks, asks);
            let mut serves = std::mem::take(&mut self.serves);
            for effect in serves.drain(..) {
                self.carry_serve(now, effect, out);
            }
            give_back(&mut self.serves, serves);
        }
    }

    fn carry_ask(&mut self, now: Moment, effect: coordinator::Effect, out: &mut Vec<Output>) {
        match effect {
            coordinator::Effect::Send(to, envelope) => out.push(Output::Send(to, envelope)),
            coordinator::Effect::Serve(ticket, request) => {
                self.replica.serve(now, ticket, request, &mut self.serves);
            }
            coordinator::Effect::Make(ticket, make) => {
                self.replica.make(now, ticket, *make, &mut self.serves);
            }
            coordinator::Effect::Show(keyspace, key, operation) => {
                self.replica.show(keyspace, &key, operation);
            }
            coordinator::Effect::Answer(client, outcome) => out.push(Output::Answer(client, outcome)),
        }
    }

    fn carry_serve(&mut self, now: Moment, effect: replica::Effect, out: &mut Vec<Output>) {
        match effect {
            replica::Effect::Reply(ticket, reply) if ticket.from == self.topology.here => {
                let at = (ticket.operation, ticket.round);
                self.operations.replied(now, ticket.from, at, reply, &mut self.asks);
            }
            replica::Effect::Reply(ticket, reply) => {
                out.push(Output::Send(ticket.from, self.envelope(ticket, Body::Reply(reply))));
            }
            replica::Effect::Made(ticket, made) => {
                self.operations.made(now, ticket.operation, made, &mut self.asks);
            }
            replica::Effect::Read(token, job) => {
                self.figures.cold_reads += 1;
                out.push(Output::Run(Job::Read(token, job)));
            }
            replica::Effect::Scan(token, job) => out.push(Output::Run(Job::Scan(token, job))),
            replica::Effect::Sync(job) => {
                self.figures.syncs += 1;
                out.push(Output::Run(Job::Sync(job)));
            }
            replica::Effect::Background(job) => out.push(Output::Run(Job::Background(job))),
            replica::Effect::Stop(why) => out.push(Output::Stop(why)),
        }
    }

    fn envelope(&self, ticket: Ticket, body: Body) -> Envelope {
        Envelope {
            operation: ticket.operation,
            round: ticket.round,
            epoch: self.topology.state.epoch(),
            partition: ticket.partition,
            deadline_ms: 0,
            body,
        }
    }

    fn set_topology(&mut self, topology: Topology) {
        self.topology = Arc::new(topology);
        self.operations.set_topology(Arc::clone(&self.topology));
    }
}

/// Keeps the capacity of a drained list, unless something has been put into its place meanwhile.
fn give_back<T>(place: &mut Vec<T>, drained: Vec<T>) {
    if place.is_empty() && place.capacity() < drained.capacity() {
        *place = drained;
    }
}

fn check_state(dir: &std::path::Path, identity: &Identity, state: &ClusterState) -> Result<(), OpenError> {
    if identity.is_new {
        return Ok(());
    }
    let kept = ClusterState::decode(&identity.state)
        .map_err(|error| OpenError::State { path: dir.to_owned(), why: error.to_string() })?;
    let differences = kept.diff(state);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(OpenError::Changed { path: dir.to_owned(), differences })
    }
}
