//! Requests of coordinators and peers: which of them this replica may answer at all, and its answers.
//!
//! What must hold: *absent* is said only where this replica owns the key, lacks nothing of it, and may answer (INVARIANTS C3).

use bytes::Bytes;
use causality::Record;
use cluster::{Keyspace, QuorumMode};
use quorum::{Level, Model};
use storage::Lookup;
use types::{KeyspaceId, Moment, NodeId, OperationId, PartitionId};
use wire::{Own, ReplicaReply, ReplicaRequest, ScanAsk};

use super::{Afterwards, Effect, Replica, Ticket};
use crate::store_key::{self, store_key};
use crate::waiting::{Task, Waiting};

impl Replica {
    /// Serves a request of a coordinator, this node's own or a peer's.
    pub fn serve(&mut self, now: Moment, ticket: Ticket, request: ReplicaRequest, out: &mut Vec<Effect>) {
        if let Some(newest) = request.keyspace().and_then(|keyspace| self.newer_epoch(keyspace, &ticket)) {
            out.push(Effect::Reply(ticket, ReplicaReply::StaleEpoch { newest }));
            return;
        }
        match request {
            ReplicaRequest::Read { keyspace, key, in_place_of } => {
                match self
                    .may_answer(keyspace)
                    .and_then(|()| self.place_of(keyspace, &key, ticket.partition, in_place_of))
                {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
                    Ok(key) => self.with_held(now, key, Waiting::new(now, ticket, Task::Read), out),
                }
            }
            ReplicaRequest::ReadCovering { keyspace, key, context } => {
                match self
                    .may_answer(keyspace)
                    .and_then(|()| self.place_of(keyspace, &key, ticket.partition, None))
                {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
                    Ok(key) => {
                        let task = Task::ReadCovering(context);
                        self.with_held(now, key, Waiting::new(now, ticket, task), out);
                    }
                }
            }
            ReplicaRequest::ReadHeld { keyspace, key, own } => {
                match self.place_to_keep(keyspace, &key, ticket.partition, None) {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
                    Ok(key) => self.with_held(now, key, Waiting::new(now, ticket, Task::ReadHeld(own)), out),
                }
            }
            ReplicaRequest::Write { keyspace, key, record, path, in_place_of } => {
                let task = Task::Write { keyspace, record, path };
                if in_place_of.is_none() && self.moving.is_emptying(keyspace, ticket.partition) {
                    let key = store_key(keyspace, &key);
                    return self.wait_until_empty(now, key, Waiting::new(now, ticket, task), out);
                }
                match self.place_to_keep(keyspace, &key, ticket.partition, in_place_of) {
                    Err(why) => out.push(Effect::Reply(ticket, ReplicaReply::Failed { why })),
                    Ok(key) => self.with_held(now, key, Waiting::new(now, ticket, task), out),
                }
            }
            // Where clients' writes wait for storage nothing else is taken in.
            ReplicaRequest::Grant { .. } if !self.stalled.is_empty() => {
                out.push(Effect::Reply(ticket, ReplicaReply::Granted { bytes: 0 }));
            }
            ReplicaRequest::Grant { wanted } => self.granting.ask(now.mono, ticket, wanted, out),
            ReplicaRequest::Compare(ask) => {
                let first = out.len();
                let is_handed_over = self.moving.has_handed_over(ask.terms.keyspace, ticket.partition);
                self.exchange.ask(now.mono, ticket, (*ask, is_handed_over), &self.db, out);
                self.answer_when_synced(first, out);
            }
            ReplicaRequest::Fetch(ask) => self.give_page(ticket, &ask, out),
            ReplicaRequest::Scan(ask) => self.scan(ticket, ask, false, out),
            ReplicaRequest::Count(ask) => self.scan(ticket, ask, true, out),
            ReplicaRequest::Collect(_) => {
                let why = "a question of a round came without what is under way here".to_owned();
                out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
            }
            ReplicaRequest::Forward(_)
            | ReplicaRequest::Unname
            | ReplicaRequest::Relay(_)
            | ReplicaRequest::Relayed(_) => {
                let why = "what is to be passed on reached a replica".to_owned();
                out.push(Effect::Reply(ticket, ReplicaReply::Failed { why }));
            }
        }
    }

