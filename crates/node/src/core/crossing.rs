//! What passes between the shards of one node.
//!
//! A client's connection belongs to one shard, and what it asks to that of the key; a peer's connection likewise, and what
//! comes by it. Whoever takes something in that is another shard's passes it on whole, once, and what comes of it returns
//! the same way: an answer to the shard of the client, a reply to the shard of the connection that the question came by.
//!
//! What must hold: a thing is passed on at most once in each direction, for which shard has a key or an operation
//! depends on nothing that changes ([`Shards`](crate::shards::Shards)); and a shard of a node with one passes nothing. But a
//! question names a partition, and what that is may not have been known to who passed it on: then it is passed on once more
//! ([`Passed::Turned`]), by whoever knows, and is answered the way that it came.

use std::sync::Arc;
use std::time::Duration;

use api::{Change, Command, Error, Outcome, Request};
use cluster::{ClusterState, Report};
use replica::Ticket;
use replica::handoff::is_own;
use types::{Incarnation, Moment, NodeId, PartitionId, ShardId};
use wire::{Body, Envelope, ReplicaReply, ReplicaRequest};

use super::amounts::Amounts;
use super::hearing::SPEAKER;
use super::lives::Run;
use super::{Evidence, Output, Sender, Shard};
use crate::shards::Home;

/// How many batches over several shards may be under way at once.
const BATCHES_MAX: usize = 4096;

/// From one shard of a node to another.
#[derive(Debug)]
pub enum Passed {
    /// A client of that shard asks about what is this one's.
    Ask(Asker, Request),
    /// What came of it.
    Answer(Asker, Outcome),
    /// A message of this node or a peer: a question about a partition of this shard, or a reply to an operation of its.
    Message(Sender, Envelope),
    /// A question that came by a connection of another shard, and is this one's by the partitions that there are now.
    Turned(ShardId, Sender, Envelope),
    /// A reply for a peer whose question came by a connection of this shard.
    Reply(Sender, Envelope),
    /// A client of the node wants all that it owns compared with other owners.
    Repair,
    /// For the shard that gossips: a peer has answered a request of this shard, or failed one.
    Evidence(NodeId, Evidence),
    /// From that shard: the node takes a peer for down, or does so no more.
    Found(NodeId, bool),
    /// For the shard that speaks for all: this one lacks nothing any more because of how the node's life began.
    Whole(ShardId),
    /// A run of a peer was let in, whose directory had come so far.
    Met(NodeId, Run, u32),
    /// Lives that are over.
    PastLives(Vec<Incarnation>),
    /// A run of a peer has come so far.
    Rose(NodeId, Run, u32),
    /// The disk of a peer is full, or is so no more.
    Disk(NodeId, bool),
    /// From the shard that speaks for all: this state is to be gone by.
    State(Arc<ClusterState>),
    /// For that shard: this one is so far.
    Progress(ShardId, Report),
    /// For that shard: about so much this one has of its partitions.
    Amounts(ShardId, Amounts),
    /// For that shard: a peer goes by a later state.
    Behind(NodeId),
}

/// For whom a shard asks another: a client, or a part of a client's batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker(u64);

impl Asker {
    fn client(number: u64) -> Asker {
        Asker(number << 1)
    }

    fn part(number: u64) -> Asker {
        Asker((number << 1) | 1)
    }

    /// As the coordinator's operations know who asked: with the shard to which the answer goes.
    fn token(self, of: ShardId) -> u64 {
        (self.0 << 8) | u64::from(of.0)
    }

    fn of_token(token: u64) -> (ShardId, Asker) {
        (ShardId(token.to_le_bytes()[0]), Asker(token >> 8))
    }
}

impl Shard {
    /// A client of this shard asks.
    pub(super) fn ask(&mut self, now: Moment, client: u64, request: Request, out: &mut Vec<Output>) {
        if matches!(request.command, Command::Repair) {
            self.replica.repair(now);
            let others = self.shards.iter().filter(|shard| *shard != self.index);
            out.extend(others.map(|shard| Output::Pass(shard, Passed::Repair)));
        }
        match self.shards.home(&request.command) {
            Home::One(shard) => self.ask_at(now, shard, Asker::client(client), request, out),
            Home::Any => self.ask_at(now, self.index, Asker::client(client), request, out),
            Home::Several => self.ask_in_parts(now, client, request, out),
        }
    }

    fn ask_at(&mut self, now: Moment, at: ShardId, asker: Asker, request: Request, out: &mut Vec<Output>) {
        if at == self.index {
            self.figures.client_requests += 1;
            self.begin(now, asker.token(self.index), request, out);
        } else {
            self.figures.passed_on += 1;
            out.push(Output::Pass(at, Passed::Ask(asker, request)));
        }
    }

