//! All operations of this node: begun here, told what concerns them, ended by their deadline.
//!
//! An operation is a machine (a get, a mutation, ...), its target and whoever waits for its answer. Machines list steps;
//! here these become effects for the node, addressed and numbered. What must hold: every operation that is in the table
//! has a deadline in `wakes`, and the table is bounded: beyond the bound a request is refused, early and cheaply (J1). An operation
//! goes by one state until it hears of another by which the owners of its key, or the settings of its keyspace, are others ([`news`]).

mod admission;
mod begin;
mod beside;
mod delay;
mod ids;
mod news;
mod outcome;
mod wakes;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use api::{Outcome, Reply};
use cluster::Topology;
use replica::collection::fence::UnderWay;
use replica::{Made, Make, MakeError, Ticket};
use types::{Epoch, Instant, KeyspaceId, Moment, NodeId, OperationId, ShardId};
use wire::{Body, Envelope, ReplicaReply, ReplicaRequest};

pub use self::admission::Refusals;
pub use self::beside::{Alone, Beside};

use self::delay::Delay;
use self::ids::ById;
use self::news::{ROUNDS_BEFORE_NEWS, Turned};
use self::wakes::Wakes;
use crate::explain::Explain;
use crate::forward::Forward;
use crate::get::Get;
use crate::mutation::Mutation;
use crate::pace::{Figures, Pace, Share};
use crate::repairs::{self, Repairs};
use crate::settle::REPAIR_ROUND;
use crate::target::{Event, Failure, Step, Target, Turn};
use crate::walk::Walk;

/// What the node is to do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Send a peer this message.
    Send(NodeId, Envelope),
    /// Hand this node's own replica a request.
    Serve(Ticket, ReplicaRequest),
    /// Have this node's own replica make a record.
    Make(Ticket, Box<Make>),
    /// Have this node's own replica show what an operation wrote.
    Show {
        /// Of this keyspace.
        keyspace: KeyspaceId,
        /// Which key.
        key: bytes::Bytes,
        /// For which owner this node stands in; nothing where it is one.
        in_place_of: Option<NodeId>,
        /// Which operation.
        operation: OperationId,
    },
    /// Answer a client.
    Answer(u64, Outcome),
    /// Tell a peer what came of the write that it passed on.
    Forwarded(Ticket, Outcome),
    /// Tell a peer that the write that it passed on cannot be made as the peer has named it.
    NotAsNamed(Ticket),
    /// Tell a peer that the write that it passed on was routed by earlier owners or settings than those since this epoch, and that
    /// nothing was made of it.
    NotTaken(Ticket, Epoch),
    /// Hear from a node what the cluster state is: it goes by this epoch or a later one, and operations here wait for it.
    News {
        /// Who knows.
        from: NodeId,
        /// Since when the owners or settings are others.
        epoch: Epoch,
    },
}

/// Where the ids of one table of operations come from. What must hold: no two tables of one incarnation share an id, and
/// from an id it can be told which table minted it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids {
    /// Above all that this incarnation ever used; a multiple of `shards`.
    pub first: u64,
    /// Whose operations they name.
    pub shard: ShardId,
    /// How many tables mint side by side: ids of one are as far apart.
    pub shards: u8,
}

impl Ids {
    /// The ids of a node that has one table.
    pub fn alone(first: u64) -> Ids {
        Ids { first, shard: ShardId(0), shards: 1 }
    }
}

/// Who waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A client of this node, by the number that its front end gave the request.
    Client(u64),
    /// A peer that passed a client's write on.
    Peer(Ticket),
    /// A batch of this node, of which this is one key.
    Batch(OperationId, usize),
}

/// Bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How long a request may take where its client does not say, and at the most where it does.
    pub timeout: Duration,
    /// How many operations may be under way at once.
    pub operations_max: usize,
    /// How many bytes of values may be under way at once.
    pub bytes_max: usize,
    /// How many answered writes may go on counting acknowledgements at once.
    pub lingering_max: usize,
    /// How often owners may be asked in addition, because others are late.
    pub hedges: Share,
    /// How often something may be asked again after a refusal.
    pub retries: Share,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout: Duration::from_secs(5),
            operations_max: 32 * 1024,
            bytes_max: 256 * 1024 * 1024,
            lingering_max: 16 * 1024,
            hedges: Share { percent: 10, per_second: 10, burst: 32 },
            retries: Share { percent: 25, per_second: 50, burst: 256 },
        }
    }
}

/// A table takes at least so much, however many share the limits: less would refuse single requests of many keys.
const OPERATIONS_AT_LEAST: usize = 8 * 1024;
const BYTES_AT_LEAST: usize = 32 * 1024 * 1024;