    /// What this replica holds of a key, where memory can say so at once. Nothing where it is no owner, where disk must be
    /// asked, or where others wait for the disk with the same key.
    pub fn read_at_once(
        &mut self,
        keyspace: KeyspaceId,
        partition: PartitionId,
        key: &[u8],
    ) -> Option<ReplicaReply> {
        if self.refusal(keyspace, partition).is_some() || self.may_answer(keyspace).is_err() {
            return None;
        }
        let key = store_key(keyspace, key);
        if self.cold.has(&key) {
            return None;
        }
        match self.db.get(&key) {
            Lookup::Found(record) => Some(self.read(&key, Some(record))),
            Lookup::Absent => Some(self.read(&key, None)),
            Lookup::Cold(_) | Lookup::Unreadable(_) => None,
        }
    }

    /// Shows reads what an operation wrote here, which was hidden so far.
    pub fn show(
        &mut self,
        keyspace: KeyspaceId,
        key: &[u8],
        in_place_of: Option<NodeId>,
        operation: OperationId,
    ) {
        let own = store_key(keyspace, key);
        let key = match in_place_of {
            Some(owner) => store_key::hint_key(owner, &own),
            None => own,
        };
        self.recent.show(&key, operation);
    }

    fn scan(&mut self, ticket: Ticket, ask: ScanAsk, count: bool, out: &mut Vec<Effect>) {
        match self.refusal(ask.keyspace, ticket.partition).or_else(|| self.may_answer(ask.keyspace).err()) {
            Some(why) => out.push(Effect::Reply(ticket, ReplicaReply::CannotSay { why })),
            None => self.scans.begin(&self.db, ticket, ask, count, out),
        }
    }

    /// Runs one task on what is held, and says what has become of that.
    pub(super) fn run(
        &mut self,
        now: Moment,
        key: &Bytes,
        one: Waiting,
        held: Option<Bytes>,
        out: &mut Vec<Effect>,
    ) -> Afterwards {
        let keyspace = store_key::keyspace_of(key).unwrap_or_default();
        if let Some(newest) = self.newer_epoch(keyspace, &one.ticket)
            && !matches!(one.task, Task::Readdress)
        {
            out.push(one.stale(newest));
            return Afterwards::Same;
        }
        let is_kept_for_another =
            matches!(one.task, Task::Write { .. } | Task::Make(_)) && store_key::own_slot(key).is_none();
        if is_kept_for_another && !self.state.may_stand_in(self.here) {
            out.push(one.fail("this node joins or leaves the cluster, and keeps nothing for others"));
            return Afterwards::Same;
        }
        if matches!(one.task, Task::ReadHeld(_))
            && self.hides_from_before(key, keyspace, one.ticket.partition)
        {
            out.push(one.fail("it has yet to be decided what becomes of a write to this key"));
            return Afterwards::Same;
        }
        if self.db.is_missing(key)
            && let Some(why) = Replica::why_not_on_what_is_left(&one.task)
        {
            out.push(one.fail(why));
            return Afterwards::Same;
        }
        let Waiting { ticket, task, .. } = one;
        let stored = match task {
            Task::ReadCovering(context) => {
                let reply = self.read(key, held);
                let reply = self.covering(key, &context, reply);
                out.push(Effect::Reply(ticket, reply));
                None
            }
            Task::Read => {
                out.push(Effect::Reply(ticket, self.read(key, held)));
                None
            }
            Task::ReadHeld(own) => {
                let reply = self.read(key, held);
                let reply = self.beside(key, own.as_deref(), reply);
                self.say_what_is_held(ticket, reply, out);
                None
            }
            Task::Write { keyspace, record, path } => {
                self.write(now, key, ticket, keyspace, &record, path, held.as_ref(), out)
            }
            Task::Make(ask) => self.make_on(now, key, ticket, *ask, held, out),
            Task::Drop => return self.drop_dead(now, key, held.as_ref()),
            Task::Readdress => return self.readdress(now, key, held.as_ref()),
            Task::LetGo { record } => {
                self.outrank_record(now, &record);
                return self.let_go_of(now, key, &record, held.as_ref());
            }
        };
        stored.map_or(Afterwards::Same, Afterwards::Holds)
    }