    /// Begins what a client asks. A change that this node cannot make is another owner's to make.
    fn begin(&mut self, now: Moment, token: u64, request: Request, out: &mut Vec<Output>) {
        match request.command {
            Command::Change(change) => return self.change(now, token, *change, request.timeout, out),
            Command::Plan(change) => {
                if let Change::Recover(plan) = *change {
                    return self.plan_recovery(now, token, *plan, out);
                }
                let planned = self.plan(&change);
                return self.answer(token, planned, out);
            }
            _ => {}
        }
        self.operations.ask_beside(now, token, request, &mut self.replica, &mut self.asks);
    }

    fn ask_in_parts(&mut self, now: Moment, client: u64, request: Request, out: &mut Vec<Output>) {
        let Command::Batch(requests) = request.command else {
            return;
        };
        if self.batches.len() >= BATCHES_MAX {
            self.figures.refused_crossing += 1;
            let why =
                format!("{BATCHES_MAX} requests for keys of several shards are under way: try again later");
            out.push(Output::Answer(client, Err(Error::Overloaded(why))));
            return;
        }
        for part in self.batches.part(client, requests, self.shards) {
            let request = Request { command: Command::Batch(part.requests), timeout: request.timeout };
            self.ask_at(now, part.shard, Asker::part(part.part), request, out);
        }
    }

    /// Brings an answer of this shard's operations to whoever asked.
    pub(super) fn answer(&mut self, token: u64, outcome: Outcome, out: &mut Vec<Output>) {
        let (of, asker) = Asker::of_token(token);
        if of == self.index {
            self.answered(asker, outcome, out);
        } else {
            out.push(Output::Pass(of, Passed::Answer(asker, outcome)));
        }
    }

    fn answered(&mut self, Asker(number): Asker, outcome: Outcome, out: &mut Vec<Output>) {
        if number & 1 == 0 {
            out.push(Output::Answer(number >> 1, outcome));
        } else if let Some((client, outcome)) = self.batches.answered(number >> 1, outcome) {
            out.push(Output::Answer(client, outcome));
        }
    }

    /// Takes in what another shard has passed on.
    /// Of what is asked the time that it waited is over.
    pub(super) fn take(
        &mut self,
        now: Moment,
        from: ShardId,
        waited: Duration,
        passed: Passed,
        out: &mut Vec<Output>,
    ) {
        match passed {
            Passed::Ask(asker, request) => {
                self.figures.client_requests += 1;
                let token = asker.token(from);
                match self.operations.after_waiting(waited, request) {
                    Ok(request) => self.begin(now, token, request, out),
                    Err(error) => self.answer(token, Err(error), out),
                }
            }
            Passed::Answer(asker, outcome) => self.answered(asker, outcome, out),
            Passed::Message(sender, envelope) => {
                let envelope = shortened(envelope, waited);
                self.message(now, from, sender, envelope, out);
            }
            Passed::Turned(via, sender, envelope) => {
                let envelope = shortened(envelope, waited);
                self.hear(now, via, sender, envelope, out);
            }
            Passed::Reply(to, envelope) => out.push(Output::Reply(to, envelope)),
            Passed::Repair => {
                self.replica.repair(now);
            }
            Passed::Evidence(peer, evidence) => self.take_evidence(now, peer, evidence),
            Passed::Found(peer, is_down) => self.found(now, peer, is_down, out),
            Passed::Whole(shard) => self.is_whole(shard, out),
            Passed::Met(peer, run, tide) => self.remember(peer, run, tide, out),
            Passed::PastLives(lives) => self.learn(&lives, out),
            Passed::Rose(peer, run, tide) => {
                self.lives.rose(peer, run, tide);
            }
            Passed::Disk(peer, is_full) => self.set_topology(now, self.topology.with_disk(peer, is_full)),
            Passed::State(state) => self.adopt(now, &state, out),
            Passed::Progress(shard, report) => self.shard_is_at(now, shard, report, out),
            Passed::Amounts(shard, amounts) => self.shard_has(shard, amounts),
            Passed::Behind(peer) => self.ask_for_news(peer, out),
        }
    }

