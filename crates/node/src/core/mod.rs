//! A shard without I/O: inputs in, outputs out.
//!
//! It routes between two machines: the coordinator's operations, which ask owners, and the replica, which is one. What an
//! operation asks of this node itself takes the same path as what a peer asks. An input is settled completely (all effects
//! of its effects) before the next; then, at the end of a turn, the commit log is written once for all of them.
//!
//! A node with one shard is that shard. In a node with more each has its own partitions, operations and store, and what
//! belongs to another is passed on: `crossing` says how, `batch` parts what belongs to several, `open` makes them. The first
//! shard gossips for all: `liveness` is the gossip, `sights` what a shard makes of it, `hearing` how the two meet. `lives` is what
//! the node remembers of its peers, and `tide` what they remember of it. `relaying` passes on what came from another data center.

mod amounts;
mod batch;
mod crossing;
mod going_by;
pub(crate) mod governing;
mod hearing;
mod held;
mod liveness;
mod lives;
mod load;
mod open;
mod relaying;
mod sights;
mod tide;

use std::sync::Arc;
use std::time::Duration;

use api::Outcome;
use cluster::Topology;
use coordinator::{Operations, answer};
use env::Rng;
use replica::handoff::is_own;
use replica::{Identity, IdentityError, Replica, Ticket};
use types::{Instant, Moment, NodeId, OperationId, ShardId};
use wire::{Body, Envelope, Hello, Refusal, ReplicaReply, ReplicaRequest, WritePath};

use self::open::Home;
pub use crossing::{Asker, Passed};
pub use governing::{Shown as Governed, known_state};
pub use liveness::{Evidence, Figures as GossipFigures, Liveness, LivenessError};
pub use lives::{FILE as LIVES_FILE, Lives};
pub use open::{Directory, NodeOptions, OpenError, Secret};

use self::batch::Batches;
use self::governing::Governing;
use self::held::{HeldBack, Routed, is_by_partition};
use self::sights::Sights;
use self::tide::Tide;
use crate::heat::{Access, Heat};
use crate::job::{Completion, Job};
use crate::shards::Shards;

/// What happens to a shard.
#[derive(Debug)]
pub enum Input {
    /// A client asks; the number comes back with the answer.
    Client(u64, api::Request),
    /// The same of one whose request has waited so long for this shard's thread.
    ClientWaited(u64, Duration, api::Request),
    /// What becomes ready on this shard's thread has to wait so long for its turn.
    Delayed(Duration),
    /// A shard of a peer says something.
    Message(Sender, Envelope),
    /// A message to a peer provably never left.
    NotSent(NodeId, OperationId),
    /// The same of what was to be passed on to it for another node.
    NotPassedOn(NodeId, Box<Envelope>),
    /// Another shard of this node passes something on; it has waited so long.
    Passed(ShardId, Duration, Passed),
    /// What was to be passed on to another shard could not be: it has too much to take in.
    NotPassed(ShardId, Passed),
    /// A peer that belongs here can be reached.
    PeerUp(Hello),
    /// A peer that belongs here has made a connection with this node, and says who it is.
    Introduced(Hello),
    /// A peer has let this node not in, because it has seen a later life of it; in words.
    Superseded(String),
    /// A peer has let this node not in, because it is no member any more; in words.
    Removed(String),
    /// A peer cannot be reached any more; what was under way to it may or may not have arrived.
    PeerLost(NodeId),
    /// A peer was asked whether it is there, and did or did not say so.
    Evidence(NodeId, Evidence),
    /// A datagram came; who sent it is known once it is opened. For the shard that gossips.
    Datagram(Vec<u8>),
    /// The node has so much to do. For the shard that gossips.
    Load(api::NodeLoad),
    /// A job has ended.
    Completed(Completion),
    /// The time that [`Shard::next_timer`] named has come.
    Timer,
}

/// A shard of a node, as the other end of a conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sender {
    /// The node.
    pub node: NodeId,
    /// Its shard.
    pub shard: ShardId,
}

/// What people should hear of when it happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Noticed {
    /// The node takes a peer for something else than before.
    Peer(gossip::Change),
    /// Something was found damaged, or has come back.
    Damage(replica::healing::News),
}