impl Options {
    /// The same for one of so many tables that share these limits. A small part is rounded up.
    #[must_use]
    pub fn divided(self, by: usize) -> Options {
        let part = |limit: usize, at_least: usize| (limit / by.max(1)).max(at_least.min(limit));
        Options {
            operations_max: part(self.operations_max, OPERATIONS_AT_LEAST),
            bytes_max: part(self.bytes_max, BYTES_AT_LEAST),
            lingering_max: part(self.lingering_max, 0),
            hedges: self.hedges.divided(by),
            retries: self.retries.divided(by),
            ..self
        }
    }
}

/// How many ended writes are remembered for those who ask later how many owners acknowledged them.
const PAST_MAX: usize = 4096;

/// The table of operations.
#[derive(Debug)]
pub struct Operations {
    options: Options,
    topology: Arc<Topology>,
    ids: Ids,
    last_id: u64,
    by_id: HashMap<OperationId, Operation, ById>,
    batches: BTreeMap<OperationId, Batch>,
    /// When each operation is to be woken next; its deadline at the latest.
    wakes: Wakes,
    /// Answered writes that still count acknowledgements, oldest first; may name ended ones.
    lingering: VecDeque<OperationId>,
    /// Waits for acknowledgements, by the write that they wait on.
    awaiting: BTreeMap<OperationId, Vec<OperationId>>,
    /// Writes that wait until who passed them on leaves it to this node to name them: by who that is, and his operation.
    unnaming: BTreeMap<(NodeId, OperationId), OperationId>,
    past: VecDeque<(OperationId, u8)>,
    unanswered: usize,
    bytes: usize,
    pace: Pace,
    repairs: Repairs,
    delay: Delay,
    refusals: Refusals,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Operation {
    machine: Machine,
    target: Option<Target>,
    /// How often it was told that its owners or settings are others.
    news: u8,
    /// Its rounds count from here: those before it were asked for nothing.
    first_round: u32,
    origin: Option<Origin>,
    deadline: Instant,
    wake: Instant,
    bytes: usize,
}

#[derive(Debug)]
enum Machine {
    Get(Box<Get>),
    Mutation(Box<Mutation>),
    Forward(Box<Forward>),
    Walk(Box<Walk>),
    Explain(Box<Explain>),
    Await { write: OperationId, replicas: u8 },
}

#[derive(Debug)]
struct Batch {
    origin: Origin,
    missing: usize,
    outcomes: Vec<Option<Outcome>>,
}

impl Operations {
    /// Which operations are under way, for who waits until those that there are now have ended.
    pub fn under_way(&self) -> UnderWay {
        let next = OperationId(self.last_id + u64::from(self.ids.shards));
        let batches = self.batches.keys().next().copied();
        let oldest = self.by_id.keys().copied().chain(batches).min();
        UnderWay { next, oldest }
    }

    /// An empty table.
    pub fn new(topology: Arc<Topology>, ids: Ids, options: Options) -> Operations {
        Operations {
            options,
            topology,
            ids,
            last_id: ids.first + u64::from(ids.shard.0),
            by_id: HashMap::default(),
            batches: BTreeMap::new(),
            wakes: Wakes::default(),
            lingering: VecDeque::new(),
            awaiting: BTreeMap::new(),
            unnaming: BTreeMap::new(),
            past: VecDeque::new(),
            unanswered: 0,
            bytes: 0,
            pace: Pace::new(options.hedges, options.retries),
            repairs: Repairs::default(),
            delay: Delay::default(),
            refusals: Refusals::default(),
            steps: Vec::new(),
        }
    }

    /// The cluster has changed, or who is reachable in it. Operations under way go on with what they began with, but for those
    /// whose owners or settings are others by now.
    pub fn set_topology(&mut self, now: Moment, topology: Arc<Topology>, out: &mut Vec<Effect>) {
        for member in topology.state.members() {
            if topology.is_reachable(member.id) && !self.topology.is_reachable(member.id) {
                self.pace.reconnected(member.id);
            }
        }
        let is_another_state = topology.state.epoch() != self.topology.state.epoch();
        self.topology = topology;
        if is_another_state {
            self.tell_the_news(now, out);
        }
    }

    /// The cluster as operations that begin now see it.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// How many operations are under way.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What has been asked twice, and what was not.
    pub fn pace_figures(&self) -> Figures {
        self.pace.figures
    }