    fn read(&self, key: &Bytes, held: Option<Bytes>) -> ReplicaReply {
        let held = match self.recent.shown_instead(key) {
            Some(before) => before,
            None => held,
        };
        match held {
            Some(record) => ReplicaReply::Found { record, synced: self.recent.unsynced(key).is_none() },
            // A stand-in has what it was given while it stood in, and knows of nothing else (INVARIANTS C3).
            None if store_key::parse_hint(key).is_some() => {
                ReplicaReply::CannotSay { why: "it stands in, and was told nothing of this key".to_owned() }
            }
            None => ReplicaReply::Absent,
        }
    }

    /// A reply for one who holds this himself: without the record, where it could teach him nothing. What it would come to if he
    /// merged it is for his outline to say, tombstones and registers included (INVARIANTS B2, D1).
    fn beside(&self, key: &Bytes, own: Option<&Own>, reply: ReplicaReply) -> ReplicaReply {
        let (Some(own), ReplicaReply::Found { record, .. }) = (own, &reply) else { return reply };
        if self.exchange.digest_of(key, record) == Some(own.digest) {
            return ReplicaReply::Same;
        }
        let held =
            own.outline.as_ref().and_then(|outline| Some((outline, Record::decode(record.clone()).ok()?)));
        match held {
            Some((outline, held)) if outline.has_all_of(&held) => ReplicaReply::Older,
            _ => reply,
        }
    }

    /// Under which key a record is kept here: as an owner's own, or as a hint for the owner in whose place this node is asked;
    /// or why it has nothing to say.
    pub(super) fn place_of(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        partition: PartitionId,
        in_place_of: Option<NodeId>,
    ) -> Result<Bytes, String> {
        let Some(owner) = in_place_of else {
            return self.refusal(keyspace, partition).map_or_else(|| Ok(store_key(keyspace, key)), Err);
        };
        let sloppy = self.state.keyspace(keyspace).is_some_and(|one| one.quorum_mode == QuorumMode::Sloppy);
        let owners = self.state.all_owners(keyspace, partition);
        let is_holder = |node: NodeId| owners.holders().any(|holder| holder == node);
        if !sloppy || is_holder(self.here) || !is_holder(owner) {
            return Err(format!("this node does not stand in for {owner} in {partition}"));
        }
        Ok(store_key::hint_key(owner, &store_key(keyspace, key)))
    }

    /// The same for a record that is to be kept, or compared: also where this node is about to own the key, or has yet to hand it
    /// over.
    pub(super) fn place_to_keep(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        partition: PartitionId,
        in_place_of: Option<NodeId>,
    ) -> Result<Bytes, String> {
        if in_place_of.is_none() && self.moving.keeps(keyspace, partition) {
            return Ok(store_key(keyspace, key));
        }
        self.place_of(keyspace, key, partition, in_place_of)
    }

    /// Whether this run may answer for what is here. Until a peer has let it in, its disk may have been rolled back, and it
    /// would answer with what was replaced since: not where reads are promised not to.
    fn may_answer(&self, keyspace: KeyspaceId) -> Result<(), String> {
        if self.actors.is_confirmed() {
            return Ok(());
        }
        let keyspace = self.state.keyspace(keyspace);
        let promises = |one: &Keyspace| {
            one.model() == Model::Strong || matches!(one.r, Level::LocalQuorum | Level::LocalOne)
        };
        if keyspace.is_some_and(promises) {
            return Err(
                "no other node has let it in since it was started, so it may be out of date".to_owned()
            );
        }
        Ok(())
    }

    /// Why this replica has nothing to say about the keyspace and partition; nothing if it does.
    fn refusal(&self, keyspace: KeyspaceId, partition: PartitionId) -> Option<String> {
        if self.state.keyspace(keyspace).is_none() {
            return Some(format!("this node knows no keyspace with the id {}", keyspace.0));
        }
        let owns = self.state.owners(keyspace, partition).contains(&self.here);
        (!owns).then(|| format!("this node does not own {partition}"))
    }
}