/// What a shard wants done, in order.
#[derive(Debug)]
pub enum Output {
    /// Answer a client.
    Answer(u64, Outcome),
    /// Ask a peer, by the connection that this shard made.
    Send(NodeId, Envelope),
    /// Ask a peer on behalf of another one, by the same connection.
    PassOn(NodeId, Envelope),
    /// Reply to a shard of a peer, by the connection that it made.
    Reply(Sender, Envelope),
    /// Pass something on to another shard of this node.
    Pass(ShardId, Passed),
    /// Send a node's peers this datagram; it may be lost.
    Datagram(NodeId, Vec<u8>),
    /// Tell people, and whoever watches.
    Noticed(Noticed),
    /// Give up this life of the data directory ([`Shard::renounce`]) and stop, because of this.
    Renounce(String),
    /// Run a job and hand its completion back.
    Run(Job),
    /// Stop in good order: the node is no member any more.
    Left(String),
    /// Stop at once: nothing can be promised any more.
    Stop(String),
}

/// One shard of a node, or all of it.
#[derive(Debug)]
pub struct Shard {
    index: ShardId,
    shards: Shards,
    replica: Replica,
    operations: Operations,
    topology: Arc<Topology>,
    hello: Hello,
    recovery: storage::Recovery,
    figures: Figures,
    heat: Heat,
    sights: Sights,
    /// Whether it may lack something because of how the life of its data directory began.
    lacks: bool,
    /// In the shard that speaks for all: how many of them do.
    lacking: usize,
    lives: Lives,
    tide: Tide,
    home: Home,
    /// The node's gossip, in the shard that speaks for all.
    liveness: Option<Liveness>,
    /// Of this shard's clients.
    batches: Batches,
    held: HeldBack,
    /// What the node does about the cluster state, in the shard that speaks for all.
    governing: Option<Governing>,
    /// How far this shard is, as it was told last.
    told_report: Option<cluster::Report>,
    looking: amounts::Looking,
    /// Reused from input to input.
    asks: Vec<coordinator::Effect>,
    serves: Vec<replica::Effect>,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Requests of clients, counted where they are done.
    pub client_requests: u64,
    /// Requests of clients that were another shard's.
    pub passed_on: u64,
    /// Messages from peers.
    pub peer_messages: u64,
    /// Reads handed to the read threads.
    pub cold_reads: u64,
    /// Syncs of the commit log.
    pub syncs: u64,
    /// Questions of peers and of this node's other shards whose time was over when their turn came.
    pub refused_late: u64,
    /// What was not passed on because another shard had too much to take in.
    pub refused_crossing: u64,
    /// Writes of other data centers that were passed on to nodes of this one.
    pub relayed: u64,
}

impl Shard {
    /// Which of the node's shards it is.
    pub fn index(&self) -> ShardId {
        self.index
    }

    /// How the node is divided.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// How this shard introduces its node.
    pub fn hello(&self) -> Hello {
        Hello { is_new: self.replica.is_new(), past_lives: self.lives.past().collect(), ..self.hello.clone() }
    }

    /// The same, to one who has made a connection.
    pub fn hello_to(&self, caller: &Hello) -> Hello {
        let never_met = !self.replica.lacks_something() && self.lives.never_met(caller);
        Hello { never_met, ..self.hello() }
    }

    /// The cluster as this node sees it.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// What opening the store found.
    pub fn recovery(&self) -> &storage::Recovery {
        &self.recovery
    }

    /// Counts since the start.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// What is asked for most of this shard's partitions.
    pub fn heat(&self) -> &Heat {
        &self.heat
    }

    /// The replica, for its figures.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The node's gossip, if this shard speaks for all.
    pub fn liveness(&self) -> Option<&Liveness> {
        self.liveness.as_ref()
    }

    /// What is shown of movements and of who keeps the cluster state, if this shard speaks for its node.
    pub fn governed(&self) -> Option<Governed> {
        self.governing.as_ref().map(Governing::shown)
    }

    /// The coordinator's operations, for their figures.
    pub fn operations(&self) -> &Operations {
        &self.operations
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
        if self.shard_of(alone.partition) != self.index {
            return None;
        }
        let policy = self.topology.state.keyspace(request.keyspace)?.policy;
        let reply = self.replica.read_at_once(request.keyspace, alone.partition, &request.key)?;
        let bytes = record_bytes(&reply);
        let record = match reply {
            ReplicaReply::Found { synced: false, .. } if alone.needs_synced => return None,
            ReplicaReply::Found { record, .. } => Some(record),
            ReplicaReply::Absent => None,
            _ => return None,
        };
        let found = answer::found_alone(policy, record.as_ref(), now.wall).ok()?;
        self.figures.client_requests += 1;
        self.heat.asked(now.mono, alone.partition, request.keyspace, &request.key, Access::Read);
        self.heat.moved(now.mono, alone.partition, bytes);
        Some(Ok(api::Reply::Found(found)))
    }

