//! How operations begin.

use std::time::Duration;

use api::{Command, Error, KeyRequest, Operation as Asked, Reply, Request};
use replica::{Named, Ticket};
use types::{KeyspaceId, Moment, OperationId};
use wire::Forward as Passed;

use super::admission::value_bytes;
use super::{Alone, Batch, Beside, Effect, Machine, Operation, Operations, Origin};
use crate::explain::Explain;
use crate::forward::{Forward, can_be_named};
use crate::get::Get;
use crate::mutation::Mutation;
use crate::target::{Event, Target, Turn};
use crate::walk::Walk;

impl Operations {
    /// A client of this node asks. `client` comes back with the answer, [`Effect::Answer`].
    pub fn ask(&mut self, now: Moment, client: u64, request: Request, out: &mut Vec<Effect>) {
        self.ask_beside(now, client, request, &mut Alone, out);
    }

    /// The same, beside a replica: it may be unable to make changes of some keys though it owns them, which another owner is
    /// to make then; and what others make it may name.
    pub fn ask_beside(
        &mut self,
        now: Moment,
        client: u64,
        request: Request,
        beside: &mut dyn Beside,
        out: &mut Vec<Effect>,
    ) {
        let origin = Origin::Client(client);
        let timeout = request.timeout.unwrap_or(self.options.timeout);
        match request.command {
            Command::Key(request) => self.begin_key(now, (origin, None), timeout, request, beside, out),
            Command::Batch(requests) => {
                self.begin_batch(now, origin, timeout, requests, beside, out);
            }
            Command::Scan(scan) => {
                let walk = Walk::scan(scan.keyspace, scan.scope, scan.cursor, scan.count);
                self.begin_walk(now, origin, timeout, scan.keyspace, walk, out);
            }
            Command::Count { keyspace, scope } => {
                self.begin_walk(now, origin, timeout, keyspace, Walk::count(keyspace, scope), out);
            }
            Command::RandomKey { keyspace, scope } => {
                // Ids go up in steps; their product with an odd constant visits all slots in a scattered order.
                let from = self.last_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
                self.begin_walk(now, origin, timeout, keyspace, Walk::any(keyspace, scope, from), out);
            }
            Command::Explain { keyspace, key } => {
                let Some(target) = Target::new(&self.topology, keyspace, key) else {
                    self.answer_to(origin, Err(Error::NoSuchKeyspace(keyspace.0.to_string())), out);
                    return;
                };
                self.begin(now, origin, timeout, 0, Some(target), out, |target, turn| {
                    let target = target.expect("just given");
                    Ok(Machine::Explain(Box::new(Explain::start(target, turn))))
                });
            }
            Command::AwaitAcknowledgements { operation, replicas } => {
                self.begin_await(now, origin, timeout, operation, replicas, out);
            }
            // The replicas do it by themselves, and have begun.
            Command::Repair => self.answer_to(origin, Ok(Reply::Repairing), out),
            // Whoever keeps the cluster state takes these before they come here.
            Command::Change(_) | Command::Plan(_) => {
                let why = "changes of the cluster are no operation on keys".to_owned();
                self.answer_to(origin, Err(Error::Invalid(why)), out);
            }
        }
    }

    /// A peer passes a client's write on to this node as its maker. The peer is its coordinator: it was asked, and only who
    /// was asked passes on.
    pub fn passed(
        &mut self,
        now: Moment,
        ticket: Ticket,
        deadline_ms: u32,
        passed: Passed,
        out: &mut Vec<Effect>,
    ) {
        let timeout = Duration::from_millis(u64::from(deadline_ms));
        let request = passed.request;
        let named = passed.name.map(|name| Named { name, operation: ticket.operation });
        let target = Target::new(&self.topology, request.keyspace, request.key.clone());
        let error = match target {
            Some(target) if target.may_make() => {
                if named.is_none() || can_be_named(target.keyspace(), &request.operation) {
                    let begun = (Origin::Peer(ticket), named);
                    return self.begin_key(now, begun, timeout, request, &mut Alone, out);
                }
                "only a put that rests on nothing can be made under a given name".to_owned()
            }
            Some(target) if ticket.epoch < target.since() => {
                out.push(Effect::NotTaken(ticket, target.since()));
                return;
            }
            _ => format!("{} neither owns {} nor stands in", self.topology.here, ticket.partition),
        };
        self.answer_to(Origin::Peer(ticket), Err(Error::Invalid(error)), out);
    }

    /// The peer that passed a write on leaves it to this node to name it. False where nothing waits for that: whatever came of
    /// the write has been said.
    pub fn unnamed(&mut self, now: Moment, ticket: Ticket, out: &mut Vec<Effect>) -> bool {
        let Some(id) = self.unnaming.remove(&(ticket.from, ticket.operation)) else {
            return false;
        };
        if let Some(operation) = self.by_id.get_mut(&id) {
            operation.origin = Some(Origin::Peer(ticket));
        }
        self.tell(now, id, Event::Unnamed, out)
    }

    /// Tells the peer that passed a write on that it cannot be made as the peer has named it.
    pub(super) fn ask_for_the_name(&mut self, id: OperationId, out: &mut Vec<Effect>) {
        let origin = self.by_id.get(&id).and_then(|operation| operation.origin);
        if let Some(Origin::Peer(ticket)) = origin {
            self.unnaming.insert((ticket.from, ticket.operation), id);
            out.push(Effect::NotAsNamed(ticket));
        }
    }