    /// Another shard has too much to take in: whoever asked is told so at once.
    pub(super) fn not_passed(&mut self, now: Moment, to: ShardId, passed: Passed, out: &mut Vec<Output>) {
        self.figures.refused_crossing += 1;
        let why =
            || format!("{to} of this node has as much to take in as it may: try again later, more slowly");
        match passed {
            Passed::Ask(asker, _) => self.answered(asker, Err(Error::Overloaded(why())), out),
            Passed::Message(from, envelope) if matches!(envelope.body, Body::Request(_)) => {
                let (via, from, envelope) = self.unwrapped(self.index, from, envelope);
                if from.node == self.topology.here {
                    self.operations.not_sent(now, from.node, envelope.operation, &mut self.asks);
                } else {
                    let ticket = super::ticket(now, via, from, &envelope);
                    self.reply(now, ticket, ReplicaReply::Failed { why: why() }, out);
                }
            }
            Passed::Turned(via, from, envelope) => {
                let ticket = super::ticket(now, via, from, &envelope);
                self.reply(now, ticket, ReplicaReply::Failed { why: why() }, out);
            }
            // What answers something was counted when it was asked, and is always taken in.
            Passed::Answer(..)
            | Passed::Message(..)
            | Passed::Reply(..)
            | Passed::Repair
            | Passed::Evidence(..)
            | Passed::Found(..)
            | Passed::Whole(..)
            | Passed::Met(..)
            | Passed::PastLives(..)
            | Passed::Rose(..)
            | Passed::Disk(..)
            | Passed::State(..)
            | Passed::Progress(..)
            | Passed::Amounts(..)
            | Passed::Behind(..) => {}
        }
    }

    /// A message that came by a connection of the shard `via`, or that it made itself.
    pub(super) fn message(
        &mut self,
        now: Moment,
        via: ShardId,
        from: Sender,
        envelope: Envelope,
        out: &mut Vec<Output>,
    ) {
        let at = match &envelope.body {
            Body::Request(_) => self.shard_of(envelope.partition),
            Body::Reply(_) => self.shards.of_operation(envelope.operation),
            Body::Govern(_) => SPEAKER,
            Body::Ping | Body::Pong => self.index,
        };
        if at == self.index {
            self.hear(now, via, from, envelope, out);
        } else {
            out.push(Output::Pass(at, Passed::Message(from, envelope)));
        }
    }

    /// The shard that has a partition, as they are numbered by what this one goes by.
    pub(super) fn shard_of(&self, partition: PartitionId) -> ShardId {
        self.shards.of_partition(partition, self.topology.state.partitions())
    }

    /// Hands a question of one of this shard's operations to the shard of this node that has the partition.
    pub(super) fn serve(
        &mut self,
        now: Moment,
        ticket: Ticket,
        request: ReplicaRequest,
        out: &mut Vec<Output>,
    ) {
        let at = self.shard_of(ticket.partition);
        let left: Duration = ticket.until.since(now.mono);
        let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        if at == self.index {
            match request {
                // The next one to make the write is this node itself: it stands in.
                ReplicaRequest::Forward(passed) => {
                    self.operations.passed(now, ticket, deadline_ms, *passed, &mut self.asks);
                }
                ReplicaRequest::Unname => self.unname(now, ticket, out),
                request => self.ask_replica(now, ticket, request),
            }
            return;
        }
        let envelope = Envelope { deadline_ms, ..self.envelope(ticket, Body::Request(request)) };
        out.push(Output::Pass(at, Passed::Message(asker_of(ticket), envelope)));
    }

    /// A write that was passed on to this shard, and could not be made under its name, is this node's to name. If it is over, its
    /// end was told already.
    pub(super) fn unname(&mut self, now: Moment, ticket: Ticket, out: &mut Vec<Output>) {
        if !self.operations.unnamed(now, ticket, &mut self.asks) {
            let why = "it was over here before it could be named".to_owned();
            self.reply(now, ticket, ReplicaReply::Failed { why }, out);
        }
    }

    /// Sends a reply back the way that its question came.
    pub(super) fn reply(&mut self, now: Moment, ticket: Ticket, reply: ReplicaReply, out: &mut Vec<Output>) {
        let is_ours = ticket.from == self.topology.here;
        if is_ours && is_own(ticket.operation) {
            self.replica.replied(now, ticket.from, ticket.operation, reply, &mut self.serves);
            return;
        }
        if is_ours && ticket.via == self.index {
            let at = (ticket.operation, ticket.round);
            self.operations.replied(now, ticket.from, at, reply, &mut self.asks);
            return;
        }
        let (to, envelope) = (asker_of(ticket), self.envelope(ticket, Body::Reply(reply)));
        out.push(if ticket.via == self.index {
            Output::Reply(to, envelope)
        } else if is_ours {
            Output::Pass(ticket.via, Passed::Message(to, envelope))
        } else {
            Output::Pass(ticket.via, Passed::Reply(to, envelope))
        });
    }
}

/// What is left of the time of a message that has waited.
fn shortened(mut envelope: Envelope, waited: Duration) -> Envelope {
    let waited = u32::try_from(waited.as_millis()).unwrap_or(u32::MAX);
    envelope.deadline_ms = envelope.deadline_ms.saturating_sub(waited);
    envelope
}

fn asker_of(ticket: Ticket) -> Sender {
    Sender { node: ticket.from, shard: ticket.of }
}