    /// Whether who introduces himself may be let in: a member of this cluster, in no life that was followed by a later one,
    /// and nobody who is here already.
    ///
    /// # Errors
    /// Why not, in words for its operator.
    pub fn admit(&self, theirs: &Hello) -> Result<(), Refusal> {
        theirs.check(&self.hello)?;
        match self.topology.state.member(theirs.node) {
            Some(member) if member.name == theirs.name && member.standing != cluster::Standing::Gone => {}
            _ => return Err(self.stranger(theirs)),
        }
        self.lives.admit(theirs, self.sights.connected_run(theirs.node))
    }

    /// Why somebody who is no member is not let in.
    fn stranger(&self, theirs: &Hello) -> Refusal {
        let state = &self.topology.state;
        // Who knows of more than this node may know that he was let in since, or by a history that was begun again.
        if state.was_removed(theirs.node) && theirs.epoch <= state.epoch() {
            let why = format!("{} was removed from cluster `{}`", theirs.name, theirs.cluster);
            return Refusal { removed: true, ..Refusal::because(why) };
        }
        let why = format!("{} is no member of cluster `{}`", theirs.name, theirs.cluster);
        if theirs.epoch > state.epoch() {
            let behind = format!("{why} as of epoch {}, and may be one since: try again soon", state.epoch());
            return Refusal::because(behind);
        }
        Refusal::because(why)
    }