    fn begin_key(
        &mut self,
        now: Moment,
        (origin, named): (Origin, Option<Named>),
        timeout: Duration,
        request: KeyRequest,
        beside: &mut dyn Beside,
        out: &mut Vec<Effect>,
    ) {
        if let Some(error) = self.refusal(now.mono, &request) {
            self.answer_to(origin, Err(error), out);
            return;
        }
        let bytes = value_bytes(&request);
        let cannot_make = beside.cannot_make(&request);
        let KeyRequest { keyspace, key, operation } = request;
        let Some(mut target) = Target::new(&self.topology, keyspace, key) else {
            return;
        };
        if let Origin::Peer(ticket) = origin {
            target = target.asked_by(ticket.from);
        }
        // Whoever is passed a write is to make it; whoever is asked by a client makes it if it is an owner and can, or if there is
        // no other.
        let can_make = cannot_make.is_none() || target.owners.len() == 1;
        let makes = matches!(origin, Origin::Peer(_)) || (target.is_owner() && can_make);
        self.begin(now, origin, timeout, bytes, Some(target), out, |target, turn| {
            let target = target.expect("just given");
            match operation {
                Asked::Get { read, context, detail } => {
                    Get::start(target, read, context, detail, turn).map(|get| Machine::Get(Box::new(get)))
                }
                write if makes => Mutation::start(target, write, named, turn).map(Machine::Mutation),
                write => {
                    let problem = cannot_make.map(|why| format!("{}: {why}", target.name_of(target.here)));
                    let name = if can_be_named(target.keyspace(), &write) {
                        beside.name(now, target.partition)
                    } else {
                        None
                    };
                    Ok(Machine::Forward(Box::new(Forward::start(target, write, name, problem, turn))))
                }
            }
        });
    }

    fn begin_batch(
        &mut self,
        now: Moment,
        origin: Origin,
        timeout: Duration,
        requests: Vec<KeyRequest>,
        beside: &mut dyn Beside,
        out: &mut Vec<Effect>,
    ) {
        if requests.is_empty() {
            self.answer_to(origin, Ok(Reply::Batch(Vec::new())), out);
            return;
        }
        let id = self.next_id();
        let batch = Batch { origin, missing: requests.len(), outcomes: vec![None; requests.len()] };
        self.batches.insert(id, batch);
        for (place, request) in requests.into_iter().enumerate() {
            self.begin_key(now, (Origin::Batch(id, place), None), timeout, request, beside, out);
        }
    }

    fn begin_walk(
        &mut self,
        now: Moment,
        origin: Origin,
        timeout: Duration,
        keyspace: KeyspaceId,
        mut walk: Walk,
        out: &mut Vec<Effect>,
    ) {
        if self.topology.state.keyspace(keyspace).is_none() {
            self.answer_to(origin, Err(Error::NoSuchKeyspace(keyspace.0.to_string())), out);
            return;
        }
        self.begin(now, origin, timeout, 0, None, out, |_, turn| {
            walk.start(turn);
            Ok(Machine::Walk(Box::new(walk)))
        });
    }

    fn begin_await(
        &mut self,
        now: Moment,
        origin: Origin,
        timeout: Duration,
        write: OperationId,
        replicas: u8,
        out: &mut Vec<Effect>,
    ) {
        let acknowledged = self.acknowledged(write);
        let operation = self.by_id.get(&write);
        let counts = operation.is_some_and(|one| matches!(one.machine, Machine::Mutation(_)));
        if !counts || acknowledged >= replicas {
            self.answer_to(origin, Ok(Reply::Acknowledged(acknowledged)), out);
            return;
        }
        let id =
            self.begin(now, origin, timeout, 0, None, out, |_, _| Ok(Machine::Await { write, replicas }));
        if let Some(id) = id {
            self.awaiting.entry(write).or_default().push(id);
        }
    }

    /// Puts an operation into the table and carries out its first steps. Where there is no room, or `start` says why it
    /// cannot begin, having asked nobody, that is the answer, and there is no operation.
    #[allow(clippy::too_many_arguments, reason = "what every kind of operation begins with")]
    fn begin(
        &mut self,
        now: Moment,
        origin: Origin,
        timeout: Duration,
        bytes: usize,
        target: Option<Target>,
        out: &mut Vec<Effect>,
        start: impl FnOnce(Option<&Target>, &mut Turn<'_>) -> Result<Machine, Error>,
    ) -> Option<OperationId> {
        if let Some(error) = self.overload(now.mono, bytes) {
            self.answer_to(origin, Err(error), out);
            return None;
        }
        let id = self.next_id();
        self.pace.request_begun();
        let mut steps = std::mem::take(&mut self.steps);
        let mut turn = Turn {
            now,
            id,
            topology: &self.topology,
            pace: &mut self.pace,
            repairs: &mut self.repairs,
            steps: &mut steps,
            is_told_of_news: true,
        };
        let machine = match start(target.as_ref(), &mut turn) {
            Ok(machine) => machine,
            Err(error) => {
                self.steps = steps;
                self.answer_to(origin, Err(error), out);
                return None;
            }
        };
        let deadline = now.mono + timeout.min(self.options.timeout);
        let operation = Operation {
            machine,
            target,
            news: 0,
            first_round: 0,
            origin: Some(origin),
            deadline,
            wake: deadline,
            bytes,
        };
        self.by_id.insert(id, operation);
        self.wakes.insert(deadline, id);
        self.bytes += bytes;
        self.unanswered += 1;
        self.carry_out(now, id, &mut steps, out);
        self.steps = steps;
        Some(id)
    }

    fn next_id(&mut self) -> OperationId {
        self.last_id += u64::from(self.ids.shards);
        OperationId(self.last_id)
    }
}