    /// What has been sent to owners that were found behind, and what was not.
    pub fn repair_figures(&self) -> repairs::Figures {
        self.repairs.figures
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// An owner, this node's replica or a peer's, has answered.
    pub fn replied(
        &mut self,
        now: Moment,
        from: NodeId,
        (operation, round): (OperationId, u32),
        reply: ReplicaReply,
        out: &mut Vec<Effect>,
    ) {
        if let ReplicaReply::StaleEpoch { newest } = reply {
            self.ask_for_news(from, newest, out);
        }
        let first_round = self.by_id.get(&operation).map_or(round, |one| one.first_round);
        if let Some(round) = round.checked_sub(first_round)
            && self.tell(now, operation, Event::Reply { from, round, reply }, out)
        {
            return;
        }
        // A read that nobody waits to be repaired is over before those that are behind answer.
        if round % ROUNDS_BEFORE_NEWS != REPAIR_ROUND || !self.repairs.answered(from, operation) {
            self.pace.answered_too_late(now.mono, from, operation);
        }
    }

    /// This node's replica has made a record, or could not.
    pub fn made(
        &mut self,
        now: Moment,
        operation: OperationId,
        made: Result<Made, MakeError>,
        out: &mut Vec<Effect>,
    ) {
        self.tell(now, operation, Event::Made(made), out);
    }

    /// A question could not be sent to a peer.
    pub fn not_sent(&mut self, now: Moment, to: NodeId, operation: OperationId, out: &mut Vec<Effect>) {
        if !self.tell(now, operation, Event::Failed { from: to, failure: Failure::NotSent }, out) {
            self.repairs.answered(to, operation);
        }
    }

    /// The connection to a peer is lost, with all that was under way on it.
    pub fn peer_lost(&mut self, now: Moment, peer: NodeId, out: &mut Vec<Effect>) {
        self.pace.reconnected(peer);
        self.repairs.lost(peer);
        let mut concerned: Vec<OperationId> = self.by_id.keys().copied().collect();
        concerned.sort_unstable();
        for id in concerned {
            self.tell(now, id, Event::Failed { from: peer, failure: Failure::Lost }, out);
        }
    }

    /// When [`timer`](Self::timer) is to be called next.
    pub fn next_timer(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| at)
    }

    /// Wakes those that asked for it, and ends those whose time is up.
    pub fn timer(&mut self, now: Moment, out: &mut Vec<Effect>) {
        while let Some((at, id)) = self.wakes.first() {
            if at > now.mono {
                break;
            }
            self.wakes.remove(at, id);
            let Some(operation) = self.by_id.get_mut(&id) else {
                continue;
            };
            if operation.deadline <= now.mono {
                self.time_out(now, id, out);
            } else {
                operation.wake = operation.deadline;
                self.wakes.insert(operation.deadline, id);
                self.tell(now, id, Event::Timer, out);
            }
        }
    }

    /// False where the operation is over.
    fn tell(&mut self, now: Moment, id: OperationId, event: Event, out: &mut Vec<Effect>) -> bool {
        let Some(operation) = self.by_id.get_mut(&id) else {
            return false;
        };
        let mut steps = std::mem::take(&mut self.steps);
        let mut turn = Turn {
            now,
            id,
            topology: &self.topology,
            pace: &mut self.pace,
            repairs: &mut self.repairs,
            steps: &mut steps,
            is_told_of_news: operation.is_told_of_news(),
        };
        operation.step(event, &mut turn);
        self.carry_out(now, id, &mut steps, out);
        self.steps = steps;
        true
    }

    fn time_out(&mut self, now: Moment, id: OperationId, out: &mut Vec<Effect>) {
        let Some(operation) = self.by_id.get_mut(&id) else {
            return;
        };
        let outcome = match operation.machine {
            Machine::Await { write, .. } => Some(Ok(Reply::Acknowledged(self.give_up_waiting(id, write)))),
            _ => operation.timed_out(),
        };
        let Some(operation) = self.by_id.get(&id) else {
            return;
        };
        let hidden = matches!(&operation.machine, Machine::Mutation(mutation) if mutation.is_hidden());
        let mut steps = Vec::new();
        if hidden {
            steps.push(Step::Show);
        }
        steps.extend(outcome.map(Step::Answer));
        steps.push(Step::End);
        self.carry_out(now, id, &mut steps, out);
    }

    /// Turns what an operation wants into effects.
    fn carry_out(&mut self, now: Moment, id: OperationId, steps: &mut Vec<Step>, out: &mut Vec<Effect>) {
        let (mut answered, mut ended, mut turned) = (false, false, None);
        for step in steps.drain(..) {
            match step {
                Step::Anew => {
                    if let Some(operation) = self.by_id.get_mut(&id) {
                        operation.first_round += ROUNDS_BEFORE_NEWS;
                    }
                }
                Step::PassOn(write) => turned = Some(Turned::PassedOn(*write)),
                Step::MakeHere(write) => turned = Some(Turned::MadeHere(*write)),
                Step::Send(to, round, request) => self.send(now, id, to, round, request, out),
                Step::Make(round, make) => {
                    if let Some(ticket) = self.ticket(id, round) {
                        out.push(Effect::Make(ticket, make));
                    }
                }
                Step::NotAsNamed => self.ask_for_the_name(id, out),
                Step::Show => {
                    out.extend(self.by_id.get(&id).and_then(|operation| operation.show(id)));
                }
                Step::Answer(outcome) => {
                    self.answer(id, outcome, out);
                    answered = true;
                }
                Step::Wake(at) => self.wake(id, at),
                Step::End => ended = true,
            }
        }
        if ended {
            self.end(id, out);
            return;
        }
        if let Some(turned) = turned {
            self.turn_into(now, id, turned, out);
            return;
        }
        if answered {
            self.linger(id, out);
        }
        self.count_acknowledgements(id, out);
    }