    /// Gives up the life of the data directory: it is another when it is opened next. Blocks.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn renounce(&self) -> Result<(), IdentityError> {
        Identity::renounce(self.home.disk.as_ref(), &self.home.dir, &mut Rng::from_seed(self.home.seed))
    }

    /// Takes an input and settles all that comes of it.
    pub fn handle(&mut self, now: Moment, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Client(client, request) => self.ask(now, client, request, out),
            Input::ClientWaited(client, waited, request) => {
                self.operations.waited(now.mono, waited);
                match self.operations.after_waiting(waited, request) {
                    Ok(request) => self.ask(now, client, request, out),
                    Err(error) => out.push(Output::Answer(client, Err(error))),
                }
            }
            Input::Delayed(waited) => self.operations.waited(now.mono, waited),
            Input::Message(from, envelope) => self.message(now, self.index, from, envelope, out),
            Input::Passed(from, waited, passed) => {
                self.operations.waited(now.mono, waited);
                self.take(now, from, waited, passed, out);
            }
            Input::NotPassed(to, passed) => self.not_passed(now, to, passed, out),
            Input::NotSent(to, operation) => {
                self.tell(now, to, Evidence::Failed, out);
                if is_own(operation) {
                    self.replica.not_sent(now, operation, &mut self.serves);
                } else {
                    self.operations.not_sent(now, to, operation, &mut self.asks);
                }
            }
            Input::NotPassedOn(to, envelope) => {
                self.tell(now, to, Evidence::Failed, out);
                self.not_passed_on(now, to, &envelope, out);
            }
            Input::PeerUp(hello) => self.peer_up(now, &hello, out),
            Input::Introduced(hello) => self.introduced(&hello, out),
            Input::Superseded(why) => out.push(Output::Renounce(why)),
            Input::Removed(why) => out.push(Output::Left(why)),
            Input::PeerLost(peer) => self.peer_lost(now, peer, out),
            Input::Evidence(peer, evidence) => self.tell(now, peer, evidence, out),
            Input::Datagram(sealed) => self.hear_gossip(now, &sealed, out),
            Input::Load(load) => {
                if let Some(liveness) = &mut self.liveness {
                    liveness.set_load(now, &load);
                }
            }
            Input::Completed(completion) => self.completed(now, completion, out),
            Input::Timer => {
                self.operations.timer(now, &mut self.asks);
                self.give_up_held(now, out);
                self.govern(now, out);
                self.gossip(now, out);
                self.rise(now, out);
            }
        }
        self.settle(now, out);
    }

    /// Ends a turn: what was written is handed to the operating system in one write, and what may follow from it.
    pub fn end_turn(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.replica.end_turn(now, &mut self.serves);
        self.settle(now, out);
        self.tell_how_far(now, out);
        self.tell_how_much(now, out);
        if self.lacks && !self.replica.lacks_something() {
            self.lacks = false;
            self.replica.has_caught_up();
            self.is_whole(self.index, out);
        }
    }

    /// Ends the shard in good order: everything that was taken is made durable. Blocks.
    ///
    /// # Errors
    /// What the commit log said; then what was acknowledged without a sync may be lost in a power cut.
    pub fn close(self) -> Result<(), storage::LogError> {
        self.replica.close().close()
    }

    /// When [`Input::Timer`] is due, and a turn is to be ended, though nothing else happens.
    pub fn next_timer(&self) -> Option<Instant> {
        let gossip = self.liveness.as_ref().map(Liveness::next_timer);
        let tide = self.liveness.as_ref().and_then(|_| self.tide.next_timer());
        let held = self.held.next_timer();
        let governing = self.governing.as_ref().map(Governing::next_timer);
        let timers = [self.operations.next_timer(), self.replica.next_timer(), gossip, tide, held, governing];
        timers.into_iter().flatten().min()
    }

    /// Takes a message that is this shard's.
    fn hear(&mut self, now: Moment, via: ShardId, from: Sender, envelope: Envelope, out: &mut Vec<Output>) {
        self.figures.peer_messages += u64::from(from.node != self.topology.here);
        let (via, from, mut envelope) = self.unwrapped(via, from, envelope);
        let ticket = ticket(now, via, from, &envelope);
        if from.node != self.topology.here {
            // Whoever says something has let this node in.
            self.let_in(now);
            if matches!(envelope.body, Body::Reply(_)) {
                self.tell(now, from.node, Evidence::Answered, out);
            }
        }
        if ticket.until > now.mono {
            envelope.body = match envelope.body {
                Body::Request(ReplicaRequest::Relay(relay)) => {
                    Body::Request(self.relay(now, ticket, *relay, out))
                }
                body => body,
            };
        }
        if let Body::Request(request) = &envelope.body
            && ticket.until > now.mono
        {
            match self.routed(&envelope, request) {
                // Who passed it on took the partition for another.
                Routed::Alike
                    if is_by_partition(request) && self.shard_of(envelope.partition) != self.index =>
                {
                    let at = self.shard_of(envelope.partition);
                    out.push(Output::Pass(at, Passed::Turned(via, from, envelope)));
                    return;
                }
                Routed::Alike => {}
                Routed::Before(newest) => {
                    return self.reply(now, ticket, ReplicaReply::StaleEpoch { newest }, out);
                }
                Routed::Ahead => return self.hold(now, via, from, envelope, out),
            }
        }
        let Envelope { operation, round, deadline_ms, body, .. } = envelope;
        match body {
            // Whether a connection stands is the business of whoever keeps it.
            Body::Ping | Body::Pong => {}
            Body::Govern(govern) => self.hear_govern(now, via, from, *govern, out),
            Body::Reply(reply) if is_own(operation) => {
                self.replica.replied(now, from.node, operation, reply, &mut self.serves);
            }
            Body::Reply(reply) => {
                self.operations.replied(now, from.node, (operation, round), reply, &mut self.asks);
            }
            Body::Request(_) if ticket.until <= now.mono => {
                self.figures.refused_late += 1;
                let why = "the time for it was over when its turn came".to_owned();
                self.reply(now, ticket, ReplicaReply::Failed { why }, out);
            }
            Body::Request(ReplicaRequest::Forward(passed)) => match self.replica.cannot_make(&passed.request)
            {
                Some(why) => self.reply(now, ticket, ReplicaReply::Failed { why }, out),
                None => self.operations.passed(now, ticket, deadline_ms, *passed, &mut self.asks),
            },
            Body::Request(ReplicaRequest::Unname) => self.unname(now, ticket, out),
            Body::Request(ReplicaRequest::Collect(ask)) => {
                let under_way = self.operations.under_way();
                self.replica.collect(now, ticket, &ask, under_way, &mut self.serves);
            }
            Body::Request(request) => self.ask_replica(now, ticket, request),
        }
    }

    /// Hands the replica what it is asked, and takes note of what clients ask of it.
    fn ask_replica(&mut self, now: Moment, ticket: Ticket, request: ReplicaRequest) {
        let at = (now.mono, ticket.partition);
        match &request {
            ReplicaRequest::Read { keyspace, key, in_place_of: None }
            | ReplicaRequest::ReadCovering { keyspace, key, .. } => {
                self.heat.asked(at.0, at.1, *keyspace, key, Access::Read);
            }
            ReplicaRequest::Write { keyspace, key, record, path, in_place_of: None }
                if *path != WritePath::Merge =>
            {
                self.heat.asked(at.0, at.1, *keyspace, key, Access::Write);
                self.heat.moved(at.0, at.1, record.len());
            }
            _ => {}
        }
        self.replica.serve(now, ticket, request, &mut self.serves);
    }

    fn completed(&mut self, now: Moment, completion: Completion, out: &mut Vec<Output>) {
        match completion {
            Completion::Sync(outcome) => self.replica.synced(outcome, &mut self.serves),
            Completion::Read(token, outcome) => self.replica.read_done(now, token, outcome, &mut self.serves),
            Completion::Scan(token, outcome) => self.replica.scan_done(now, token, outcome, &mut self.serves),
            Completion::Background(outcome) => self.replica.installed(now, outcome, &mut self.serves),
            Completion::Rose(outcome) => self.risen(now, outcome, out),
            Completion::Govern(done) => self.govern_done(now, done, out),
            Completion::Settled(Err(error)) => {
                tracing::warn!(%error, "that the node has caught up could not be written down");
            }
            Completion::Settled(Ok(())) | Completion::Remembered(Ok(())) => {}
            Completion::Remembered(Err(error)) => {
                tracing::warn!(%error, "which lives peers are in could not be written down");
            }
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
            coordinator::Effect::Serve(ticket, request) => self.serve(now, ticket, request, out),
            coordinator::Effect::Make(ticket, make) => {
                if make.in_place_of.is_none() {
                    self.heat.asked(now.mono, ticket.partition, make.keyspace, &make.key, Access::Write);
                    self.heat.moved(now.mono, ticket.partition, make.bytes());
                }
                self.replica.make(now, ticket, *make, &mut self.serves);
            }
            coordinator::Effect::Show { keyspace, key, in_place_of, operation } => {
                self.replica.show(keyspace, &key, in_place_of, operation);
            }
            coordinator::Effect::Answer(token, outcome) => self.answer(token, outcome, out),
            coordinator::Effect::NotTaken(ticket, newest) => {
                self.reply(now, ticket, ReplicaReply::StaleEpoch { newest }, out);
            }
            coordinator::Effect::News { from, .. } => self.ask_for_news(from, out),
            coordinator::Effect::NotAsNamed(ticket) => {
                self.reply(now, ticket, ReplicaReply::NotAsNamed, out);
            }
            coordinator::Effect::Forwarded(ticket, outcome) => {
                self.reply(now, ticket, ReplicaReply::Forwarded(Box::new(outcome)), out);
            }
        }
    }

    fn carry_serve(&mut self, now: Moment, effect: replica::Effect, out: &mut Vec<Output>) {
        match effect {
            replica::Effect::Reply(ticket, reply) => {
                if matches!(reply, ReplicaReply::Found { .. }) {
                    self.heat.moved(now.mono, ticket.partition, record_bytes(&reply));
                }
                self.reply(now, ticket, reply, out);
            }
            replica::Effect::Ask { to, operation, partition, patience, request } => {
                let state = &self.topology.state;
                let envelope = Envelope {
                    operation,
                    round: 0,
                    epoch: match request.keyspace() {
                        Some(keyspace) => state.since_in(keyspace, partition),
                        None => state.since(partition),
                    },
                    partition,
                    deadline_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
                    body: Body::Request(request),
                };
                if to == self.topology.here {
                    let from = Sender { node: to, shard: self.index };
                    self.hear(now, self.index, from, envelope, out);
                } else {
                    out.push(Output::Send(to, envelope));
                }
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
            replica::Effect::Noticed(news) => out.push(Output::Noticed(Noticed::Damage(news))),
            replica::Effect::Stop(why) => out.push(Output::Stop(why)),
        }
    }

    fn envelope(&self, ticket: Ticket, body: Body) -> Envelope {
        Envelope {
            operation: ticket.operation,
            round: ticket.round,
            epoch: ticket.epoch,
            partition: ticket.partition,
            deadline_ms: 0,
            body,
        }
    }

    fn set_topology(&mut self, now: Moment, topology: Topology) {
        self.topology = Arc::new(topology);
        self.operations.set_topology(now, Arc::clone(&self.topology), &mut self.asks);
    }
}

/// How many bytes of a record a reply has.
fn record_bytes(reply: &ReplicaReply) -> usize {
    match reply {
        ReplicaReply::Found { record, .. } => record.len(),
        _ => 0,
    }
}

/// Keeps the capacity of a drained list, unless something has been put into its place meanwhile.
fn give_back<T>(place: &mut Vec<T>, drained: Vec<T>) {
    if place.is_empty() && place.capacity() < drained.capacity() {
        *place = drained;
    }
}

/// Whom to answer about a message, and how.
fn ticket(now: Moment, via: ShardId, from: Sender, envelope: &Envelope) -> Ticket {
    Ticket {
        from: from.node,
        of: from.shard,
        via,
        operation: envelope.operation,
        round: envelope.round,
        partition: envelope.partition,
        epoch: envelope.epoch,
        until: now.mono + Duration::from_millis(u64::from(envelope.deadline_ms)),
    }
}