    fn send(
        &mut self,
        now: Moment,
        id: OperationId,
        to: NodeId,
        round: u32,
        request: ReplicaRequest,
        out: &mut Vec<Effect>,
    ) {
        let Some(ticket) = self.ticket(id, round) else {
            return;
        };
        if to == self.topology.here {
            out.push(Effect::Serve(ticket, request));
            return;
        }
        let left = self.by_id.get(&id).map_or(Duration::ZERO, |operation| operation.deadline.since(now.mono));
        let envelope = Envelope {
            operation: id,
            round: ticket.round,
            epoch: ticket.epoch,
            partition: ticket.partition,
            deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX),
            body: Body::Request(request),
        };
        out.push(Effect::Send(to, envelope));
    }

    fn ticket(&self, id: OperationId, round: u32) -> Option<Ticket> {
        let operation = self.by_id.get(&id)?;
        let target = operation.target()?;
        let (partition, epoch) = (target.partition, target.since());
        let round = operation.first_round + round;
        let (from, shard) = (self.topology.here, self.ids.shard);
        Some(Ticket {
            from,
            of: shard,
            via: shard,
            operation: id,
            round,
            partition,
            epoch,
            until: operation.deadline,
        })
    }

    fn wake(&mut self, id: OperationId, at: Instant) {
        let Some(operation) = self.by_id.get_mut(&id) else {
            return;
        };
        if at < operation.wake {
            self.wakes.remove(operation.wake, id);
            operation.wake = at;
            self.wakes.insert(at, id);
        }
    }

    fn end(&mut self, id: OperationId, out: &mut Vec<Effect>) {
        let Some(operation) = self.by_id.remove(&id) else {
            return;
        };
        self.wakes.remove(operation.wake, id);
        self.bytes -= operation.bytes;
        match &operation.machine {
            Machine::Mutation(mutation) => {
                if mutation.asks_for_the_name() {
                    self.unnaming.retain(|_, waiting| *waiting != id);
                }
                self.remember(id, mutation.acknowledged(), out);
            }
            Machine::Forward(forward) if forward.acknowledged() > 0 => {
                self.remember(id, forward.acknowledged(), out);
            }
            _ => {}
        }
    }
}

impl Operation {
    /// What it is about now.
    fn target(&self) -> Option<&Target> {
        match &self.machine {
            Machine::Walk(walk) => walk.target(),
            _ => self.target.as_ref(),
        }
    }

    /// What shows readers here what this operation wrote.
    fn show(&self, operation: OperationId) -> Option<Effect> {
        let target = self.target.as_ref()?;
        let in_place_of = match &self.machine {
            Machine::Mutation(mutation) => mutation.in_place_of(),
            _ => None,
        };
        let (keyspace, key) = (target.keyspace_id, target.key.clone());
        Some(Effect::Show { keyspace, key, in_place_of, operation })
    }

    fn step(&mut self, event: Event, turn: &mut Turn<'_>) {
        match (&mut self.machine, &self.target) {
            (Machine::Get(get), Some(target)) => get.step(target, event, turn),
            (Machine::Mutation(mutation), Some(target)) => mutation.step(target, event, turn),
            (Machine::Forward(forward), Some(target)) => forward.step(target, event, turn),
            (Machine::Explain(explain), Some(target)) => explain.step(target, event, turn),
            (Machine::Walk(walk), _) => walk.step(event, turn),
            (Machine::Await { .. }, _) | (_, None) => {}
        }
    }

    /// What to say to whoever still waits, now that the time is up.
    fn timed_out(&mut self) -> Option<Outcome> {
        match (&mut self.machine, &self.target) {
            (Machine::Get(get), Some(target)) => Some(Err(get.timed_out(target))),
            (Machine::Mutation(mutation), Some(target)) => mutation.timed_out(target).map(Err),
            (Machine::Forward(forward), Some(target)) => Some(Err(forward.timed_out(target))),
            (Machine::Explain(explain), Some(target)) => {
                Some(Ok(Reply::Explain(Box::new(explain.explanation(target)))))
            }
            (Machine::Walk(walk), _) => Some(walk.timed_out()),
            (Machine::Await { .. }, _) | (_, None) => None,
        }
    }
}
